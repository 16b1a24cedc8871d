"""What every store of app keys promises, over the memory twin, SQLite and a real PostgreSQL."""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import trio

from tests.contract.stores import everywhere, in_sql
from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.grants import Grants
from trio_router.names import InvalidName
from trio_router.secret import Secret
from trio_router.storage.keys import KeyExists, KeyRecord, KeyStore, KeyUnknown
from trio_router.storage.opening import open_key_store, open_user_store

SEALING = Secret("an encryption key for tests, of some length")
CANARY = "swordfish-swordfish-swordfish-swordfish"

FULL = KeyRecord(
    app="one",
    id="k1",
    secrets=(Secret(CANARY), Secret("the one before, still live")),
    grants=Grants(publish=False, issue=False),
    label="data source \u00e9",
    disabled=True,
    created_at=1_700_000_000.25,
    expires_old=1_700_000_900.5,
)


@pytest.fixture
async def store(storage_url: Secret, tmp_path: Path) -> AsyncIterator[KeyStore]:
    opened = open_key_store(storage_url, tmp_path, SEALING)
    yield opened
    await opened.aclose()


def key(key_id: str, app: str = "one") -> KeyRecord:
    return KeyRecord(app, key_id, (Secret(f"secret of {key_id}"),))


@everywhere
async def test_a_key_comes_back_as_it_was_stored(store: KeyStore) -> None:
    await store.add(FULL)
    assert await store.get("one", "k1") == FULL
    assert await store.get("one", "k2") is None
    with pytest.raises(KeyExists):
        await store.add(key("k1"))
    assert await store.get("one", "k1") == FULL


@everywhere
async def test_changing_and_removing_need_a_key(store: KeyStore) -> None:
    with pytest.raises(KeyUnknown):
        await store.change("one", "k", lambda found: found)
    with pytest.raises(KeyUnknown):
        await store.remove("one", "k")
    await store.add(key("k"))
    changed = attrs.evolve(key("k"), label="new", grants=Grants(rpc=False))
    assert (
        await store.change("one", "k", lambda found: attrs.evolve(found, label="new", grants=Grants(rpc=False)))
        == changed
    )
    assert await store.get("one", "k") == changed
    await store.remove("one", "k")
    assert await store.get("one", "k") is None


@everywhere
@pytest.mark.threat("T52")
async def test_of_changes_made_at_once_none_undoes_another(store: KeyStore) -> None:
    """Each reads and replaces; were another one's change lost between, a key that was disabled would come back to life."""
    await store.add(key("k"))

    async def add_letter(letter: str) -> None:
        await store.change("one", "k", lambda found: attrs.evolve(found, label=found.label + letter))

    async with trio.open_nursery() as nursery:
        for letter in "abcdefghijklmnop":
            nursery.start_soon(add_letter, letter)
        nursery.start_soon(store.change, "one", "k", lambda found: attrs.evolve(found, disabled=True))
    found = await store.get("one", "k")
    assert found is not None
    assert found.disabled
    assert sorted(found.label) == list("abcdefghijklmnop")


@in_sql
@pytest.mark.threat("T52")
async def test_of_changes_made_by_two_processes_none_undoes_another(
    storage_url: Secret, tmp_path: Path, store: KeyStore
) -> None:
    await store.add(key("k"))
    other = open_key_store(storage_url, tmp_path, SEALING)

    async def count(each: KeyStore) -> None:
        for _ in range(20):
            await each.change("one", "k", lambda found: attrs.evolve(found, created_at=found.created_at + 1))

    async with trio.open_nursery() as nursery:
        for each in (store, other, store):
            nursery.start_soon(count, each)
    found = await other.get("one", "k")
    assert found is not None
    assert found.created_at == 60.0
    await other.aclose()


@everywhere
async def test_a_change_that_fails_changes_nothing(store: KeyStore) -> None:
    class Wrong(Exception):
        pass

    def fail(_: KeyRecord) -> KeyRecord:
        raise Wrong

    await store.add(FULL)
    with pytest.raises(Wrong):
        await store.change("one", "k1", fail)
    assert await store.get("one", "k1") == FULL
    await store.change("one", "k1", lambda found: attrs.evolve(found, label="later"))  # nothing is left locked


@everywhere
async def test_every_change_is_seen_by_the_serial(store: KeyStore) -> None:
    serials = [await store.serial()]
    assert await store.serial() == serials[0]
    for work in (
        lambda: store.add(key("k")),
        lambda: store.change("one", "k", lambda found: attrs.evolve(found, label="x")),
        lambda: store.remove("one", "k"),
    ):
        await work()
        serials.append(await store.serial())
    assert sorted(set(serials)) == serials


@everywhere
async def test_keys_are_listed_in_order_of_their_id(store: KeyStore) -> None:
    for key_id in ("b", "a", "B", "_", "a-1"):
        await store.add(key(key_id))
    assert [found.id for found in await store.list("one")] == ["B", "_", "a", "a-1", "b"]


