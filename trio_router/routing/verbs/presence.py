"""What a session asks for about presence: who is online, and to be told who comes and goes.

:mod:`presence <trio_router.routing.presence>` asks the door itself, name by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from trio_router.routing.granting import counted_once
from trio_router.routing.presence import Presence
from trio_router.routing.rates import RateBook
from trio_router.routing.rights import Rights
from trio_router.routing.session import Session


class PresenceVerbs:
    """See ``routing.core.Core`` for what all verbs raise."""

    def __init__(self, rates: RateBook, rights: Rights, presence: Presence) -> None:
        self._rates = rates
        self._rights = rights
        self._presence = presence

    def presence_query(self, session: Session, users: Sequence[str] | None) -> tuple[dict[str, int], dict[str, str]]:
        """Sessions per user and the denied names with the ids of their decisions, see :meth:`Presence.query`. LIMIT_REACHED."""
        self._rates.charge(self._rates.calls, session)
        self._rights.check(session)
        with counted_once(session):
            return self._presence.query(session, users)

    def presence_of_everybody(self, session: Session) -> None:
        """Returns unless the rules deny the presence of everybody outright, see :meth:`Presence.check_everybody`. DENIED.

        For protocols that refuse such requests as a whole; otherwise whoever may not be seen is left out without a word.
        """
        self._rights.check(session)
        self._presence.check_everybody(session)

    def presence_subscribe(self, session: Session, users: Sequence[str] | None) -> dict[str, str]:
        """Watch users (None: everybody it may see); returns the denied names as above. ALREADY_SUBSCRIBED, LIMIT_REACHED."""
        self._rates.charge(self._rates.subscriptions, session)
        self._rights.check(session)
        with counted_once(session):
            denied = self._presence.subscribe(session, users)
        self._rights.gained(session)
        return denied

    def presence_unsubscribe(self, session: Session, users: Sequence[str] | None) -> None:
        """Stop watching. NOT_SUBSCRIBED, LIMIT_REACHED."""
        self._rights.check(session)
        self._presence.unsubscribe(session, users)
