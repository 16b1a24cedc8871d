"""Two apps, several sessions, the same names in both: whatever they do, the books balance and nothing crosses over."""

from __future__ import annotations

from collections import Counter

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
from trio_router.testing.rules import FixedRules

APPS = ("main", "other")
CHANNELS = ("a", "ab", "a*", "*")
PROCEDURES = ("sum", "sort")
USERS = ("anna", "ben", "carl")
LIMITS = Limits(calls_per_session=3, invocations_per_provider=2, subscriptions_per_session=3)

ALL = {
    Action.EVENT_SUBSCRIBE: set(CHANNELS),
    Action.RPC_PROVIDE: set(PROCEDURES),
    Action.RPC_REQUEST: set(PROCEDURES),
    Action.PRESENCE_ALLOW: set(USERS),
}

apps = st.sampled_from(APPS)
picks = st.integers(min_value=0)


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
        ended = world.core.reconsider()
        revoked = {member: member.peer.of("revoked") for member in self.members[app]}
        assert ended == sum(len(told) for told in revoked.values())
        for member, (subscriptions, offers) in held.items():
            lost = {(verb, name) for _, verb, name, code, _ in revoked[member] if code == codes.DENIED}
            assert subscriptions - set(member.session.subscriptions) == {n for v, n in lost if v == "subscribe"}
            assert offers - set(member.session.offers) == {n for v, n in lost if v == "provide"}

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

    # ---- what sessions do -----------------------------------------------------------------------------------

    @rule(app=apps, user=st.sampled_from(USERS))
    def join(self, app: str, user: str) -> None:
        if len(self.members[app]) < 5:
            member = self.worlds[app].join(user)
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

    @rule(app=apps, who=picks, procedure=st.sampled_from(PROCEDURES), concurrency=st.sampled_from([None, 1, 2]))
    def provide(self, app: str, who: int, procedure: str, concurrency: int | None) -> None:
        member = self.pick(app, who)
        if member is not None:
            try:
                self.worlds[app].core.provide(member.session, procedure, concurrency)
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
        how=st.sampled_from(["result", "more", "error"]),
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
            else:
                core.result(member.session, call_id, Payload("result"), more=how == "more")
        except Refused as exc:
            assert exc.code == codes.UNKNOWN_CALL or (exc.code == codes.UNEXPECTED_MESSAGE and how == "more")
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
            for outcome in ("timeout", "cancelled")
        )
        assert given_up <= len(self.interrupted)

    @invariant()
    def the_open_calls_are_those_in_the_books(self) -> None:
        for app, world in self.worlds.items():
            open_calls = {(m.session.id, tag) for m in self.members[app] for tag in m.session.calls}
            assert open_calls == {key for key, call in self.calls.items() if call.app == app}
            answering = [call for m in self.members[app] for call in m.session.invocations.values()]
            assert len(answering) == len(open_calls) == world.timers.pending
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
            outcomes = ("result", "error", "timeout", "cancelled", "provider_lost", "caller_lost")
            ended = sum(world.sample("trio_router_calls_total", outcome=outcome) for outcome in outcomes)
            assert ended == sum(home == app for home, _, _ in self.invoked)


Routing.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.threat("T33")
@pytest.mark.threat("T55")
@pytest.mark.threat("T66")
class TestRouting(Routing.TestCase):  # type: ignore[misc,name-defined]
    """Every call has exactly one outcome, answers count from the chosen provider alone, what the
    rules took away is gone, and two apps never meet."""
