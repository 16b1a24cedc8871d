"""Two apps, several sessions, the same names in both: whatever they do, the books balance and nothing crosses over."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.routing.world import Member, World
from trio_router.errors import Refused
from trio_router.limits import Limits
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.protocols import codes
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules

APPS = ("main", "other")
CHANNELS = ("a", "ab", "a*", "*")
PROCEDURES = ("sum", "sort")
PATTERNS = {"a": "a", "^ab$": "ab", "b|a": "b|a"}
"""What sessions listen with, and the text that rules are asked about it."""
USERS = ("anna", "ben", "carl")
LIMITS = Limits(calls_per_session=3, invocations_per_provider=2, subscriptions_per_session=3)

ALL = {
    Action.EVENT_SUBSCRIBE: set(CHANNELS),
    Action.EVENT_LISTEN: {*PATTERNS.values(), "a", "ab"},
    Action.RPC_PROVIDE: set(PROCEDURES),
    Action.RPC_REQUEST: set(PROCEDURES),
    Action.PRESENCE_ALLOW: set(USERS),
}

apps = st.sampled_from(APPS)
picks = st.integers(min_value=0)


Place = tuple[str, str]  # app and channel


class Told(list[tuple[Any, ...]]):
    """What one session is told, noted in the order of everybody's as well."""

    def __init__(self, everything: list[tuple[str, Member, tuple[Any, ...]]]) -> None:
        super().__init__()
        self.everything = everything
        self.whose: tuple[str, Member] | None = None

    def append(self, entry: tuple[Any, ...]) -> None:
        super().append(entry)
        if self.whose is not None:
            self.everything.append((*self.whose, entry))


@attrs.define
class Expected:
    """What the model knows of one call that was accepted."""

    app: str
    tag: str
    caller: Member
    outcomes: int = 0


