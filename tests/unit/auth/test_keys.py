"""Administration of app keys: what is made, shown once, changed and told."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from trio_router.auth import keys as module
from trio_router.auth.keys import KeyRefused, Keys, public
from trio_router.clock import ManualClock
from trio_router.grants import GRANTS, Grants
from trio_router.storage.memorykeys import MemoryKeyStore


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryKeyStore()
        self.keys = Keys(self.store, "one", self.clock)


@pytest.mark.threat("T62")
async def test_a_secret_is_in_the_answer_that_made_it_and_in_no_other() -> None:
    world = World()
    issued = await world.keys.create(label="pages")
    secret = issued.secret.reveal()
    assert len(secret) >= 43
    assert secret not in repr(issued)
    rotated = await world.keys.rotate(issued.key.id)
    shown = [public(rotated.key), *map(public, await world.keys.list()), public(await world.keys.get(issued.key.id))]
    assert secret not in repr(shown)
    assert rotated.secret.reveal() not in repr(shown)
    assert shown[0]["secrets"] == 2
    assert shown[0]["expires_old"] == world.clock.wall() + module.GRACE


async def test_ids_and_secrets_are_new_each_time() -> None:
    world = World()
    made = [await world.keys.create() for _ in range(50)]
    assert len({issued.key.id for issued in made}) == 50
    assert len({issued.secret.reveal() for issued in made}) == 50


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"key_id": "a.b"}, "id: "),
        ({"key_id": ""}, "id: "),
        ({"label": "a\nb"}, "label: "),
        ({"label": "a" * 201}, "label: "),
        ({"grants": ["publish", "everything"]}, "grants: "),
    ],
)
async def test_what_is_not_valid_is_named(arguments: dict[str, Any], says: str) -> None:
    world = World()
    with pytest.raises(KeyRefused, match=says) as caught:
        await world.keys.create(**arguments)
    assert caught.value.slug == "invalid"
    assert await world.keys.list() == []


async def test_an_id_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    first = await world.keys.create("k")
    with pytest.raises(KeyRefused) as caught:
        await world.keys.create("k")
    assert caught.value.slug == "exists"
    assert await world.keys.get("k") == first.key
    monkeypatch.setattr(module, "MAX_KEYS", 1)
    with pytest.raises(KeyRefused) as caught:
        await world.keys.create()
    assert caught.value.slug == "too_many"


async def test_grants_are_all_of_them_unless_named() -> None:
    world = World()
    assert (await world.keys.create()).key.grants.names() == GRANTS
    assert (await world.keys.create(grants=["rpc"])).key.grants == Grants.only(["rpc"])
    assert (await world.keys.create(grants=[])).key.grants.names() == ()


@pytest.mark.threat("T52")
async def test_of_two_administrators_neither_undoes_what_the_other_did() -> None:
    """Both began with the same key; the one who changes grants must not bring a disabled key back to life."""
    world = World()
    await world.keys.create("k", label="x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.keys.disable, "k")
        nursery.start_soon(world.keys.grant, "k", ["rpc"])
        nursery.start_soon(world.keys.rotate, "k")
    found = await world.keys.get("k")
    assert (found.disabled, found.grants.names(), len(found.secrets)) == (True, ("rpc",), 2)


async def test_several_things_change_in_one_step_or_none() -> None:
    world = World()
    first = await world.keys.create("k")
    changed = await world.keys.change("k", disabled=True, grants=["rpc"])
    assert (changed.disabled, changed.grants.names()) == (True, ("rpc",))
    with pytest.raises(KeyRefused):
        await world.keys.change("k", disabled=False, grants=["nothing"])
    assert await world.keys.get("k") == changed
    assert (await world.keys.change("k")) == changed
    assert changed.secrets == first.key.secrets


async def test_nobody_has_a_key_that_is_not_there() -> None:
    world = World()
    actions = (world.keys.get, world.keys.disable, world.keys.enable, world.keys.rotate, world.keys.remove)
    for action in actions:
        with pytest.raises(KeyRefused) as caught:
            await action("nobody")  # type: ignore[operator]
        assert caught.value.slug == "unknown"


@pytest.mark.threat("T66")
async def test_keys_of_another_app_are_not_there() -> None:
    world = World()
    await world.keys.create("k")
    other = Keys(world.store, "two", world.clock)
    assert await other.list() == []
    with pytest.raises(KeyRefused):
        await other.rotate("k")


@pytest.mark.threat("T52")
@pytest.mark.parametrize("grace", [-1.0, float("nan"), float("inf"), 400 * 86_400.0])
async def test_a_grace_period_is_bounded(grace: float) -> None:
    world = World()
    first = await world.keys.create("k")
    with pytest.raises(KeyRefused, match="grace"):
        await world.keys.rotate("k", grace=grace)
    assert await world.keys.get("k") == first.key


@pytest.mark.threat("T52")
async def test_two_secrets_are_live_and_never_three() -> None:
    world = World()
    first = await world.keys.create("k")
    second = await world.keys.rotate("k", grace=100.0)
    third = await world.keys.rotate("k", grace=100.0)
    live = third.key.live_secrets(world.clock.wall())
    assert [secret.reveal() for secret in live] == [third.secret.reveal(), second.secret.reveal()]
    assert not any(secret == first.secret for secret in live)
