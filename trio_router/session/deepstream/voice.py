"""What all topics of one deepstream session share: the way to the core and the way to the client.

A piece of *work* is a generator: it yields the names of records that the rules need, and is sent whether they could be loaded. So
what waits is written like what does not, name by name, and only a request that needs records waits at all.

The rule that keeps it honest: saying something never raises. What cannot be encoded for this client ends this session, not the
one in whose turn it happened (T09).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final

import structlog

from trio_router.auth.chain import where
from trio_router.errors import RecordsNeeded, Refused, RemoteProtocolError
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import Payload
from trio_router.permissions.records import MAX_ROUNDS
from trio_router.protocols import codes
from trio_router.protocols.deepstream.packets import Packet
from trio_router.routing.core import Core
from trio_router.routing.session import Session
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.deepstream.replies import refusal
from trio_router.session.deepstream.wire import Wire, payload_of
from trio_router.session.ending import Ending
from trio_router.session.link import Link

Work = Generator[Sequence[str], bool, None]

Actions = Mapping[int, tuple[str, Callable[[Any, Packet], Work | None]]]
"""What a topic's object does with a packet, by its action; and the request's name for the metrics."""

MAX_CORRELATION: Final = 255
"""Characters of a correlation id that is repeated in an answer."""


class Voice:
    """One session's. ``session`` is set once it is attached to the core."""

    session: Session

    __deletable__ = ["session"]  # what a compiled class must be told: see forget

    def __init__(
        self,
        link: Link,
        *,
        core: Core,
        wire: Wire,
        ending: Ending,
        limits: Limits,
        options: DeepstreamOptions,
        metrics: Metrics,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self.core = core
        self.wire = wire
        self.limits = limits
        self.options = options
        self._link = link
        self._ending = ending
        self._metrics = metrics
        self._log = log

    def forget(self) -> None:
        """The session is over, and nobody asks for it any more."""
        del self.session

    # ---- to the client ----------------------------------------------------------------------------------------

    def say(self, packet: Packet) -> None:
        """Send one packet."""
        try:
            frame = self.wire.frame(packet)
        except Exception as error:  # noqa: BLE001 - the edge of a session: it may happen in another's turn
            self.fault(error)
            return
        self._link.send(frame)

    def fault(self, error: Exception) -> None:
        """Something of ours went wrong: this session ends."""
        self._log.error("session_failed", **where(error))
        self._ending.end(codes.INTERNAL)

    def acknowledge(self, packet: Packet, name: str | None = None) -> None:
        """Say that ``packet`` was looked at, whatever became of it."""
        self.say(Packet(packet.topic, packet.action, name=name, correlation_id=packet.correlation_id, is_ack=True))

    def refuse(self, packet: Packet, refused: Refused, name: str | None = None) -> None:
        """Say that ``packet``, as far as it is about ``name``, was refused."""
        self._metrics.errors.labels(codes.error(refused.code).slug).inc()
        self.say(refusal(packet, refused, name))

    def misfit(self, packet: Packet, detail: str) -> None:
        """Say that ``packet`` lacks something or has too much of it."""
        self.refuse(packet, Refused(codes.INVALID_MESSAGE, detail), packet.name)

    # ---- from the client --------------------------------------------------------------------------------------

    def names(self, packet: Packet, most: int) -> Sequence[str] | None:
        """The names a bulk message is about; None if it was refused as a whole."""
        names = packet.names or ()
        if len(names) > most:
            self.misfit(packet, f"names: at most {most} in one message")
            return None
        if not _fits(packet):
            self.misfit(packet, "correlationId: too long")
            return None
        return names

    def payload(self, packet: Packet) -> Payload | None:
        """What a packet carries; None if that is no JSON, and the client was told."""
        try:
            return payload_of(packet, self.limits.json_depth)
        except RemoteProtocolError as error:
            self.misfit(packet, f"data: {error.detail}")
            return None

    def attempt(self, do: Callable[[], None], packet: Packet, name: str | None) -> Generator[Sequence[str], bool, bool]:
        """Let the core ``do`` what ``packet`` asks for ``name``; whether it did. The client is told of a refusal."""
        for _ in range(MAX_ROUNDS):
            try:
                do()
            except RecordsNeeded as needed:
                undecided = needed
                if not (yield needed.names):
                    break
            except Refused as refused:
                self.refuse(packet, refused, name)
                return False
            else:
                return True
        self.refuse(packet, undecided.given_up(), name)
        return False


def _fits(packet: Packet) -> bool:
    return packet.correlation_id is None or len(packet.correlation_id) <= MAX_CORRELATION
