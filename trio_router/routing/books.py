"""The books of one app: who has subscribed, provides, listens for and watches what; how one of it ends, and all of it.

Who ends what, and why, is others' business: nobody is told here but those who are told of every ending (participants, watchers,
providers). The rule that keeps it honest: what ends because it was asked for ends the same way as what is taken away.
"""

from __future__ import annotations

from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.permissions.decision import Action
from trio_router.routing.door import Door
from trio_router.routing.events import Events
from trio_router.routing.listen import ListenOptions, Listens
from trio_router.routing.participants import Participants
from trio_router.routing.peer import Timers
from trio_router.routing.presence import Presence
from trio_router.routing.rpc import Rpc
from trio_router.routing.session import Session
from trio_router.routing.trust import drop, drop_all


class Books:
    """What the sessions of one app have open, each kind in a book of its own."""

    def __init__(
        self, door: Door, timers: Timers, limits: Limits, metrics: Metrics, listen_options: ListenOptions | None = None
    ) -> None:
        self.events = Events(limits, metrics)
        self.participants = Participants(self.events)
        self.listens = Listens(door, self.events, timers, limits, metrics)
        self.listens.options = listen_options or self.listens.options
        self.rpc = Rpc(timers, limits, metrics)
        self.presence = Presence(door, limits)

    def replace_limits(self, limits: Limits) -> None:
        """From now on ``limits`` bound what a session may hold; what it holds already stays."""
        self.events.limits = self.listens.limits = self.rpc.limits = self.presence.limits = limits

    def close(self, session: Session, action: Action, name: str) -> None:
        """End one right that stands."""
        drop(session.openings, action, name)
        if action is Action.EVENT_SUBSCRIBE:
            self.unsubscribe(session, name)
        elif action is Action.EVENT_LISTEN:
            self.listens.unlisten(session, name)
        elif action is Action.EVENT_PUBLISH:
            del session.connections[name]
            self.participants.leave(session, name)
        elif action is Action.RPC_PROVIDE:
            self.rpc.revoke(session, name)
        else:
            self.presence.revoke(session, name)

    def unsubscribe(self, session: Session, channel: str) -> None:
        """End a subscription. Raises ``Refused``: NOT_SUBSCRIBED."""
        self.events.unsubscribe(session, channel)
        self.participants.leave(session, channel)
        if not self.events.has(channel):
            self.listens.closed(channel)

    def leave(self, session: Session, *, seen: bool) -> None:
        """End everything that ``session`` has. ``seen``: presence knows it."""
        drop_all(session.openings)
        channels = [*session.subscriptions, *session.connections]
        self.events.leave(session)
        self.listens.leave(session, [channel for channel in channels if not self.events.has(channel)])
        session.connections.clear()
        for channel in channels:
            self.participants.leave(session, channel)
        self.rpc.leave(session)
        if seen:
            self.presence.leave(session)
        else:
            self.presence.forget(session)
