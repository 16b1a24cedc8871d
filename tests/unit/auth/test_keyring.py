"""Keys at hand: what is repeated from memory, what is asked again, and who is told when something changed."""

from __future__ import annotations

import attrs
import pytest
import structlog
import trio
from trio.testing import MockClock

from trio_router.auth.keyring import INTERVAL, KeyRing
from trio_router.clock import ManualClock, SystemClock
from trio_router.errors import StorageUnavailable
from trio_router.grants import Grants
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord, KeyUnknown
from trio_router.storage.memorykeys import MemoryKeyStore

FIRST, SECOND = Secret("the first secret"), Secret("the second secret")
KEY = KeyRecord("shop", "k1", (FIRST,))


class Watched(MemoryKeyStore):
    """Counts who asks for a key, and can be away."""

    away = False
    asked = 0

    async def get(self, app: str, key_id: str, *, fresh: bool = False) -> KeyRecord | None:
        self.asked += 1
        if self.away:
            raise StorageUnavailable("away")
        return await super().get(app, key_id)

    async def serial(self) -> int:
        if self.away:
            raise StorageUnavailable("away")
        return await super().serial()


def ring(store: MemoryKeyStore, clock: ManualClock | SystemClock | None = None) -> KeyRing:
    return KeyRing(store, clock or ManualClock(), structlog.get_logger())


def disabled(key: KeyRecord) -> KeyRecord:
    return attrs.evolve(key, disabled=True)


async def test_a_key_is_at_hand_once_somebody_asked_for_it() -> None:
    keys = ring(MemoryKeyStore())
    await keys.check()
    await keys.add(KEY)
    assert keys.secrets("shop", "k1") == ()
    assert await keys.get("shop", "k1") == KEY
    assert keys.secrets("shop", "k1") == (FIRST,)
    assert keys.secrets("other", "k1") == ()
    assert await keys.list("shop") == [KEY]
    keys.forget("shop")
    assert keys.secrets("shop", "k1") == ()
    await keys.aclose()


@pytest.mark.threat("T52")
async def test_rotation_disabling_and_removal_reach_it_at_once() -> None:
    clock = ManualClock()
    keys = ring(MemoryKeyStore(), clock)
    await keys.add(KEY)
    await keys.get("shop", "k1")
    ends = clock.wall() + 60
    await keys.change("shop", "k1", lambda key: attrs.evolve(key, secrets=(SECOND, FIRST), expires_old=ends))
    assert keys.secrets("shop", "k1") == (SECOND, FIRST)
    clock.advance(61)
    assert keys.secrets("shop", "k1") == (SECOND,)
    await keys.change("shop", "k1", disabled)
    assert keys.secrets("shop", "k1") == ()
    await keys.change("shop", "k1", lambda _: KEY)
    assert keys.secrets("shop", "k1") == (FIRST,)
    await keys.remove("shop", "k1")
    assert keys.secrets("shop", "k1") == ()


async def test_what_was_looked_at_lately_is_repeated_and_nothing_else() -> None:
    clock, store = ManualClock(), Watched()
    keys = ring(store, clock)
    await keys.add(KEY)
    for _ in range(3):  # nobody looks at the serial: every question is the store's
        assert await keys.get("shop", "k1") == KEY
    assert store.asked == 3
    await keys.look()
    store.asked = 0
    for _ in range(3):
        assert await keys.get("shop", "k1") == KEY
    assert store.asked == 0
    assert await keys.get("shop", "k1", fresh=True) == KEY
    assert await keys.get("shop", "nobody") is None
    assert await keys.get("other", "k1") is None
    assert await keys.get("shop", "nobody") is None  # that there is none is never repeated
    assert store.asked == 4
    clock.advance(INTERVAL * 2.1)
    await keys.get("shop", "k1")
    assert store.asked == 5


