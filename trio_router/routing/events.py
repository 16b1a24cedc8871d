"""Events: who subscribed what, and one shared delivery for each subscription that an event reaches.

Knows sessions and names, no rules (the verbs have asked the door), no bytes and no clock. A publish makes one
``Delivery`` per subscription, never one per receiver, and hands it over at once, so what one session publishes to
one channel reaches every receiver in that order. A session with several matching subscriptions is told once for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from trio_router.errors import Refused
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import Payload
from trio_router.protocols import codes
from trio_router.protocols.messages import Source
from trio_router.routing.peer import Delivery, Peer
from trio_router.routing.session import Session
from trio_router.routing.subscriptions import Subscription, Subscriptions
from trio_router.routing.wildcards import WildcardIndex


def is_pattern(channel: str) -> bool:
    """Whether a subscription of ``channel`` is one of a pattern; no channel's own name holds a ``*``."""
    return "*" in channel


class Events:
    """The event subscriptions of one app."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self._metrics = metrics
        self._index = WildcardIndex()
        self._exact = Subscriptions()
        self._wildcard = Subscriptions(opened=self._index.add, closed=self._index.remove)

    def __len__(self) -> int:
        """How many channels and patterns somebody has subscribed."""
        return len(self._exact) + len(self._wildcard)

    def has(self, channel: str) -> bool:
        """Whether somebody has subscribed ``channel`` itself, not only a pattern that matches it."""
        return self._exact.get(channel) is not None

    def count(self, channel: str) -> int:
        """How many have subscribed ``channel`` itself."""
        subscription = self._exact.get(channel)
        return subscription.size if subscription is not None else 0

    def channels(self) -> list[str]:
        """The channels that somebody has subscribed by their name."""
        return [subscription.name for subscription in self._exact]

    def subscribe(self, session: Session, channel: str) -> None:
        """Let ``session`` receive ``channel``, a name or a pattern.

        Raises:
            Refused: ALREADY_SUBSCRIBED, or LIMIT_REACHED (``subscriptions_per_session``).
        """
        if channel in session.subscriptions:
            raise Refused(codes.ALREADY_SUBSCRIBED)
        if len(session.subscriptions) >= self.limits.subscriptions_per_session:
            limit = self.limits.subscriptions_per_session
            raise Refused(codes.LIMIT_REACHED, f"at most {limit} subscriptions per session")
        session.subscriptions[channel] = self._registry(channel).join(channel, session)

    def unsubscribe(self, session: Session, channel: str) -> None:
        """End a subscription, spelled as it was subscribed.

        Raises:
            Refused: NOT_SUBSCRIBED.
        """
        subscription = session.subscriptions.pop(channel, None)
        if subscription is None:
            raise Refused(codes.NOT_SUBSCRIBED)
        self._registry(channel).leave(subscription, session)

    def leave(self, session: Session) -> None:
        """End all subscriptions of ``session``."""
        for channel, subscription in session.subscriptions.items():
            self._registry(channel).leave(subscription, session)
        session.subscriptions.clear()

    def forget(self) -> None:
        """Let go of what is remembered to be quicker; nobody receives more or less."""
        self._index.forget()

    def receivers(self, channel: str) -> Iterator[tuple[str | None, tuple[Peer, ...]]]:
        """Who receives ``channel``: by its name (None) first, then by each pattern."""
        exact = self._exact.get(channel)
        if exact is not None:
            yield None, exact.peers
        for subscription in self._index.matching(channel):
            yield subscription.name, subscription.peers

    def publish(
        self,
        session: Session | None,
        channel: str,
        data: Payload,
        echo: bool,
        disclose: bool,
        only: Peer | None = None,
        without: Collection[Peer] = (),
        source: Source | None = None,
        seq: int | None = None,
    ) -> None:
        """Hand an event to everybody who subscribed its channel: the exact subscription first, then the patterns.

        ``echo``: also to the publisher, if subscribed. ``disclose``: tell who published, which the router knows
        and nobody can claim (T28). ``only``: to nobody else; ``without``: not to these. ``session`` is None for a publisher without a session.
        ``source`` and ``seq`` go along as they are.
        """
        publisher = session.publisher if disclose and session is not None else None
        if not echo and session is not None:
            without = (*without, session.peer)
        told = 0
        exact = self._exact.by_name.get(channel)
        if exact is not None:
            delivery = Delivery(channel, data, None, publisher, source, seq)
            if only is None and not without:  # the busiest case of all, without another call
                for tell in exact.told or exact.audience:
                    tell(delivery)
                told = exact.size
            else:
                told = _deliver(exact, delivery, only, without)
        for subscription in self._index.matching(channel):
            delivery = Delivery(channel, data, subscription.name, publisher, source, seq)
            told += _deliver(subscription, delivery, only, without)
        self._metrics.events.count += 1
        self._metrics.deliveries.count += told

    def _registry(self, channel: str) -> Subscriptions:
        return self._wildcard if is_pattern(channel) else self._exact


def _deliver(subscription: Subscription, delivery: Delivery, only: Peer | None, without: Collection[Peer]) -> int:
    if only is None and not without:
        for tell in subscription.audience:
            tell(delivery)
        return subscription.size
    peers = subscription.peers
    if without and not set(without).isdisjoint(peers):
        peers = tuple([peer for peer in peers if peer not in without])
    if only is not None:
        peers = (only,) if only in peers else ()
    for peer in peers:
        peer.event(delivery)
    return len(peers)
