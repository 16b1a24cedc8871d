"""What listening keeps: who listens with which pattern, and the search for the provider of each channel.

Books without a will: :mod:`trio_router.routing.listen` writes them. They know neither rules nor time.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from trio_router.routing.listen_patterns import ListenPattern
from trio_router.routing.peer import Timer
from trio_router.routing.session import Session

Answer = Literal["accepted", "rejected", "timeout", "withdrawn"]


class Listen:
    """One session's listening with one pattern."""

    __slots__ = ("asked", "pattern", "provided", "session")

    def __init__(self, session: Session, pattern: ListenPattern) -> None:
        self.session = session
        self.pattern = pattern
        self.asked: dict[str, Search] = {}  # by channel
        self.provided: dict[str, Search] = {}

    @property
    def is_on(self) -> bool:
        """Whether it has not ended."""
        return self.session.listens.get(self.pattern.source) is self


class Group:
    """Everybody who listens with one pattern, in the order they came."""

    __slots__ = ("listens", "literal", "pattern")

    def __init__(self, pattern: ListenPattern) -> None:
        self.pattern = pattern
        self.literal = pattern.literal
        self.listens: dict[Listen, None] = {}


class Search:
    """The search for the provider of one subscribed channel.

    It goes in rounds, in which everybody is asked at most once; ``seen`` are those who were or will be. ``waiting``: who will be
    asked once it has answered others.
    """

    __slots__ = ("asked", "channel", "provider", "queue", "seen", "timer", "waiting")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.queue: deque[Listen] = deque()  # still to be asked in this round
        self.seen: set[Listen] = set()
        self.asked: Listen | None = None
        self.waiting: Listen | None = None
        self.provider: Listen | None = None
        self.timer: Timer | None = None


Waiting = deque[tuple[Search, Listen]]
