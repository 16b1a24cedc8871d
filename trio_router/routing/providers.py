"""Which of several providers answers the next call.

The one with the fewest calls in progress; among equals the one that has been waiting longest, so that calls made
one at a time go round. Offers are kept by how many calls they have, in the order they got there: choosing is
taking the first of the first level that has one, whatever the number of providers. An offer at its capacity is in
no level, nor is one that is alone. It knows nothing about callers, time or rules.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from trio_router.routing.session import Session


def direct_pool(session_id: str, procedure: str) -> str:
    """What the direct offer of a session is kept under; the blank is in no procedure's name."""
    return f"{session_id} {procedure}"


class Offer:
    """One session's offer to answer calls to one procedure, at most ``capacity`` (at least 1) at a time.

    ``pool`` is what it is kept under: the procedure's name, or one of its own for an offer that only those reach who
    name the session. ``accept_within``: seconds in which it says whether it takes a call on; None: it answers when it can.
    """

    __slots__ = ("accept_within", "calls", "capacity", "pool", "procedure", "session")

    def __init__(
        self,
        session: Session,
        procedure: str,
        capacity: int,
        *,
        direct: bool = False,
        accept_within: float | None = None,
    ) -> None:
        self.pool = direct_pool(session.id, procedure) if direct else procedure
        self.session = session
        self.procedure = procedure
        self.capacity = capacity
        self.accept_within = accept_within
        self.calls = 0


class Providers:
    """The offers of one procedure."""

    def __init__(self) -> None:
        self._offers: set[Offer] = set()
        self._only: Offer | None = None  # the only offer there is: then no levels are kept
        self._levels: list[dict[Offer, None]] = []
        self._lowest = 0  # no level below it has an offer

    def __len__(self) -> int:
        return len(self._offers)

    def add(self, offer: Offer) -> None:
        """Include an offer without calls; it is the last of the free ones."""
        self._offers.add(offer)
        if len(self._offers) == 1:
            self._only = offer
            return
        if self._only is not None:
            self._place(self._only)
            self._only = None
        self._place(offer)

    def remove(self, offer: Offer) -> None:
        """Choose it no more. Calls it has in progress are its own from now on."""
        self._offers.remove(offer)
        if offer is self._only:
            self._only = None
            return
        self._displace(offer)
        if len(self._offers) == 1:
            (self._only,) = self._offers
            self._displace(self._only)

    def take(self, without: AbstractSet[Session] = frozenset()) -> Offer | None:
        """Choose an offer and count one more call for it; None if each one is at its capacity or of a session ``without``."""
        only = self._only
        if only is not None:
            if only.calls >= only.capacity or only.session in without:
                return None
            only.calls += 1
            return only
        levels = self._levels
        while self._lowest < len(levels) and not levels[self._lowest]:
            self._lowest += 1
        for number in range(self._lowest, len(levels)):
            for offer in levels[number]:
                if offer.session in without:
                    continue
                del levels[number][offer]
                offer.calls += 1
                self._place(offer)
                return offer
        return None

    def release(self, offer: Offer) -> None:
        """One call of ``offer`` has ended. An offer that was removed meanwhile is left alone."""
        if offer is self._only:
            offer.calls -= 1
        elif offer in self._offers:
            self._displace(offer)
            offer.calls -= 1
            self._place(offer)

    def has_other(self, than: AbstractSet[Session]) -> bool:
        """Whether there is an offer of a session that is not in ``than``, at its capacity or not."""
        return any(offer.session not in than for offer in self._offers)

    def _place(self, offer: Offer) -> None:
        if offer.calls < offer.capacity:
            while len(self._levels) <= offer.calls:
                self._levels.append({})
            self._levels[offer.calls][offer] = None
            self._lowest = min(self._lowest, offer.calls)

    def _displace(self, offer: Offer) -> None:
        if offer.calls < offer.capacity:
            del self._levels[offer.calls][offer]
