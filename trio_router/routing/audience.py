"""How the members of a subscription are told an event: those that can be told together in one go, all others one by one.

A session that shares its protocol and its way to the socket with others is one of a *crowd*; the crowd makes one frame and hands it
over once, however many it is for. Which crowds there are is decided once per change of membership. Nothing in here knows what a
crowd shares.

The rule that keeps it honest: everybody is told exactly once, and what the members of a crowd get is what each would get alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, runtime_checkable

from trio_router.routing.peer import Delivery, Peer

Tell = Callable[[Delivery], None]


@runtime_checkable
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
        crowd = peer.crowd if isinstance(peer, Sociable) else None
        crowds.setdefault(peer if crowd is None else crowd, []).append(peer)
    return tuple(
        first.together(members)
        if isinstance(first := members[0], Sociable) and first.crowd is not None
        else first.event
        for members in crowds.values()
    )
