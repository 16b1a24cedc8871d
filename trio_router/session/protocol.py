"""What a protocol is to the session layer: somebody who leads one conversation, from the greeting to the farewell.

``session.server`` owns when a session begins, ends and is counted, the same for all protocols; what is said meanwhile, and in
which words, is the conversation's. Which protocol a link speaks follows from the path it was opened at. Nothing in here knows one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import attrs
import structlog

from trio_router.auth.chain import Chain
from trio_router.clock import Clock
from trio_router.identity import Identity
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.protocols import codes
from trio_router.protocols.codes import CloseCode
from trio_router.routing.core import Core
from trio_router.routing.peer import Timers
from trio_router.session.ending import Ending
from trio_router.session.expiry import Expiry
from trio_router.session.link import Link
from trio_router.session.renewal import Renewal
from trio_router.session.turns import Turns
from trio_router.storage.records import RecordStore

NATIVE: Final = "native"
"""What ``Upgrade.protocol`` is on the paths of apps themselves."""


@attrs.frozen
class Host:
    """What all sessions of one app share."""

    app: str
    core: Core
    metrics: Metrics
    clock: Clock
    timers: Timers
    expiry: Expiry
    turns: Turns
    records: RecordStore | None


@attrs.frozen
class Seat:
    """One session's place. ``chain`` and ``limits`` give those in force at the moment they are asked."""

    host: Host
    link: Link
    session_id: str
    ending: Ending
    log: structlog.stdlib.BoundLogger
    chain: Callable[[], Chain]
    limits: Callable[[], Limits]

    def renewal(self, warn: Callable[[float], None]) -> Renewal:
        """How the session's login goes on: ``warn`` gets the time of its end when it is near; the session ends with it."""
        return Renewal(
            chain=self.chain,
            expiry=self.host.expiry,
            clock=self.host.clock,
            grace=self.limits().expiry_grace,
            warn=warn,
            end=lambda: self.ending.end(codes.SESSION_EXPIRED),
        )


class Conversation(Protocol):
    """One session in the words of its protocol."""

    async def admit(self) -> Identity:
        """Greet the client and wait for a login that is accepted; there is no core for it before.

        Raises:
            SessionEnd: time, attempts or patience are used up.
            LinkClosed: the client left.
        """

    async def live(self, identity: Identity) -> None:
        """Take part in the core as ``identity`` until the session ends; the first step waits for nothing.

        Raises:
            SessionEnd: the client sent what it must not.
            LinkClosed: the connection is gone.
        """

    def farewell(self, code: CloseCode, retry_after: float | None) -> bytes | None:
        """The last frame before the close frame, if the protocol has words for it. ``retry_after`` is in seconds."""


class SessionProtocol(Protocol):
    """One protocol of an app."""

    def begin(self, seat: Seat) -> Conversation:
        """A conversation over ``seat.link``."""
