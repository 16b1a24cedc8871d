from __future__ import annotations

from typing import Any

import pytest

from tests.unit.client.conftest import Connect
from tests.unit.client.fake_router import FakeRouter
from trio_router.client import KeyAuth
from trio_router.protocols import messages
from trio_router.protocols.keyproof import key_proof
from trio_router.secret import Secret

SECRET = "a secret that never travels to anybody"


@pytest.mark.threat("T51")
async def test_each_connection_is_proven_for_itself(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected(KeyAuth("shop.k1", SECRET)) as client:
        first = await (await router.peer()).wait_for(messages.Login)
        await (await router.peer()).cut()
        second = await (await router.peer(2)).wait_for(messages.Login)
        await client.wait_connected()
    for number, login in enumerate((first, second), 1):
        auth = login.auth
        proof = key_proof("shop.k1", auth["timestamp"], auth["nonce"], f"session-{number}", Secret(SECRET))
        assert (auth["key"], auth["proof"], set(auth)) == ("shop.k1", proof, {"key", "timestamp", "nonce", "proof"})
        assert SECRET not in repr(auth)
    assert first.auth["nonce"] != second.auth["nonce"]


def test_a_key_has_its_app_before_it() -> None:
    with pytest.raises(ValueError, match="key: "):
        KeyAuth("k1", SECRET)
