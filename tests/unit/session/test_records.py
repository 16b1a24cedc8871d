"""A request whose rule needs a record waits for it; what its client sends meanwhile stays behind it, others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.unit.session.conftest import World, settle
from trio_router.clock import ManualClock
from trio_router.errors import StorageUnavailable
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import CompiledRules
from trio_router.session.loading import RECORDS_TIMEOUT
from trio_router.storage.records import MemoryRecords

Make = Callable[..., World]

RULES = """
event:
  "item/$id":
    publish: "_('stock/' + $id).left > data.wanted"
    subscribe: "_('stock/' + $id).left > 0"
  "deep":
    publish: "_(_('a').next).open"
  "deeper":
    publish: "_(_(_('a').next).next).open"
  "free":
    publish: true
    subscribe: true
rpc:
  "buy":
    provide: "_('shop').open"
    request: "_('shop').open"
presence:
  "*":
    allow: "_('profile/' + name).public"
"""


class SlowRecords(MemoryRecords):
    """Loads when told to; ``asked`` are the names of each load."""

    def __init__(self, contents: dict[str, Any]) -> None:
        super().__init__(contents)
        self.asked: list[tuple[str, ...]] = []
        self.answer = trio.Event()
        self.away = False

    async def load(self, names: Iterable[str]) -> None:
        self.asked.append(tuple(names))
        await self.answer.wait()
        if self.away:
            raise StorageUnavailable
        await super().load(names)


def rules(records: MemoryRecords) -> CompiledRules:
    return load_rules(RULES, "rules.yml", clock=ManualClock(), records=records)


def made(make_world: Make, records: MemoryRecords) -> World:
    return make_world(rules=rules(records), records=records)


async def test_a_request_waits_for_its_record_and_keeps_its_place(make_world: Make, autojump_clock: MockClock) -> None:
    records = SlowRecords({"stock/7": {"left": 3}})
    world = made(make_world, records)
    ann, bob = await world.user("ann"), await world.user("bob")
    bob.say(type="subscribe", id="s", channel="free")
    await settle()
    ann.say(type="publish", id="1", channel="item/7", data={"wanted": 2})
    ann.say(type="publish", id="2", channel="free", data="after")
    await settle()
    assert ann.of("done") == []
    assert records.asked == [("stock/7",)]
    bob.say(type="publish", id="b", channel="free", data="meanwhile")
    await settle()
    assert bob.last["type"] == "event"
    assert [event["data"] for event in bob.of("event")] == ["meanwhile"]
    records.answer.set()
    await settle()
    assert [done["id"] for done in ann.of("done")] == ["1", "2"]
    assert [event["data"] for event in bob.of("event")] == ["meanwhile", "after"]
    assert records.asked == [("stock/7",)]


async def test_every_verb_waits(make_world: Make, autojump_clock: MockClock) -> None:
    records = MemoryRecords({"stock/7": {"left": 3}, "shop": {"open": True}, "profile/ann": {"public": True}})
    world = made(make_world, records)
    ann = await world.user("ann")
    ann.say(type="subscribe", id="1", channel="item/7")
    ann.say(type="provide", id="2", procedure="buy")
    ann.say(type="presence_query", id="3")
    ann.say(type="presence_query", id="4", users=["ann", "eva"])
    ann.say(type="presence_subscribe", id="5", users=["ann", "max"])
    ann.say(type="publish", id="6", channel="item/8", data={"wanted": 1})
    ann.say(type="publish", id="7", channel="item/7", data={"wanted": 3})
    await settle()
    answers = {answer["id"]: answer for answer in ann.told if "id" in answer}
    assert [answers[number]["type"] for number in "12"] == ["done", "done"]
    assert answers["3"]["users"] == {"ann": 1}
    assert (answers["4"]["users"], answers["4"]["denied"]) == ({"ann": 1}, ["eva"])
    assert answers["5"]["denied"] == ["max"]
    assert answers["6"]["error"] == "rule_failed"  # there is no such record
    assert answers["7"]["error"] == "denied"


@pytest.mark.threat("T30")
async def test_references_that_hang_on_references_end(make_world: Make, autojump_clock: MockClock) -> None:
    contents = {"a": {"next": "b"}, "b": {"next": "c", "open": True}, "c": {"open": True}}
    records = SlowRecords(contents)
    records.answer.set()
    world = made(make_world, records)
    ann = await world.user("ann")
    ann.say(type="publish", id="1", channel="deep")
    await settle()
    assert ann.last == {"type": "done", "id": "1"}
    assert records.asked == [("a",), ("b",)]
    records = SlowRecords(contents)
    records.answer.set()
    eva = await made(make_world, records).user("eva")
    eva.say(type="publish", id="1", channel="deeper")
    await settle()
    assert eva.last["error"] == "rule_failed"
    assert records.asked == [("a",), ("b",)]


async def test_a_store_that_never_forgets_to_forget_is_not_asked_for_ever(
    make_world: Make, autojump_clock: MockClock
) -> None:
    class Forgetful(SlowRecords):
        async def load(self, names: Iterable[str]) -> None:
            self.asked.append(tuple(names))
            await trio.lowlevel.checkpoint()

    records = Forgetful({})
    ann = await made(make_world, records).user("ann")
    ann.say(type="publish", id="1", channel="deep")
    await settle()
    assert ann.last["error"] == "rule_failed"
    assert len(records.asked) == 2


async def test_a_store_that_is_away_or_slow_fails_the_request_alone(
    make_world: Make, autojump_clock: MockClock
) -> None:
    records = SlowRecords({"stock/7": {"left": 3}})
    ann = await made(make_world, records).user("ann")
    started = trio.current_time()
    ann.say(type="publish", channel="item/7", data={"wanted": 2})
    ann.say(type="publish", id="2", channel="free")
    while not ann.of("done"):
        await trio.sleep(0.5)
    assert RECORDS_TIMEOUT <= trio.current_time() - started <= RECORDS_TIMEOUT + 1
    failed = ann.of("error")[0]
    assert (failed["error"], failed["verb"], failed["name"]) == ("rule_failed", "publish", "item/7")
    records.away = True
    records.answer.set()
    ann.say(type="subscribe", id="3", channel="item/7")
    await settle()
    assert (ann.last["id"], ann.last["error"]) == ("3", "rule_failed")
    records.away = False
    ann.say(type="subscribe", id="4", channel="item/7")
    await settle()
    assert ann.last == {"type": "done", "id": "4"}


async def test_without_a_store_such_a_request_fails(make_world: Make, autojump_clock: MockClock) -> None:
    ann = await make_world(rules=rules(MemoryRecords())).user("ann")
    ann.say(type="publish", id="1", channel="item/7", data={"wanted": 2})
    await settle()
    assert ann.last["error"] == "rule_failed"


async def test_whoever_hangs_up_while_a_record_is_loaded_is_gone(make_world: Make, autojump_clock: MockClock) -> None:
    records = SlowRecords({"stock/7": {"left": 3}})
    world = made(make_world, records)
    ann = await world.user("ann")
    ann.say(type="publish", id="1", channel="item/7", data={"wanted": 2})
    ann.hang_up()
    await settle()
    records.answer.set()
    await settle()
    assert world.core.sessions == {}
