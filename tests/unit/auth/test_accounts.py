"""Administration of users: what commands and the REST API can do, and what they are told."""

from __future__ import annotations

import traceback

import argon2
import attrs
import pytest
import trio

from trio_router.auth.accounts import AccountError, Accounts, Imported, public
from trio_router.auth.passwords import PasswordHasher
from trio_router.auth.userfile import FileUser
from trio_router.clock import ManualClock
from trio_router.secret import Secret
from trio_router.storage.memory import MemoryUserStore
from trio_router.storage.users import Change

CHEAP = argon2.Parameters(
    type=argon2.Type.ID, version=19, salt_len=16, hash_len=32, time_cost=1, memory_cost=64, parallelism=1
)
CANARY = "swordfish"


@attrs.define
class World:
    store: MemoryUserStore = attrs.field(factory=MemoryUserStore)
    hasher: PasswordHasher = attrs.field(factory=lambda: PasswordHasher(parameters=CHEAP))
    clock: ManualClock = attrs.field(factory=ManualClock)
    locked_out: list[str] = attrs.field(factory=list)

    def accounts(self, app: str = "app") -> Accounts:
        return Accounts(self.store, app, self.hasher, self.clock, on_locked_out=self.locked_out.append)

    async def knows(self, user_id: str, password: str, app: str = "app") -> bool:
        record = await self.store.get(app, user_id)
        async with self.hasher.turn() as turn:
            return await turn.verify(record.password_hash if record else None, Secret(password))


@pytest.fixture
def world() -> World:
    return World()


async def test_the_life_of_a_user(world: World) -> None:
    accounts = world.accounts()
    now = world.clock.wall()
    user = await accounts.add("ann", Secret("one"), data={"role": "admin"}, client_data=[1])
    assert public(user) == {
        "id": "ann",
        "data": {"role": "admin"},
        "client_data": [1],
        "disabled": False,
        "has_password": True,
        "created_at": now,
        "updated_at": now,
    }
    assert await world.knows("ann", "one")
    world.clock.advance(5)
    assert (await accounts.set_password("ann", Secret("two"))).updated_at == now + 5
    assert await world.knows("ann", "two")
    assert not await world.knows("ann", "one")
    assert (await accounts.disable("ann")).disabled
    assert not (await accounts.enable("ann")).disabled
    assert (await accounts.set_data("ann", None)).data is None
    assert (await accounts.set_client_data("ann", "x")).client_data == "x"
    got = await accounts.get("ann")
    assert (got.data, got.client_data, got.disabled, got.created_at) == (None, "x", False, now)
    await accounts.remove("ann")
    assert await accounts.list() == []
    assert world.locked_out == ["ann", "ann"]


async def test_a_user_without_a_password_has_none(world: World) -> None:
    user = await world.accounts().add("ann")
    assert user.password_hash is None
    assert not public(user)["has_password"]


async def test_lists_page(world: World) -> None:
    accounts = world.accounts()
    for user_id in ("c", "a", "b"):
        await accounts.add(user_id)
    assert [user.id for user in await accounts.list(limit=2)] == ["a", "b"]
    assert [user.id for user in await accounts.list(after="b")] == ["c"]
    for limit in (0, -1, 1001):
        with pytest.raises(AccountError, match="limit: must be from 1 to 1000"):
            await accounts.list(limit=limit)
    with pytest.raises(AccountError, match="after: "):
        await accounts.list(after="not an id")


async def test_what_is_invalid_is_named_and_nothing_is_stored(world: World) -> None:
    accounts = world.accounts()
    cases: list[tuple[str, dict[str, object]]] = [
        ("id", {"user_id": "a/b"}),
        ("password", {"password": Secret("")}),
        ("password", {"password": Secret("x" * 1025)}),
        ("data", {"data": []}),
        ("data", {"data": {"x": float("nan")}}),
        ("client_data", {"client_data": {1: 2}}),
    ]
    for field, arguments in cases:
        with pytest.raises(AccountError) as caught:
            await accounts.add(**{"user_id": "ann", **arguments})  # type: ignore[arg-type]
        assert (caught.value.slug, caught.value.field) == ("invalid", field)
    assert await accounts.list() == []


async def test_known_and_unknown_users(world: World) -> None:
    accounts = world.accounts()
    await accounts.add("ann", Secret("one"))
    with pytest.raises(AccountError) as caught:
        await accounts.add("ann", Secret("two"))
    assert caught.value.slug == "exists"
    assert await world.knows("ann", "one")
    for call in (
        accounts.get("bob"),
        accounts.disable("bob"),
        accounts.enable("bob"),
        accounts.remove("bob"),
        accounts.set_password("bob", Secret("x")),
        accounts.set_data("bob", {}),
        accounts.set_client_data("bob", {}),
    ):
        with pytest.raises(AccountError) as caught:
            await call
        assert caught.value.slug == "unknown"
    assert world.locked_out == []


