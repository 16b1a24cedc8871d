"""How the members of a subscription are told an event: those that can be told together in one go, all others one by one.

A session that shares its protocol and its way to the socket with others is one of a *crowd*; the crowd makes one frame and hands it
over once, however many it is for. Which crowds there are is decided once per change of membership. Nothing in here knows what a
crowd shares.

The rule that keeps it honest: everybody is told exactly once, and what the members of a crowd get is what each would get alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, cast

from trio_router.routing.peer import Delivery, Peer

Tell = Callable[[Delivery], None]


class Sociable(Protocol):
    """A peer that may be told together with others. Optional: a peer without these is told alone."""

    @property
    def crowd(self) -> Hashable | None:
        """Equal for those that can be told together; None for a peer that is alone."""

    def together(self, peers: Sequence[Peer]) -> Tell:
        """Tells all these peers of its own crowd, itself among them. Returns at once and raises nothing, like ``Peer.event``."""


def audience(peers: Sequence[Peer]) -> tuple[Tell, ...]:
    """How to tell all of ``peers``; crowds in the order of their first members."""
    crowds: dict[object, list[Peer]] = {}
    for peer in peers:
        crowd = _crowd(peer)
        crowds.setdefault(peer if crowd is None else crowd, []).append(peer)
    return tuple(
        members[0].event if _crowd(members[0]) is None else cast("Sociable", members[0]).together(members)
        for members in crowds.values()
    )


def _crowd(peer: Peer) -> Hashable | None:
    # Asking isinstance of a protocol takes several microseconds a peer, and this is asked of all of them at every change of membership.
    return cast("Hashable | None", getattr(peer, "crowd", None))
