"""deepstream requests whose rules need records: each name waits for its own, the rest of the message and of the session behind it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.unit.session.conftest import settle
from tests.unit.session.deepstream import WAYS, Make, speaking, user
from tests.unit.session.test_records import SlowRecords, rules
from trio_router.protocols import codes
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import EventAction, PresenceAction, RpcAction, Topic
from trio_router.session.loading import RECORDS_TIMEOUT
from trio_router.storage.records import MemoryRecords

pytestmark = pytest.mark.parametrize("way", WAYS)

EVENT, RPC, PRESENCE = Topic.EVENT, Topic.RPC, Topic.PRESENCE


async def test_an_event_waits_for_its_record_and_keeps_its_place(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    records = SlowRecords({"stock/7": {"left": 3}})
    world = make_world(rules=rules(records), records=records, protocols=speaking())
    ann, bob = await user(world, "ann", way), await user(world, "bob", way)
    await bob.say(EVENT, EventAction.SUBSCRIBE, names=["free"], correlation_id="0")
    bob.told()
    await ann.say(EVENT, EventAction.EMIT, name="item/7", data='{"wanted":2}')
    await ann.say(EVENT, EventAction.EMIT, name="free", data='"after"')
    await bob.say(EVENT, EventAction.SUBSCRIBE, names=["free", "free"], correlation_id="1")  # others go on
    assert [packet.action for packet in bob.told()] == []
    assert records.asked == [("stock/7",)]
    records.answer.set()
    await settle()
    assert bob.all[-1] == Packet(EVENT, EventAction.EMIT, name="free", data='"after"')
    assert ann.told() == []


async def test_each_name_of_a_bulk_is_decided_with_its_own_record(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    records = MemoryRecords({"stock/1": {"left": 1}, "stock/2": {"left": 0}})
    world = make_world(rules=rules(records), records=records, protocols=speaking())
    ann = await user(world, "ann", way)
    told = await ann.say(
        EVENT, EventAction.SUBSCRIBE, names=["free", "item/1", "item/2", "item/3", "free"], correlation_id="0"
    )
    assert [(packet.action, packet.name) for packet in told] == [
        (EventAction.MESSAGE_DENIED, "item/2"),
        (EventAction.MESSAGE_PERMISSION_ERROR, "item/3"),
        (EventAction.MULTIPLE_SUBSCRIPTIONS, "free"),
        (EventAction.SUBSCRIBE, None),
    ]
    (session,) = world.core.sessions.values()
    assert list(session.subscriptions) == ["free", "item/1"]


async def test_calls_and_presence_wait_too(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    records = MemoryRecords({"shop": {"open": True}, "profile/bob": {"public": True}, "profile/ann": {"public": False}})
    world = make_world(rules=rules(records), records=records, protocols=speaking())
    ann, bob = await user(world, "ann", way), await user(world, "bob", way)
    assert (await bob.say(RPC, RpcAction.PROVIDE, names=["buy"], correlation_id="0"))[-1].is_ack
    assert await ann.say(RPC, RpcAction.REQUEST, name="buy", correlation_id="c") == []
    (request,) = bob.told()
    assert request.action == RpcAction.REQUEST
    told = await ann.say(PRESENCE, PresenceAction.QUERY, names=["bob", "ann"], correlation_id="1")
    assert [(packet.action, packet.name) for packet in told] == [
        (PresenceAction.MESSAGE_DENIED, "ann"),
        (PresenceAction.QUERY_RESPONSE, None),
    ]
    assert told[-1].data == '{"bob":true}'
    (answer,) = await ann.say(PRESENCE, PresenceAction.QUERY_ALL)
    assert answer.names == ["bob"]


async def test_records_that_do_not_come_fail_the_rule(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    records = SlowRecords({})
    world = make_world(rules=rules(records), records=records, protocols=speaking())
    ann = await user(world, "ann", way)
    await ann.say(EVENT, EventAction.EMIT, name="item/7", data='{"wanted":2}')
    await trio.sleep(RECORDS_TIMEOUT + 0.1)
    failed = Packet(
        EVENT, EventAction.MESSAGE_PERMISSION_ERROR, name="item/7", is_error=True, original_action=EventAction.EMIT
    )
    assert ann.told() == [failed]
    records.away = True
    records.answer.set()
    assert await ann.say(EVENT, EventAction.EMIT, name="item/7", data='{"wanted":2}') == [failed]
    without = make_world(rules=rules(records), protocols=speaking())
    bob = await user(without, "bob", way)
    assert await bob.say(EVENT, EventAction.EMIT, name="item/7", data='{"wanted":2}') == [failed]


async def test_a_session_that_ends_while_it_waits_does_nothing_more(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    records = SlowRecords({"stock/7": {"left": 3}})
    world = make_world(rules=rules(records), records=records, protocols=speaking())
    ann = await user(world, "ann", way)
    await ann.say(EVENT, EventAction.SUBSCRIBE, names=["item/7", "free"], correlation_id="0")
    (session,) = world.core.sessions.values()
    world.core.end(session, codes.REVOKED)
    records.answer.set()
    await settle()
    assert ann.link.closed is codes.REVOKED
    assert not session.subscriptions
    assert ann.told() == []
