"""The strategy ``access``: whose tokens it judges, what it passes on, what it says when it cannot know."""

from __future__ import annotations

from typing import Any

import pytest

from trio_router.auth.access import AccessOptions, AccessStrategy
from trio_router.auth.access_tokens import AccessTokens
from trio_router.auth.strategy import Accepted, Denied, LoginRequest, NotMine, Unavailable
from trio_router.clock import ManualClock
from trio_router.errors import StorageUnavailable
from trio_router.grants import Grants
from trio_router.scope import Scope
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord
from trio_router.storage.memorykeys import MemoryKeyStore
from trio_router.tokens.access import issue
from trio_router.tokens.jwt import sign
from trio_router.tokens.keys import signing_secret

SECRET = Secret("9pWbndVJg50MaOPAapAx7LQ_zKw6YvXl2Babcdef")
GRANTS = Grants(rpc=False)
SCOPE = Scope.of(["publish"], ["news"])


def token(app: str = "default", key: str = "k1", secret: Secret = SECRET, **changes: Any) -> str:
    clock = ManualClock()
    given: dict[str, Any] = {"client_id": "John", "scope": SCOPE, "issuer": "i", "now": clock.wall()}
    return issue(secret, app=app, key_id=key, **(given | changes))[0]


async def strategy(**changes: Any) -> AccessStrategy:
    keys = MemoryKeyStore()
    record = KeyRecord("default", "k1", (SECRET,), GRANTS)
    for key, value in changes.items():
        object.__setattr__(record, key, value)
    await keys.add(record)
    return AccessStrategy(AccessTokens("default", lambda: keys, ManualClock()))


def login(auth: Any) -> LoginRequest:
    return LoginRequest("default", "s1", "192.0.2.1", auth)


async def test_what_a_good_token_brings() -> None:
    answer = await (await strategy()).start(login({"token": token()}))
    assert isinstance(answer, Accepted)
    now = ManualClock().wall()
    assert (answer.user.id, answer.key, answer.grants, answer.scope) == ("John", "k1", GRANTS, SCOPE)
    assert (answer.issued_at, answer.expires_at, answer.is_server) == (now, now + 3600, False)
    assert answer.token_id is not None


@pytest.mark.parametrize(
    "auth",
    [
        None,
        {},
        {"username": "x"},
        {"token": 7},
        {"token": "not a token"},
        {"token": sign({"sub": "a.b"}, signing_secret(SECRET, "HS256", name="t"))},
    ],
)
async def test_what_is_left_to_others(auth: Any) -> None:
    assert isinstance(await (await strategy()).start(login(auth)), NotMine)


@pytest.mark.threat("T39", "T50", "T66")
@pytest.mark.parametrize(
    "given",
    [
        {"app": "other"},
        {"key": "k2"},
        {"key": "x" * 120},
        {"secret": Secret("another-secret-0123456789-abcdefghijklmnop")},
        {"now": ManualClock().wall() - 4000},
    ],
)
async def test_what_is_denied(given: dict[str, Any]) -> None:
    answer = await (await strategy()).start(login({"token": token(**given)}))
    assert isinstance(answer, Denied)
    assert answer.client_data == ({"error": "expired"} if "now" in given else None)


@pytest.mark.threat("T52")
async def test_a_disabled_key_opens_nothing() -> None:
    assert isinstance(await (await strategy(disabled=True)).start(login({"token": token()})), Denied)


async def test_a_store_that_is_away() -> None:
    class Away(MemoryKeyStore):
        async def get(self, app: str, key_id: str) -> KeyRecord | None:
            raise StorageUnavailable("away")

    made = AccessStrategy(AccessTokens("default", Away, ManualClock()))
    assert await made.start(login({"token": token()})) == Unavailable("storage")


def test_options() -> None:
    with pytest.raises(ValueError, match="between 0 and 60"):
        AccessOptions(leeway=61)
