"""The two sides of a session as the core sees it: what it may be told (Peer) and when to be woken (Timers).

The core is synchronous: it never awaits, knows no serializer, no socket and no Trio. Everything it tells a session goes
through these callbacks, which return at once and raise nothing; a peer that cannot keep up drops itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from trio_router.payload import ABSENT, Payload
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.messages import Participant, Publisher, Source


class Delivery(msgspec.Struct, eq=False):
    """One event for one subscription, shared by all its members.

    ``frames`` is where each protocol keeps its encoding, so that an event is encoded once per protocol, however
    many sessions receive it.
    """

    channel: str
    data: Payload
    subscription: str | None = None
    publisher: Publisher | None = None
    source: Source | None = None
    seq: int | None = None
    frames: dict[object, bytes] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return "<delivery>"  # user data does not belong in logs


class Peer(Protocol):
    """What the core tells one session."""

    def event(self, delivery: Delivery) -> None:
        """An event of a channel it subscribed."""

    def invoke(
        self,
        call: str,
        procedure: str,
        data: Payload,
        timeout: float,
        progress: bool,
        caller: Publisher | None,
        caller_data: Any = None,
    ) -> None:
        """It was chosen to answer a call; ``timeout`` is in seconds.

        ``caller`` is there if the caller wants to be known; ``caller_data`` is then the clientData of its login, if any.
        """

    def interrupt(self, call: str, reason: Literal["cancelled", "timeout", "caller_lost"]) -> None:
        """Nobody waits for this call any more."""

    def call_accepted(self, tag: str) -> None:
        """A provider has taken on the call it made under ``tag``; the outcome follows. Again if it goes to another provider."""

    def result(self, tag: str, data: Payload, more: bool) -> None:
        """A result of the call it made under ``tag``."""

    def call_failed(self, tag: str, code: int, detail: str = "", data: Payload = ABSENT) -> None:
        """The call it made under ``tag`` ended with an error code of ``protocols.codes``."""

    def presence(self, user: str, change: Literal["joined", "left"], sessions: int) -> None:
        """A session of a user it watches came or went."""

    def participant(
        self, channel: str, change: Literal["joined", "left"], participant: Participant, subscription: str | None
    ) -> None:
        """Somebody came to a channel it receives, or left it; ``subscription`` is the pattern it receives it by, if any."""

    def listen_found(self, pattern: str, channel: str) -> None:
        """``channel`` is subscribed and ``pattern``, by which it listens, matches: does it provide the events?

        It answers with ``Core.listen_accept`` or ``listen_reject``, in time.
        """

    def listen_timeout(self, pattern: str, channel: str) -> None:
        """It was asked by ``listen_found`` and has not answered in time; others are asked now."""

    def listen_removed(self, pattern: str, channel: str) -> None:
        """It provides ``channel`` no longer (or is no longer asked): nobody has it subscribed, or the rules do not allow it."""

    def revoked(self, verb: str, name: str, code: int, detail: str = "", decision: str = "") -> None:
        """A standing right was taken away: ``verb`` is subscribe, connect, listen, provide or presence_subscribe; ``decision`` its id."""

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        """End the connection. ``retry_after`` is in seconds."""


class Timer(Protocol):
    """One armed timer."""

    def cancel(self) -> None:
        """It will not fire any more; harmless after it did."""


class Timers(Protocol):
    """Wakes the core. Implementations call back from one place, never from inside ``after``."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean something."""

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once, ``seconds`` from now (monotonic)."""
