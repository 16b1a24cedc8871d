from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog
import trio
import trio.testing
from structlog.testing import capture_logs

from tests.unit.tokens.material import ISSUER, clock, ec_key, jwk, rsa_key
from trio_router.clock import ManualClock
from trio_router.errors import TokenInvalid
from trio_router.tokens.jwks import MAX_KEYS, MAX_SIZE, Jwks, KeysUnavailable, parse_key_set

URL = "https://issuer.example/keys"
ALGORITHMS = ["RS256", "ES256"]


def key_set(*keys: Any, **more: Any) -> bytes:
    return json.dumps({"keys": list(keys), **more}).encode()


def named(*kids: str) -> bytes:
    return key_set(*(jwk(rsa_key(), kid=kid) for kid in kids))


class Server:
    """Answers in memory: ``answer`` is a body or an error; while ``hold`` is set it waits for that."""

    def __init__(self, answer: bytes | Exception) -> None:
        self.answer = answer
        self.urls: list[str] = []
        self.hold: trio.Event | None = None
        self.asked = trio.Event()

    async def fetch(self, url: str) -> bytes:
        self.urls.append(url)
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        await trio.lowlevel.checkpoint()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def requests(self) -> int:
        return len(self.urls)


def jwks(server: Server, time: ManualClock, **options: Any) -> Jwks:
    options = {"issuer": ISSUER, "algorithms": ALGORITHMS, **options}
    return Jwks(URL, fetch=server.fetch, clock=time, log=structlog.get_logger(), **options)


async def outcome(find: Callable[[str | None], Awaitable[Any]], kid: str | None) -> str:
    try:
        return (await find(kid)).kid or "nameless"
    except TokenInvalid as error:
        return f"invalid {error.reason}"
    except KeysUnavailable as error:
        return f"unavailable {error.reason}"


# The document


def test_usable_keys_are_kept_and_others_skipped_with_their_reason() -> None:
    body = key_set(
        jwk(rsa_key(), kid="rsa", use="sig", alg="RS256"),
        jwk(ec_key(), kid="ec"),
        jwk(rsa_key(), kid="enc", use="enc"),
        jwk(rsa_key(1024), kid="small"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
        "junk",
        {},
        keys_of="nobody",
    )
    parsed = parse_key_set(body, ALGORITHMS)
    assert [key.kid for key in parsed.keys.keys] == ["rsa", "ec"]
    assert parsed.skipped == (
        ("key 'enc'", "use: is not sig"),
        ("key 'small'", "is an RSA key of 1024 bits; it must have 2048 to 8192"),
        ("key 'shared'", "is a secret or private key, which a key set must not hold"),
        ("key 6", "is not an object"),
        ("key 7", "kty: is neither RSA nor EC"),
    )


@pytest.mark.threat("T39")
def test_keys_that_share_a_kid_are_all_skipped() -> None:
    body = key_set(jwk(rsa_key(), kid="same"), jwk(ec_key(), kid="same"), jwk(rsa_key(), kid="other"))
    parsed = parse_key_set(body, ALGORITHMS)
    assert [key.kid for key in parsed.keys.keys] == ["other"]
    assert parsed.skipped == (("key 'same'", "shares its kid"), ("key 'same'", "shares its kid"))


@pytest.mark.threat("T39")
def test_a_twin_that_may_not_verify_does_not_count() -> None:
    body = key_set(jwk(rsa_key(), kid="same", use="enc"), jwk(rsa_key(), kid="same", use="sig"))
    assert [key.kid for key in parse_key_set(body, ALGORITHMS).keys.keys] == ["same"]


@pytest.mark.threat("T39")
def test_a_key_without_a_kid_is_usable_only_alone() -> None:
    assert len(parse_key_set(key_set(jwk(rsa_key())), ALGORITHMS).keys) == 1
    parsed = parse_key_set(key_set(jwk(rsa_key()), jwk(ec_key(), kid="ec")), ALGORITHMS)
    assert [key.kid for key in parsed.keys.keys] == ["ec"]
    assert parsed.skipped == (("key 1", "has no kid beside other keys"),)
    assert len(parse_key_set(key_set(jwk(rsa_key()), jwk(ec_key())), ALGORITHMS).keys) == 0


@pytest.mark.threat("T38")
def test_a_shared_secret_in_a_key_set_is_never_a_key() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0" * 10, "kid": "k", "alg": "HS256", "use": "sig"}
    assert len(parse_key_set(key_set(secret), ["HS256", "RS256"]).keys) == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_a_key_set"),
        (b"<html>", "not_a_key_set"),
        (b"null", "not_a_key_set"),
        (b"[]", "not_a_key_set"),
        (b"{}", "not_a_key_set"),
        (b'{"keys": {}}', "not_a_key_set"),
        (b'{"keys": [], "keys": []}', "not_a_key_set"),
        (b'{"keys": ' + b"[" * 200_000, "not_a_key_set"),
        (b"\xff\xfe", "not_a_key_set"),
        (key_set(*[{}] * (MAX_KEYS + 1)), "too_many_keys"),
        (b'{"keys": []}' + b" " * MAX_SIZE, "too_big"),
    ],
    ids=range(11),
)
def test_what_is_no_key_set_is_refused_whole(body: bytes, reason: str) -> None:
    with pytest.raises(KeysUnavailable, match=reason):
        parse_key_set(body, ALGORITHMS)


