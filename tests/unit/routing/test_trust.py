from __future__ import annotations

import functools
from typing import Any

import attrs
import pytest

from tests.unit.routing.world import Member, World, refused
from trio_router.clock import ManualClock
from trio_router.grants import Grants
from trio_router.identity import Identity, User, new_session_id
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.redaction import Redaction
from trio_router.protocols import codes
from trio_router.protocols.messages import Participant, Source
from trio_router.routing.core import Core
from trio_router.routing.door import Door
from trio_router.routing.tracing import explain_at_door
from trio_router.routing.trust import TrustDesk
from trio_router.secret import Secret
from trio_router.session.expiry import Expiry
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules
from trio_router.tokens import trust as tokens
from trio_router.tokens.trust import TrustVerifier, issue_trust_token

SECRETS = {
    "k1": "the secret of the first key, with some more words",
    "k2": "the secret of another key, with more words",
}


class TrustWorld(World):
    """An app with two keys, where what a token opened ends by a clock that only the test moves."""

    def __init__(self, rules: FixedRules | None = None) -> None:
        super().__init__(rules)
        self.clock = ManualClock()
        verifier = TrustVerifier(lambda key: self.keys.get(key, []), self.clock, leeway=0)
        self.keys = {key: [Secret(secret)] for key, secret in SECRETS.items()}
        self.taken_back: set[str | None] = set()
        desk = TrustDesk(
            verifier, Expiry(self.timers, self.clock), revoked=lambda _, trust: trust.token_id in self.taken_back
        )
        self.core = Core("main", self.door, self.timers, self.limits, self.metrics, trust=desk)

    def enter(
        self, user: str = "egon", *, key: str = "k1", server: bool = False, grants: Grants | None = None
    ) -> Member:
        peer = RecordingPeer()
        who = Identity("main", new_session_id(), User(user), key=key, grants=grants or Grants(), is_server=server)
        return Member(self.core.attach(who, peer), peer)

    def token(self, member: Member, channel: str, *, sysid: str = "", key: str = "k1", **options: Any) -> str:
        given = None if channel.startswith("pvt:") else tokens.Participant(sysid or member.session.identity.user.id)
        options = {"participant": given, **options}
        return issue_trust_token(
            key=key, secret=SECRETS[key], session=member.session.id, channel=channel, now=self.clock.wall(), **options
        )

    def subscribe(self, member: Member, channel: str, **options: Any) -> None:
        self.core.subscribe(member.session, channel, self.token(member, channel, **options))

    def connect(self, member: Member, channel: str, **options: Any) -> None:
        self.core.connect(member.session, channel, self.token(member, channel, **options))

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.timers.advance(seconds)
        self.timers.advance(0)

    def call(self, member: Member, procedure: str, *, tag: str = "1", **options: Any) -> None:
        self.core.call(member.session, tag, procedure, ABSENT, timeout=None, progress=False, disclose=False, **options)


VERBS = {
    "subscribe": lambda world, member, name, token: world.core.subscribe(member.session, name, token),
    "connect": lambda world, member, name, token: world.core.connect(member.session, name, token),
    "provide": lambda world, member, name, token: world.core.provide(member.session, name, token=token),
    "call": lambda world, member, name, token: world.call(member, name, token=token),
}
USES = [
    (verb, kind)
    for verb in VERBS
    for kind in ("pvt", "prs", "sys")
    if (verb, kind) not in {("provide", "sys"), ("call", "sys")}
]


@pytest.mark.threat("T26")
@pytest.mark.parametrize(("verb", "kind"), USES)
def test_a_name_of_a_kind_needs_a_token_on_every_use_that_opens_it(verb: str, kind: str) -> None:
    rules = FixedRules.everything()
    world = TrustWorld(rules)
    member, provider = world.enter(), world.enter(server=True)
    name = f"{kind}:x"
    if verb == "call":
        world.core.provide(provider.session, name)
    rules.asked.clear()
    with refused(codes.TOKEN_NEEDED):
        VERBS[verb](world, member, name, None)
    assert rules.asked == []
    VERBS[verb](world, member, name, world.token(member, name))
    assert len(rules.asked) == 1


