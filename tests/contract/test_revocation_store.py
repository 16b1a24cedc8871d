"""What every store of revocations promises, over the memory twin, SQLite and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import Postgres
from trio_router.errors import StorageUnavailable
from trio_router.secret import Secret
from trio_router.storage.opening import open_revocation_store
from trio_router.storage.revocations import InvalidRevocation, Revocation, RevocationStore

SQL = ["sqlite", "postgresql"]


@pytest.fixture
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    kind = request.param
    if kind == "memory":
        return Secret("memory://")
    if kind == "sqlite":
        tmp_path.chmod(0o700)
        return Secret("sqlite:///revocations.db")
    server: Postgres = request.getfixturevalue("postgres")
    return Secret(server.new_database())


@pytest.fixture
async def store(storage_url: Secret, tmp_path: Path) -> AsyncIterator[RevocationStore]:
    opened = open_revocation_store(storage_url, tmp_path)
    yield opened
    await opened.aclose()


everywhere = pytest.mark.parametrize("storage_url", ["memory", *SQL], indirect=True)
in_sql = pytest.mark.parametrize("storage_url", SQL, indirect=True)


@everywhere
@pytest.mark.threat("T52")
async def test_what_is_revoked_stays_so_until_its_end_and_is_forgotten_then(store: RevocationStore) -> None:
    kinds: list[Any] = ["token", "session", "user", "key"]
    entries = [Revocation("one", kind, "x", 10.0, 20.0 + number) for number, kind in enumerate(kinds)]
    entries.append(Revocation("one", "before", "", 5.0, 90.0))
    for entry in entries:
        await store.add(entry)
    assert sorted(await store.load(19.0), key=lambda entry: entry.until) == entries
    assert [entry.kind for entry in await store.load(22.0)] == ["before", "key"]
    assert [entry.kind for entry in await store.load(0.0)] == ["before", "key"]  # forgotten, not hidden


@everywhere
async def test_a_later_revocation_replaces_an_earlier_one_of_the_same_thing(store: RevocationStore) -> None:
    await store.add(Revocation("one", "user", "ann", 10.0, 20.0))
    await store.add(Revocation("one", "user", "ann", 15.0, 25.0))
    assert await store.load(0.0) == [Revocation("one", "user", "ann", 15.0, 25.0)]


@everywhere
@pytest.mark.threat("T66")
async def test_revocations_of_two_apps_are_two(store: RevocationStore) -> None:
    await store.add(Revocation("two", "user", "ann", 1.0, 20.0))
    await store.add(Revocation("one", "user", "ann", 2.0, 20.0))
    assert [(entry.app, entry.at) for entry in await store.load(0.0)] == [("one", 2.0), ("two", 1.0)]


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
    assert await store.load(0.0) == []


@everywhere
async def test_a_closed_store_is_unavailable(store: RevocationStore) -> None:
    await store.check()
    await store.aclose()
    await store.aclose()
    with pytest.raises(StorageUnavailable):
        await store.load(0.0)


@in_sql
async def test_revocations_survive_closing(storage_url: Secret, tmp_path: Path) -> None:
    entry = Revocation("one", "token", "jti-1", 10.0, 20.0)
    first = open_revocation_store(storage_url, tmp_path)
    await first.add(entry)
    await first.aclose()
    second = open_revocation_store(storage_url, tmp_path)
    assert await second.load(11.0) == [entry]
    await second.aclose()