def test_a_set_may_be_as_large_as_allowed() -> None:
    body = named("a")
    assert len(parse_key_set(body + b" " * (MAX_SIZE - len(body)), ALGORITHMS).keys) == 1


def test_as_many_keys_as_allowed_are_read() -> None:
    assert len(parse_key_set(named(*map(str, range(MAX_KEYS))), ALGORITHMS).keys) == MAX_KEYS


# The cache


async def test_the_set_is_fetched_at_the_first_login_and_kept() -> None:
    server, time = Server(named("a", "b")), clock()
    keys = jwks(server, time)
    assert server.requests == 0
    assert [await outcome(keys.find, kid) for kid in ("a", "b", "a")] == ["a", "b", "a"]
    assert server.urls == [URL]


@pytest.mark.threat("T40")
async def test_no_kid_changes_the_url() -> None:
    server, time = Server(named("a", "b")), clock()
    keys = jwks(server, time)
    for kid in ("https://evil.example/keys", "../../etc/passwd", "a' OR 1=1 --", "?x=1", "%2e%2e", None):
        time.advance(61)
        assert await outcome(keys.find, kid) == "invalid key"
    assert set(server.urls) == {URL}


async def test_unknown_kids_ask_at_most_once_a_minute() -> None:
    server, time = Server(named("a", "b")), clock()
    keys = jwks(server, time, refresh_after=100_000.0, max_age=200_000.0)
    assert await outcome(keys.find, "a") == "a"
    for second in range(240):
        time.advance(1)
        assert await outcome(keys.find, f"unknown-{second}") == "invalid key"
    assert server.requests == 1 + 4


async def test_unknown_kids_ask_at_most_once_a_minute_when_that_fails_and_are_unavailable_then() -> None:
    server, time = Server(named("a", "b")), clock()
    keys = jwks(server, time, refresh_after=100_000.0, max_age=200_000.0)
    await keys.find("a")
    server.answer = KeysUnavailable("timeout")
    time.advance(60)
    for second in range(120):
        assert await outcome(keys.find, f"unknown-{second}") == "unavailable timeout"
        time.advance(1)
    assert server.requests == 1 + 2
    assert await outcome(keys.find, "a") == "a"


async def test_a_rotated_key_is_found_with_one_request() -> None:
    server, time = Server(named("old")), clock()
    keys = jwks(server, time)
    await keys.find("old")
    server.answer = named("old", "new")
    time.advance(60)
    assert await outcome(keys.find, "new") == "new"
    assert await outcome(keys.find, "old") == "old"
    assert server.requests == 2


async def test_a_withdrawn_key_is_gone_after_the_refresh() -> None:
    server, time = Server(named("old", "new")), clock()
    keys = jwks(server, time, refresh_after=300.0)
    assert await outcome(keys.find, "old") == "old"
    server.answer = named("new", "newer")
    time.advance(301)
    assert await outcome(keys.find, "old") == "invalid key"


async def test_a_stale_set_is_refreshed_and_kept_when_that_fails_until_its_last_hour() -> None:
    server, time = Server(named("a")), clock()
    keys = jwks(server, time, refresh_after=300.0, max_age=1_000.0)
    await keys.find("a")
    time.advance(300)
    await keys.find("a")
    assert server.requests == 1
    server.answer = KeysUnavailable("connect")
    time.advance(1)
    assert await outcome(keys.find, "a") == "a"
    assert server.requests == 2
    assert await outcome(keys.find, "a") == "a"  # no second attempt within the minute
    assert server.requests == 2
    time.advance(699)
    assert await outcome(keys.find, "a") == "a"
    time.advance(0.5)
    assert await outcome(keys.find, "a") == "unavailable connect"
    server.answer = named("a")
    time.advance(5)
    assert await outcome(keys.find, "a") == "a"


async def test_without_any_set_it_is_unavailable_and_soon_tried_again() -> None:
    server, time = Server(KeysUnavailable("status")), clock()
    keys = jwks(server, time)
    assert [await outcome(keys.find, "a") for _ in range(10)] == ["unavailable status"] * 10
    assert server.requests == 1
    server.answer = named("a")
    time.advance(5)
    assert await outcome(keys.find, "a") == "a"
    assert server.requests == 2


