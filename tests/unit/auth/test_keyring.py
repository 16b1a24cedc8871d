from __future__ import annotations

import attrs
import pytest
import structlog
import trio
from trio.testing import MockClock

from trio_router.auth.keyring import RECHECK, KeyRing
from trio_router.clock import ManualClock
from trio_router.errors import StorageUnavailable
from trio_router.grants import Grants
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord
from trio_router.storage.memorykeys import MemoryKeyStore

FIRST, SECOND = Secret("the first secret"), Secret("the second secret")
KEY = KeyRecord("shop", "k1", (FIRST,))


class Outage(MemoryKeyStore):
    away = False

    async def get(self, app: str, key_id: str) -> KeyRecord | None:
        if self.away:
            raise StorageUnavailable("away")
        return await super().get(app, key_id)


def ring(store: MemoryKeyStore, clock: ManualClock | None = None) -> KeyRing:
    return KeyRing(store, clock or ManualClock(), structlog.get_logger())


async def test_a_key_is_at_hand_once_somebody_asked_for_it() -> None:
    keys = ring(MemoryKeyStore())
    await keys.check()
    await keys.add(KEY)
    assert keys.secrets("shop", "k1") == ()
    assert await keys.get("shop", "k1") == KEY
    assert keys.secrets("shop", "k1") == (FIRST,)
    assert keys.secrets("other", "k1") == ()
    assert await keys.list("shop") == [KEY]
    await keys.aclose()


@pytest.mark.threat("T52")
async def test_rotation_disabling_and_removal_reach_it_at_once() -> None:
    clock = ManualClock()
    keys = ring(MemoryKeyStore(), clock)
    await keys.add(KEY)
    await keys.get("shop", "k1")
    await keys.replace(attrs.evolve(KEY, secrets=(SECOND, FIRST), expires_old=clock.wall() + 60))
    assert keys.secrets("shop", "k1") == (SECOND, FIRST)
    clock.advance(61)
    assert keys.secrets("shop", "k1") == (SECOND,)
    await keys.replace(attrs.evolve(KEY, disabled=True))
    assert keys.secrets("shop", "k1") == ()
    await keys.replace(KEY)
    await keys.remove("shop", "k1")
    assert keys.secrets("shop", "k1") == ()


@pytest.mark.threat("T52")
async def test_what_another_process_changed_is_noticed(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    store = Outage()
    keys = ring(store)
    await keys.add(KEY)
    await keys.get("shop", "k1")
    nursery.start_soon(keys.run)
    store.away = True
    await trio.sleep(RECHECK * 1.5)
    assert keys.secrets("shop", "k1") == (FIRST,)
    store.away = False
    await store.replace(attrs.evolve(KEY, disabled=True))
    await trio.sleep(RECHECK)
    assert keys.secrets("shop", "k1") == ()
    await store.remove("shop", "k1")
    await trio.sleep(RECHECK)
    assert keys.secrets("shop", "k1") == ()


@pytest.mark.threat("T52")
async def test_what_another_process_did_to_a_key_is_told_once(autojump_clock: MockClock) -> None:
    store = MemoryKeyStore()
    keys = ring(store)
    told: list[tuple[str, KeyRecord | None]] = []
    keys.listen("shop", lambda key_id, key: told.append((key_id, key)))
    restricted = attrs.evolve(KEY, grants=Grants.only(["rpc"]))
    await keys.add(KEY)
    await keys.get("shop", "k1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keys.run)
        for change in (restricted, attrs.evolve(restricted, disabled=True)):
            await store.replace(change)
            await trio.sleep(RECHECK * 2.5)
        nursery.cancel_scope.cancel()
    assert told == [("k1", restricted), ("k1", None)]