@pytest.mark.threat("T50")
@pytest.mark.parametrize(("verb", "kind"), USES)
def test_the_transplant_matrix(verb: str, kind: str) -> None:
    rules = FixedRules.everything()
    world = TrustWorld(rules)
    member, other, stranger = world.enter(), world.enter(), world.enter(key="k2")
    name = f"{kind}:x"
    act = {
        "subscribe": "channel.subscribe",
        "connect": "channel.connect",
        "provide": "rpc.register",
        "call": "rpc.connect",
    }
    act["subscribe"] = "system_channel.subscribe" if kind == "sys" else act["subscribe"]
    token = world.token(member, name, action=act[verb])
    use = functools.partial(VERBS[verb], world)
    with refused(codes.TOKEN_REFUSED) as caught:
        use(other, name, token)
    assert caught.detail == "session"
    with refused(codes.TOKEN_REFUSED) as caught:
        use(stranger, name, token)
    assert caught.detail == "key"
    with refused(codes.TOKEN_REFUSED) as caught:
        use(member, f"{kind}:y", token)
    assert caught.detail == "name"
    for action in set(tokens.ACTIONS) - {act[verb]}:
        with refused(codes.TOKEN_REFUSED) as caught:
            use(member, name, world.token(member, name, action=action))
        assert caught.detail == "action"
    with refused(codes.TOKEN_REFUSED):
        use(member, name, token + "=")
    elsewhere = TrustWorld()
    elsewhere.keys["k1"] = [Secret("the secret of the key of that name in another app")]
    guest = elsewhere.enter()
    with refused(codes.TOKEN_REFUSED) as caught:
        VERBS[verb](elsewhere, guest, name, world.token(guest, name))
    assert caught.detail == "signature"
    world.clock.advance(61)
    with refused(codes.TOKEN_REFUSED) as caught:
        use(member, name, token)
    assert caught.detail == "expired"
    assert rules.asked == []
    assert not member.session.openings
    assert member.told == other.told == stranger.told == []


@pytest.mark.threat("T26")
def test_a_session_without_an_app_key_has_no_use_for_tokens() -> None:
    world = TrustWorld()
    member = world.join()
    with refused(codes.RESERVED):
        world.core.subscribe(member.session, "pvt:x", world.token(member, "pvt:x"))


@pytest.mark.threat("T26")
@pytest.mark.parametrize("pattern", ["pvt:*", "prs:a/*", "sys:*"])
def test_no_token_opens_a_pattern(pattern: str) -> None:
    world = TrustWorld()
    member = world.enter()
    with refused(codes.RESERVED):
        world.core.subscribe(member.session, pattern, world.token(member, "pvt:x"))
    server = world.enter(server=True)
    world.core.subscribe(server.session, pattern)


def test_a_token_never_exceeds_the_rules_or_the_grants() -> None:
    world = TrustWorld(FixedRules({}))
    member = world.enter()
    with refused(codes.DENIED):
        world.subscribe(member, "pvt:x")
    world = TrustWorld()
    bounded = world.enter(grants=Grants(subscribe=False, rpc=False))
    with refused(codes.KEY_GRANT):
        world.subscribe(bounded, "pvt:x")
    with refused(codes.KEY_GRANT):
        world.core.provide(bounded.session, "pvt:p", token=world.token(bounded, "pvt:p"))
    assert not bounded.session.openings


# ---- publishing ---------------------------------------------------------------------------------------------


def test_publishing_needs_a_channel_that_stands_open() -> None:
    world = TrustWorld()
    sender, reader = world.enter(), world.enter()
    world.subscribe(reader, "pvt:x", publish=False)
    with refused(codes.NOT_OPEN):
        world.core.publish(sender.session, "pvt:x", Payload(1))
    with refused(codes.NOT_OPEN) as caught:
        world.core.publish(reader.session, "pvt:x", Payload(1))
    assert "does not let this session publish" in caught.detail
    world.connect(sender, "pvt:x")
    world.core.publish(sender.session, "pvt:x", Payload(1))
    assert [event.data.value for event in reader.peer.events] == [1]
    assert sender.peer.events == []  # connected is not subscribed
    world.core.disconnect(sender.session, "pvt:x")
    with refused(codes.NOT_OPEN):
        world.core.publish(sender.session, "pvt:x", Payload(1))
    with refused(codes.NOT_CONNECTED):
        world.core.disconnect(sender.session, "pvt:x")


def test_subscribing_opens_both_ways() -> None:
    world = TrustWorld()
    member = world.enter()
    world.subscribe(member, "prs:x")
    world.core.publish(member.session, "prs:x", Payload(1))
    assert len(member.peer.events) == 1
    world.core.unsubscribe(member.session, "prs:x")
    with refused(codes.NOT_OPEN):
        world.core.publish(member.session, "prs:x", Payload(1))


def test_connecting_twice_is_refused_and_so_is_too_much() -> None:
    world = TrustWorld()
    member = world.enter()
    world.core.connect(member.session, "news")
    with refused(codes.ALREADY_CONNECTED):
        world.core.connect(member.session, "news")
    for number in range(world.limits.subscriptions_per_session - 1):
        world.core.connect(member.session, f"n/{number}")
    with refused(codes.LIMIT_REACHED):
        world.core.connect(member.session, "one-more")


