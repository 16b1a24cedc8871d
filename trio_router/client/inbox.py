"""What the router says without being asked: who of the client's feeds, offers and listenings it is for.

It keeps nothing itself. The rule that keeps it honest: it is called by the reader, so nothing in here waits, and what the program's own
code raises stops nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from trio_router.client.errors import ConnectionLost, RequestRefused, refused, right_revoked
from trio_router.client.feeds import Feed
from trio_router.client.listening import Listening
from trio_router.client.offers import Offer, logger, reject
from trio_router.client.session import Session
from trio_router.client.standing import EVERYBODY
from trio_router.client.supervisor import Supervisor
from trio_router.client.values import Change, Event, ParticipantEvent, value_of
from trio_router.protocols import messages
from trio_router.protocols.codes import NOT_ASKED, TOKEN_EXPIRED


class ParticipantFeed(Feed[ParticipantEvent]):
    """A feed that gets who comes and leaves, and no events."""


class Inbox:
    """Hands on what comes. ``offers`` (by procedure) and ``listenings`` (by pattern) are live views of what the client has."""

    def __init__(
        self,
        supervisor: Supervisor,
        offers: Mapping[str, Offer],
        listenings: Mapping[str, Listening],
        on_error: Callable[[RequestRefused], None] | None,
        on_expiring: Callable[[], None] | None,
    ) -> None:
        self._supervisor = supervisor
        self._rights = supervisor.rights
        self._offers = offers
        self._listenings = listenings
        self._on_error = on_error
        self._on_expiring = on_expiring

    def received(self, session: Session, reply: messages.Reply) -> None:
        """A message that answers no request; called by the reader, which must not wait."""
        if isinstance(reply, messages.Event):
            has_data = not reply.data.is_absent
            event = Event(reply.channel, value_of(reply.data), reply.publisher, has_data, reply.source, reply.seq)
            self._put("subscribe", reply.subscription or reply.channel, event)
        elif isinstance(reply, messages.Invoke):
            offer = self._offers.get(reply.procedure)
            if offer is not None:
                offer.start(session, reply)
            else:  # it crossed our "unprovide"
                reject(session, reply.call)
        elif isinstance(reply, messages.Interrupt):
            any(offer.interrupt(reply.call) for offer in self._offers.values())
        elif isinstance(reply, messages.ListenFound):
            self._found(session, reply.pattern, reply.channel)
        elif isinstance(reply, (messages.ListenRemoved, messages.ListenTimeout)):
            listening = self._listenings.get(reply.pattern)
            if listening is not None:
                listening.removed(reply.channel)
        elif isinstance(reply, messages.PresenceChange):
            change = Change(reply.user, reply.change, reply.sessions)
            self._put("presence_subscribe", reply.user, change)
            self._put("presence_subscribe", EVERYBODY, change)
        elif isinstance(reply, messages.ParticipantChange):
            joined = ParticipantEvent(reply.channel, reply.change, reply.participant)
            self._put("subscribe", reply.subscription or reply.channel, joined, ParticipantFeed)
        elif isinstance(reply, messages.Revoked):
            if reply.code == TOKEN_EXPIRED and self._supervisor.renew(session, reply.verb, reply.name):
                return
            self._rights.lose(reply.verb, reply.name, right_revoked(reply))
        elif isinstance(reply, messages.Expiring):
            if self._on_expiring is not None:
                self._on_expiring()
        elif isinstance(reply, messages.Failed):
            self._report(refused(reply))

    def _found(self, session: Session, pattern: str, channel: str) -> None:
        listening = self._listenings.get(pattern)
        if listening is not None:
            listening.found(session, channel)
            return
        with contextlib.suppress(ConnectionLost):  # it crossed our "unlisten"
            session.post(messages.ListenReject(pattern, channel))

    def interrupted(self) -> None:
        """A session ended: nobody waits for what is being worked on."""
        for offer in self._offers.values():
            offer.interrupt_all()
        for listening in self._listenings.values():
            listening.stop()

    def _put(self, verb: Any, name: str, item: Any, kind: type[Feed[Any]] = Feed) -> None:
        for holder in self._rights.holders(verb, name):
            if type(holder) is kind:
                holder.put(item)

    def _report(self, error: RequestRefused) -> None:
        if error.code == NOT_ASKED:  # our answer crossed what we were told already
            return
        if self._on_error is None:
            logger.warning("the router refused %s %s: %s", error.verb or "a message", error.name, error)
            return
        try:
            self._on_error(error)
        except Exception:  # noqa: BLE001 - the edge to the program's own code: the reader has to go on
            logger.exception("on_error failed")
