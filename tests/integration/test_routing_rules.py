"""The routing core under a real rules file: what arrives is what a check of each name would have allowed."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.routing.world import World, refused
from trio_router.clock import ManualClock
from trio_router.errors import Refused
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Ruleset
from trio_router.permissions.loader import load_rules
from trio_router.protocols import codes

CLOCK = ManualClock()


def rules(text: str) -> Ruleset:
    return load_rules(text, "rules.yml", clock=CLOCK)


CHAT = """
event:
  "chat/*":
    publish: "data.length < 10"
    subscribe: user.isAuthenticated
  "chat/secret":
    subscribe: "user.id === 'anna'"
  "inbox/$user":
    publish: true
    subscribe: user.id === $user
rpc:
  "math/*":
    provide: "user.id === 'worker'"
    request: true
presence:
  "*":
    allow: name === user.id
"""


def test_a_chat() -> None:
    world = World(rules(CHAT))
    anna, ben, worker = world.join("anna"), world.join("ben"), world.join("worker")
    world.core.subscribe(anna.session, "chat/room")
    world.core.subscribe(ben.session, "chat/room")
    world.core.subscribe(anna.session, "chat/secret")
    world.core.subscribe(anna.session, "chat/*")
    with refused(codes.DENIED):
        world.core.subscribe(ben.session, "chat/secret")
    with refused(codes.DENIED):
        world.core.subscribe(ben.session, "chat/*")  # it would reach chat/secret
    world.core.subscribe(ben.session, "chat/r*")
    with refused(codes.DENIED):
        world.core.subscribe(ben.session, "inbox/anna")

    world.core.publish(ben.session, "chat/room", Payload("hi"))
    world.core.publish(ben.session, "chat/secret", Payload("hi"))
    world.core.publish(ben.session, "inbox/anna", Payload("hi"))
    with refused(codes.DENIED):
        world.core.publish(ben.session, "chat/room", Payload("much too long"))
    with refused(codes.DENIED):
        world.core.publish(ben.session, "elsewhere", Payload("hi"))

    assert [(d.channel, d.subscription) for d in anna.peer.events] == [
        ("chat/room", None),
        ("chat/room", "chat/*"),
        ("chat/secret", None),
        ("chat/secret", "chat/*"),
    ]
    assert [(d.channel, d.subscription) for d in ben.peer.events] == [("chat/room", None), ("chat/room", "chat/r*")]

    with refused(codes.DENIED):
        world.core.provide(ben.session, "math/sum")
    world.core.provide(worker.session, "math/sum")
    world.core.call(ben.session, "1", "math/sum", ABSENT, timeout=None, progress=False, disclose=False)
    assert worker.peer.of("invoke")
    assert world.core.presence_query(ben.session, None) == ({"ben": 1}, {})
    assert world.core.presence_query(ben.session, ["anna", "ben"]) == ({"ben": 1}, {"anna": ""})


@pytest.mark.threat("T33")
def test_a_new_deny_ends_the_wildcard_that_reaches_it() -> None:
    world = World(rules('event: {"*": {publish: true, subscribe: true}}'))
    anna, ben = world.join("anna"), world.join("ben")
    world.core.subscribe(anna.session, "news/*")
    world.core.subscribe(anna.session, "news/sport")
    world.door.replace_rules(
        rules('event: {"*": {publish: true, subscribe: true}, "news/secret/*": {subscribe: false}}')
    )
    assert world.core.reconsider() == 1
    world.core.publish(ben.session, "news/secret/x", Payload(1))
    world.core.publish(ben.session, "news/sport", Payload(1))
    assert anna.peer.of("revoked") == [("revoked", "subscribe", "news/*", codes.DENIED, "")]
    assert [(d.channel, d.subscription) for d in anna.peer.events] == [("news/sport", None)]


NAMES = [name for length in (1, 2, 3) for name in map("".join, itertools.product("ab/", repeat=length))]
CHANNELS = [name for name in NAMES if all(name.split("/"))]
RULE = st.just(True) | st.sampled_from(
    [False, "user.id === 'egon'", "user.id === 'other'", "name === 'a'", "$x === 'a'"]
)
FILE = st.dictionaries(
    st.sampled_from(["*", "a*", "b*", "a/*", "*/a", "*a", "a*b", "a", "b", "ab", "a/a", "$x", "$x/a", "a/$x", "b/$x"]),
    RULE,
    min_size=1,
    max_size=5,
)
HEAD = st.sampled_from(["", "a", "b", "a/", "b/", "a/b"])
TAIL = st.sampled_from(["", "a", "b", "/a", "*a"])
WANTED = st.lists(st.builds("{}*{}".format, HEAD, TAIL), min_size=1, max_size=4, unique=True)


def event_rules(file: dict[str, object]) -> Ruleset:
    """Everybody may publish everywhere; ``file`` says who may subscribe what."""
    section: dict[str, dict[str, object]] = {"*": {"publish": True}}
    for pattern, rule in file.items():
        if "$x" not in pattern and rule == "$x === 'a'":
            rule = False
        section.setdefault(pattern, {})["subscribe"] = rule
    return rules(json.dumps({"event": section}))


@pytest.mark.threat("T21")
@pytest.mark.threat("T22")
@settings(deadline=None, max_examples=200)
@given(before=FILE, after=FILE, wanted=WANTED)
def test_what_is_delivered_is_what_a_check_of_each_name_allows(
    before: dict[str, object], after: dict[str, object], wanted: list[str]
) -> None:
    """Under random rules, wildcards bring nothing that an exact subscription would not; nor after the rules changed."""
    first, second = event_rules(before), event_rules(after)
    world = World(first)
    egon, other = world.join("egon"), world.join("publisher")
    for pattern in wanted:
        try:
            world.core.subscribe(egon.session, pattern)
        except Refused as exc:
            assert exc.code in {codes.DENIED, codes.INVALID_NAME, codes.ALREADY_SUBSCRIBED, codes.RULE_FAILED}
    for ruleset in (first, second):
        world.door.replace_rules(ruleset)
        world.core.reconsider()
        egon.take()
        for channel in CHANNELS:
            world.core.publish(other.session, channel, Payload(1))
        for delivery in list(egon.peer.events):
            assert ruleset.decide(egon.session.identity, Action.EVENT_SUBSCRIBE, delivery.channel).allowed