# ---- the end of a token -------------------------------------------------------------------------------------


@pytest.mark.threat("T48")
def test_what_a_token_opened_ends_when_it_expires() -> None:
    world = TrustWorld()
    member, server = world.enter(), world.enter(server=True)
    world.subscribe(member, "pvt:x", ttl=30)
    world.connect(member, "pvt:y", ttl=30)
    world.core.provide(member.session, "pvt:p", token=world.token(member, "pvt:p", ttl=30))
    world.core.subscribe(member.session, "news")
    world.pass_time(29)
    assert member.peer.of("revoked") == []
    world.call(server, "pvt:p")
    world.pass_time(1)
    assert sorted(member.peer.of("revoked")) == [
        ("revoked", "connect", "pvt:y", codes.TOKEN_EXPIRED, ""),
        ("revoked", "provide", "pvt:p", codes.TOKEN_EXPIRED, ""),
        ("revoked", "subscribe", "pvt:x", codes.TOKEN_EXPIRED, ""),
    ]
    assert list(member.session.subscriptions) == ["news"]
    assert not member.session.openings
    assert [told[2] for told in server.peer.of("call_failed")] == [codes.PROVIDER_LOST]
    with refused(codes.NOT_OPEN):
        world.core.publish(member.session, "pvt:y", Payload(1))


@pytest.mark.threat("T48")
@pytest.mark.threat("T52")
@pytest.mark.parametrize("verb", ["subscribe", "connect", "provide"])
def test_what_one_token_opened_ends_with_it_and_nothing_else(verb: str) -> None:
    world = TrustWorld()
    member, other = world.enter("egon"), world.enter("rosa")
    for each, token_id in ((member, "t1"), (other, "t2")):
        VERBS[verb](world, each, "prs:x", world.token(each, "prs:x", token_id=token_id))
        VERBS[verb](world, each, "pvt:y", world.token(each, "pvt:y", token_id=f"{token_id}-y"))
    member.peer.told.clear()
    other.peer.told.clear()
    world.taken_back.add("t1")
    assert world.core.end_openings(lambda _, trust: trust.token_id in world.taken_back) == 1
    revoked = [told for told in member.peer.told if told[0] == "revoked"]
    assert revoked == [("revoked", verb, "prs:x", codes.TOKEN_REFUSED, "revoked")]
    assert not [told for told in other.peer.told if told[0] == "revoked"]
    with refused(codes.TOKEN_REFUSED) as caught:  # nor does it open anything again
        VERBS[verb](world, member, "prs:x", world.token(member, "prs:x", token_id="t1"))
    assert caught.detail == "revoked"
    VERBS[verb](world, member, "prs:x", world.token(member, "prs:x", token_id="t3"))


def test_a_jump_of_the_wall_clock_ends_it_too() -> None:
    world = TrustWorld()
    member = world.enter()
    world.subscribe(member, "pvt:x", ttl=3000)
    world.clock.jump_wall(3001)
    world.timers.advance(5)
    world.timers.advance(0)
    assert len(member.peer.of("revoked")) == 1


def test_what_was_given_back_does_not_end_again() -> None:
    world = TrustWorld()
    member = world.enter()
    world.subscribe(member, "pvt:x", ttl=10)
    world.core.unsubscribe(member.session, "pvt:x")
    world.subscribe(member, "pvt:x", ttl=60)
    world.pass_time(20)
    assert member.peer.of("revoked") == []
    world.core.detach(member.session)
    world.pass_time(60)
    assert member.peer.of("revoked") == []
    assert world.is_empty()


def test_new_rules_decide_over_what_tokens_opened() -> None:
    world = TrustWorld()
    member = world.enter()
    world.subscribe(member, "pvt:x")
    world.connect(member, "pvt:y")
    assert world.core.reconsider() == 0
    world.door.replace_rules(FixedRules({}))
    assert world.core.reconsider() == 2
    assert [told[1:4] for told in member.peer.of("revoked")] == [
        ("subscribe", "pvt:x", codes.DENIED),
        ("connect", "pvt:y", codes.DENIED),
    ]
    assert not member.session.openings
    assert not member.session.connections