async def test_two_administrators_do_not_undo_each_other(world: World) -> None:
    accounts = world.accounts()
    await accounts.add("ann", Secret("one"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accounts.set_password, "ann", Secret("two"))
        nursery.start_soon(accounts.disable, "ann")
        nursery.start_soon(accounts.set_data, "ann", {"x": 1})
    user = await accounts.get("ann")
    assert user.disabled
    assert user.data == {"x": 1}
    assert await world.knows("ann", "two")


async def test_several_fields_change_in_one_step_or_not_at_all(world: World) -> None:
    accounts = world.accounts()
    ann = await accounts.add("ann", client_data="kept")
    with pytest.raises(AccountError, match="client_data: "):
        await accounts.change("ann", data={"x": 1}, client_data=float("nan"), disabled=True)
    assert await accounts.change("ann") == ann
    changed = await accounts.change("ann", data={"x": 1}, disabled=True)
    assert (changed.data, changed.client_data, changed.disabled) == ({"x": 1}, "kept", True)
    assert world.locked_out == ["ann"]
    await accounts.change("ann", data=None, disabled=False)
    assert (await accounts.get("ann")).data is None
    assert world.locked_out == ["ann"]
    with pytest.raises(AccountError, match="there is no such user"):
        await accounts.change("bob")


@pytest.mark.threat("T66")
async def test_administration_of_one_app_does_not_reach_another(world: World) -> None:
    one, two = world.accounts("one"), world.accounts("two")
    await one.add("ann", Secret("one"))
    await two.add("ann", Secret("two"))
    await two.set_data("ann", {"x": 1})
    await two.remove("ann")
    assert (await one.get("ann")).data is None
    assert await world.knows("ann", "one", "one")
    with pytest.raises(AccountError):
        await two.get("ann")


@pytest.mark.threat("T57")
async def test_too_many_hashes_are_busy_and_change_nothing(world: World) -> None:
    world.hasher = PasswordHasher(threads=1, queue=0, parameters=CHEAP)
    accounts = world.accounts()
    async with world.hasher.turn():
        with pytest.raises(AccountError) as caught:
            await accounts.add("ann", Secret("one"))
    assert caught.value.slug == "busy"
    assert await accounts.list() == []


@pytest.mark.threat("T62")
async def test_nothing_that_goes_out_holds_a_password_or_its_hash(world: World) -> None:
    accounts = world.accounts()
    user = await accounts.add("ann", Secret(CANARY))
    assert user.password_hash is not None
    shown = [repr(user), str(public(user)), repr(accounts), repr(FileUser("x", password=Secret(CANARY)))]
    shown += [repr(Change(password_hash=user.password_hash)), repr(await accounts.list())]
    for password in (CANARY, CANARY * 200, CANARY + "\ud800"):
        try:
            await accounts.add("ann", Secret(password))
        except AccountError as error:
            shown += traceback.format_exception(error)
    for text in shown:
        assert CANARY not in text
        assert user.password_hash not in text


async def hashed(world: World, password: str) -> str:
    async with world.hasher.turn() as turn:
        return await turn.hash(Secret(password))


async def test_an_import_adds_who_is_missing_and_leaves_the_others(world: World) -> None:
    accounts = world.accounts()
    await accounts.add("ann", Secret("by an administrator"), disabled=True)
    users = (
        FileUser("ann", password=Secret("of the file"), data={"x": 1}),
        FileUser("bob", password=Secret("bob's"), data={"y": 2}, client_data=3, disabled=True),
        FileUser("eve", password_hash=await hashed(world, "eve's")),
    )
    assert await accounts.import_users(users, update=False) == Imported(("bob", "eve"), (), ("ann",))
    assert await world.knows("ann", "by an administrator")
    assert (await accounts.get("ann")).disabled
    bob = await accounts.get("bob")
    assert (bob.data, bob.client_data, bob.disabled) == ({"y": 2}, 3, True)
    assert await world.knows("bob", "bob's")
    assert await world.knows("eve", "eve's")
    assert await accounts.import_users(users, update=False) == Imported((), (), ("ann", "bob", "eve"))


async def test_an_updating_import_makes_users_what_the_file_says_and_only_where_they_differ(world: World) -> None:
    accounts = world.accounts()
    await accounts.add("ann", Secret("old"), data={"x": 0}, client_data="kept the same")
    await accounts.add("other", Secret("o"))
    users = (FileUser("ann", password=Secret("new"), data={"x": 1}, client_data="kept the same", disabled=True),)
    assert await accounts.import_users(users, update=True) == Imported((), ("ann",), ())
    ann = await accounts.get("ann")
    assert (ann.data, ann.client_data, ann.disabled) == ({"x": 1}, "kept the same", True)
    assert await world.knows("ann", "new")
    assert world.locked_out == ["ann"]
    world.clock.advance(1)
    assert await accounts.import_users(users, update=True) == Imported((), (), ("ann",))
    assert await accounts.get("ann") == ann
    assert await world.knows("other", "o")


async def test_an_updating_import_takes_a_hash_as_it_is(world: World) -> None:
    accounts = world.accounts()
    await accounts.add("ann", Secret("old"))
    users = (FileUser("ann", password_hash=await hashed(world, "new")),)
    assert (await accounts.import_users(users, update=True)).updated == ("ann",)
    assert (await accounts.import_users(users, update=True)).unchanged == ("ann",)
    assert await world.knows("ann", "new")


async def test_two_routers_may_import_one_file_at_once(world: World) -> None:
    users = tuple(FileUser(f"user{number}", password=Secret("x")) for number in range(10))
    outcomes: list[Imported] = []

    async def run() -> None:
        outcomes.append(await world.accounts().import_users(users, update=False))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(run)
    assert sum(len(outcome.added) for outcome in outcomes) == 10
