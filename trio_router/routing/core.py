"""The routing core of one app: its sessions, and where the parts of routing are put together.

An app is a core: sessions of two apps meet in none of its books (T66). What a session may ask for is in ``routing.verbs``, by subject, each
verb asking the door first; what it has open is in ``routing.books``; what of it stands when rules change, in ``routing.rights``.

The core is synchronous. Whatever a verb tells other sessions it tells before it returns, after its own books are
in order. Peers must return at once, raise nothing and not call back into the core from inside a callback; one that
leaves from inside a callback all the same disturbs nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from trio_router.clock import Clock, SystemClock
from trio_router.errors import LocalProtocolError
from trio_router.identity import Identity
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.protocols.codes import CloseCode
from trio_router.routing.books import Books
from trio_router.routing.door import Door
from trio_router.routing.granting import grant
from trio_router.routing.listen import ListenOptions
from trio_router.routing.peer import Peer, Timers
from trio_router.routing.rates import RateBook
from trio_router.routing.rights import Rights
from trio_router.routing.session import Session
from trio_router.routing.trust import CLOSED, TrustDesk, drop_all
from trio_router.routing.verbs.calls import CallVerbs
from trio_router.routing.verbs.events import EventVerbs
from trio_router.routing.verbs.listening import ListenVerbs
from trio_router.routing.verbs.presence import PresenceVerbs


class Core:
    """One app's sessions and what flows between them.

    What sessions ask for are attributes, each the verb itself: ``publish`` is ``EventVerbs.publish``, and its documentation is there.
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
        self._sessions: dict[str, Session] = {}
        self._unseen: set[Session] = set()  # those that presence does not know
        trust = trust or TrustDesk()
        self._books = books = Books(door, timers, limits, metrics, listen_options)
        self.events, self.participants, self.listens = books.events, books.participants, books.listens
        self.rpc, self.presence = books.rpc, books.presence
        self._rights = rights = Rights(self._sessions, door, trust, books)
        self.reconsider, self.reconsidering, self.adopt = rights.reconsider, rights.reconsidering, rights.adopt
        self.tell_losses, self.end_openings = rights.tell_losses, rights.end_openings

        # Each is the verb itself, so that nothing lies between it and whoever asks.
        events = EventVerbs(self._sessions, door, self.rates, trust, rights, books)
        self.subscribe, self.unsubscribe = events.subscribe, events.unsubscribe
        self.connect, self.disconnect = events.connect, events.disconnect
        self.publish, self.participants_of = events.publish, events.participants_of
        listening = ListenVerbs(door, self.rates, rights, books.listens)
        self.listen, self.unlisten = listening.listen, listening.unlisten
        self.listen_accept, self.listen_reject = listening.listen_accept, listening.listen_reject
        calls = CallVerbs(door, self.rates, trust, rights, books.rpc)
        self.provide, self.unprovide = calls.provide, calls.unprovide
        self.call, self.cancel = calls.call, calls.cancel
        self.accept, self.reject = calls.accept, calls.reject
        self.result, self.error = calls.result, calls.error
        presence = PresenceVerbs(self.rates, rights, books.presence)
        self.presence_query, self.presence_of_everybody = presence.presence_query, presence.presence_of_everybody
        self.presence_subscribe = presence.presence_subscribe
        self.presence_unsubscribe = presence.presence_unsubscribe

    def replace_limits(self, limits: Limits) -> None:
        """From now on ``limits`` bound what a session may hold; what it holds already stays."""
        self._books.replace_limits(limits)
        self.rates.replace(limits.rates)

    def replace_listen_options(self, options: ListenOptions) -> None:
        """From now on providers of channels are looked for in this way."""
        self.listens.options = options

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
        session.home = self._sessions
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
        session.home = None
        self._rights.forget(session)
        seen = session not in self._unseen
        self._unseen.discard(session)
        self._books.leave(session, seen=seen)

    def replace_identity(self, session: Session, identity: Identity) -> int:
        """Go on with new rights of the same user; returns how many standing ones ended, as in :meth:`reconsider`."""
        self._rights.check(session)
        same = (identity.app, identity.session_id, identity.user.id)
        if same != (session.identity.app, session.identity.session_id, session.identity.user.id):
            raise LocalProtocolError("another identity is another session")
        if identity.key != session.identity.key:  # trust-tokens of the key before count no longer (T50)
            drop_all(session.openings)
        session.identity = identity
        self._rights.gained(session)
        return self._rights.reconsider_session(session)

    def end(self, session: Session, code: CloseCode) -> None:
        """Let a session leave now, and ask it to close: nothing more is routed to it, whatever its connection still does."""
        self.detach(session)
        session.peer.close(code)

    def close_all(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        """Ask every session to close; each is detached when its connection has ended. ``retry_after`` is seconds."""
        for session in tuple(self._sessions.values()):
            session.peer.close(code, retry_after=retry_after)

    def publish_as(self, identity: Identity, channel: str, data: Payload) -> None:
        """Publish for somebody who has no session, through the same door. Raises ``Refused``."""
        if identity.app != self.app:
            raise LocalProtocolError(f"app {identity.app!r} publishes nothing in app {self.app!r}")
        if self.rates.publishes:
            self.rates.take(self.rates.publishes, identity)
        grant(Action.EVENT_PUBLISH, self.door.authorize(identity, Action.EVENT_PUBLISH, channel, data, trust=CLOSED))
        self.events.publish(None, channel, data, echo=True, disclose=False)
