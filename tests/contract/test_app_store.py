"""What every store of apps promises, over the memory twin, SQLite and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trio

from tests.contract.stores import everywhere
from trio_router.errors import StorageUnavailable
from trio_router.secret import Secret
from trio_router.storage.apps import AppExists, AppRecord, AppStore, AppUnknown
from trio_router.storage.keys import KeyRecord, KeyStore
from trio_router.storage.memory import MemoryUserStore
from trio_router.storage.memorykeys import MemoryKeyStore
from trio_router.storage.opening import open_app_store, open_key_store, open_user_store
from trio_router.storage.users import UserRecord, UserStore

SEALING = Secret("an encryption key for tests, of some length")
SHOP = AppRecord("shop", "/shop", created_at=1_700_000_000.25)
ZOO = AppRecord("zoo", "/a/zoo", disabled=True)


@attrs.frozen
class Stores:
    apps: AppStore
    users: UserStore
    keys: KeyStore


@pytest.fixture
async def stores(storage_url: Secret, tmp_path: Path) -> AsyncIterator[Stores]:
    users, keys = open_user_store(storage_url, tmp_path), open_key_store(storage_url, tmp_path, SEALING)

    def clear(app: str) -> None:
        for store in (users, keys):
            assert isinstance(store, MemoryUserStore | MemoryKeyStore)
            store.clear(app)

    opened = Stores(open_app_store(storage_url, tmp_path, clear), users, keys)
    yield opened
    for store in (opened.apps, users, keys):
        await store.aclose()


@everywhere
async def test_apps_come_back_as_they_were_stored_in_order_of_their_names(stores: Stores) -> None:
    await stores.apps.add(ZOO)
    await stores.apps.add(SHOP)
    assert await stores.apps.list() == [SHOP, ZOO]


@everywhere
async def test_neither_a_name_nor_a_path_is_given_twice(stores: Stores) -> None:
    await stores.apps.add(SHOP)
    with pytest.raises(AppExists, match="name"):
        await stores.apps.add(attrs.evolve(SHOP, path="/other"))
    with pytest.raises(AppExists, match="path"):
        await stores.apps.add(attrs.evolve(SHOP, name="other"))
    assert await stores.apps.list() == [SHOP]


@everywhere
async def test_of_those_who_make_the_same_app_at_once_one_succeeds(stores: Stores) -> None:
    made: list[int] = []

    async def make(number: int) -> None:
        try:
            await stores.apps.add(attrs.evolve(SHOP, created_at=float(number)))
        except AppExists:
            return
        made.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(make, number)
    assert len(made) == 1
    assert [app.created_at for app in await stores.apps.list()] == [float(made[0])]


@everywhere
async def test_switching_and_removing_need_an_app(stores: Stores) -> None:
    with pytest.raises(AppUnknown):
        await stores.apps.switch("shop", disabled=True)
    with pytest.raises(AppUnknown):
        await stores.apps.remove("shop")
    await stores.apps.add(SHOP)
    assert await stores.apps.switch("shop", disabled=True) == attrs.evolve(SHOP, disabled=True)
    assert await stores.apps.switch("shop", disabled=False) == SHOP
    await stores.apps.remove("shop")
    assert await stores.apps.list() == []


@everywhere
@pytest.mark.threat("T66")
async def test_an_app_goes_with_its_users_and_keys_and_with_nobody_elses(stores: Stores) -> None:
    """Or whoever was let into an app would be let into a later one of the same name."""
    await stores.apps.add(SHOP)
    for app in ("shop", "zoo"):
        await stores.users.add(app, UserRecord("ann"))
        await stores.keys.add(KeyRecord(app, "k", (Secret("a secret of this key, of some length"),)))
    await stores.apps.remove("shop")
    assert (await stores.users.list("shop"), await stores.keys.list("shop")) == ([], [])
    assert [user.id for user in await stores.users.list("zoo")] == ["ann"]
    assert [key.id for key in await stores.keys.list("zoo")] == ["k"]


@everywhere
async def test_every_change_is_seen_by_the_serial(stores: Stores) -> None:
    serials = [await stores.apps.serial()]
    assert await stores.apps.serial() == serials[0]
    await stores.apps.add(SHOP)
    serials.append(await stores.apps.serial())
    await stores.apps.switch("shop", disabled=True)
    serials.append(await stores.apps.serial())
    keys = await stores.keys.serial()
    await stores.apps.remove("shop")
    serials.append(await stores.apps.serial())
    assert sorted(set(serials)) == serials
    if not isinstance(stores.keys, MemoryKeyStore):
        assert await stores.keys.serial() != keys


@everywhere
async def test_a_closed_store_is_unavailable(stores: Stores) -> None:
    await stores.apps.check()
    await stores.apps.aclose()
    await stores.apps.aclose()
    with pytest.raises(StorageUnavailable):
        await stores.apps.list()