@pytest.mark.threat("T50")
def test_what_tokens_of_one_key_opened_does_not_outlast_that_key() -> None:
    world = TrustWorld()
    member = world.enter()
    world.subscribe(member, "pvt:x")
    assert world.core.replace_identity(member.session, attrs.evolve(member.session.identity, expires_at=9e9)) == 0
    assert world.core.replace_identity(member.session, attrs.evolve(member.session.identity, key="k2")) == 1
    assert member.peer.of("revoked") == [("revoked", "subscribe", "pvt:x", codes.TOKEN_NEEDED, "")]
    assert not member.session.openings


def test_an_explanation_of_a_kind_name_asks_the_rules_where_a_token_could_open_it() -> None:
    rules = load_rules('event:\n  "pvt:*":\n    subscribe: true\n', "rules.yml", clock=ManualClock())
    redaction = Redaction.of([])
    stranger = Identity("main", "s", User("u"))
    holder, server = attrs.evolve(stranger, key="k1"), attrs.evolve(stranger, key="k1", is_server=True)
    ask = functools.partial(explain_at_door, rules, data=ABSENT, redaction=redaction, action=Action.EVENT_SUBSCRIBE)
    assert [ask(who=who, name="pvt:x").decision.allowed for who in (stranger, holder, server)] == [False, True, True]
    assert not ask(who=holder, name="pvt:*").decision.allowed


# ---- participants -------------------------------------------------------------------------------------------


def test_participants_are_told_of_each_other() -> None:
    world = TrustWorld()
    anna, bert, watcher = world.enter("anna"), world.enter("bert"), world.enter("server", server=True)
    world.core.subscribe(watcher.session, "prs:*")
    world.subscribe(anna, "prs:x")
    world.subscribe(bert, "prs:x", sysid="bert-42")
    ours = Participant(anna.session.id, "anna")
    his = Participant(bert.session.id, "bert-42")
    assert anna.take() == [("participant", "prs:x", "joined", his, None)]
    assert bert.take() == []
    assert watcher.take() == [
        ("participant", "prs:x", "joined", ours, "prs:*"),
        ("participant", "prs:x", "joined", his, "prs:*"),
    ]
    assert world.core.participants_of(anna.session, "prs:x") == (ours, his)
    world.core.detach(bert.session)
    assert anna.take() == [("participant", "prs:x", "left", his, None)]
    assert world.core.participants_of(watcher.session, "prs:x") == (ours,)


@pytest.mark.threat("T28")
@pytest.mark.parametrize("channel", ["prs:room", "sys:room"])
def test_an_event_tells_which_participant_it_came_from(channel: str) -> None:
    world = TrustWorld()
    one, two, server = world.enter("egon"), world.enter("rosa"), world.enter("boss", server=True)
    world.subscribe(one, channel, sysid="desk-1")
    world.connect(two, channel, sysid="desk-2")
    for member, seq in ((one, 1), (two, 7), (server, None)):
        world.core.publish(member.session, channel, Payload(1), seq=seq)
    told = [(event.source, event.seq) for event in one.peer.events]
    assert told == [(Source(one.session.id, "desk-1"), 1), (Source(two.session.id, "desk-2"), 7), (None, None)]
    assert [event.publisher for event in one.peer.events] == [None] * 3  # who that is elsewhere is another question


def test_a_count_goes_along_on_every_channel_and_a_source_on_those_with_participants() -> None:
    world = TrustWorld()
    one = world.enter()
    world.subscribe(one, "pvt:x")
    world.core.subscribe(one.session, "news")
    for channel in ("pvt:x", "news"):
        world.core.publish(one.session, channel, Payload(1), seq=3)
    assert [(event.source, event.seq) for event in one.peer.events] == [(None, 3)] * 2


def test_a_session_counts_once_however_it_uses_a_channel() -> None:
    world = TrustWorld()
    anna, bert = world.enter("anna"), world.enter("bert")
    world.subscribe(anna, "prs:x")
    world.connect(bert, "prs:x")
    world.subscribe(bert, "prs:x")
    world.core.disconnect(bert.session, "prs:x")
    assert [told[2] for told in anna.take()] == ["joined"]
    world.core.unsubscribe(bert.session, "prs:x")
    assert [told[2] for told in anna.take()] == ["left"]
    for member in (anna, bert):
        world.core.detach(member.session)
    assert len(world.core.participants) == 0


@pytest.mark.threat("T22")
def test_only_who_receives_a_channel_learns_who_is_on_it() -> None:
    world = TrustWorld()
    anna, bert, stranger = world.enter("anna"), world.enter("bert"), world.enter()
    world.subscribe(anna, "prs:x")
    world.connect(bert, "prs:x")
    with refused(codes.NOT_OPEN):
        world.core.participants_of(bert.session, "prs:x")
    with refused(codes.NOT_OPEN):
        world.core.participants_of(stranger.session, "prs:x")
    assert bert.told == stranger.told == []
    with refused(codes.INVALID_NAME):
        world.core.participants_of(anna.session, "news")


