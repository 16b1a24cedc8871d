"""One call in progress, as ``routing.rpc`` keeps it."""

from __future__ import annotations

from typing import Final

from trio_router.payload import Payload
from trio_router.routing.callids import new_call_id
from trio_router.routing.deadlines import Deadlines
from trio_router.routing.peer import Timer
from trio_router.routing.providers import Offer
from trio_router.routing.session import Session

_NOBODY: Final[frozenset[Session]] = frozenset()


class Call:
    """One call in progress. ``id``, ``offer``, ``accepted`` and ``begun`` (partial results came) are of the present attempt."""

    __slots__ = (
        "accept_timer",
        "accepted",
        "among",
        "begun",
        "caller",
        "data",
        "deadline",
        "disclose",
        "id",
        "kept",
        "offer",
        "progress",
        "tag",
        "timer",
        "tried",
    )

    def __init__(
        self,
        caller: Session,
        tag: str,
        offer: Offer,
        data: Payload | None,
        kept: int,
        deadline: float,
        progress: bool,
        disclose: bool,
    ) -> None:
        self.caller = caller
        self.tag = tag
        self.id = new_call_id()
        self.offer = offer
        self.data = data  # for the next attempt, if there is room to keep it
        self.kept = kept  # bytes of it
        self.deadline = deadline
        self.progress = progress
        self.disclose = disclose
        self.timer: Timer | None = None  # of its own,
        self.among: Deadlines[Call] | None = None  # or among all of the usual length
        self.accept_timer: Timer | None = None
        self.accepted = False
        self.begun = False
        self.tried = _NOBODY

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
