"""Sessions that are told an event in one go: one frame, made once, handed over once for all their links.

It is the same for every protocol: what differs is how a delivery becomes a frame. The rule that keeps it honest: what goes wrong while
the frame is made ends each of these sessions and nobody else's (T09).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from trio_router.routing.peer import Delivery
from trio_router.session.link import Link


class Member(Protocol):
    """One session of a crowd."""

    @property
    def link(self) -> Link:
        """Where its frames go."""

    def fault(self, error: Exception) -> None:
        """Something of ours went wrong: this session ends."""


def tell_together(
    members: Sequence[Member], *, key: object, encode: Callable[[Delivery], bytes]
) -> Callable[[Delivery], None]:
    """Tells an event to all ``members``, whose links share one lane. ``key``: where the delivery keeps the frame of ``encode``."""
    lane = members[0].link.lane
    assert lane is not None  # noqa: S101 - who is on no lane is in no crowd
    send = lane.together([member.link for member in members])

    def tell(delivery: Delivery) -> None:
        frame = delivery.frames.get(key)
        if frame is None:
            try:
                frame = encode(delivery)
            except Exception as error:  # noqa: BLE001 - the edge of these sessions: it happens in another's turn
                for member in members:
                    member.fault(error)
                return
            delivery.frames[key] = frame
        send(frame)

    return tell