def test_an_expired_participant_has_left() -> None:
    world = TrustWorld()
    anna, bert = world.enter("anna"), world.enter("bert")
    world.subscribe(anna, "sys:x", ttl=60)
    world.subscribe(bert, "sys:x", ttl=10)
    anna.take()
    world.pass_time(10)
    assert [told[2] for told in anna.take()] == ["left"]


# ---- server programs ----------------------------------------------------------------------------------------


def test_a_server_program_reaches_every_channel_without_a_token() -> None:
    world = TrustWorld()
    server, member = world.enter(server=True), world.enter()
    for name in ("pvt:x", "prs:x", "sys:x"):
        world.core.subscribe(server.session, name)
        world.subscribe(member, name)
        world.core.publish(server.session, name, Payload(name))
    assert len(member.peer.events) == len(server.peer.events) == 3
    bounded = TrustWorld(FixedRules({}))
    with refused(codes.DENIED):  # the rules stay on top
        bounded.core.publish(bounded.enter(server=True).session, "pvt:x", Payload(1))


def test_a_server_program_publishes_to_one_or_to_all_but_some() -> None:
    world = TrustWorld()
    server, *members = world.enter(server=True), world.enter(), world.enter(), world.enter()
    for member in members:
        world.subscribe(member, "pvt:x")
    first, second, _ = members
    world.core.publish(server.session, "pvt:x", Payload("one"), to=second.session.id)
    world.core.publish(server.session, "pvt:x", Payload("but"), exclude=[first.session.id, "nobody"])
    world.core.publish(server.session, "pvt:x", Payload("none"), to="nobody")
    world.core.publish(server.session, "pvt:x", Payload("not a subscriber"), to=server.session.id)
    got = [[event.data.value for event in member.peer.events] for member in (*members, server)]
    assert got == [[], ["one", "but"], ["but"], []]


@pytest.mark.parametrize("options", [{"to": "x"}, {"exclude": ["x"]}])
def test_choosing_receivers_is_for_server_programs(options: dict[str, Any]) -> None:
    world = TrustWorld()
    member = world.enter()
    accepted: list[int] = []
    with refused(codes.SERVER_ONLY):
        world.core.publish(member.session, "news", Payload(1), accepted=lambda: accepted.append(1), **options)
    assert accepted == []


@pytest.mark.threat("T55")
def test_a_direct_offer_answers_server_programs_that_name_its_session() -> None:
    world = TrustWorld()
    server, anna, bert = world.enter(server=True), world.enter(), world.enter()
    for member in (anna, bert):
        world.core.provide(member.session, "ask", direct=True)
    with refused(codes.NO_PROVIDER):  # it is in nobody's pool
        world.call(bert, "ask")
    with refused(codes.SERVER_ONLY):
        world.call(bert, "ask", provider=anna.session.id)
    with refused(codes.NO_PROVIDER):
        world.call(server, "ask", provider="nobody")
    world.call(server, "ask", provider=anna.session.id)
    assert bert.peer.of("invoke") == []
    call = anna.peer.of("invoke")[0][1]
    with refused(codes.UNKNOWN_CALL):  # another session's answer
        world.core.result(bert.session, call, Payload("forged"), more=False)
    world.core.result(anna.session, call, Payload("me"), more=False)
    with refused(codes.UNKNOWN_CALL):  # a second one
        world.core.result(anna.session, call, Payload("again"), more=False)
    assert [told[2].value for told in server.peer.of("result")] == ["me"]
    world.core.unprovide(anna.session, "ask")
    with refused(codes.NO_PROVIDER):
        world.call(server, "ask", provider=anna.session.id)
    for member in (server, anna, bert):
        world.core.detach(member.session)
    assert world.is_empty()


@pytest.mark.threat("T55")
def test_an_offer_in_the_pool_is_not_reached_by_its_session() -> None:
    world = TrustWorld()
    server, anna = world.enter(server=True), world.enter()
    world.core.provide(anna.session, "ask")
    with refused(codes.NO_PROVIDER):
        world.call(server, "ask", provider=anna.session.id)


def test_the_door_alone_opens_nothing_without_a_word() -> None:
    door = Door(FixedRules.everything())
    who = Identity("main", "s", User("u"), key="k1")
    assert not door.authorize(who, Action.EVENT_PUBLISH, "pvt:x").allowed
    assert not TrustWorld().core.door.authorize(who, Action.RPC_REQUEST, "prs:x").allowed
