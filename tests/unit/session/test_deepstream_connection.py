"""A logged-in deepstream session: every request and what it is answered, name by name, in both ways of the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.unit.session.conftest import Scripted, World, settle
from tests.unit.session.deepstream import WAYS, Make, connect, speaking, user
from trio_router.auth.strategy import Accepted
from trio_router.identity import Identity, User
from trio_router.limits import Limits
from trio_router.names import MAX_NAME
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.protocols import codes
from trio_router.protocols.deepstream import binary, jsontext
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import (
    ConnectionAction,
    EventAction,
    ParserAction,
    PresenceAction,
    RecordAction,
    RpcAction,
    Topic,
)
from trio_router.session.deepstream.tokens import TRUST_TOKEN
from trio_router.testing.rules import FixedRules
from trio_router.tokens.compact import MAX_TOKEN

pytestmark = pytest.mark.parametrize("way", WAYS)

EVENT, RPC, PRESENCE, RECORD = Topic.EVENT, Topic.RPC, Topic.PRESENCE, Topic.RECORD
E, R, P = EventAction, RpcAction, PresenceAction


class Rules(FixedRules):
    """They allow everything but what :meth:`deny` names, or what they fail on."""

    def __init__(self) -> None:
        self._denied: dict[tuple[Action, str], bool] = {}
        super().__init__({action: self._rule(action) for action in Action})

    def deny(self, action: Action, name: str, *, error: bool = False) -> None:
        self._denied[action, name] = error

    def _rule(self, action: Action) -> Callable[[Identity, str, Payload], bool]:
        def rule(_: Identity, name: str, __: Payload) -> bool:
            if self._denied.get((action, name)):
                raise ValueError("broken")
            return (action, name) not in self._denied

        return rule


def ack(topic: int, action: int, number: str | None = "0", name: str | None = None) -> Packet:
    return Packet(topic, action, name=name, correlation_id=number, is_ack=True)


def denied(topic: int, action: int, original: int, name: str | None, number: str | None = "0", **more: Any) -> Packet:
    return Packet(topic, action, name=name, correlation_id=number, is_error=True, original_action=original, **more)


async def subscribed(world: World, way: str, *names: str, as_: str = "guest") -> Any:
    client = await user(world, as_, way)
    assert await client.say(EVENT, E.SUBSCRIBE, names=list(names), correlation_id="0") == [ack(EVENT, E.SUBSCRIBE)]
    return client


# ---- events ------------------------------------------------------------------------------------------------------


async def test_an_event_goes_to_the_others_as_it_came(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    ann, bob = await subscribed(world, way, "a", "b"), await subscribed(world, way, "a")
    for data in (None, "null", '{"x": 1}', "0", "false", '""'):
        assert await ann.say(EVENT, E.EMIT, name="a", data=data) == []
        assert bob.told() == [Packet(EVENT, E.EMIT, name="a", data=data)]
    await bob.say(EVENT, E.EMIT, name="b")
    assert ann.told() == [Packet(EVENT, E.EMIT, name="b")]


async def test_the_last_unsubscription_counts(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    ann, bob = await subscribed(world, way, "a", "b"), await user(world, "bob", way)
    assert await ann.say(EVENT, E.UNSUBSCRIBE, names=["a", "never"], correlation_id="1") == [
        ack(EVENT, E.UNSUBSCRIBE, "1")
    ]
    await bob.say(EVENT, E.EMIT, name="a")
    await bob.say(EVENT, E.EMIT, name="b")
    assert [packet.name for packet in ann.told()] == ["b"]


async def test_a_bulk_is_decided_name_by_name_and_acknowledged_once(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    rules = Rules()
    rules.deny(Action.EVENT_SUBSCRIBE, "no")
    rules.deny(Action.EVENT_SUBSCRIBE, "broken", error=True)
    world = make_world(protocols=speaking(), rules=rules)
    client = await user(world, way=way)
    told = await client.say(
        EVENT, E.SUBSCRIBE, names=["a", "no", "broken", "a", "gr\u00fcn", "x*", "*", "b"], correlation_id="7"
    )
    assert told == [
        denied(EVENT, E.MESSAGE_DENIED, E.SUBSCRIBE, "no", "7"),
        denied(EVENT, E.MESSAGE_PERMISSION_ERROR, E.SUBSCRIBE, "broken", "7"),
        Packet(EVENT, E.MULTIPLE_SUBSCRIPTIONS, name="a", original_action=E.SUBSCRIBE),
        denied(EVENT, E.MESSAGE_DENIED, E.SUBSCRIBE, "gr\u00fcn", "7", data=told[3].data),
        denied(EVENT, E.MESSAGE_DENIED, E.SUBSCRIBE, "x*", "7", data=told[4].data),
        denied(EVENT, E.MESSAGE_DENIED, E.SUBSCRIBE, "*", "7", data=told[5].data),
        ack(EVENT, E.SUBSCRIBE, "7"),
    ]
    assert json.loads(told[3].data or "")["error"] == "invalid_name"
    (session,) = world.core.sessions.values()
    assert list(session.subscriptions) == ["a", "b"]


async def test_a_bulk_that_names_nothing_is_acknowledged(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await user(make_world(protocols=speaking()), way=way)
    for topic, action in (
        (EVENT, E.SUBSCRIBE),
        (EVENT, E.UNSUBSCRIBE),
        (RPC, R.PROVIDE),
        (RPC, R.UNPROVIDE),
        (PRESENCE, P.SUBSCRIBE),
        (PRESENCE, P.UNSUBSCRIBE),
    ):
        assert await client.say(topic, action, correlation_id="0") == [ack(topic, action)]


async def test_a_bulk_of_too_many_names_is_refused_whole(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking(), limits=Limits(subscriptions_per_session=3))
    client = await user(world, way=way)
    names = ["a", "b", "c", "d"]
    (answer,) = await client.say(EVENT, E.SUBSCRIBE, names=names, correlation_id="0")
    assert answer == denied(EVENT, E.INVALID_MESSAGE_DATA, E.SUBSCRIBE, None, data=answer.data)
    assert "at most 3" in (answer.data or "")
    (answer,) = await client.say(EVENT, E.SUBSCRIBE, names=["a"], correlation_id="0" * 300)
    assert answer.action == E.INVALID_MESSAGE_DATA
    (session,) = world.core.sessions.values()
    assert not session.subscriptions


async def test_events_that_are_refused(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    rules = Rules()
    rules.deny(Action.EVENT_PUBLISH, "no")
    client = await user(make_world(protocols=speaking(), rules=rules), way=way)
    assert await client.say(EVENT, E.EMIT, name="no") == [denied(EVENT, E.MESSAGE_DENIED, E.EMIT, "no", None)]
    for fields in ({"name": "a", "data": "{"}, {"name": "a", "data": '{"a":1,"a":2}'}, {"data": "1"}):
        (answer,) = await client.say(EVENT, E.EMIT, **fields)
        assert answer == denied(EVENT, E.INVALID_MESSAGE_DATA, E.EMIT, fields.get("name"), None, data=answer.data)
    (answer,) = await client.say(EVENT, E.EMIT, name="a//b")
    assert (answer.action, answer.name) == (E.MESSAGE_DENIED, "a//b")


@pytest.mark.threat("T27", "T35")
async def test_a_native_client_and_a_deepstream_client_meet(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(protocols=speaking())
    client = await subscribed(world, way, "a")
    native = await world.user("native")
    native.say(type="subscribe", id="1", channel="*")
    native.say(type="publish", channel="a", data={"n": 1})
    await settle()
    assert client.told() == [Packet(EVENT, E.EMIT, name="a", data='{"n":1}')]
    await client.say(EVENT, E.EMIT, name="b", data=' {"d":\n[1.50]} ')
    assert native.of("event")[-1] == {"type": "event", "channel": "b", "subscription": "*", "data": {"d": [1.5]}}
    native.say(type="publish", channel="a")
    await settle()
    assert client.told() == [Packet(EVENT, E.EMIT, name="a")]


@pytest.mark.interpreted  # methods are replaced
async def test_an_event_is_encoded_once_for_each_way(
    make_world: Make, autojump_clock: MockClock, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(protocols=speaking())
    for other in (*WAYS, way, way):
        await subscribed(world, other, "a")
    made: list[str] = []
    for codec, name in ((binary, WAYS[0]), (jsontext, WAYS[1])):
        original = codec.event_frame
        monkeypatch.setattr(
            codec, "event_frame", lambda *args, name=name, original=original: made.append(name) or original(*args)
        )
    publisher = await user(world, way=way)
    await publisher.say(EVENT, E.EMIT, name="a", data="1")
    assert sorted(made) == sorted(WAYS)


# ---- listening ---------------------------------------------------------------------------------------------------


async def test_a_provider_is_asked_accepts_and_is_told_of_the_end(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(protocols=speaking())
    provider = await user(world, "p", way)
    assert await provider.say(EVENT, E.LISTEN, name="^a/.*") == [ack(EVENT, E.LISTEN, None, "^a/.*")]
    ann = await subscribed(world, way, "a/1")
    found = Packet(EVENT, E.SUBSCRIPTION_FOR_PATTERN_FOUND, name="^a/.*", subscription="a/1")
    removed = Packet(EVENT, E.SUBSCRIPTION_FOR_PATTERN_REMOVED, name="^a/.*", subscription="a/1")
    assert provider.told() == [found]
    answer = {"name": "^a/.*", "subscription": "a/1"}
    assert await provider.say(EVENT, E.LISTEN_ACCEPT, **answer) == []
    assert await provider.say(EVENT, E.LISTEN_ACCEPT, **answer) == []  # again, which changes nothing
    await ann.say(EVENT, E.UNSUBSCRIBE, names=["a/1"], correlation_id="1")
    assert provider.told() == [removed]
    assert await provider.say(EVENT, E.UNLISTEN, name="^a/.*") == [ack(EVENT, E.UNLISTEN, None, "^a/.*")]
    assert await provider.say(EVENT, E.UNLISTEN, name="^a/.*") == [
        Packet(EVENT, E.NOT_SUBSCRIBED, name="^a/.*", original_action=E.UNLISTEN),
        ack(EVENT, E.UNLISTEN, None, "^a/.*"),
    ]


async def test_who_is_late_is_told_and_told_again_if_it_accepts_all_the_same(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(protocols=speaking())
    provider = await user(world, "p", way)
    await provider.say(EVENT, E.LISTEN, name="a")
    await subscribed(world, way, "a")
    provider.told()
    await trio.sleep(0.6)
    assert provider.told() == [Packet(EVENT, E.LISTEN_RESPONSE_TIMEOUT, name="a", subscription="a")]
    assert await provider.say(EVENT, E.LISTEN_ACCEPT, name="a", subscription="a") == [
        Packet(EVENT, E.SUBSCRIPTION_FOR_PATTERN_REMOVED, name="a", subscription="a")
    ]
    assert await provider.say(EVENT, E.LISTEN_REJECT, name="a", subscription="a") == []


async def test_listening_that_is_refused(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await user(make_world(protocols=speaking()), way=way)
    told = await client.say(EVENT, E.LISTEN, name="(")
    assert told == [Packet(EVENT, E.INVALID_LISTEN_REGEX, name="("), ack(EVENT, E.LISTEN, None, "(")]
    await client.say(EVENT, E.LISTEN, name="a")
    assert await client.say(EVENT, E.LISTEN, name="a") == [
        Packet(EVENT, E.MULTIPLE_SUBSCRIPTIONS, name="a", original_action=E.LISTEN),
        ack(EVENT, E.LISTEN, None, "a"),
    ]
    for action, fields in (
        (E.LISTEN, {}),
        (E.UNLISTEN, {}),
        (E.LISTEN_ACCEPT, {"name": "a"}),
        (E.LISTEN_REJECT, {"subscription": "a"}),
    ):
        (answer,) = await client.say(EVENT, action, **fields)
        assert (answer.action, answer.original_action) == (E.INVALID_MESSAGE_DATA, action)


# ---- calls -------------------------------------------------------------------------------------------------------


async def provided(world: World, way: str, *names: str) -> Any:
    client = await user(world, "provider", way)
    assert await client.say(RPC, R.PROVIDE, names=list(names), correlation_id="0") == [ack(RPC, R.PROVIDE)]
    return client


async def invoked(provider: Any) -> str:
    """The id of the call that has come."""
    (request,) = provider.told()
    assert (request.topic, request.action) == (RPC, R.REQUEST)
    return str(request.correlation_id)


async def test_a_call_from_request_to_response(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    provider, caller = await provided(world, way, "p"), await user(world, "caller", way)
    assert await caller.say(RPC, R.REQUEST, name="p", correlation_id="c1", data='{"a":1}') == []
    (request,) = provider.told()
    call = request.correlation_id
    assert request == Packet(RPC, R.REQUEST, name="p", correlation_id=call, data='{"a":1}')
    await provider.say(RPC, R.ACCEPT, name="p", correlation_id=call)
    assert caller.told() == [Packet(RPC, R.ACCEPT, name="p", correlation_id="c1")]
    assert await provider.say(RPC, R.ACCEPT, name="p", correlation_id=call) == [
        Packet(RPC, R.MULTIPLE_ACCEPT, name="p", correlation_id=call)
    ]
    assert await provider.say(RPC, R.RESPONSE, name="p", correlation_id=call, data="[2]") == []
    assert caller.told() == [Packet(RPC, R.RESPONSE, name="p", correlation_id="c1", data="[2]")]
    assert await provider.say(RPC, R.RESPONSE, name="p", correlation_id=call, data="[3]") == [
        denied(RPC, R.INVALID_RPC_CORRELATION_ID, R.RESPONSE, "p", call)
    ]
    assert caller.told() == []


async def test_a_call_that_fails_or_is_rejected(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    provider, caller = await provided(world, way, "p"), await user(world, "caller", way)
    await caller.say(RPC, R.REQUEST, name="p", correlation_id="c1")
    await provider.say(RPC, R.REQUEST_ERROR, name="p", correlation_id=await invoked(provider), data='"no"')
    assert caller.told() == [Packet(RPC, R.REQUEST_ERROR, name="p", correlation_id="c1", data='"no"')]
    await caller.say(RPC, R.REQUEST, name="p", correlation_id="c2")
    await provider.say(RPC, R.REJECT, name="p", correlation_id=await invoked(provider))
    assert caller.told() == [Packet(RPC, R.NO_RPC_PROVIDER, name="p", correlation_id="c2")]
    assert await caller.say(RPC, R.REQUEST, name="nobody", correlation_id="c3") == [
        Packet(RPC, R.NO_RPC_PROVIDER, name="nobody", correlation_id="c3")
    ]


async def test_a_rejected_call_goes_to_the_next(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    one, two = await provided(world, way, "p"), await provided(world, way, "p")
    caller = await user(world, "caller", way)
    await caller.say(RPC, R.REQUEST, name="p", correlation_id="c1", data="1")
    first, second = (one, two) if one.link.frames and one.all[-1].action == R.REQUEST else (two, one)
    await first.say(RPC, R.REJECT, name="p", correlation_id=await invoked(first))
    await second.say(RPC, R.RESPONSE, name="p", correlation_id=await invoked(second), data="2")
    assert caller.told() == [Packet(RPC, R.RESPONSE, name="p", correlation_id="c1", data="2")]


@pytest.mark.parametrize(("accepts", "seconds"), [(False, 0.3), (True, 0.9)])
async def test_calls_have_two_deadlines(
    make_world: Make, autojump_clock: MockClock, way: str, accepts: bool, seconds: float
) -> None:
    world = make_world(protocols=speaking(rpc_accept_timeout=0.3, rpc_response_timeout=0.9))
    provider, caller = await provided(world, way, "p"), await user(world, "caller", way)
    began = trio.current_time()
    await caller.say(RPC, R.REQUEST, name="p", correlation_id="c1")
    call = await invoked(provider)
    if accepts:
        await provider.say(RPC, R.ACCEPT, name="p", correlation_id=call)
        assert caller.told()[0].action == R.ACCEPT
    while not (told := caller.told()):
        await trio.sleep(0.01)
    assert trio.current_time() - began == pytest.approx(seconds, abs=0.02)
    late = R.RESPONSE_TIMEOUT if accepts else R.ACCEPT_TIMEOUT
    assert told == [Packet(RPC, late, name="p", correlation_id="c1")]
    assert (await provider.say(RPC, R.RESPONSE, name="p", correlation_id=call, data="1"))[0].action == (
        R.INVALID_RPC_CORRELATION_ID
    )


async def test_a_provider_that_leaves_ends_its_calls(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    provider, caller = await provided(world, way, "p"), await user(world, "caller", way)
    await caller.say(RPC, R.REQUEST, name="p", correlation_id="c1")
    provider.link.hang_up()
    await settle()
    assert caller.told() == [Packet(RPC, R.RESPONSE_TIMEOUT, name="p", correlation_id="c1")]


async def test_who_calls_is_told_only_where_the_options_say_so(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    for options, wanted in (
        ({}, (None, None)),
        ({"requestor_name": True}, ("ann", None)),
        ({"requestor_name": True, "requestor_data": True}, ("ann", '{"level":1}')),
    ):
        script = Scripted(Accepted(User("p")), Accepted(User("ann"), client_data={"level": 1}))
        world = make_world(protocols=speaking(**options), strategy=script)
        provider, caller = await provided(world, way, "p"), await user(world, way=way)
        await caller.say(RPC, R.REQUEST, name="p", correlation_id="c1")
        (request,) = provider.told()
        assert (request.requestor_name, request.requestor_data) == wanted


@pytest.mark.threat("T55", "T17")
async def test_calls_that_are_refused(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    rules = Rules()
    rules.deny(Action.RPC_REQUEST, "no")
    rules.deny(Action.RPC_PROVIDE, "no")
    world = make_world(protocols=speaking(), rules=rules)
    provider, caller = await provided(world, way, "p"), await user(world, "caller", way)
    assert await provider.say(RPC, R.PROVIDE, names=["no", "p", "q"], correlation_id="1") == [
        denied(RPC, R.MESSAGE_DENIED, R.PROVIDE, "no", "1"),
        Packet(RPC, R.MULTIPLE_PROVIDERS, name="p", original_action=R.PROVIDE),
        ack(RPC, R.PROVIDE, "1"),
    ]
    assert await caller.say(RPC, R.REQUEST, name="no", correlation_id="c1") == [
        denied(RPC, R.MESSAGE_DENIED, R.REQUEST, "no", "c1")
    ]
    await caller.say(RPC, R.REQUEST, name="p", correlation_id="c2")
    assert await caller.say(RPC, R.REQUEST, name="p", correlation_id="c2") == [
        denied(RPC, R.INVALID_RPC_CORRELATION_ID, R.REQUEST, "p", "c2")
    ]
    call = await invoked(provider)
    assert await caller.say(RPC, R.RESPONSE, name="p", correlation_id=call, data="1") == [
        denied(RPC, R.INVALID_RPC_CORRELATION_ID, R.RESPONSE, "p", call)  # it was not asked
    ]
    for fields in (
        {"name": "p"},
        {"correlation_id": "c"},
        {"name": "p", "correlation_id": "x" * 300},
        {"name": "p", "correlation_id": "c3", "data": "{"},
    ):
        (answer,) = await caller.say(RPC, R.REQUEST, **fields)
        assert answer.action == R.INVALID_MESSAGE_DATA
    (answer,) = await caller.say(RPC, R.RESPONSE, name="p")
    assert answer.action == R.INVALID_MESSAGE_DATA
    await provider.say(RPC, R.RESPONSE, name="p", correlation_id=call, data="1")
    assert caller.told() == [Packet(RPC, R.RESPONSE, name="p", correlation_id="c2", data="1")]


@pytest.mark.threat("T28")
async def test_what_only_the_router_says_is_not_taken_from_a_client(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(protocols=speaking(requestor_name=True))
    provider, caller = await provided(world, way, "p"), await user(world, "caller", way)
    forged = {"requestor_name": "boss", "requestor_data": '{"level":9}', "is_ack": True, "is_error": True}
    await caller.say(RPC, R.REQUEST, name="p", correlation_id="c1", original_action=R.ACCEPT, **forged)
    (request,) = provider.told()
    assert request == Packet(RPC, R.REQUEST, name="p", correlation_id=request.correlation_id, requestor_name="caller")
    await provider.say(EVENT, E.SUBSCRIBE, names=["a"], correlation_id="1")
    provider.told()
    await caller.say(EVENT, E.EMIT, name="a", names=["b"], subscription="x", correlation_id="9", is_ack=True)
    assert provider.told() == [Packet(EVENT, E.EMIT, name="a")]


async def test_unproviding(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    provider = await provided(world, way, "p")
    assert await provider.say(RPC, R.UNPROVIDE, names=["p", "never"], correlation_id="1") == [
        ack(RPC, R.UNPROVIDE, "1")
    ]
    assert await provider.say(RPC, R.REQUEST, name="p", correlation_id="c") == [
        Packet(RPC, R.NO_RPC_PROVIDER, name="p", correlation_id="c")
    ]


async def test_native_and_deepstream_call_each_other(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    client = await provided(world, way, "d")
    native = await world.user("native")
    native.say(type="provide", id="1", procedure="n")
    native.say(type="call", id="2", procedure="d", data=[1])
    await settle()
    await client.say(RPC, R.RESPONSE, name="d", correlation_id=await invoked(client), data="[2]")
    assert native.of("result")[-1] == {"type": "result", "id": "2", "data": [2]}
    await client.say(RPC, R.REQUEST, name="n", correlation_id="c", data="3")
    invoke = native.of("invoke")[-1]
    assert (invoke["data"], "caller" in invoke) == (3, False)
    await trio.sleep(2)  # natives do not acknowledge, and need not
    assert client.told() == []
    native.say(type="error", call=invoke["call"], data={"no": 1})
    await settle()
    assert client.told() == [Packet(RPC, R.REQUEST_ERROR, name="n", correlation_id="c", data='{"no":1}')]


# ---- presence ----------------------------------------------------------------------------------------------------


async def test_presence_of_everybody(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    ann = await user(world, "ann", way)
    await user(world, "ann", way)
    assert await ann.say(PRESENCE, P.SUBSCRIBE_ALL) == [ack(PRESENCE, P.SUBSCRIBE_ALL, None)]
    assert await ann.say(PRESENCE, P.SUBSCRIBE_ALL) == [
        Packet(PRESENCE, P.MULTIPLE_SUBSCRIPTIONS, original_action=P.SUBSCRIBE_ALL),
        ack(PRESENCE, P.SUBSCRIBE_ALL, None),
    ]
    assert await ann.say(PRESENCE, P.QUERY_ALL) == [Packet(PRESENCE, P.QUERY_ALL_RESPONSE)]
    one, two = await user(world, "bob", way), await user(world, "bob", way)
    assert ann.told() == [Packet(PRESENCE, P.PRESENCE_JOIN_ALL, name="bob")]
    (answer,) = await ann.say(PRESENCE, P.QUERY_ALL)
    assert (answer.action, answer.names) == (P.QUERY_ALL_RESPONSE, ["bob"])
    one.link.hang_up()
    await settle()
    assert ann.told() == []
    two.link.hang_up()
    await settle()
    assert ann.told() == [Packet(PRESENCE, P.PRESENCE_LEAVE_ALL, name="bob")]
    for _ in range(2):
        assert await ann.say(PRESENCE, P.UNSUBSCRIBE_ALL) == [ack(PRESENCE, P.UNSUBSCRIBE_ALL, None)]
    await user(world, "carl", way)
    assert ann.told() == []


async def test_presence_of_everybody_that_the_rules_deny(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    ann = await user(make_world(rules=FixedRules({}), protocols=speaking()), "ann", way)
    denied = [Packet(PRESENCE, P.MESSAGE_DENIED, is_error=True, original_action=P.QUERY_ALL)]
    assert await ann.say(PRESENCE, P.QUERY_ALL) == denied
    told = await ann.say(PRESENCE, P.SUBSCRIBE_ALL)
    assert told[0] == Packet(PRESENCE, P.MESSAGE_DENIED, is_error=True, original_action=P.SUBSCRIBE_ALL)


async def test_presence_of_some(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    rules = Rules()
    rules.deny(Action.PRESENCE_ALLOW, "no")
    world = make_world(protocols=speaking(), rules=rules)
    ann = await user(world, "ann", way)
    told = await ann.say(PRESENCE, P.SUBSCRIBE, names=["bob", "no", "a/b", "bob"], correlation_id="0")
    assert told == [
        denied(PRESENCE, P.MESSAGE_DENIED, P.SUBSCRIBE, "no", data=told[0].data),
        denied(PRESENCE, P.MESSAGE_DENIED, P.SUBSCRIBE, "a/b", data=told[1].data),
        Packet(PRESENCE, P.MULTIPLE_SUBSCRIPTIONS, name="bob", original_action=P.SUBSCRIBE),
        ack(PRESENCE, P.SUBSCRIBE),
    ]
    bob = await user(world, "bob", way)
    await user(world, "no", way)
    assert ann.told() == [Packet(PRESENCE, P.PRESENCE_JOIN, name="bob")]
    await ann.say(PRESENCE, P.SUBSCRIBE_ALL)
    bob.link.hang_up()
    await settle()
    assert ann.told() == [
        Packet(PRESENCE, P.PRESENCE_LEAVE, name="bob"),
        Packet(PRESENCE, P.PRESENCE_LEAVE_ALL, name="bob"),
    ]
    assert await ann.say(PRESENCE, P.QUERY, names=["ann", "bob"], correlation_id="5") == [
        Packet(PRESENCE, P.QUERY_RESPONSE, correlation_id="5", data='{"ann":true,"bob":false}')
    ]
    told = await ann.say(PRESENCE, P.QUERY, names=["ann", "no"], correlation_id="6")
    assert [(packet.action, packet.name) for packet in told] == [(P.MESSAGE_DENIED, "no"), (P.QUERY_RESPONSE, None)]
    told = await ann.say(PRESENCE, P.QUERY, names=["no"], correlation_id="6")
    assert [(packet.action, packet.original_action) for packet in told] == [(P.MESSAGE_DENIED, P.QUERY)]
    assert await ann.say(PRESENCE, P.UNSUBSCRIBE, names=["bob", "x"], correlation_id="7") == [
        ack(PRESENCE, P.UNSUBSCRIBE, "7")
    ]


# ---- what else there is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [action for action in RecordAction if action < 100])
async def test_every_record_request_is_answered(
    make_world: Make, autojump_clock: MockClock, way: str, action: RecordAction
) -> None:
    client = await user(make_world(protocols=speaking()), way=way)
    told = await client.say(RECORD, action, name="r", correlation_id="0", is_write_ack=True)
    assert told
    if action in {RecordAction.UNSUBSCRIBE, RecordAction.UNLISTEN}:
        assert told == [ack(RECORD, action, "0", "r")]
    elif action.name.endswith(
        ("_RESPONSE", "_SUCCESS", "_BULK_SUCCESS", "ACKNOWLEDGEMENT", "RESPONSE_BULK")
    ) or action in {1, 13, 31, 32, 33, 34}:
        assert told == [Packet(Topic.PARSER, ParserAction.UNKNOWN_ACTION, original_action=action)]
    else:
        assert told[0] == denied(RECORD, RecordAction.MESSAGE_DENIED, action, "r", is_write_ack=True, data=told[0].data)
        assert json.loads(told[0].data or "") == {"error": "not_supported", "detail": "this router keeps no records"}


async def test_records_are_denied_name_by_name(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await user(make_world(protocols=speaking()), way=way)
    action = RecordAction.SUBSCRIBECREATEANDREAD
    told = await client.say(RECORD, action, names=["a", "b"], correlation_id="0")
    assert [(packet.action, packet.name) for packet in told] == [
        (RecordAction.MESSAGE_DENIED, "a"),
        (RecordAction.MESSAGE_DENIED, "b"),
        (action, None),
    ]
    assert told[-1].is_ack


async def test_the_heartbeat_is_answered(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await user(make_world(protocols=speaking()), way=way)
    assert await client.say(Topic.CONNECTION, ConnectionAction.PING) == [
        Packet(Topic.CONNECTION, ConnectionAction.PONG)
    ]


@pytest.mark.threat("T11")
async def test_who_is_silent_for_two_intervals_is_gone(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking(heartbeat_interval=10.0))
    client = await user(world, way=way)
    for _ in range(5):
        await trio.sleep(19)
        await client.say(Topic.CONNECTION, ConnectionAction.PING)
    assert client.link.closed is None
    began = trio.current_time()
    await client.link.ended.wait()
    assert trio.current_time() - began == pytest.approx(20.0, abs=0.1)
    assert client.link.closed is codes.PING_TIMEOUT
    assert not [frame for frame in client.link.frames if frame[0] == 0x89]


async def test_messages_that_nobody_knows(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await user(make_world(protocols=speaking()), way=way)
    assert await client.say(EVENT, 99) == []  # as in deepstream
    assert await client.say(RPC, 3) == [Packet(Topic.PARSER, ParserAction.UNKNOWN_ACTION, original_action=3)]
    assert await client.say(PRESENCE, 99) == [Packet(Topic.PARSER, ParserAction.UNKNOWN_ACTION, original_action=99)]
    assert await client.login({}) == [Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC)]
    assert await client.say(Topic.PARSER, 1) == [Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC)]
    assert await client.say(Topic.CONNECTION, ConnectionAction.CHALLENGE) == [
        Packet(Topic.CONNECTION, ConnectionAction.INVALID_MESSAGE)
    ]
    client.link.put(b"\xff" if way == WAYS[0] else "nonsense")
    await settle()
    assert client.told() == [Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC)]
    assert client.link.closed is None


async def test_too_many_of_them_end_the_session(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await user(make_world(protocols=speaking(), limits=Limits(invalid_messages=3)), way=way)
    for _ in range(4):
        client.put(Packet(EVENT, 99))
    await settle()
    assert client.link.closed is codes.INVALID_MESSAGES


async def test_the_wrong_kind_of_frame_ends_the_session(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await user(make_world(protocols=speaking()), way=way)
    client.link.put("{}" if way == WAYS[0] else b"\x06\x10\x02\x1a\x02\x08\x02")
    await settle()
    assert client.link.closed is codes.UNSUPPORTED_DATA


# ---- rights that end ---------------------------------------------------------------------------------------------


@pytest.mark.threat("T33")
async def test_lost_rights_are_told_as_denials(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    rules = Rules()
    world = make_world(protocols=speaking(), rules=rules)
    client = await subscribed(world, way, "a", "b")
    await client.say(RPC, R.PROVIDE, names=["p"], correlation_id="0")
    await client.say(PRESENCE, P.SUBSCRIBE, names=["u"], correlation_id="0")
    await client.say(EVENT, E.LISTEN, name="x")
    client.told()
    for action, name in (
        (Action.EVENT_SUBSCRIBE, "a"),
        (Action.RPC_PROVIDE, "p"),
        (Action.PRESENCE_ALLOW, "u"),
        (Action.EVENT_LISTEN, "x"),
    ):
        rules.deny(action, name)
    assert world.core.reconsider() == 4
    await settle()
    told = client.told()
    assert sorted((packet.topic, packet.action, packet.original_action, packet.name) for packet in told) == sorted(
        [
            (EVENT, E.MESSAGE_DENIED, E.SUBSCRIBE, "a"),
            (EVENT, E.MESSAGE_DENIED, E.LISTEN, "x"),
            (RPC, R.MESSAGE_DENIED, R.PROVIDE, "p"),
            (PRESENCE, P.MESSAGE_DENIED, P.SUBSCRIBE, "u"),
        ]
    )
    assert all(packet.is_error for packet in told)


@pytest.mark.threat("T48")
async def test_a_session_ends_with_its_login(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    world.strategy.script.append(Accepted(User("ann"), expires_at=world.clock.wall() + 30))
    client = await user(world, way=way)
    world.clock.advance(40)
    await trio.sleep(40)
    assert client.link.closed is codes.SESSION_EXPIRED


@pytest.mark.threat("T14")
async def test_a_drain_closes_so_that_clients_come_back(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    client, waiting = await user(world, way=way), await connect(world, way)
    await world.server.drain()
    assert (client.link.closed, waiting.link.closed) == (codes.RESTART, codes.RESTART)
    assert client.told() == []


async def test_revoked_logins_are_closed(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    client = await subscribed(world, way, "a")
    (session,) = world.core.sessions.values()
    world.core.end(session, codes.REVOKED)
    client.put(Packet(EVENT, E.SUBSCRIBE, names=["b"], correlation_id="1"))
    await settle()
    assert client.link.closed is codes.REVOKED
    assert client.told() == []


@pytest.mark.interpreted  # methods are replaced
@pytest.mark.threat("T09")
@pytest.mark.parametrize("part", ["event_frame", "frame"])
async def test_what_cannot_be_told_to_one_ends_that_one(
    make_world: Make, autojump_clock: MockClock, way: str, part: str, monkeypatch: pytest.MonkeyPatch, logs: Any
) -> None:
    def boom(*_: object) -> bytes:
        raise ValueError("secret")

    world = make_world(protocols=speaking())
    victim = await subscribed(world, way, "a", as_="victim")
    await victim.say(RPC, R.PROVIDE, names=["p"], correlation_id="1")
    cause = await world.user("cause")
    peer = next(s.peer for s in world.core.sessions.values() if s.identity.user.id == "victim")
    monkeypatch.setattr(peer._wire, part, boom)
    if part == "event_frame":
        cause.say(type="publish", id="1", channel="a")
    else:
        cause.say(type="call", id="1", procedure="p")
    await settle()
    assert victim.link.closed is codes.INTERNAL
    assert cause.closed is None
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["session_failed"]
    assert "secret" not in str(logs)


async def test_sessions_are_counted_by_what_they_speak(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())

    def speak(protocol: str) -> float:
        return float(world.metrics.sessions.labels(protocol)._value.get())

    await connect(world, way)  # not yet
    client, _ = await user(world, way=way), await world.user("native")
    assert (speak(way), speak("native")) == (1, 1)
    client.link.hang_up()
    await settle()
    assert (speak(way), speak("native")) == (0, 1)


@pytest.mark.threat("T12")
async def test_what_can_be_no_trust_token_is_not_kept(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    """A session may keep a thousand of them, so each is bounded."""
    client = await user(make_world(protocols=speaking(), limits=Limits(message_size=1_000_000)), way=way)
    for name, token, action in (
        ("pvt:a", "t" * MAX_TOKEN, R.RESPONSE),
        ("pvt:a", "t" * (MAX_TOKEN + 1), R.REQUEST_ERROR),
        ("pvt:" + "a" * MAX_NAME, "t", R.REQUEST_ERROR),
    ):
        data = json.dumps({"name": name, "token": token})
        (told,) = await client.say(RPC, R.REQUEST, name=TRUST_TOKEN, correlation_id="1", data=data)
        assert told.action == action
        assert len(told.data or "") < 200