@pytest.mark.threat("T52")
async def test_while_the_store_is_away_nobody_is_let_in_from_memory_for_long() -> None:
    clock, store = ManualClock(), Watched()
    keys = ring(store, clock)
    await keys.add(KEY)
    await keys.get("shop", "k1")
    await keys.look()
    store.away = True
    clock.advance(INTERVAL * 2.1)
    with pytest.raises(StorageUnavailable):
        await keys.look()
    with pytest.raises(StorageUnavailable):
        await keys.get("shop", "k1")


@pytest.mark.threat("T52")
async def test_what_another_process_changed_is_noticed(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    store = Watched()
    keys = ring(store, SystemClock())
    await keys.add(KEY)
    await keys.get("shop", "k1")
    nursery.start_soon(keys.run)
    store.away = True
    await trio.sleep(INTERVAL * 1.5)
    assert keys.secrets("shop", "k1") == (FIRST,)
    store.away = False
    await store.change("shop", "k1", disabled)
    await trio.sleep(INTERVAL)
    assert keys.secrets("shop", "k1") == ()
    await store.remove("shop", "k1")
    await trio.sleep(INTERVAL)
    assert keys.secrets("shop", "k1") == ()


@pytest.mark.threat("T52")
async def test_what_another_process_did_to_a_key_is_told_once(autojump_clock: MockClock) -> None:
    store = MemoryKeyStore()
    keys = ring(store, SystemClock())
    told: list[tuple[str, KeyRecord | None]] = []
    keys.listen("shop", lambda key_id, key: told.append((key_id, key)))
    restricted = attrs.evolve(KEY, grants=Grants.only(["rpc"]))
    await keys.add(KEY)
    await keys.get("shop", "k1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keys.run)
        for change in (restricted, attrs.evolve(restricted, disabled=True)):
            await store.change("shop", "k1", lambda _, change=change: change)  # type: ignore[misc]
            await trio.sleep(INTERVAL * 2.5)
        nursery.cancel_scope.cancel()
    assert told == [("k1", restricted), ("k1", None)]


@pytest.mark.threat("T52")
async def test_live_sessions_are_told_whoever_changed_their_key_and_whoever_noticed() -> None:
    """A login that comes across the change must not swallow it: those who are connected are told by it too."""
    store = MemoryKeyStore()
    keys = ring(store)
    told: list[tuple[str, KeyRecord | None]] = []
    keys.listen("shop", lambda key_id, key: told.append((key_id, key)))
    await keys.add(KEY)
    await keys.get("shop", "k1")
    await store.change("shop", "k1", disabled)  # somebody else
    await keys.get("shop", "k1")  # a login
    assert told == [("k1", None)]
    await keys.change("shop", "k1", lambda _: KEY)
    restricted = await keys.change("shop", "k1", lambda key: attrs.evolve(key, grants=Grants()))
    restricted = await keys.change("shop", "k1", lambda key: attrs.evolve(key, grants=Grants.only(["rpc"])))
    await keys.remove("shop", "k1")
    assert told == [("k1", None), ("k1", restricted), ("k1", None)]


@pytest.mark.threat("T52")
async def test_what_was_read_before_a_change_of_our_own_does_not_undo_it() -> None:
    class Slow(MemoryKeyStore):
        reading: trio.Event | None = None

        async def get(self, app: str, key_id: str, *, fresh: bool = False) -> KeyRecord | None:
            found = await super().get(app, key_id)
            if self.reading is not None:
                reading, self.reading = self.reading, None
                reading.set()
                await trio.testing.wait_all_tasks_blocked()
            return found

    store = Slow()
    keys = ring(store)
    await keys.add(KEY)
    await keys.get("shop", "k1")
    reading = store.reading = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keys.get, "shop", "k1")
        await reading.wait()
        await keys.change("shop", "k1", disabled)
    assert keys.secrets("shop", "k1") == ()


async def test_a_change_to_nobody_is_refused_as_the_store_does() -> None:
    keys = ring(MemoryKeyStore())
    with pytest.raises(KeyUnknown):
        await keys.change("shop", "nobody", disabled)
