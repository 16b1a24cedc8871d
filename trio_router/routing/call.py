"""One call in progress, as ``routing.rpc`` keeps it."""

from __future__ import annotations

from typing import Final

import msgspec

from trio_router.payload import Payload
from trio_router.routing.callids import new_call_id
from trio_router.routing.deadlines import Deadlines
from trio_router.routing.peer import Timer
from trio_router.routing.providers import Offer
from trio_router.routing.session import Session

_NOBODY: Final[frozenset[Session]] = frozenset()


class Call(msgspec.Struct, eq=False):
    """One call in progress. ``id``, ``offer``, ``accepted`` and ``begun`` (partial results came) are of the present attempt."""

    # A structure of msgspec, since one is made for each call: that costs a fifth of a Python class with an __init__.
    caller: Session
    tag: str
    id: str
    offer: Offer
    data: Payload | None  # for the next attempt, if there is room to keep it
    kept: int  # bytes of it
    deadline: float
    progress: bool
    disclose: bool
    timer: Timer | None = None  # of its own,
    among: Deadlines[Call] | None = None  # or among all of the usual length
    accept_timer: Timer | None = None
    accepted: bool = False
    begun: bool = False
    tried: frozenset[Session] = _NOBODY

    def __repr__(self) -> str:
        return "<call>"  # an id that only the provider may know (T55), and user data, do not belong in logs

    def turn_to(self, offer: Offer) -> None:
        """The next attempt: with this offer, under an id of its own, so that no answer to the one before counts."""
        self.id = new_call_id()
        self.offer = offer
        self.accepted = self.begun = False

    @property
    def provider(self) -> Session:
        """The session that was chosen."""
        return self.offer.session
