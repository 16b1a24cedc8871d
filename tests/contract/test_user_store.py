"""What every user store promises, over the memory twin, SQLite and a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.stores import everywhere, in_sql
from tests.postgres import Postgres
from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.names import InvalidName
from trio_router.secret import Secret
from trio_router.storage.opening import open_user_store
from trio_router.storage.users import Change, UserExists, UserRecord, UserStore, UserUnknown

HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"


@pytest.fixture
async def store(storage_url: Secret, tmp_path: Path) -> AsyncIterator[UserStore]:
    opened = open_user_store(storage_url, tmp_path)
    yield opened
    await opened.aclose()


FULL = UserRecord(
    id="ann@example.com",
    password_hash=HASH,
    data={"roles": ["admin"], "deep": {"x": [1, 2.5, None, True, "\u00e9\U0001f600"]}},
    client_data=["anything", {"big": 2**53 + 1}],
    disabled=True,
    created_at=1_700_000_000.25,
    updated_at=1_700_000_001.5,
)


@everywhere
async def test_a_user_comes_back_as_it_was_stored(store: UserStore) -> None:
    assert await store.get("a", FULL.id) is None
    await store.add("a", FULL)
    await store.add("a", UserRecord("bare"))
    assert await store.get("a", FULL.id) == FULL
    assert await store.get("a", "bare") == UserRecord("bare")


@everywhere
async def test_add_refuses_an_id_that_is_taken_and_changes_nothing(store: UserStore) -> None:
    await store.add("a", FULL)
    with pytest.raises(UserExists):
        await store.add("a", UserRecord(FULL.id))
    assert await store.get("a", FULL.id) == FULL


@everywhere
async def test_replace_and_remove_know_only_who_is_there(store: UserStore) -> None:
    with pytest.raises(UserUnknown):
        await store.replace("a", FULL)
    with pytest.raises(UserUnknown):
        await store.remove("a", FULL.id)
    await store.add("a", FULL)
    other = UserRecord(FULL.id, client_data=1)
    await store.replace("a", other)
    assert await store.get("a", FULL.id) == other
    await store.remove("a", FULL.id)
    assert await store.get("a", FULL.id) is None


@everywhere
async def test_a_change_touches_its_own_fields_alone(store: UserStore) -> None:
    await store.add("a", FULL)
    changed = await store.change("a", FULL.id, Change(disabled=False, data=None, updated_at=2.0))
    assert changed == attrs.evolve(FULL, disabled=False, data=None, updated_at=2.0)
    assert await store.get("a", FULL.id) == changed
    assert await store.change("a", FULL.id, Change()) == changed
    for unknown in ("nobody", "not an id"):
        with pytest.raises(UserUnknown):
            await store.change("a", unknown, Change(disabled=True))
        with pytest.raises(UserUnknown):
            await store.change("a", unknown, Change())


@everywhere
async def test_concurrent_changes_of_different_fields_all_stay(store: UserStore) -> None:
    await store.add("a", UserRecord("u"))
    async with trio.open_nursery() as nursery:
        for change in (
            Change(disabled=True),
            Change(data={"x": 1}),
            Change(client_data="c"),
            Change(password_hash=HASH),
        ):
            nursery.start_soon(store.change, "a", "u", change)
    assert await store.get("a", "u") == UserRecord("u", HASH, {"x": 1}, "c", disabled=True)


@everywhere
async def test_only_one_of_many_adds_of_one_id_succeeds(store: UserStore) -> None:
    outcomes = []

    async def add(number: int) -> None:
        try:
            await store.add("a", UserRecord("u", client_data=number))
        except UserExists:
            outcomes.append(None)
        else:
            outcomes.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(add, number)
    winners = [number for number in outcomes if number is not None]
    assert len(winners) == 1
    user = await store.get("a", "u")
    assert user is not None
    assert user.client_data == winners[0]


@everywhere
async def test_rehash_never_undoes_a_new_password(store: UserStore) -> None:
    await store.add("a", UserRecord("u", "old"))
    assert await store.rehash("a", "u", "old", "newer parameters")
    await store.change("a", "u", Change(password_hash="set by an administrator"))
    assert not await store.rehash("a", "u", "newer parameters", "late")
    assert not await store.rehash("a", "nobody", "old", "new")
    assert not await store.rehash("a", "not an id", "old", "new")
    user = await store.get("a", "u")
    assert user is not None
    assert user.password_hash == "set by an administrator"


@everywhere
async def test_list_is_ordered_by_code_point_and_pages(store: UserStore) -> None:
    ids = ["B", "a", "Z", "b", "_x", "a.b", "a-b", "aB", "~", "10", "9", "a:b", "A"]
    for user_id in ids:
        await store.add("a", UserRecord(user_id))
    expected = sorted(ids)
    assert [user.id for user in await store.list("a")] == expected
    pages: list[str] = []
    while page := await store.list("a", after=pages[-1] if pages else "", limit=5):
        pages += [user.id for user in page]
    assert pages == expected


@everywhere
@pytest.mark.threat("T66")
async def test_users_of_two_apps_never_meet(store: UserStore) -> None:
    await store.add("one", UserRecord("u", client_data=1))
    assert await store.get("two", "u") is None
    assert await store.list("two") == []
    with pytest.raises(UserUnknown):
        await store.change("two", "u", Change(disabled=True))
    with pytest.raises(UserUnknown):
        await store.replace("two", UserRecord("u"))
    with pytest.raises(UserUnknown):
        await store.remove("two", "u")
    await store.add("two", UserRecord("u", HASH, client_data=2))
    assert not await store.rehash("one", "u", HASH, "x")
    await store.change("two", "u", Change(disabled=True))
    assert await store.get("one", "u") == UserRecord("u", client_data=1)
    await store.remove("two", "u")
    assert await store.get("one", "u") == UserRecord("u", client_data=1)
    assert [user.id for user in await store.list("one")] == ["u"]


@everywhere
@pytest.mark.parametrize("user_id", ["", "a/b", "a\0b", "\ud800", "a" * 129, "caf\u00e9"], ids=ascii)
async def test_what_is_no_id_is_nobody_on_every_engine(store: UserStore, user_id: str) -> None:
    assert await store.get("a", user_id) is None
    with pytest.raises(UserUnknown):
        await store.remove("a", user_id)
    with pytest.raises(InvalidName):
        await store.add("a", UserRecord(user_id))
    with pytest.raises(InvalidName):
        await store.replace("a", UserRecord(user_id))
    if user_id:
        with pytest.raises(InvalidName):
            await store.list("a", after=user_id)


@everywhere
async def test_the_store_shares_no_object_with_its_caller(store: UserStore) -> None:
    data: dict[str, Any] = {"roles": ["user"]}
    await store.add("a", UserRecord("u", data=data))
    data["roles"].append("admin")
    first = await store.get("a", "u")
    assert first is not None
    assert first.data == {"roles": ["user"]}
    first.data["roles"].append("admin")  # type: ignore[index]
    second = await store.get("a", "u")
    assert second is not None
    assert second.data == {"roles": ["user"]}


@everywhere
async def test_a_cancelled_call_leaves_the_store_whole_and_usable(store: UserStore) -> None:
    await store.add("a", FULL)
    for _ in range(20):
        with trio.move_on_after(0):
            await store.get("a", FULL.id)
        with trio.move_on_after(0):
            await store.change("a", FULL.id, Change(data={"half": "x" * 10_000}, disabled=False))
    user = await store.get("a", FULL.id)
    assert user in (FULL, attrs.evolve(FULL, data={"half": "x" * 10_000}, disabled=False))
    await store.replace("a", FULL)
    assert await store.get("a", FULL.id) == FULL


@everywhere
async def test_a_closed_store_is_unavailable(store: UserStore) -> None:
    await store.add("a", FULL)
    await store.aclose()
    await store.aclose()
    with pytest.raises(StorageUnavailable):
        await store.get("a", FULL.id)
    with pytest.raises(StorageUnavailable):
        await store.check()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=10,
)


@everywhere
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.none() | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4),
    client_data=JSON,
)
def test_every_json_value_survives(storage_url: Secret, tmp_path: Path, data: Any, client_data: Any) -> None:
    async def check() -> None:
        store = open_user_store(storage_url, tmp_path)
        try:
            user = UserRecord("u", data=data, client_data=client_data)
            try:
                await store.add("a", user)
            except UserExists:
                await store.replace("a", user)
            assert await store.get("a", "u") == user
        finally:
            await store.aclose()

    trio.run(check)


@in_sql
async def test_users_survive_closing_and_several_stores_start_at_once(storage_url: Secret, tmp_path: Path) -> None:
    stores = [open_user_store(storage_url, tmp_path) for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for store in stores:
            nursery.start_soon(store.check)
    await stores[0].add("a", FULL)
    assert await stores[3].get("a", FULL.id) == FULL
    for store in stores:
        await store.aclose()
    again = open_user_store(storage_url, tmp_path)
    assert await again.get("a", FULL.id) == FULL
    await again.aclose()


@in_sql
async def test_tables_of_a_newer_router_are_refused_untouched(
    storage_url: Secret, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = open_user_store(storage_url, tmp_path)
    await store.add("a", FULL)
    await store.aclose()
    _sql(storage_url, tmp_path, request)("UPDATE trio_router_meta SET value = 99 WHERE name = 'schema'")
    store = open_user_store(storage_url, tmp_path)
    with pytest.raises(ConfigError, match="schema version 99; this router knows up to 3"):
        await store.check()
    with pytest.raises(StorageUnavailable, match="schema version 99"):
        await store.get("a", FULL.id)
    _sql(storage_url, tmp_path, request)("UPDATE trio_router_meta SET value = 2 WHERE name = 'schema'")
    assert await store.get("a", FULL.id) == FULL
    await store.aclose()


@in_sql
async def test_a_row_that_was_damaged_from_outside_is_unavailable_not_a_crash(
    storage_url: Secret, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = open_user_store(storage_url, tmp_path)
    await store.add("a", FULL)
    if "sqlite" in storage_url.reveal():
        _sql(storage_url, tmp_path, request)("UPDATE trio_router_users SET data = '{broken'")
    else:  # which checks JSON itself
        _sql(storage_url, tmp_path, request)("DROP TABLE trio_router_users")
    with pytest.raises(StorageUnavailable) as caught:
        await store.get("a", FULL.id)
    assert caught.value.__context__ is None
    await store.aclose()


def _sql(url: Secret, base: Path, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Runs SQL past the store."""
    if "sqlite" in url.reveal():

        def run(statement: str) -> None:
            connection = sqlite3.connect(base / "store.db")
            with connection:
                connection.execute(statement)
            connection.close()

        return run
    server: Postgres = request.getfixturevalue("postgres")
    name = url.reveal().split("?")[0].rsplit("/", 1)[1]
    return lambda statement: server.psql(statement, name) and None
