"""Who receives what: one shared object per name, and a registry that knows when the first comes and the last goes.

Events and presence both keep their receivers in it. It knows nothing about rules: whoever joins here has been
through the door. Members are kept in the order they came, so that deliveries are deterministic.

A list of receivers is a snapshot that a change of membership replaces and never alters. A publish walks over
it, so a peer that leaves (or brings somebody in) while it is being told something disturbs nobody's turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trio_router.routing.audience import Tell, audience
from trio_router.routing.peer import Peer
from trio_router.routing.session import Session


class Subscription:
    """Everybody who subscribed one name. ``name`` is a channel, a pattern or a user's id."""

    __slots__ = ("_members", "_peers", "name", "size", "told")

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        """How many members it has."""
        self._members: dict[Session, None] = {}
        self._peers: tuple[Peer, ...] | None = None
        self.told: tuple[Tell, ...] | None = None
        """The :attr:`audience`, if it is built."""

    @property
    def peers(self) -> tuple[Peer, ...]:
        """Where to reach the members, in the order they came; built once per change of membership."""
        peers = self._peers
        if peers is None:
            peers = self._peers = tuple([member.peer for member in self._members])
        return peers

    @property
    def audience(self) -> tuple[Tell, ...]:
        """How to tell all members an event; built once per change of membership."""
        tells = self.told
        if tells is None:
            tells = self.told = audience(self.peers)
        return tells

    def __len__(self) -> int:
        return self.size

    def add(self, session: Session) -> None:
        """One more member."""
        self._members[session] = None
        self.size = len(self._members)
        self._peers = self.told = None

    def discard(self, session: Session) -> None:
        """One member less."""
        self._members.pop(session, None)
        self.size = len(self._members)
        self._peers = self.told = None


def _nothing(_: Subscription) -> None:
    """The hook of a registry that nothing hangs on."""


class Subscriptions:
    """All subscriptions of one sort, by name.

    ``opened`` is called with a subscription that is about to get its first member, ``closed`` with one that
    lost its last. A subscription without members does not exist.
    """

    def __init__(
        self,
        opened: Callable[[Subscription], None] = _nothing,
        closed: Callable[[Subscription], None] = _nothing,
    ) -> None:
        self.by_name: dict[str, Subscription] = {}
        """For those who look up often; nobody else changes it."""
        self._opened = opened
        self._closed = closed

    def get(self, name: str) -> Subscription | None:
        """The subscription of this name, None if nobody has it."""
        return self.by_name.get(name)

    def __len__(self) -> int:
        return len(self.by_name)

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self.by_name.values())

    def join(self, name: str, session: Session) -> Subscription:
        """Make ``session`` a member; joining twice is joining once."""
        subscription = self.by_name.get(name)
        if subscription is None:
            subscription = Subscription(name)
            self._opened(subscription)
            self.by_name[name] = subscription
        subscription.add(session)
        return subscription

    def leave(self, subscription: Subscription, session: Session) -> None:
        """End the membership of ``session``."""
        subscription.discard(session)
        if not len(subscription) and self.by_name.get(subscription.name) is subscription:
            del self.by_name[subscription.name]
            self._closed(subscription)
