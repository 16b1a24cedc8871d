"""Revoking: in force first, stored next; a store that fails takes nothing back."""

from __future__ import annotations

import pytest

from trio_router.auth.revocation import Credential
from trio_router.auth.revocations import Revocations, RevocationStoreUnavailable
from trio_router.clock import ManualClock
from trio_router.errors import StorageUnavailable
from trio_router.storage.memorykeys import MemoryRevocationStore
from trio_router.storage.revocations import InvalidRevocation, Revocation

TOKEN = Credential("a", "ann", token_id="t1", issued_at=1.0)


def made(store: MemoryRevocationStore, clock: ManualClock) -> Revocations:
    return Revocations(lambda: store, clock)


async def test_it_is_in_force_stored_and_tells_who_ended() -> None:
    store, clock, ended = MemoryRevocationStore(), ManualClock(), []
    revocations = made(store, clock)

    def end(revocation: Revocation, for_good: bool) -> int:
        ended.append((revocation.value, for_good, revocations.refuses(TOKEN)))
        return 3

    revocations.on_revoke(end)
    assert await revocations.revoke("a", "token", "t1", for_good=True) == 3
    assert ended == [("t1", True, True)]  # whoever comes back in that moment is refused already
    again = made(store, clock)
    assert not again.is_loaded
    await again.load()
    assert again.is_loaded
    assert again.refuses(TOKEN)


@pytest.mark.threat("T52")
async def test_a_store_that_fails_takes_nothing_back() -> None:
    class Away(MemoryRevocationStore):
        async def add(self, revocation: Revocation) -> None:
            raise StorageUnavailable("away")

    revocations = made(Away(), ManualClock())
    revocations.on_revoke(lambda *_: 2)
    with pytest.raises(RevocationStoreUnavailable) as caught:
        await revocations.revoke("a", "token", "t1")
    assert caught.value.ended == 2
    assert revocations.refuses(TOKEN)


@pytest.mark.parametrize(
    "options", [{"at": 1e12}, {"at": -1.0}, {"kept": 0.0}, {"kept": 1e12}, {"value": ""}, {"value": "x" * 300}]
)
async def test_what_names_nothing_is_refused(options: dict[str, float]) -> None:
    revocations = made(MemoryRevocationStore(), ManualClock())
    with pytest.raises(InvalidRevocation):
        await revocations.revoke(**{"app": "a", "kind": "user", "value": "x", **options})  # type: ignore[arg-type]
    assert revocations.all("a") == []
