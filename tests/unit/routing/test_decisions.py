"""The book of decisions, the ids the door gives, and what can be asked about them afterwards."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from trio_router.clock import ManualClock
from trio_router.errors import RecordsNeeded, Refused
from trio_router.grants import Grants
from trio_router.identity import Identity, User
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.permissions.loader import load_rules
from trio_router.permissions.records import MISSING_UNLOADED
from trio_router.permissions.redaction import REDACTED, Redaction
from trio_router.permissions.ruleset import CompiledRules
from trio_router.protocols import codes
from trio_router.routing.core import Core
from trio_router.routing.decisions import ENTRY_SIZE, KEPT_RULESETS, MAX_DATA, DecisionBook, Entry, Recorded
from trio_router.routing.door import Door, refusal
from trio_router.routing.tracing import Tracer
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules
from trio_router.testing.timers import ManualTimers

RULES = """
event:
  "news/*":
    publish: {rule: "user.data.role === 'editor' && data.n > 1", reason: "only editors write news"}
    subscribe: true
  "secret": {publish: "data.password === 'x'"}
presence:
  "*": {allow: "name === 'friend'"}
"""
EGON = Identity("default", "session-1", User("egon", {"role": "reader", "ssn": "canary-ssn"}))


def compiled(text: str = RULES, clock: ManualClock | None = None) -> CompiledRules:
    return load_rules(text, "rules.yml", clock=clock or ManualClock())


class World:
    def __init__(
        self, *, keep: int = 10, memory: int = 1_000_000, allowed_too: bool = False, hide: tuple[str, ...] = ()
    ) -> None:
        self.clock = ManualClock()
        self.logged: list[Entry] = []
        self.book = DecisionBook(self.clock, keep=keep, memory=memory, allowed_too=allowed_too, sink=self.logged.append)
        self.metrics = Metrics()
        self.door = Door(compiled(clock=self.clock), self.metrics, self.book)
        self.tracer = Tracer("default", self.door, self.book, Redaction.of(hide))

    def publish(self, name: str = "news/x", data: Payload = ABSENT, who: Identity = EGON) -> Decision:
        return self.door.authorize(who, Action.EVENT_PUBLISH, name, data)

    def denied(self, name: str = "news/x", data: Payload = ABSENT, who: Identity = EGON) -> Recorded:
        decision = self.publish(name, data, who)
        assert isinstance(decision, Recorded)
        assert not decision.allowed
        return decision


def test_a_denial_has_an_id_and_is_found_by_it() -> None:
    world = World()
    first, second = world.denied(), world.denied("news/y")
    assert re.fullmatch(r"[A-Za-z0-9_-]{12}", first.id)
    assert first.id != second.id
    found = world.book.find(first.id)
    assert found is not None
    assert (found.name, found.identity, found.time) == ("news/x", EGON, world.clock.wall())
    assert (found.decision.reason, found.decision.rule) == (first.reason, first.rule)
    assert world.book.find("AAAAAAAAAAAA") is None


@pytest.mark.parametrize(
    ("action", "name", "reason"),
    [
        (Action.EVENT_PUBLISH, "nowhere", Reason.NO_RULE),
        (Action.EVENT_PUBLISH, "sys:x", Reason.RESERVED),
        (Action.EVENT_PUBLISH, "a//b", Reason.INVALID_NAME),
        (Action.RPC_REQUEST, "sum", Reason.NO_RULE),
    ],
)
def test_whatever_the_reason_a_denial_has_an_id(action: Action, name: str, reason: Reason) -> None:
    world = World()
    decision = world.door.authorize(EGON, action, name)
    assert isinstance(decision, Recorded)
    assert decision.reason is reason
    told = world.tracer.find(decision.id)
    assert told is not None
    assert told["explained"]["reason"] == reason.value


def test_a_denied_wildcard_has_an_id() -> None:
    world = World()
    decision = world.door.authorize_pattern(EGON, Action.EVENT_SUBSCRIBE, "other/*")
    assert isinstance(decision, Recorded)
    found = world.book.find(decision.id)
    assert found is not None
    assert found.wildcard


def test_what_is_allowed_leaves_nothing_unless_asked_to() -> None:
    world = World()
    assert type(world.door.authorize(EGON, Action.EVENT_SUBSCRIBE, "news/x")) is Decision
    assert (world.book.recent(10), world.logged) == ([], [])
    world = World(allowed_too=True)
    decision = world.door.authorize(EGON, Action.EVENT_SUBSCRIBE, "news/x")
    assert isinstance(decision, Recorded)
    assert decision.allowed
    assert [entry.id for entry in world.book.recent(10)] == [decision.id]
    assert world.book.recent(10, denied=True) == []


def test_allowed_decisions_never_push_out_the_refused() -> None:
    world = World(allowed_too=True, keep=2)
    refused_one = world.denied()
    for _ in range(5):
        world.door.authorize(EGON, Action.EVENT_SUBSCRIBE, "news/x")
    assert world.book.find(refused_one.id) is not None
    assert len(world.book.recent(10)) == 3


def test_the_book_is_bounded_in_entries() -> None:
    world = World(keep=3)
    made = [world.denied(f"news/{number}").id for number in range(10)]
    assert [entry.id for entry in world.book.recent(100)] == made[:-4:-1]
    assert [entry.id for entry in world.book.recent(2)] == made[:-3:-1]
    nothing = World(keep=0)
    assert nothing.book.find(nothing.denied().id) is None


def test_the_book_is_bounded_in_bytes() -> None:
    user = len(b'{"role":"reader","ssn":"canary-ssn"}')
    world = World(keep=1000, memory=3 * (ENTRY_SIZE + user + 1002))
    for _ in range(10):
        world.denied(data=Payload("x" * 1000))
    assert len(world.book.recent(100)) == 3
    world.denied(data=Payload("x" * 3000))
    assert len(world.book.recent(100)) == 2


def test_one_noisy_session_does_not_push_out_the_others() -> None:
    world = World(keep=100)
    quiet = world.denied(who=Identity("default", "session-2", User("ann")))
    noisy = [world.denied(f"news/{number}").id for number in range(1000)]
    assert world.book.find(quiet.id) is not None
    assert [entry.id for entry in world.book.recent(100)] == [*noisy[:-26:-1], quiet.id]
    for number in range(200):
        world.denied(who=Identity("default", f"other-{number}", User("x")))
    assert len(world.book.recent(1000)) == 100
    assert world.book._shelves[False]._of_session.keys() == {f"other-{number}" for number in range(100, 200)}


def test_big_data_is_not_kept_and_that_is_said() -> None:
    world = World()
    told = world.tracer.find(world.denied(data=Payload("x" * MAX_DATA)).id)
    assert told is not None
    assert told["data_state"] == "too_large"
    assert "data" not in told["explained"]
    odd = world.denied(data=Payload({1: object()}))
    told = world.tracer.find(odd.id)
    assert told is not None
    assert told["data_state"] == "unreadable"


def test_data_is_kept_as_it_was() -> None:
    world = World()
    data = {"n": 0, "list": [1, None, "ü"]}
    decision = world.denied(data=Payload(data))
    data["n"] = 99
    told = world.tracer.find(decision.id)
    assert told is not None
    assert told["explained"]["data"] == {"n": 0, "list": [1, None, "ü"]}


def test_a_decision_is_explained_by_the_rules_that_made_it() -> None:
    world = World()
    decision = world.denied(data=Payload({"n": 5}))
    world.door.replace_rules(compiled("event: {'*': {publish: true}}"))
    told = world.tracer.find(decision.id)
    assert told is not None
    assert (told["agrees"], told["explained"]["allowed"]) == (True, False)
    assert told["explained"]["rule"]["pattern"] == "news/*"
    assert world.tracer.explain(EGON, Action.EVENT_PUBLISH, "news/x")["allowed"]


def test_what_a_key_does_not_grant_is_explained_by_the_key_and_not_by_rules() -> None:
    world = World()
    who = attrs.evolve(EGON, key="k", grants=Grants.only(["rpc"]))
    decision = world.denied("news/x", Payload({"n": 5}), who)
    assert decision.reason is Reason.KEY_GRANT
    told = world.tracer.find(decision.id)
    assert told is not None
    assert (told["agrees"], told["explained"]["reason"]) == (True, "key_grant")
    assert not told["explained"].get("steps")
    assert world.tracer.explain(who, Action.EVENT_SUBSCRIBE, "news/x")["reason"] == "key_grant"


def test_rules_that_were_replaced_too_often_are_let_go() -> None:
    world = World(keep=100)
    first = world.denied()
    for number in range(KEPT_RULESETS):
        world.door.replace_rules(compiled(f"event: {{'n{number}': {{publish: true}}}}"))
        world.denied("news/y")
    told = world.tracer.find(first.id)
    assert told is not None
    assert "explained" not in told
    assert told["rule"] == "rules.yml:4"


def test_an_explanation_that_comes_out_otherwise_says_so() -> None:
    class Records:
        open = False

        def peek(self, name: str) -> Any:
            return {"open": self.open}

    records = Records()
    rules = load_rules("event: {a: {publish: \"_('config').open\"}}", "rules.yml", clock=ManualClock(), records=records)
    world = World()
    world.door.replace_rules(rules)
    decision = world.denied("a")
    told = world.tracer.find(decision.id)
    assert told is not None
    assert told["agrees"]
    records.open = True
    told = world.tracer.find(decision.id)
    assert told is not None
    assert (told["agrees"], told["allowed"]) == (False, False)


@pytest.mark.threat("T36")
def test_explaining_leaves_no_trace() -> None:
    world = World()
    decision = world.denied()
    before = (world.book.recent(10), list(world.logged), world.metrics.registry.get_sample_value(
        "trio_router_decisions_total", {"action": "event.publish", "reason": "rule_false"}))  # fmt: skip
    for _ in range(3):
        world.tracer.explain(EGON, Action.EVENT_PUBLISH, "news/x", Payload({"n": 1}))
        world.tracer.explain(EGON, Action.EVENT_SUBSCRIBE, "other/*")
        world.tracer.find(decision.id)
        world.tracer.recent(10)
    after = (world.book.recent(10), list(world.logged), world.metrics.registry.get_sample_value(
        "trio_router_decisions_total", {"action": "event.publish", "reason": "rule_false"}))  # fmt: skip
    assert after == before


def test_explaining_says_what_the_door_says() -> None:
    world = World()
    for name in ("news/x", "sys:x", "a//b", "nowhere", "secret"):
        decision = world.publish(name, Payload({"n": 2}))
        told = world.tracer.explain(EGON, Action.EVENT_PUBLISH, name, Payload({"n": 2}))
        assert (told["allowed"], told["reason"]) == (decision.allowed, decision.reason.value)


@pytest.mark.threat("T36")
def test_hidden_values_are_hidden_in_every_answer() -> None:
    world = World(hide=("data.password", "user.data.ssn", "session.id"))
    decision = world.denied("secret", Payload({"password": "canary-pw", "other": 1}))
    told = repr([world.tracer.find(decision.id), world.tracer.recent(10)])
    for canary in ("canary-pw", "canary-ssn", "session-1"):
        assert canary not in told
    assert REDACTED in told
    short = repr(World().tracer.recent(10))
    assert "canary" not in short


# ---- what the client is told ------------------------------------------------------------------------------------


@pytest.mark.threat("T36")
def test_a_client_learns_the_id_and_the_reason_alone() -> None:
    world = World()
    decision = world.denied(data=Payload({"n": 0}))
    told = refusal(Action.EVENT_PUBLISH, decision)
    assert (told.code, told.detail, told.decision) == (codes.DENIED, "only editors write news", decision.id)
    assert decision.rule is not None
    without = refusal(Action.EVENT_PUBLISH, world.denied("nowhere"))
    assert (without.detail, bool(without.decision)) == ("", True)


def test_without_a_book_there_is_no_id() -> None:
    decision = Door(compiled()).authorize(EGON, Action.EVENT_PUBLISH, "nowhere")
    assert type(decision) is Decision
    assert refusal(Action.EVENT_PUBLISH, decision).decision == ""


def core(world: World) -> Core:
    return Core("default", world.door, ManualTimers(), Limits(), world.metrics)


def test_a_request_that_is_refused_carries_the_id() -> None:
    world = World()
    hub = core(world)
    session = hub.attach(EGON, RecordingPeer())
    with pytest.raises(Refused) as caught:
        hub.publish(session, "news/x", Payload(1))
    assert caught.value.code == codes.DENIED
    assert world.book.find(caught.value.decision) is not None


def test_a_right_that_ends_carries_the_id_and_the_reason() -> None:
    world = World()
    hub = core(world)
    peer = RecordingPeer()
    hub.subscribe(hub.attach(EGON, peer), "news/x")
    world.door.replace_rules(
        compiled("event: {'news/*': {subscribe: {rule: \"user.id === 'x'\", reason: 'news moved'}}}")
    )
    assert hub.reconsider() == 1
    ((_, verb, name, code, detail, decision),) = peer.of("revoked")
    assert (verb, name, code, detail) == ("subscribe", "news/x", codes.DENIED, "news moved")
    assert world.tracer.find(decision)["reason"] == "rule_false"  # type: ignore[index]


def test_who_may_be_seen_goes_to_the_log_and_not_into_the_book() -> None:
    world = World()
    hub = core(world)
    watcher, other = RecordingPeer(), RecordingPeer()
    session = hub.attach(EGON, watcher)
    hub.presence_subscribe(session, None)
    hub.attach(Identity("default", "s2", User("stranger")), other)
    assert hub.presence_query(session, None) == ({}, {})
    assert world.book.recent(10) == []
    assert {entry.name for entry in world.logged} == {"stranger", "egon"}
    _, denied = hub.presence_query(session, ["stranger"])
    assert [(entry.name, entry.id) for entry in world.book.recent(10)] == list(denied.items())
    assert list(denied) == ["stranger"]


class NoneLoaded:
    def peek(self, name: str) -> Any:
        return MISSING_UNLOADED


@pytest.mark.parametrize(
    ("ask", "action", "name"),
    [
        (lambda hub, session: hub.publish(session, "a", Payload({"n": 1})), Action.EVENT_PUBLISH, "a"),
        (lambda hub, session: hub.subscribe(session, "a*"), Action.EVENT_SUBSCRIBE, "a*"),
        (lambda hub, session: hub.presence_query(session, ["ann", "ben"]), Action.PRESENCE_ALLOW, "ann"),
        (lambda hub, session: hub.presence_query(session, None), Action.PRESENCE_ALLOW, "egon"),
        (lambda hub, session: hub.presence_subscribe(session, ["ann"]), Action.PRESENCE_ALLOW, "ann"),
    ],
)
def test_a_request_that_is_given_up_for_its_records_has_an_id(ask: Any, action: Action, name: str) -> None:
    world = World()
    rule = "_('gate').open"
    text = f"{{event: {{'*': {{publish: {rule!r}, subscribe: {rule!r}}}}}, presence: {{'*': {{allow: {rule!r}}}}}}}"
    world.door.replace_rules(load_rules(text.replace("\\", ""), "r.yml", clock=world.clock, records=NoneLoaded()))
    hub = core(world)
    session = hub.attach(EGON, RecordingPeer())
    with pytest.raises(RecordsNeeded) as caught:
        ask(hub, session)
    assert caught.value.names == ("gate",)
    assert world.logged == []
    refused = caught.value.given_up()
    assert refused.code == codes.RULE_FAILED
    found = world.book.find(refused.decision)
    assert found is not None
    assert (found.action, found.name, found.wildcard) == (action, name, name.endswith("*"))
    told = world.tracer.find(refused.decision)
    assert told is not None
    assert told["reason"] == "records_needed"
    assert told["explained"]["steps"][0]["state"] == "error"
    assert [entry.id for entry in world.logged] == [refused.decision]


@pytest.mark.threat("T34")
def test_no_decision_is_taken_from_an_earlier_one() -> None:
    """The book remembers and never answers: the rules decide each time, by who asks now and by the rules in force."""
    rules = FixedRules({Action.EVENT_PUBLISH: lambda who, name, data: who.user.data == {"role": "editor"}})
    book = DecisionBook(ManualClock(), keep=10, memory=100_000, allowed_too=True)
    door = Door(rules, book=book)
    answers = []
    for role in ("reader", "editor", "reader", "editor"):
        who = Identity("default", "session-1", User("egon", {"role": role}))
        answers.append(door.authorize(who, Action.EVENT_PUBLISH, "news").allowed)
    door.replace_rules(FixedRules({}, version="2"))
    answers.append(door.authorize(who, Action.EVENT_PUBLISH, "news").allowed)
    assert answers == [False, True, False, True, False]
    assert len({entry.id for entry in book.recent(10)}) == 5
