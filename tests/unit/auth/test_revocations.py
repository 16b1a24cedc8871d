"""Revoking: in force first, stored next; a store that fails takes nothing back."""

from __future__ import annotations

import pytest

from trio_router.auth.revocation import Credential, RevocationIndex
from trio_router.auth.revocations import Ended, Revocations, RevocationStoreUnavailable
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

    def end(revocation: Revocation) -> Ended:
        ended.append((revocation.value, revocation.for_good, revocations.refuses(TOKEN)))
        return Ended(3, 1)

    revocations.on_revoke("a", end)
    revocations.on_revoke("b", lambda _: pytest.fail("it is of another app"))
    assert await revocations.revoke("a", "token", "t1", for_good=True) == Ended(3, 1)
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
    revocations.on_revoke("a", lambda _: Ended(2))
    with pytest.raises(RevocationStoreUnavailable) as caught:
        await revocations.revoke("a", "token", "t1")
    assert caught.value.ended == Ended(2)
    assert revocations.refuses(TOKEN)


@pytest.mark.parametrize(
    "options", [{"at": 1e12}, {"at": -1.0}, {"kept": 0.0}, {"kept": 1e12}, {"value": ""}, {"value": "x" * 300}]
)
async def test_what_names_nothing_is_refused(options: dict[str, float]) -> None:
    revocations = made(MemoryRevocationStore(), ManualClock())
    with pytest.raises(InvalidRevocation):
        await revocations.revoke(**{"app": "a", "kind": "user", "value": "x", **options})  # type: ignore[arg-type]
    assert revocations.all("a") == []


@pytest.mark.threat("T52")
async def test_what_another_router_revokes_is_in_force_here_at_the_next_look_and_told_once() -> None:
    store, clock, ended = MemoryRevocationStore(), ManualClock(), []
    here, there = made(store, clock), made(store, clock)

    def end(revocation: Revocation) -> Ended:
        ended.append((revocation.value, revocation.for_good))
        return Ended(1)

    for each in (here, there):
        await each.load()
    here.on_revoke("a", end)
    await there.revoke("a", "token", "t1", for_good=True)
    assert not here.refuses(TOKEN)
    assert await here.look() == 1
    assert here.refuses(TOKEN)
    assert await here.look() == 0
    assert await there.look() == 0  # its own is no news
    await here.revoke("a", "user", "ann")
    assert await here.look() == 0
    assert ended == [("t1", True), ("ann", False)]


@pytest.mark.threat("T52")
async def test_a_database_that_was_put_back_is_read_from_its_beginning() -> None:
    clock = ManualClock()
    stores = [MemoryRevocationStore(), MemoryRevocationStore()]
    revocations = Revocations(lambda: stores[0], clock)
    for number in range(3):
        await revocations.revoke("a", "token", f"old{number}")
    await revocations.load()
    await stores[1].add(Revocation("a", "token", "t1", clock.wall(), clock.wall() + 60))
    stores.reverse()
    assert await revocations.look() == 1
    assert revocations.refuses(TOKEN)
    assert revocations.refuses(Credential("a", "bob", token_id="old1"))  # nothing is taken back


@pytest.mark.threat("T52")
async def test_a_full_index_takes_what_others_have_revoked_all_the_same() -> None:
    store, clock = MemoryRevocationStore(), ManualClock()
    here = Revocations(lambda: store, clock, RevocationIndex(entries=1))
    there = made(store, clock)
    await here.revoke("a", "token", "t0")
    await there.revoke("a", "token", "t1")
    await here.look()
    assert here.refuses(TOKEN)