@everywhere
@pytest.mark.threat("T66")
async def test_keys_of_two_apps_with_the_same_id_have_nothing_to_do_with_each_other(store: KeyStore) -> None:
    await store.add(FULL)
    assert await store.get("two", "k1") is None
    assert await store.list("two") == []
    with pytest.raises(KeyUnknown):
        await store.change("two", "k1", lambda found: found)
    with pytest.raises(KeyUnknown):
        await store.remove("two", "k1")
    await store.add(key("k1", "two"))
    await store.remove("two", "k1")
    assert await store.get("one", "k1") == FULL


@everywhere
@pytest.mark.parametrize("name", ["", "a.b", "a/b", "a\0b", "\ud800", "a" * 65, "caf\u00e9"], ids=ascii)
async def test_what_is_no_name_is_no_key_on_every_engine(store: KeyStore, name: str) -> None:
    assert await store.get("one", name) is None
    assert await store.get(name, "k") is None
    assert await store.list(name) == []
    with pytest.raises(KeyUnknown):
        await store.remove("one", name)
    for bad in (key(name), key("k", name)):
        with pytest.raises(InvalidName):
            await store.add(bad)
        with pytest.raises(KeyUnknown):
            await store.change(bad.app, bad.id, lambda found: found)


@everywhere
async def test_a_closed_store_is_unavailable(store: KeyStore) -> None:
    await store.check()
    await store.aclose()
    await store.aclose()
    with pytest.raises(StorageUnavailable):
        await store.get("one", "k1")


@in_sql
async def test_keys_survive_closing_and_live_beside_users(storage_url: Secret, tmp_path: Path) -> None:
    users = open_user_store(storage_url, tmp_path)
    stores = [open_key_store(storage_url, tmp_path, SEALING) for _ in range(3)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(users.check)
        for store in stores:
            nursery.start_soon(store.check)
    await stores[0].add(FULL)
    assert await stores[1].get("one", "k1") == FULL
    for opened in (users, *stores):
        await opened.aclose()


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
@pytest.mark.threat("T62")
async def test_no_secret_rests_in_plain_text(store: KeyStore, tmp_path: Path) -> None:
    await store.add(FULL)
    await store.aclose()
    for file in tmp_path.glob("store.db*"):
        assert CANARY.encode() not in file.read_bytes()


@in_sql
async def test_with_another_encryption_key_nothing_opens_and_nothing_is_told(
    storage_url: Secret, tmp_path: Path, store: KeyStore
) -> None:
    await store.add(FULL)
    other = open_key_store(storage_url, tmp_path, Secret("another encryption key of some length"))
    with pytest.raises(StorageUnavailable, match=r"storage\.encryption_key") as caught:
        await other.get("one", "k1")
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    await other.aclose()


@pytest.mark.parametrize("storage_url", ["sqlite"], indirect=True)
@pytest.mark.threat("T66")
async def test_a_secret_that_was_copied_to_another_row_does_not_open(store: KeyStore, tmp_path: Path) -> None:
    await store.add(FULL)
    await store.add(key("k1", "two"))
    connection = sqlite3.connect(tmp_path / "store.db")
    with connection:
        connection.execute(
            "UPDATE trio_router_keys SET secrets = (SELECT secrets FROM trio_router_keys WHERE app = 'one') WHERE app = 'two'"
        )
    connection.close()
    with pytest.raises(StorageUnavailable):
        await store.get("two", "k1")
    assert await store.get("one", "k1") == FULL


@in_sql
async def test_tables_of_the_first_version_get_those_of_keys(storage_url: Secret, tmp_path: Path) -> None:
    if "sqlite" in storage_url.reveal():
        connection = sqlite3.connect(tmp_path / "store.db")
        with connection:
            connection.execute("CREATE TABLE trio_router_meta (name VARCHAR(32) PRIMARY KEY, value INTEGER NOT NULL)")
            connection.execute("INSERT INTO trio_router_meta VALUES ('schema', 1)")
        connection.close()
        (tmp_path / "store.db").chmod(0o600)
    store = open_key_store(storage_url, tmp_path, SEALING)
    await store.add(FULL)
    assert await store.get("one", "k1") == FULL
    await store.aclose()


def test_without_an_encryption_key_no_database_takes_a_secret(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(ConfigError, match="is missing") as caught:
        open_key_store(Secret("sqlite:///store.db"), tmp_path, None)
    assert caught.value.problems[0].field == "storage.encryption_key"
    assert not list(tmp_path.iterdir())


@pytest.mark.threat("T52")
@pytest.mark.parametrize(("now", "live"), [(0.0, 2), (9.9, 2), (10.0, 1), (11.0, 1)])
def test_the_older_secret_ends_with_its_grace_period(now: float, live: int) -> None:
    rotated = KeyRecord("one", "k", (Secret("new"), Secret("old")), expires_old=10.0)
    assert len(rotated.live_secrets(now)) == live
    assert rotated.live_secrets(now)[0].matches("new")
    assert attrs.evolve(rotated, disabled=True).live_secrets(now) == ()
