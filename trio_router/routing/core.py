"""The routing core of one app: every verb of a session, each asking the door first.

An app is a core: sessions of two apps meet in none of these books (T66). This is the module that asks the door for
events and calls (presence, which decides name by name, asks it itself); events, rpc and presence do what was allowed.

The core is synchronous. Whatever a verb tells other sessions it tells before it returns, after its own books are
in order. Peers must return at once, raise nothing and not call back into the core from inside a callback; one that
leaves from inside a callback all the same disturbs nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import attrs

from trio_router.clock import Clock, SystemClock
from trio_router.errors import LocalProtocolError, Refused
from trio_router.identity import Identity
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import Payload
from trio_router.permissions.decision import Action, Ruleset
from trio_router.protocols import codes
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.messages import Participant
from trio_router.routing import standing
from trio_router.routing.door import Door, refusal
from trio_router.routing.events import Events
from trio_router.routing.granting import counted_once, grant
from trio_router.routing.listen import ListenOptions, Listens
from trio_router.routing.listen_patterns import InvalidPattern, ListenPattern
from trio_router.routing.participants import Participants, has_participants
from trio_router.routing.peer import Peer, Timers
from trio_router.routing.presence import Presence
from trio_router.routing.rates import RateBook
from trio_router.routing.rpc import Rpc
from trio_router.routing.session import Session
from trio_router.routing.standing import Loss, Reconsideration
from trio_router.routing.trust import (
    CLOSED,
    NOT_OPEN,
    REVOKED,
    TrustDesk,
    drop,
    drop_all,
    publishing_word,
    standing_word,
)
from trio_router.tokens.trust import Trust


class Core:
    """One app's sessions and what flows between them.

    Every verb raises ``RecordsNeeded`` before it does anything if the rules need records that are not at hand: load them and
    call it again. It raises ``Refused`` with a code of ``protocols.codes`` when it is not granted (the door's DENIED,
    RULE_FAILED, RESERVED and INVALID_NAME, RATE_LIMITED, and those it names), and ``LocalProtocolError`` for a session that
    is not attached here.
    """

    def __init__(
        self,
        app: str,
        door: Door,
        timers: Timers,
        limits: Limits,
        metrics: Metrics,
        *,
        trust: TrustDesk | None = None,
        listen_options: ListenOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.app = app
        self.door = door
        self.rates = RateBook(limits.rates, clock or SystemClock(), metrics)
        self.events = Events(limits, metrics)
        self.participants = Participants(self.events)
        self.listens = Listens(door, self.events, timers, limits, metrics)
        self.listens.options = listen_options or self.listens.options
        self._trust = trust or TrustDesk()
        self.rpc = Rpc(timers, limits, metrics)
        self.presence = Presence(door, limits)
        self._sessions: dict[str, Session] = {}
        self._unseen: set[Session] = set()  # those that presence does not know
        self._reconsideration: Reconsideration | None = None
        self._untold: dict[Session, list[Loss]] = {}

    def replace_limits(self, limits: Limits) -> None:
        """From now on ``limits`` bound what a session may hold; what it holds already stays."""
        self.events.limits = self.listens.limits = self.rpc.limits = self.presence.limits = limits
        self.rates.replace(limits.rates)

    def replace_listen_options(self, options: ListenOptions) -> None:
        """From now on providers of channels are looked for in this way."""
        self.listens.options = options

    # ---- sessions -------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The attached sessions by their id; a live view."""
        return MappingProxyType(self._sessions)

    def attach(self, identity: Identity, peer: Peer, *, client_data: Any = None, present: bool = True) -> Session:
        """Let a logged-in session take part. Those who watch its user are told.

        ``client_data`` is what its login handed out to the client: providers are given it of callers that want to be known.
        ``present``: without it the session is not seen in presence, as one that lasts for a single request should not.
        """
        if identity.app != self.app:
            raise LocalProtocolError(f"a session of app {identity.app!r} does not belong to app {self.app!r}")
        if identity.session_id in self._sessions:
            raise LocalProtocolError("this session id is attached already")
        session = self._sessions[identity.session_id] = Session(identity, peer, client_data)
        if present:
            self.presence.join(session)
        else:
            self._unseen.add(session)
        return session

    def detach(self, session: Session) -> None:
        """Let a session leave, with everything it holds. Doing it again does nothing."""
        if self._sessions.get(session.id) is not session:
            return
        del self._sessions[session.id]
        if self._reconsideration is not None:
            self._reconsideration.forget(session)
        self._untold.pop(session, None)
        drop_all(session.openings)
        channels = [*session.subscriptions, *session.connections]
        self.events.leave(session)
        self.listens.leave(session, [channel for channel in channels if not self.events.has(channel)])
        session.connections.clear()
        for channel in channels:
            self.participants.leave(session, channel)
        self.rpc.leave(session)
        if session in self._unseen:
            self._unseen.remove(session)
            self.presence.forget(session)
        else:
            self.presence.leave(session)

    def replace_identity(self, session: Session, identity: Identity) -> int:
        """Go on with new rights of the same user; returns how many standing ones ended, as in :meth:`reconsider`."""
        self._check(session)
        same = (identity.app, identity.session_id, identity.user.id)
        if same != (session.identity.app, session.identity.session_id, session.identity.user.id):
            raise LocalProtocolError("another identity is another session")
        if identity.key != session.identity.key:  # trust-tokens of the key before count no longer (T50)
            drop_all(session.openings)
        session.identity = identity
        self._gained(session)
        return self._end_and_tell(standing.losses(self.door, session))

    def end(self, session: Session, code: CloseCode) -> None:
        """Let a session leave now, and ask it to close: nothing more is routed to it, whatever its connection still does."""
        self.detach(session)
        session.peer.close(code)

    def end_openings(self, judge: Callable[[Identity, Trust], bool]) -> int:
        """End what stands because of the trust-tokens that ``judge`` names; returns how many rights that were.

        Their sessions stay, and are told: TOKEN_REFUSED, ``revoked``.
        """
        ended = 0
        for session in tuple(self._sessions.values()):
            found = [place for place, opening in session.openings.items() if judge(session.identity, opening.trust)]
            for action, name in found:
                if standing.holds(session, action, name):
                    self._close(session, action, name)
                    session.peer.revoked(standing.VERBS[action], name, codes.TOKEN_REFUSED, REVOKED)
                    ended += 1
        return ended

    def publish_as(self, identity: Identity, channel: str, data: Payload) -> None:
        """Publish for somebody who has no session, through the same door. Raises ``Refused``."""
        if identity.app != self.app:
            raise LocalProtocolError(f"app {identity.app!r} publishes nothing in app {self.app!r}")
        if self.rates.publishes:
            self.rates.take(self.rates.publishes, identity)
        grant(Action.EVENT_PUBLISH, self.door.authorize(identity, Action.EVENT_PUBLISH, channel, data, trust=CLOSED))
        self.events.publish(None, channel, data, echo=True, disclose=False)

    def close_all(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        """Ask every session to close; each is detached when its connection has ended. ``retry_after`` is seconds."""
        for session in tuple(self._sessions.values()):
            session.peer.close(code, retry_after=retry_after)

    def reconsider(self) -> int:
        """Decide every standing right again, after the rules changed; returns how many ended.

        When it returns, nothing reaches a session that the rules in force do not let through (T33). A session is
        told what it lost by ``peer.revoked``, with the code of the decision. Calls in progress at an offer that ended
        fail with PROVIDER_LOST; calls a session has made were granted one by one and are left to finish.
        """
        ended = sum(
            self._end_and_tell(standing.losses(self.door, session)) for session in tuple(self._sessions.values())
        )
        self.listens.try_again()
        return ended

    @contextmanager
    def reconsidering(self, rules: Ruleset) -> Iterator[Reconsideration]:
        """Decide every standing right by ``rules`` before they are in force, in slices, then :meth:`adopt` them.

        Within the block, new rights are noticed. So the moment of the change costs what the ended rights and those
        that came during it cost, however many stand.
        """
        self._reconsideration = reconsideration = Reconsideration(rules, self._sessions.values())
        try:
            yield reconsideration
        finally:
            self._reconsideration = None

    def adopt(self, reconsideration: Reconsideration) -> int:
        """Put its rules in force and end what they do not allow, in one step; returns how many rights ended.

        The guarantee of :meth:`reconsider` holds from the moment it returns. Each ending is counted, recorded and told
        by :meth:`tell_losses`, at the latest before the next thing that its session asks for.
        """
        found = reconsideration.finish()
        self.door.replace_rules(reconsideration.rules)
        ended = 0
        for lost in map(self._end, found):
            if lost:
                self._untold.setdefault(lost[0].session, []).extend(lost)
                ended += len(lost)
        self.listens.try_again()
        return ended

    def tell_losses(self, count: int) -> bool:
        """Tell of about so many rights that :meth:`adopt` has ended (a session of all it lost); False when nothing is left."""
        while self._untold and count > 0:
            count -= self._tell_losses_of(next(iter(self._untold)))
        return bool(self._untold)

    def _tell_losses_of(self, session: Session) -> int:
        lost = self._untold.pop(session, [])
        for loss in lost:
            _tell(attrs.evolve(loss, decision=standing.conclude(self.door, loss)))
        return len(lost)

    def _end(self, lost: Sequence[Loss]) -> list[Loss]:
        """End rights; returns those that stood until now. A session that leaves meanwhile has nothing left to end."""
        ended = []
        for loss in lost:
            if standing.stands(loss):
                if loss.pattern is not None:
                    self.listens.withdraw(loss.session, loss.pattern, loss.name)
                else:
                    self._close(loss.session, loss.action, loss.name)
                ended.append(loss)
        return ended

    def _end_and_tell(self, lost: Sequence[Loss]) -> int:
        """End rights of one session that the door has denied, then tell it; returns how many."""
        ended = self._end(lost)
        for loss in ended:
            _tell(loss)
        return len(ended)

    def _close(self, session: Session, action: Action, name: str) -> None:
        """End one right that stands."""
        drop(session.openings, action, name)
        if action is Action.EVENT_SUBSCRIBE:
            self._unsubscribe(session, name)
        elif action is Action.EVENT_LISTEN:
            self.listens.unlisten(session, name)
        elif action is Action.EVENT_PUBLISH:
            del session.connections[name]
            self.participants.leave(session, name)
        elif action is Action.RPC_PROVIDE:
            self.rpc.revoke(session, name)
        else:
            self.presence.revoke(session, name)

    def _keep(self, session: Session, action: Action, name: str, trust: Trust | None) -> None:
        """Remember what a trust-token opened, until it expires (T48)."""
        self._trust.keep(session.openings, action, name, trust, lambda: self._expire(session, action, name))
        self._gained(session)

    def _expire(self, session: Session, action: Action, name: str) -> None:
        if standing.holds(session, action, name):
            self._close(session, action, name)
            session.peer.revoked(standing.VERBS[action], name, codes.TOKEN_EXPIRED)

    def _gained(self, session: Session) -> None:
        if self._reconsideration is not None:
            self._reconsideration.again(session)

    def _check(self, session: Session) -> None:
        if self._untold:  # what it lost comes before what it gets
            self._tell_losses_of(session)
        if self._sessions.get(session.id) is not session:
            raise LocalProtocolError("this session is not attached here")

    # ---- events ---------------------------------------------------------------------------------------------

    def subscribe(self, session: Session, channel: str, token: str | None = None) -> None:
        """Receive the events of ``channel``, a name or a pattern. ALREADY_SUBSCRIBED, LIMIT_REACHED.

        ``token``: the trust-token for a channel of a kind, here as below. What it opens ends with it. TOKEN_NEEDED, TOKEN_REFUSED.
        """
        self.rates.charge(self.rates.subscriptions, session)
        self._check(session)
        word, trust = self._trust.present(session.identity, "subscribe", channel, token)
        grant(
            Action.EVENT_SUBSCRIBE, standing.decide(self.door, session, Action.EVENT_SUBSCRIBE, channel, word), session
        )
        self.events.subscribe(session, channel)
        self._keep(session, Action.EVENT_SUBSCRIBE, channel, trust)
        self.participants.join(session, channel, trust)
        if self.events.count(channel) == 1:
            self.listens.opened(channel)

    def unsubscribe(self, session: Session, channel: str) -> None:
        """Stop; ``channel`` is spelled as it was subscribed. NOT_SUBSCRIBED."""
        self._check(session)
        self._unsubscribe(session, channel)
        drop(session.openings, Action.EVENT_SUBSCRIBE, channel)

    def _unsubscribe(self, session: Session, channel: str) -> None:
        self.events.unsubscribe(session, channel)
        self.participants.leave(session, channel)
        if not self.events.has(channel):
            self.listens.closed(channel)

    def connect(self, session: Session, channel: str, token: str | None = None) -> None:
        """Send to ``channel`` without receiving it. ALREADY_CONNECTED, LIMIT_REACHED, TOKEN_NEEDED, TOKEN_REFUSED.

        The rule for publishing is asked, without data; it is asked again, with the data, at each publish.
        """
        self.rates.charge(self.rates.subscriptions, session)
        self._check(session)
        word, trust = self._trust.present(session.identity, "connect", channel, token)
        decision = self.door.authorize(session.identity, Action.EVENT_PUBLISH, channel, trust=word)
        grant(Action.EVENT_PUBLISH, decision, session)
        if channel in session.connections:
            raise Refused(codes.ALREADY_CONNECTED)
        limit = self.events.limits.subscriptions_per_session
        if len(session.connections) >= limit:
            raise Refused(codes.LIMIT_REACHED, f"at most {limit} connected channels per session")
        session.connections[channel] = None
        self._keep(session, Action.EVENT_PUBLISH, channel, trust)
        self.participants.join(session, channel, trust)

    def disconnect(self, session: Session, channel: str) -> None:
        """Undo :meth:`connect`. NOT_CONNECTED."""
        self._check(session)
        if channel not in session.connections:
            raise Refused(codes.NOT_CONNECTED)
        self._close(session, Action.EVENT_PUBLISH, channel)

    def participants_of(self, session: Session, channel: str) -> tuple[Participant, ...]:
        """Who is on ``channel``, of which ``session`` must have the events (server programs need not). INVALID_NAME."""
        self.rates.charge(self.rates.calls, session)
        self._check(session)
        word = standing_word(session.openings, Action.EVENT_SUBSCRIBE, channel)
        decision = self.door.authorize(
            session.identity, Action.EVENT_SUBSCRIBE, channel, trust=NOT_OPEN if word is CLOSED else word
        )
        grant(Action.EVENT_SUBSCRIBE, decision, session)
        if not has_participants(channel):
            raise Refused(codes.INVALID_NAME, "channel: only prs: and sys: channels have participants")
        return self.participants.of(channel)

    def publish(
        self,
        session: Session,
        channel: str,
        data: Payload,
        *,
        echo: bool = True,
        disclose: bool = False,
        accepted: Callable[[], None] | None = None,
        to: str | None = None,
        exclude: Sequence[str] = (),
        seq: int | None = None,
    ) -> None:
        """Publish to ``channel``. ``accepted`` is called once it is granted, before the first delivery.

        ``echo``: the publisher receives it too, if subscribed. ``disclose``: receivers are told who published. A channel of a
        kind must stand open (NOT_OPEN). ``to``: of those who receive the channel, this session alone; ``exclude``: not
        these. Both are for server programs (SERVER_ONLY). ``seq``: the publisher's own count, which receivers are given as it is;
        on ``prs:`` and ``sys:`` channels they are told which participant the event came from.
        """
        if self.rates.publishes:
            self.rates.charge(self.rates.publishes, session)
        self._check(session)
        word, source = CLOSED, None
        if ":" in channel:
            word, source = publishing_word(session.openings, channel), self.participants.source(session, channel)
        decision = self.door.authorize(session.identity, Action.EVENT_PUBLISH, channel, data, trust=word)
        grant(Action.EVENT_PUBLISH, decision, session)
        if to is None and not exclude:
            if accepted is not None:
                accepted()
            self.events.publish(session, channel, data, echo=echo, disclose=disclose, source=source, seq=seq)
            return
        if not session.identity.is_server:
            raise Refused(codes.SERVER_ONLY, "exclude" if to is None else "to")
        if accepted is not None:
            accepted()
        without = [known.peer for known in map(self._sessions.get, exclude) if known is not None]
        target = self._sessions.get(to) if to is not None else None
        if to is None or target is not None:
            only = target.peer if target is not None else None
            self.events.publish(
                session,
                channel,
                data,
                echo=echo,
                disclose=disclose,
                only=only,
                without=without,
                source=source,
                seq=seq,
            )

    # ---- listening --------------------------------------------------------------------------------------------

    def listen(self, session: Session, pattern: str, *, accepted: Callable[[], None] | None = None) -> None:
        """Be asked to provide the channels that ``pattern`` matches: a regular expression in JavaScript's notation, not anchored.

        ``accepted`` is called once it is granted, before the first question.
        ALREADY_LISTENING, LIMIT_REACHED (``listens_per_session``, ``listen_pattern_length``), INVALID_PATTERN with what is wrong.
        The rules are asked about the pattern's own text here, and about each channel before :meth:`Peer.listen_found` names it.
        """
        self.rates.charge(self.rates.subscriptions, session)
        self._check(session)
        limit = self.listens.limits.listen_pattern_length
        if len(pattern) > limit:
            raise Refused(codes.LIMIT_REACHED, f"pattern: at most {limit} characters")
        try:
            parsed = ListenPattern.parse(pattern)
        except InvalidPattern as error:
            raise Refused(codes.INVALID_PATTERN, f"pattern: {error}") from None
        decision = self.door.authorize_listen(session.identity, parsed.asked, parsed.kind)
        grant(Action.EVENT_LISTEN, decision, session)
        self._gained(session)
        self.listens.listen(session, parsed, accepted)

    def unlisten(self, session: Session, pattern: str) -> None:
        """Stop; ``pattern`` is spelled as it was. Others are asked about the channels it provided. NOT_LISTENING."""
        self._check(session)
        self.listens.unlisten(session, pattern)

    def listen_accept(self, session: Session, pattern: str, channel: str) -> None:
        """Answer ``Peer.listen_found``: provide ``channel`` until ``Peer.listen_removed``. NOT_ASKED changes nothing.

        NOT_ASKED is also what a late answer gets, whether the question timed out or was taken back: this session does not
        provide the channel (a protocol whose clients take acceptance for granted tells them that it was removed).
        """
        self._check(session)
        self.listens.accept(session, pattern, channel)
        self._gained(session)

    def listen_reject(self, session: Session, pattern: str, channel: str) -> None:
        """Answer ``Peer.listen_found``: leave ``channel`` to others. Or give up what it provides. NOT_ASKED changes nothing."""
        self._check(session)
        self.listens.reject(session, pattern, channel)

    # ---- calls ----------------------------------------------------------------------------------------------

    def provide(
        self,
        session: Session,
        procedure: str,
        concurrency: int | None = None,
        *,
        direct: bool = False,
        token: str | None = None,
        accept_within: float | None = None,
    ) -> None:
        """Offer to answer calls, ``concurrency`` at a time. ALREADY_PROVIDED, LIMIT_REACHED, INVALID_MESSAGE.

        ``direct``: only calls of server programs that name this session reach it. ``accept_within``: for a provider whose
        protocol acknowledges calls, the seconds it has for :meth:`accept` or any other answer; then the call fails with
        ACCEPT_TIMEOUT and is given to nobody else.
        """
        self.rates.charge(self.rates.subscriptions, session)
        self._check(session)
        word, trust = self._trust.present(session.identity, "provide", procedure, token)
        grant(Action.RPC_PROVIDE, standing.decide(self.door, session, Action.RPC_PROVIDE, procedure, word), session)
        self.rpc.provide(session, procedure, concurrency, direct=direct, accept_within=accept_within)
        self._keep(session, Action.RPC_PROVIDE, procedure, trust)

    def unprovide(self, session: Session, procedure: str) -> None:
        """Withdraw the offer; calls in progress may still be answered. NOT_PROVIDED."""
        self._check(session)
        self.rpc.unprovide(session, procedure)
        drop(session.openings, Action.RPC_PROVIDE, procedure)

    def call(
        self,
        session: Session,
        tag: str,
        procedure: str,
        data: Payload,
        *,
        timeout: float | None,
        progress: bool,
        disclose: bool,
        provider: str | None = None,
        token: str | None = None,
    ) -> None:
        """Call ``procedure``; ``timeout`` in seconds. DUPLICATE_ID, LIMIT_REACHED, NO_PROVIDER, PROVIDER_BUSY.

        ``provider``: the direct offer of that session, for server programs (SERVER_ONLY).
        ``disclose``: the provider is told who calls, and (if its protocol has a place for it) the clientData of the caller's login.
        Unless refused here, exactly one of ``peer.result(more=False)`` and ``peer.call_failed`` follows for ``tag``.
        """
        if self.rates.calls:
            self.rates.charge(self.rates.calls, session)
        self._check(session)
        word = self._trust.present(session.identity, "call", procedure, token)[0] if ":" in procedure else CLOSED
        decision = self.door.authorize(session.identity, Action.RPC_REQUEST, procedure, data, trust=word)
        grant(Action.RPC_REQUEST, decision, session)
        if provider is not None and not session.identity.is_server:
            raise Refused(codes.SERVER_ONLY, "provider")
        self.rpc.call(
            session, tag, procedure, data, timeout=timeout, progress=progress, disclose=disclose, provider=provider
        )

    def cancel(self, session: Session, tag: str) -> None:
        """Give up a call; it fails with CALL_CANCELLED. UNKNOWN_CALL."""
        self._check(session)
        self.rpc.cancel(session, tag)

    def accept(self, session: Session, call: str) -> None:
        """A provider takes a call on, the caller learns it by ``peer.call_accepted``. UNKNOWN_CALL, ALREADY_ACCEPTED."""
        self._check(session)
        self.rpc.accept(session, call)

    def reject(self, session: Session, call: str) -> None:
        """A provider gives a call back. UNKNOWN_CALL; UNEXPECTED_MESSAGE after a partial result.

        The next session that has not had it gets it, under another id; if there is none the call fails with NO_PROVIDER or
        PROVIDER_BUSY.
        """
        self._check(session)
        self.rpc.reject(session, call)

    def result(self, session: Session, call: str, data: Payload, *, more: bool) -> None:
        """A provider's result. UNKNOWN_CALL; UNEXPECTED_MESSAGE for a partial one nobody asked for."""
        self._check(session)
        self.rpc.result(session, call, data, more=more)

    def error(self, session: Session, call: str, data: Payload) -> None:
        """A provider's failure. UNKNOWN_CALL."""
        self._check(session)
        self.rpc.error(session, call, data)

    # ---- presence -------------------------------------------------------------------------------------------

    def presence_query(self, session: Session, users: Sequence[str] | None) -> tuple[dict[str, int], dict[str, str]]:
        """Sessions per user and the denied names with the ids of their decisions, see :meth:`Presence.query`. LIMIT_REACHED."""
        self.rates.charge(self.rates.calls, session)
        self._check(session)
        with counted_once(session):
            return self.presence.query(session, users)

    def presence_of_everybody(self, session: Session) -> None:
        """Returns unless the rules deny the presence of everybody outright, see :meth:`Presence.check_everybody`. DENIED.

        For protocols that refuse such requests as a whole; otherwise whoever may not be seen is left out without a word.
        """
        self._check(session)
        self.presence.check_everybody(session)

    def presence_subscribe(self, session: Session, users: Sequence[str] | None) -> dict[str, str]:
        """Watch users (None: everybody it may see); returns the denied names as above. ALREADY_SUBSCRIBED, LIMIT_REACHED."""
        self.rates.charge(self.rates.subscriptions, session)
        self._check(session)
        with counted_once(session):
            denied = self.presence.subscribe(session, users)
        self._gained(session)
        return denied

    def presence_unsubscribe(self, session: Session, users: Sequence[str] | None) -> None:
        """Stop watching. NOT_SUBSCRIBED, LIMIT_REACHED."""
        self._check(session)
        self.presence.unsubscribe(session, users)


def _tell(loss: Loss) -> None:
    if loss.pattern is None:  # else it was told before others were asked
        refused = refusal(loss.action, loss.decision)
        loss.session.peer.revoked(loss.verb, loss.name, refused.code, refused.detail, refused.decision)