class Routing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.worlds = {app: World(limits=LIMITS, app=app) for app in APPS}
        self.members: dict[str, list[Member]] = {app: [] for app in APPS}
        self.everyone: list[tuple[str, Member]] = []
        self.calls: dict[tuple[str, str], Expected] = {}  # accepted, by (session id, tag)
        self.invoked: list[tuple[str, Member, str]] = []  # (app, provider, call id) of every invocation seen
        self.interrupted: list[str] = []
        self.log: list[tuple[str, Member, tuple[Any, ...]]] = []
        self.questions: dict[Place, tuple[Member, str]] = {}  # who is asked about a channel, and by which pattern
        self.provided: dict[Place, tuple[Member, str]] = {}
        self.asked: dict[Place, set[tuple[Member, str]]] = {}  # since somebody provided it, or nobody had it subscribed
        self.number = 0
        self.allowed: dict[str, dict[Action, set[str]]] = {app: dict(ALL) for app in APPS}

    def pick(self, app: str, choice: int) -> Member | None:
        members = self.members[app]
        return members[choice % len(members)] if members else None

    @initialize()
    def open(self) -> None:
        """Three sessions in each app, one of which provides everything: most steps find something to act on."""
        for app in APPS:
            for user in USERS:
                self.join(app, user)
            for procedure in PROCEDURES:
                self.provide(app, 0, procedure, None)

    def may(self, app: str, action: Action, name: str) -> bool:
        return name in self.allowed[app][action]

    # ---- what the administrator does ------------------------------------------------------------------------

    @rule(app=apps, action=st.sampled_from(sorted(ALL, key=str)), names=st.data())
    def reload(self, app: str, action: Action, names: st.DataObject) -> None:
        """New rules for one action: some names lose what they had, some get it back."""
        self.allowed[app][action] = ALL[action] - names.draw(st.sets(st.sampled_from(sorted(ALL[action])), max_size=1))
        world = self.worlds[app]
        world.door.replace_rules(FixedRules({Action.EVENT_PUBLISH: True, **self.allowed[app]}))
        held = {member: (set(member.session.subscriptions), set(member.session.offers)) for member in self.members[app]}
        answering = {
            member: {call.offer.procedure for call in member.session.invocations.values()}
            for member in self.members[app]
        }
        ended = world.core.reconsider()
        revoked = {member: member.peer.of("revoked") for member in self.members[app]}
        withdrawn = sum(len(member.peer.of("listen_removed")) for member in self.members[app])
        assert 0 <= ended - sum(len(told) for told in revoked.values()) <= withdrawn
        for member, (subscriptions, offers) in held.items():
            lost = {(verb, name) for _, verb, name, code, _ in revoked[member] if code == codes.DENIED}
            assert subscriptions - set(member.session.subscriptions) == {n for v, n in lost if v == "subscribe"}
            lost_offers = {n for v, n in lost if v == "provide"}
            assert offers - set(member.session.offers) == lost_offers & offers
            assert lost_offers - offers <= answering[member]  # withdrawn before, with calls in progress

    @invariant()
    def every_standing_right_is_one_the_rules_give(self) -> None:
        for app in APPS:
            for session in (member.session for member in self.members[app]):
                assert all(self.may(app, Action.EVENT_SUBSCRIBE, name) for name in session.subscriptions)
                assert all(self.may(app, Action.RPC_PROVIDE, name) for name in session.offers)
                assert all(
                    self.may(app, Action.RPC_PROVIDE, call.offer.procedure) for call in session.invocations.values()
                )
                assert all(self.may(app, Action.PRESENCE_ALLOW, name) for name in session.watches)
                assert all(self.may(app, Action.EVENT_LISTEN, PATTERNS[source]) for source in session.listens)
                assert all(
                    self.may(app, Action.EVENT_LISTEN, name)
                    for listen in session.listens.values()
                    for name in listen.provided
                )

    # ---- what sessions do -----------------------------------------------------------------------------------

    @rule(app=apps, user=st.sampled_from(USERS))
    def join(self, app: str, user: str) -> None:
        if len(self.members[app]) < 5:
            peer = RecordingPeer()
            peer.told = told = Told(self.log)
            member = self.worlds[app].join(user, peer)
            told.whose = app, member
            self.members[app].append(member)
            self.everyone.append((app, member))

    @rule(app=apps, who=picks)
    def leave(self, app: str, who: int) -> None:
        member = self.pick(app, who)
        if member is not None:
            self.members[app].remove(member)
            self.worlds[app].core.detach(member.session)
            self.worlds[app].core.detach(member.session)
            for key in [key for key, call in self.calls.items() if call.caller is member]:
                del self.calls[key]  # nobody is left to be told
            self.forget(app, member, None)

    def forget(self, app: str, member: Member, pattern: str | None) -> None:
        """It does not listen any more, and is told nothing of it."""
        for book in (self.questions, self.provided):
            for place, (who, source) in list(book.items()):
                if place[0] == app and who is member and pattern in (None, source):
                    del book[place]
                    if book is self.provided:
                        self.asked.pop(place, None)

    @rule(app=apps, who=picks, channel=st.sampled_from(CHANNELS), off=st.booleans())
    def subscribe(self, app: str, who: int, channel: str, off: bool) -> None:
        member = self.pick(app, who)
        if member is not None:
            core = self.worlds[app].core
            try:
                (core.unsubscribe if off else core.subscribe)(member.session, channel)
            except Refused as exc:
                held = member.session.subscriptions
                expected = {
                    codes.DENIED: not off and not self.may(app, Action.EVENT_SUBSCRIBE, channel),
                    codes.NOT_SUBSCRIBED: off and channel not in held,
                    codes.ALREADY_SUBSCRIBED: not off and channel in held,
                    codes.LIMIT_REACHED: not off and len(held) == LIMITS.subscriptions_per_session,
                }
                assert expected[exc.code]

    @rule(app=apps, who=picks, pattern=st.sampled_from(sorted(PATTERNS)), off=st.sampled_from([False, False, True]))
    def listen(self, app: str, who: int, pattern: str, off: bool) -> None:
        member = self.pick(app, who)
        if member is None:
            return
        core = self.worlds[app].core
        held = pattern in member.session.listens
        if off and held:
            self.forget(app, member, pattern)
        try:
            (core.unlisten if off else core.listen)(member.session, pattern)
        except Refused as exc:
            expected = {
                codes.DENIED: not off and not self.may(app, Action.EVENT_LISTEN, PATTERNS[pattern]),
                codes.NOT_LISTENING: off and not held,
                codes.ALREADY_LISTENING: not off and held,
            }
            assert expected[exc.code]

    @precondition(lambda self: self.questions)
    @rule(pick=picks, accepts=st.booleans())
    def reply(self, pick: int, accepts: bool) -> None:
        """Somebody who is asked answers."""
        places = sorted(self.questions)
        app, channel = place = places[pick % len(places)]
        member, pattern = self.questions.pop(place)
        core = self.worlds[app].core
        if accepts:
            try:
                core.listen_accept(member.session, pattern, channel)
            except Refused as exc:
                assert exc.code == codes.NOT_ASKED
                assert not (
                    self.may(app, Action.EVENT_LISTEN, channel)
                    and self.may(app, Action.EVENT_LISTEN, PATTERNS[pattern])
                )
            else:
                self.provided[place] = member, pattern
        else:
            core.listen_reject(member.session, pattern, channel)

    @precondition(lambda self: self.provided)
    @rule(pick=picks)
    def give_up(self, pick: int) -> None:
        """A provider leaves its channel to others."""
        places = sorted(self.provided)
        app, channel = place = places[pick % len(places)]
        member, pattern = self.provided.pop(place)
        self.asked[place] = {(member, pattern)}
        self.worlds[app].core.listen_reject(member.session, pattern, channel)

    @rule(
        app=apps,
        who=picks,
        pattern=st.sampled_from(sorted(PATTERNS)),
        channel=st.sampled_from(["a", "ab"]),
        accepts=st.booleans(),
    )
    def reply_unasked(self, app: str, who: int, pattern: str, channel: str, accepts: bool) -> None:
        """Somebody answers who is not asked, or not any more: nothing happens."""
        member = self.pick(app, who)
        held = (self.questions.get((app, channel)), self.provided.get((app, channel)))
        if member is None or (member, pattern) in held:
            return
        core = self.worlds[app].core
        with pytest.raises(Refused) as info:
            (core.listen_accept if accepts else core.listen_reject)(member.session, pattern, channel)
        assert info.value.code == codes.NOT_ASKED
        assert not member.peer.of("listen_found")

    @rule(app=apps, who=picks, channel=st.sampled_from(["a", "ab", "b"]), echo=st.booleans())
    def publish(self, app: str, who: int, channel: str, echo: bool) -> None:
        member = self.pick(app, who)
        if member is None:
            return
        self.number += 1
        mark = f"{app}:{self.number}"
        self.worlds[app].core.publish(member.session, channel, Payload(mark), echo=echo)
        matching = {"a": {"a", "a*", "*"}, "ab": {"ab", "a*", "*"}, "b": {"*"}}[channel]
        for receiver in self.members[app]:
            expected = matching & set(receiver.session.subscriptions) if echo or receiver is not member else set()
            got = [d.subscription or d.channel for d in receiver.peer.events if d.data.value == mark]
            assert Counter(got) == Counter(expected)

    @rule(
        app=apps,
        who=picks,
        procedure=st.sampled_from(PROCEDURES),
        concurrency=st.sampled_from([None, 1, 2]),
        within=st.sampled_from([None, 0.7]),
    )
    def provide(self, app: str, who: int, procedure: str, concurrency: int | None, within: float | None = None) -> None:
        member = self.pick(app, who)
        if member is not None:
            try:
                self.worlds[app].core.provide(member.session, procedure, concurrency, accept_within=within)
            except Refused as exc:
                may = self.may(app, Action.RPC_PROVIDE, procedure)
                assert exc.code == (codes.ALREADY_PROVIDED if may else codes.DENIED)

    @rule(app=apps, who=picks, procedure=st.sampled_from(PROCEDURES))
    def unprovide(self, app: str, who: int, procedure: str) -> None:
        member = self.pick(app, who)
        if member is not None:
            try:
                self.worlds[app].core.unprovide(member.session, procedure)
            except Refused as exc:
                assert exc.code == codes.NOT_PROVIDED

    @rule(
        app=apps,
        who=picks,
        procedure=st.sampled_from(PROCEDURES),
        tag=st.sampled_from("xyz"),
        timeout=st.sampled_from([None, 0.0, 1.0, 5.0]),
        progress=st.booleans(),
    )
    def call(self, app: str, who: int, procedure: str, tag: str, timeout: float | None, progress: bool) -> None:
        member = self.pick(app, who)
        if member is None:
            return
        key = (member.session.id, tag)
        try:
            self.worlds[app].core.call(
                member.session,
                tag,
                procedure,
                Payload(app),
                timeout=timeout,
                progress=progress,
                disclose=True,
            )
        except Refused as exc:
            if not self.may(app, Action.RPC_REQUEST, procedure):
                assert exc.code == codes.DENIED
                return
            providers = [m for m in self.members[app] if procedure in m.session.offers]
            assert (exc.code == codes.DUPLICATE_ID) == (key in self.calls)
            if exc.code == codes.NO_PROVIDER:
                assert not providers
            elif exc.code == codes.PROVIDER_BUSY:
                assert all(m.session.offers[procedure].calls == m.session.offers[procedure].capacity for m in providers)
            else:
                assert exc.code in {codes.DUPLICATE_ID, codes.LIMIT_REACHED}
        else:
            assert self.may(app, Action.RPC_REQUEST, procedure)
            assert key not in self.calls
            self.calls[key] = Expected(app, tag, member)

    @precondition(lambda self: self.invoked)
    @rule(
        recent=st.integers(1, 4),
        forged=st.booleans(),
        forger=picks,
        app=apps,
        how=st.sampled_from(["result", "more", "error", "accept", "reject", "reject"]),
    )
    def answer(self, recent: int, forged: bool, forger: int, app: str, how: str) -> None:
        """Somebody answers one of the last invocations: its provider, or any session of either app."""
        home, provider, call_id = self.invoked[-min(recent, len(self.invoked))]
        member = self.pick(app, forger) if forged or provider not in self.members[home] else provider
        if member is None:
            return
        where = next(name for name in APPS if member in self.members[name])
        core = self.worlds[where].core
        is_open = call_id in provider.session.invocations
        outcomes_before = self.count_outcomes()
        try:
            if how == "error":
                core.error(member.session, call_id, Payload("error"))
            elif how == "accept":
                core.accept(member.session, call_id)
            elif how == "reject":
                core.reject(member.session, call_id)
            else:
                core.result(member.session, call_id, Payload("result"), more=how == "more")
        except Refused as exc:
            other = {
                "more": codes.UNEXPECTED_MESSAGE,
                "reject": codes.UNEXPECTED_MESSAGE,
                "accept": codes.ALREADY_ACCEPTED,
            }
            assert exc.code in (codes.UNKNOWN_CALL, other.get(how))
            assert (exc.code == codes.UNKNOWN_CALL) == (member is not provider or not is_open)
            assert self.count_outcomes() == outcomes_before
        else:
            assert member is provider
            assert is_open

    @rule(app=apps, who=picks, tag=st.sampled_from("xyz"))
    def cancel(self, app: str, who: int, tag: str) -> None:
        member = self.pick(app, who)
        if member is not None:
            is_open = (member.session.id, tag) in self.calls
            try:
                self.worlds[app].core.cancel(member.session, tag)
            except Refused as exc:
                assert exc.code == codes.UNKNOWN_CALL
                assert not is_open
            else:
                assert is_open

    @rule(app=apps, seconds=st.sampled_from([0.0, 0.5, 1.0, 10.0, 40.0]))
    def wait(self, app: str, seconds: float) -> None:
        self.worlds[app].timers.advance(seconds)

    @rule(app=apps, who=picks, users=st.none() | st.lists(st.sampled_from(USERS), max_size=3), off=st.booleans())
    def watch(self, app: str, who: int, users: list[str] | None, off: bool) -> None:
        member = self.pick(app, who)
        if member is not None:
            core = self.worlds[app].core
            try:
                (core.presence_unsubscribe if off else core.presence_subscribe)(member.session, users)
            except Refused as exc:
                assert exc.code in {codes.ALREADY_SUBSCRIBED, codes.NOT_SUBSCRIBED}

    # ---- what must hold -------------------------------------------------------------------------------------

    def count_outcomes(self) -> int:
        return sum(len(member.peer.of("result", "call_failed")) for _, member in self.everyone)

    @invariant()
    def every_call_ends_once_and_nothing_crosses_over(self) -> None:
        for app, member in self.everyone:
            for entry in member.told:
                match entry:
                    case ("interrupt", call_id, _):
                        self.interrupted.append(call_id)
                    case ("invoke", call_id, _, data, _, _, caller):
                        assert data.value == app
                        assert caller.session in {m.session.id for name, m in self.everyone if name == app}
                        self.invoked.append((app, member, call_id))
                    case ("result", tag, _, more):
                        assert (member.session.id, tag) in self.calls
                        if not more:
                            del self.calls[member.session.id, tag]
                    case ("call_failed", tag, *_):
                        del self.calls[member.session.id, tag]
                    case ("call_accepted", tag):
                        assert (member.session.id, tag) in self.calls
                    case ("event", _, _, data):
                        assert data.value.startswith(f"{app}:")
                    case ("presence", user, _, sessions):
                        assert user in USERS  # and it was allowed when it was told:
                        assert self.may(app, Action.PRESENCE_ALLOW, user)
                        assert 0 <= sessions <= 5
            member.take()
        ids = [call_id for _, _, call_id in self.invoked]
        assert len(ids) == len(set(ids))
        assert len(self.interrupted) == len(set(self.interrupted))
        given_up = sum(
            world.sample("trio_router_calls_total", outcome=outcome)
            for world in self.worlds.values()
            for outcome in ("timeout", "accept_timeout", "cancelled")
        )
        assert given_up <= len(self.interrupted)

    def nobody_was_asked_who_should_not_be_and_a_channel_has_one_provider(self) -> None:
        """Walks through what was told, in its order."""
        for app, member, entry in self.log:
            match entry:
                case ("listen_found", pattern, channel):
                    place = (app, channel)
                    for book in (self.questions, self.provided):
                        holder = book.get(place)
                        if holder is not None and holder[1] not in holder[0].session.listens:
                            self.forget(app, *holder)
                    assert place not in self.questions
                    assert place not in self.provided
                    assert re.search(pattern, channel)
                    assert self.may(app, Action.EVENT_LISTEN, PATTERNS[pattern])
                    assert self.may(app, Action.EVENT_LISTEN, channel)
                    self.questions[place] = member, pattern
                    self.asked.setdefault(place, set()).add((member, pattern))
                case ("listen_timeout", pattern, channel):
                    assert self.questions.pop((app, channel)) == (member, pattern)
                case ("listen_removed", pattern, channel):
                    place = (app, channel)
                    book = self.provided if place in self.provided else self.questions
                    assert book.pop(place) == (member, pattern)
                    self.asked.pop(place, None)
                case ("revoked", "listen", pattern, *_):
                    self.forget(app, member, pattern)
        self.log.clear()

    @invariant()
    def every_subscribed_channel_is_provided_or_everybody_was_asked(self) -> None:
        self.nobody_was_asked_who_should_not_be_and_a_channel_has_one_provider()
        for app in APPS:
            members = self.members[app]
            subscribed = {name for member in members for name in member.session.subscriptions if "*" not in name}
            for place in [place for place in self.asked if place[0] == app and place[1] not in subscribed]:
                del self.asked[place]
            listens = [listen for member in members for listen in member.session.listens.values()]
            books = {
                (app, channel): (listen.session, listen.pattern.source)
                for listen in listens
                for channel in listen.provided
            }
            assert books == {p: (m.session, s) for p, (m, s) in self.provided.items() if p[0] == app}
            open_questions = {(app, channel) for listen in listens for channel in listen.asked}
            assert open_questions == {place for place in self.questions if place[0] == app}
            assert {channel for _, channel in books.keys() | open_questions} <= subscribed
            for channel in subscribed:
                place = (app, channel)
                if place in self.provided or place in self.questions or not self.may(app, Action.EVENT_LISTEN, channel):
                    continue
                may_provide = {
                    (member, source)
                    for member in members
                    for source in member.session.listens
                    if re.search(source, channel)
                }
                assert may_provide <= self.asked.get(place, set())

    @invariant()
    def the_open_calls_are_those_in_the_books(self) -> None:
        for app, world in self.worlds.items():
            open_calls = {(m.session.id, tag) for m in self.members[app] for tag in m.session.calls}
            assert open_calls == {key for key, call in self.calls.items() if call.app == app}
            answering = [call for m in self.members[app] for call in m.session.invocations.values()]
            assert len(answering) == len(open_calls)
            asked = sum(member.session.asks for member in self.members[app])
            unaccepted = sum(call.accept_timer is not None for call in answering)
            rematch = 1 if world.core.listens.idle else 0
            usual = sum(call.among is not None for call in answering)  # of the usual timeout: all on one timer
            alone = len(open_calls) - usual
            assert world.timers.pending == alone + (usual > 0) + unaccepted + asked + rematch
            for member in self.members[app]:
                assert member.session.kept == sum(call.kept for call in member.session.calls.values())
                assert member.session.asks == sum(len(listen.asked) for listen in member.session.listens.values())
            for member in self.members[app]:
                for offer in member.session.offers.values():
                    assert offer.calls == sum(call.offer is offer for call in answering) <= offer.capacity

    @invariant()
    def presence_counts_the_sessions_there_are(self) -> None:
        for app, world in self.worlds.items():
            if self.members[app]:
                counts, _ = world.core.presence_query(self.members[app][0].session, None)
                users = [m.session.identity.user.id for m in self.members[app]]
                assert counts == Counter(user for user in users if self.may(app, Action.PRESENCE_ALLOW, user))

    def teardown(self) -> None:
        for app, world in self.worlds.items():
            for member in self.members[app]:
                world.core.detach(member.session)
            assert world.is_empty()
            for name, member in self.everyone:
                if name == app:
                    session = member.session
                    assert not (session.calls or session.invocations or session.offers)
                    assert not (session.subscriptions or session.watches or session.everybody)
                    assert not (session.listens or session.asks or session.kept)
            assert world.sample("trio_router_provided_channels") == 0
            outcomes = ("result", "error", "timeout", "accept_timeout", "cancelled", "provider_lost", "caller_lost")
            ended = sum(world.sample("trio_router_calls_total", outcome=outcome) for outcome in outcomes)
            ended += world.sample("trio_router_rejected_calls_total")
            assert ended == sum(home == app for home, _, _ in self.invoked)


Routing.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.threat("T33")
@pytest.mark.threat("T55")
@pytest.mark.threat("T66")
class TestRouting(Routing.TestCase):  # type: ignore[misc,name-defined]
    """Every call has exactly one outcome, answers count from the chosen provider alone, what the
    rules took away is gone, and two apps never meet."""
