"""What a session asks for about events: subscribe, connect, publish, and who takes part.

It asks the door and writes what was granted into the books; what stands afterwards is kept by ``routing.rights``. The rule that keeps it
honest: nothing is written or delivered before it is counted, granted and within its limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from trio_router.errors import Refused
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.protocols import codes
from trio_router.protocols.messages import Participant
from trio_router.routing import standing
from trio_router.routing.books import Books
from trio_router.routing.door import Door
from trio_router.routing.granting import grant
from trio_router.routing.participants import has_participants
from trio_router.routing.rates import RateBook
from trio_router.routing.rights import Rights
from trio_router.routing.session import Session
from trio_router.routing.trust import CLOSED, NOT_OPEN, TrustDesk, drop, publishing_word, standing_word

_PUBLISH: Final = Action.EVENT_PUBLISH


class EventVerbs:
    """See ``routing.core.Core`` for what all verbs raise."""

    def __init__(
        self,
        sessions: Mapping[str, Session],
        door: Door,
        rates: RateBook,
        trust: TrustDesk,
        rights: Rights,
        books: Books,
    ) -> None:
        self._sessions = sessions
        self._door = door
        self._rates = rates
        self._trust = trust
        self._rights = rights
        self._books = books
        self._events = books.events  # at hand for every publish, as are its participants
        self._participants = books.participants
        self._home, self._untold = rights.sessions, rights.untold

    def subscribe(self, session: Session, channel: str, token: str | None = None) -> None:
        """Receive the events of ``channel``, a name or a pattern. ALREADY_SUBSCRIBED, LIMIT_REACHED.

        ``token``: the trust-token for a channel of a kind, here as below. What it opens ends with it. TOKEN_NEEDED, TOKEN_REFUSED.
        """
        self._rates.charge(self._rates.subscriptions, session)
        self._rights.check(session)
        word, trust = self._trust.present(session.identity, "subscribe", channel, token)
        grant(
            Action.EVENT_SUBSCRIBE, standing.decide(self._door, session, Action.EVENT_SUBSCRIBE, channel, word), session
        )
        self._books.events.subscribe(session, channel)
        self._rights.keep(session, Action.EVENT_SUBSCRIBE, channel, trust)
        self._books.participants.join(session, channel, trust)
        if self._books.events.count(channel) == 1:
            self._books.listens.opened(channel)

    def unsubscribe(self, session: Session, channel: str) -> None:
        """Stop; ``channel`` is spelled as it was subscribed. NOT_SUBSCRIBED."""
        self._rights.check(session)
        self._books.unsubscribe(session, channel)
        drop(session.openings, Action.EVENT_SUBSCRIBE, channel)

    def connect(self, session: Session, channel: str, token: str | None = None) -> None:
        """Send to ``channel`` without receiving it. ALREADY_CONNECTED, LIMIT_REACHED, TOKEN_NEEDED, TOKEN_REFUSED.

        The rule for publishing is asked, without data; it is asked again, with the data, at each publish.
        """
        self._rates.charge(self._rates.subscriptions, session)
        self._rights.check(session)
        word, trust = self._trust.present(session.identity, "connect", channel, token)
        decision = self._door.authorize(session.identity, Action.EVENT_PUBLISH, channel, trust=word)
        grant(Action.EVENT_PUBLISH, decision, session)
        if channel in session.connections:
            raise Refused(codes.ALREADY_CONNECTED)
        limit = self._books.events.limits.subscriptions_per_session
        if len(session.connections) >= limit:
            raise Refused(codes.LIMIT_REACHED, f"at most {limit} connected channels per session")
        session.connections[channel] = None
        self._rights.keep(session, Action.EVENT_PUBLISH, channel, trust)
        self._books.participants.join(session, channel, trust)

    def disconnect(self, session: Session, channel: str) -> None:
        """Undo :meth:`connect`. NOT_CONNECTED."""
        self._rights.check(session)
        if channel not in session.connections:
            raise Refused(codes.NOT_CONNECTED)
        self._books.close(session, Action.EVENT_PUBLISH, channel)

    def participants_of(self, session: Session, channel: str) -> tuple[Participant, ...]:
        """Who is on ``channel``, of which ``session`` must have the events (server programs need not). INVALID_NAME."""
        self._rates.charge(self._rates.calls, session)
        self._rights.check(session)
        word = standing_word(session.openings, Action.EVENT_SUBSCRIBE, channel)
        decision = self._door.authorize(
            session.identity, Action.EVENT_SUBSCRIBE, channel, trust=NOT_OPEN if word is CLOSED else word
        )
        grant(Action.EVENT_SUBSCRIBE, decision, session)
        if not has_participants(channel):
            raise Refused(codes.INVALID_NAME, "channel: only prs: and sys: channels have participants")
        return self._books.participants.of(channel)

    def publish(
        self,
        session: Session,
        channel: str,
        data: Payload,
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
        if self._rates.publishes:
            self._rates.charge(self._rates.publishes, session)
        if self._untold or session.home is not self._home:  # else there is nothing to check
            self._rights.check(session)
        if ":" in channel:
            word, source = publishing_word(session.openings, channel), self._participants.source(session, channel)
            decision = self._door.authorize(session.identity, _PUBLISH, channel, data, trust=word)
        else:
            source = None
            decision = self._door.authorize(session.identity, _PUBLISH, channel, data)
        if not decision.allowed:  # asked here, it costs the usual case no call
            grant(_PUBLISH, decision, session)
        if to is None and not exclude:
            if accepted is not None:
                accepted()
            self._events.publish(session, channel, data, echo, disclose, None, (), source, seq)
            return
        if not session.identity.is_server:
            raise Refused(codes.SERVER_ONLY, "exclude" if to is None else "to")
        if accepted is not None:
            accepted()
        without = [known.peer for known in map(self._sessions.get, exclude) if known is not None]
        target = self._sessions.get(to) if to is not None else None
        if to is None or target is not None:
            only = target.peer if target is not None else None
            self._events.publish(
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
