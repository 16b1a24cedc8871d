"""What a session asks for about listening: to be asked who provides a channel, and its answers.

It asks the door about the pattern; about the channels that are found :mod:`listen <trio_router.routing.listen>` asks it itself.
"""

from __future__ import annotations

from collections.abc import Callable

from trio_router.errors import Refused
from trio_router.permissions.decision import Action
from trio_router.protocols import codes
from trio_router.routing.door import Door
from trio_router.routing.granting import grant
from trio_router.routing.listen import Listens
from trio_router.routing.listen_patterns import InvalidPattern, ListenPattern
from trio_router.routing.rates import RateBook
from trio_router.routing.rights import Rights
from trio_router.routing.session import Session


class ListenVerbs:
    """See ``routing.core.Core`` for what all verbs raise."""

    def __init__(self, door: Door, rates: RateBook, rights: Rights, listens: Listens) -> None:
        self._door = door
        self._rates = rates
        self._rights = rights
        self._listens = listens

    def listen(self, session: Session, pattern: str, *, accepted: Callable[[], None] | None = None) -> None:
        """Be asked to provide the channels that ``pattern`` matches: a regular expression in JavaScript's notation, not anchored.

        ``accepted`` is called once it is granted, before the first question.
        ALREADY_LISTENING, LIMIT_REACHED (``listens_per_session``, ``listen_pattern_length``), INVALID_PATTERN with what is wrong.
        The rules are asked about the pattern's own text here, and about each channel before :meth:`Peer.listen_found` names it.
        """
        self._rates.charge(self._rates.subscriptions, session)
        self._rights.check(session)
        limit = self._listens.limits.listen_pattern_length
        if len(pattern) > limit:
            raise Refused(codes.LIMIT_REACHED, f"pattern: at most {limit} characters")
        try:
            parsed = ListenPattern.parse(pattern)
        except InvalidPattern as error:
            raise Refused(codes.INVALID_PATTERN, f"pattern: {error}") from None
        decision = self._door.authorize_listen(session.identity, parsed.asked, parsed.kind)
        grant(Action.EVENT_LISTEN, decision, session)
        self._rights.gained(session)
        self._listens.listen(session, parsed, accepted)

    def unlisten(self, session: Session, pattern: str) -> None:
        """Stop; ``pattern`` is spelled as it was. Others are asked about the channels it provided. NOT_LISTENING."""
        self._rights.check(session)
        self._listens.unlisten(session, pattern)

    def listen_accept(self, session: Session, pattern: str, channel: str) -> None:
        """Answer ``Peer.listen_found``: provide ``channel`` until ``Peer.listen_removed``. NOT_ASKED changes nothing.

        NOT_ASKED is also what a late answer gets, whether the question timed out or was taken back: this session does not
        provide the channel (a protocol whose clients take acceptance for granted tells them that it was removed).
        """
        self._rights.check(session)
        self._listens.accept(session, pattern, channel)
        self._rights.gained(session)

    def listen_reject(self, session: Session, pattern: str, channel: str) -> None:
        """Answer ``Peer.listen_found``: leave ``channel`` to others. Or give up what it provides. NOT_ASKED changes nothing."""
        self._rights.check(session)
        self._listens.reject(session, pattern, channel)
