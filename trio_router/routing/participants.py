"""Who is on the ``prs:`` and ``sys:`` channels, by the identity that their trust-tokens give them.

A session is there while it has the channel subscribed or is connected to it, once however many of both it has; coming and
leaving is told to those who receive the channel. Server programs need no token, have no such identity and are not listed.
Knows no rules: the verbs have asked the door. The rule that keeps it honest: nobody is told of their own coming, and whoever
was told that somebody came is told when they leave, unless they stopped receiving the channel before.
"""

from __future__ import annotations

from typing import Final, Literal

from trio_router.names import PRESENCE, SYSTEM, kind_of
from trio_router.protocols.messages import Participant, Source
from trio_router.routing.events import Events
from trio_router.routing.session import Session
from trio_router.tokens.trust import Trust

KINDS: Final = frozenset({PRESENCE, SYSTEM})


def has_participants(channel: str) -> bool:
    """Whether participants are kept for ``channel``."""
    return kind_of(channel) in KINDS


class Participants:
    """The participants of one app's channels."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._channels: dict[str, dict[Session, tuple[Participant, int]]] = {}

    def __len__(self) -> int:
        """How many channels somebody is on."""
        return len(self._channels)

    def of(self, channel: str) -> tuple[Participant, ...]:
        """Who is on ``channel``, in the order they came."""
        return tuple(participant for participant, _ in self._channels.get(channel, {}).values())

    def source(self, session: Session, channel: str) -> Source | None:
        """Who ``session`` is on ``channel``; None if it is no participant there."""
        known = self._channels.get(channel, {}).get(session)
        return None if known is None else Source(session.id, known[0].sysid)

    def join(self, session: Session, channel: str, trust: Trust | None) -> None:
        """``session`` has opened ``channel`` once more."""
        if trust is None or trust.participant is None or not has_participants(channel):
            return
        members = self._channels.setdefault(channel, {})
        known = members.get(session)
        if known is not None:
            members[session] = known[0], known[1] + 1
            return
        participant = Participant(session.id, trust.participant.sysid, dict(trust.participant.sysinfo))
        members[session] = participant, 1
        self._announce(session, channel, "joined", participant)

    def leave(self, session: Session, channel: str) -> None:
        """``session`` has closed ``channel`` once; harmless if it was no participant."""
        members = self._channels.get(channel)
        known = members.get(session) if members is not None else None
        if members is None or known is None:
            return
        if known[1] > 1:
            members[session] = known[0], known[1] - 1
            return
        del members[session]
        if not members:
            del self._channels[channel]
        self._announce(session, channel, "left", known[0])

    def _announce(
        self, session: Session, channel: str, change: Literal["joined", "left"], participant: Participant
    ) -> None:
        for subscription, peers in self._events.receivers(channel):
            for peer in peers:
                if peer is not session.peer:
                    peer.participant(channel, change, participant, subscription)
