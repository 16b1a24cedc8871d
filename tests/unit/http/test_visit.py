"""One batch inside the core, without HTTP: what others get of it, and what of it is a session's."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.unit.routing.world import World
from trio_router.clock import ManualClock
from trio_router.errors import StorageUnavailable
from trio_router.http import batch
from trio_router.http.visit import Visit
from trio_router.identity import Identity, User, new_session_id
from trio_router.metrics import Metrics
from trio_router.permissions.loader import load_rules
from trio_router.protocols import codes
from trio_router.storage.records import MemoryRecords

READS = """
event: {"*": {publish: "_('open') !== null && _('open').who === user.id", subscribe: true}}
rpc: {"*": {request: true, provide: true}}
"""


def visit(world: World, records: Any = None) -> Visit:
    identity = Identity("main", new_session_id(), User("egon"))
    return Visit(identity, world.core, Metrics(), records)


def read(*messages: dict[str, Any]) -> list[batch.Message]:
    return batch.read(list(messages), 1000)


def emit(**more: Any) -> dict[str, Any]:
    return {"topic": "event", "action": "emit", "eventName": "a", **more}


async def test_absent_data_is_not_null() -> None:
    world = World()
    rosa = world.join("rosa")
    world.core.subscribe(rosa.session, "a")
    assert await visit(world).perform(read(emit(), emit(data=None)), 5) == [{"success": True}] * 2
    (_, _, _, absent), (_, _, _, null) = rosa.told
    assert (absent.is_absent, null.is_absent, null.value) == (True, False, None)


async def test_nothing_is_left_of_it(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    rosa = world.join("rosa")
    world.core.provide(rosa.session, "p")
    make = {"topic": "rpc", "action": "make", "rpcName": "p"}
    (answer,) = await visit(world).perform(read(make), 5)
    assert answer["errorEvent"] == "HTTP_REQUEST_TIMEOUT"
    assert [told[0] for told in rosa.told] == ["invoke", "interrupt"]
    world.core.unprovide(rosa.session, "p")
    world.core.detach(rosa.session)
    assert world.is_empty()


async def test_a_rule_that_reads_records_waits_for_them_in_the_batchs_order() -> None:
    world = World(
        load_rules(
            READS, "rules.yml", clock=ManualClock(), records=(records := MemoryRecords({"open": {"who": "egon"}}))
        )
    )
    rosa = world.join("rosa")
    world.core.subscribe(rosa.session, "a")
    answers = await visit(world, records).perform(read(*(emit(data=n) for n in range(3))), 5)
    assert answers == [{"success": True}] * 3
    assert [told[3].value for told in rosa.told] == [0, 1, 2]


class Away(MemoryRecords):
    async def load(self, names: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise StorageUnavailable


async def test_records_that_cannot_be_had_allow_nothing() -> None:
    for records in (Away(), None):
        world = World(load_rules(READS, "rules.yml", clock=ManualClock(), records=records or MemoryRecords()))
        (answer,) = await visit(world, records).perform(read(emit()), 5)
        assert (answer["success"], answer["errorEvent"]) == (False, 103)


class Slow(MemoryRecords):
    def __init__(self, contents: Any) -> None:
        super().__init__(contents)
        self.asked, self.there = trio.Event(), trio.Event()

    async def load(self, names: Any) -> None:
        self.asked.set()
        await self.there.wait()
        await super().load(names)


@pytest.mark.threat("T52")
async def test_a_session_that_is_ended_does_nothing_more() -> None:
    records = Slow({"open": {"who": "egon"}})
    world = World(load_rules(READS, "rules.yml", clock=ManualClock(), records=records))
    rosa = world.join("rosa")
    world.core.subscribe(rosa.session, "a")
    asked = visit(world, records)

    def end() -> None:
        for session in [each for each in world.core.sessions.values() if each is not rosa.session]:
            world.core.end(session, codes.REVOKED)

    async with trio.open_nursery() as nursery:
        found: list[Any] = []

        async def perform() -> None:
            found.extend(await asked.perform(read(emit(), emit()), 5))

        nursery.start_soon(perform)
        await records.asked.wait()
        end()
        records.there.set()
    assert [answer["errorEvent"] for answer in found] == ["CLOSED", "CLOSED"]
    assert rosa.told == []


async def test_others_get_their_turn_after_each_query() -> None:
    """A query is a thousand decisions, of which a batch may have a hundred."""
    world = World()
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbour)
        query = {"topic": "presence", "action": "query", "names": ["rosa"]}
        answers = await visit(world).perform(read(*[query] * 20), 5)
        nursery.cancel_scope.cancel()
    assert len(answers) == 20
    assert (
        turns >= 18
    )  # of 20 pauses: its first turn only begins, and Trio decides by chance who comes first in the last