async def test_a_set_without_a_usable_key_is_unavailable_and_not_the_clients_fault() -> None:
    server, time = Server(key_set({"kty": "oct", "k": "AQ"})), clock()
    assert await outcome(jwks(server, time).find, "a") == "unavailable no_keys"


async def test_a_set_that_was_emptied_lets_nobody_in() -> None:
    server, time = Server(named("a")), clock()
    keys = jwks(server, time)
    await keys.find("a")
    server.answer = key_set()
    time.advance(301)
    assert await outcome(keys.find, "a") == "unavailable no_keys"


async def test_ages_are_monotonic() -> None:
    server, time = Server(named("a")), clock()
    keys = jwks(server, time)
    await keys.find("a")
    time.jump_wall(10**9)
    assert await outcome(keys.find, "a") == "a"
    time.jump_wall(-(2 * 10**9))
    assert await outcome(keys.find, "a") == "a"
    assert server.requests == 1


async def test_logins_at_the_same_time_share_one_request() -> None:
    server, time = Server(named("a")), clock()
    server.hold = trio.Event()
    keys = jwks(server, time)
    found: list[str] = []

    async def login(kid: str) -> None:
        found.append(await outcome(keys.find, kid))

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(login, "a" if number % 2 else "x")
        await trio.testing.wait_all_tasks_blocked()
        server.hold.set()
    assert sorted(found) == ["a"] * 50 + ["invalid key"] * 50
    assert server.requests == 1


async def test_logins_at_the_same_time_share_one_failure() -> None:
    server, time = Server(KeysUnavailable("connect")), clock()
    server.hold = trio.Event()
    keys = jwks(server, time)
    found: list[str] = []

    async def login() -> None:
        found.append(await outcome(keys.find, "a"))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(login)
        await trio.testing.wait_all_tasks_blocked()
        server.hold.set()
    assert found == ["unavailable connect"] * 20
    assert server.requests == 1


async def test_while_one_login_refreshes_a_stale_set_the_others_go_on_with_it() -> None:
    server, time = Server(named("a")), clock()
    keys = jwks(server, time, timeout=60.0)
    await keys.find("a")
    time.advance(301)
    server.hold, server.asked = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keys.find, "a")
        await server.asked.wait()
        with trio.fail_after(5):
            assert await outcome(keys.find, "a") == "a"
        assert server.requests == 2
        server.hold.set()


async def test_a_client_that_leaves_neither_multiplies_nor_spoils_requests(
    autojump_clock: trio.testing.MockClock,
) -> None:
    server, time = Server(named("a")), clock()
    server.hold = trio.Event()
    keys = jwks(server, time)

    async def impatient() -> None:
        with trio.move_on_after(0.01):
            await keys.find("a")

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(impatient)
        await trio.sleep(1)
        server.hold.set()
    assert server.requests == 1
    assert await outcome(keys.find, "a") == "a"
    assert server.requests == 1


async def test_one_request_has_a_deadline_whatever_the_fetcher_does(autojump_clock: trio.testing.MockClock) -> None:
    server, time = Server(named("a")), clock()
    server.hold = trio.Event()
    began = trio.current_time()
    assert await outcome(jwks(server, time, timeout=3.0).find, "a") == "unavailable timeout"
    assert trio.current_time() - began == pytest.approx(3.0)


async def test_a_fault_in_the_fetcher_is_not_hidden_and_counts_as_a_try() -> None:
    server, time = Server(ZeroDivisionError()), clock()
    keys = jwks(server, time)
    with pytest.raises(ZeroDivisionError):
        await keys.find("a")
    assert await outcome(keys.find, "a") == "unavailable no_keys"
    assert server.requests == 1


async def test_keys_that_begin_to_be_skipped_are_logged_then() -> None:
    server, time = Server(named("a")), clock()
    with capture_logs() as logs:
        keys = jwks(server, time)
        await keys.find("a")
        assert logs == []
        server.answer = key_set(jwk(rsa_key(), kid="a"), jwk(rsa_key(1024), kid="b"))
        time.advance(301)
        await keys.find("a")
    assert [(entry["event"], entry["key"]) for entry in logs] == [("jwks_key_skipped", "key 'b'")]


async def test_skipped_keys_are_logged_once_and_failures_each_time() -> None:
    server, time = Server(key_set(jwk(rsa_key(), kid="a"), jwk(rsa_key(), kid="b", use="enc"))), clock()
    with capture_logs() as logs:
        keys = jwks(server, time)
        await keys.find("a")
        time.advance(301)
        await keys.find("a")
        server.answer = KeysUnavailable("connect")
        time.advance(301)
        await keys.find("a")
    assert logs == [
        {
            "event": "jwks_key_skipped",
            "log_level": "warning",
            "issuer": ISSUER,
            "key": "key 'b'",
            "fault": "use: is not sig",
        },
        {"event": "jwks_not_fetched", "log_level": "warning", "issuer": ISSUER, "reason": "connect"},
    ]
