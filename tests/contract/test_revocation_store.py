"""What every store of revocations promises, over the memory twin, SQLite and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.contract.stores import everywhere, in_sql
from trio_router.errors import StorageUnavailable
from trio_router.secret import Secret
from trio_router.storage.opening import open_revocation_store
from trio_router.storage.revocations import InvalidRevocation, News, Revocation, RevocationStore


@pytest.fixture
async def store(storage_url: Secret, tmp_path: Path) -> AsyncIterator[RevocationStore]:
    opened = open_revocation_store(storage_url, tmp_path)
    yield opened
    await opened.aclose()


async def kept(store: RevocationStore) -> list[Revocation]:
    return list((await store.since(0)).revocations)


@everywhere
@pytest.mark.threat("T52")
async def test_what_is_revoked_stays_so_until_its_end_and_is_forgotten_then(store: RevocationStore) -> None:
    kinds: list[Any] = ["token", "session", "user", "key"]
    entries = [Revocation("one", kind, "x", 10.0, 20.0 + number) for number, kind in enumerate(kinds)]
    entries.append(Revocation("one", "before", "", 5.0, 90.0))
    for entry in entries:
        await store.add(entry)
    await store.forget(19.0)
    assert await kept(store) == entries
    await store.forget(22.0)
    assert [entry.kind for entry in await kept(store)] == ["key", "before"]
    await store.forget(0.0)
    assert [entry.kind for entry in await kept(store)] == ["key", "before"]  # forgotten, not hidden


@everywhere
@pytest.mark.threat("T52")
async def test_what_is_new_since_the_last_look_is_found_once(store: RevocationStore) -> None:
    first, second = Revocation("one", "token", "a", 1.0, 9.0), Revocation("two", "token", "b", 1.0, 9.0, for_good=True)
    await store.add(first)
    news = await store.since(0)
    assert news.revocations == (first,)
    assert await store.since(news.serial) == News((), news.serial)
    await store.add(second)
    later = await store.since(news.serial)
    assert later.revocations == (second,)
    assert later.serial > news.serial
    await store.add(first)  # said again, it is news again
    assert (await store.since(later.serial)).revocations == (first,)


@everywhere
async def test_a_later_revocation_replaces_an_earlier_one_of_the_same_thing(store: RevocationStore) -> None:
    await store.add(Revocation("one", "user", "ann", 10.0, 20.0))
    await store.add(Revocation("one", "user", "ann", 15.0, 25.0))
    assert await kept(store) == [Revocation("one", "user", "ann", 15.0, 25.0)]


@everywhere
@pytest.mark.threat("T52")
async def test_what_is_stored_later_takes_nothing_back(store: RevocationStore) -> None:
    """Of two routers the one whose clock is behind may be the last to store."""
    await store.add(Revocation("one", "user", "ann", 15.0, 20.0, for_good=True))
    await store.add(Revocation("one", "user", "ann", 10.0, 25.0))
    assert await kept(store) == [Revocation("one", "user", "ann", 15.0, 25.0, for_good=True)]


@everywhere
@pytest.mark.threat("T66")
async def test_revocations_of_two_apps_are_two(store: RevocationStore) -> None:
    await store.add(Revocation("two", "user", "ann", 1.0, 20.0))
    await store.add(Revocation("one", "user", "ann", 2.0, 20.0))
    assert [(entry.app, entry.at) for entry in await kept(store)] == [("two", 1.0), ("one", 2.0)]


@everywhere
@pytest.mark.parametrize(
    "wrong",
    [
        Revocation("a.b", "user", "ann", 0.0, 1.0),
        Revocation("one", "user", "", 0.0, 1.0),
        Revocation("one", "before", "x", 0.0, 1.0),
        Revocation("one", "user", "a\0b", 0.0, 1.0),
        Revocation("one", "user", "\ud800", 0.0, 1.0),
        Revocation("one", "user", "a" * 256, 0.0, 1.0),
        Revocation("one", "everything", "x", 0.0, 1.0),  # type: ignore[arg-type]
    ],
    ids=ascii,
)
async def test_what_names_nothing_is_refused_on_every_engine(store: RevocationStore, wrong: Revocation) -> None:
    with pytest.raises(InvalidRevocation):
        await store.add(wrong)
    assert await kept(store) == []


@everywhere
async def test_a_closed_store_is_unavailable(store: RevocationStore) -> None:
    await store.check()
    await store.aclose()
    await store.aclose()
    with pytest.raises(StorageUnavailable):
        await store.since(0)


@in_sql
async def test_revocations_survive_closing(storage_url: Secret, tmp_path: Path) -> None:
    entry = Revocation("one", "token", "jti-1", 10.0, 20.0)
    first = open_revocation_store(storage_url, tmp_path)
    await first.add(entry)
    await first.aclose()
    second = open_revocation_store(storage_url, tmp_path)
    assert await kept(second) == [entry]
    await second.aclose()


@in_sql
async def test_a_table_of_the_second_version_is_brought_up_to_date(storage_url: Secret, tmp_path: Path) -> None:
    if "sqlite" not in storage_url.reveal():
        engine = sa.create_engine(sa.make_url(storage_url.reveal()).set(drivername="postgresql+psycopg"))
    else:
        engine = sa.create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE trio_router_meta (name VARCHAR(32) PRIMARY KEY, value INTEGER NOT NULL)",
            "INSERT INTO trio_router_meta VALUES ('schema', 2)",
            """CREATE TABLE trio_router_revocations (app VARCHAR(255), kind VARCHAR(16), value VARCHAR(255),
            at DOUBLE PRECISION NOT NULL, until DOUBLE PRECISION NOT NULL, PRIMARY KEY (app, kind, value))""",
            "INSERT INTO trio_router_revocations VALUES ('one', 'token', 'old', 1.0, 9.0)",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    for file in tmp_path.glob("store.db*"):
        file.chmod(0o600)
    store = open_revocation_store(storage_url, tmp_path)
    old, new = Revocation("one", "token", "old", 1.0, 9.0), Revocation("one", "token", "new", 1.0, 9.0)
    news = await store.since(0)
    assert news.revocations == (old,)
    await store.add(new)
    assert (await store.since(news.serial)).revocations == (new,)
    await store.aclose()
