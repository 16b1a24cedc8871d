"""Sessions that speak the deepstream protocol: their quarantine, their connection, their heartbeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from trio_router.identity import Identity
from trio_router.limits import Limits
from trio_router.metrics import Metrics, Tally
from trio_router.protocols import codes
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import PROTOCOL, PROTOCOL_JSON, AuthAction, Topic
from trio_router.session.deepstream.connection import Connection, request_counters
from trio_router.session.deepstream.heartbeat import Heartbeat
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.deepstream.quarantine import Quarantine
from trio_router.session.deepstream.wire import BinaryWire, JsonWire, Wire
from trio_router.session.protocol import Seat

WIRES: Final[dict[str, Callable[[Limits], Wire]]] = {PROTOCOL: BinaryWire, PROTOCOL_JSON: JsonWire}
"""The ways to speak deepstream, by the name of the protocol."""


class DeepstreamConversation:
    """See ``session.protocol.Conversation``."""

    def __init__(
        self, seat: Seat, wire: Wire, options: DeepstreamOptions, counters: Callable[[Metrics], Mapping[str, Tally]]
    ) -> None:
        self._counters = counters
        self._seat = seat
        self._wire = wire
        self._options = options
        self._client_data: Any = None

    async def admit(self) -> Identity:
        seat, host = self._seat, self._seat.host
        quarantine = Quarantine(
            seat.link,
            seat.session_id,
            app=host.app,
            wire=self._wire,
            chain=seat.chain(),
            limits=seat.limits(),
            options=self._options,
            metrics=host.metrics,
            turns=host.turns,
        )
        identity, self._client_data = await quarantine.admit()
        return identity

    async def live(self, identity: Identity) -> None:
        seat, host, limits = self._seat, self._seat.host, self._seat.limits()
        renewal = seat.renewal(_unwarned)
        heartbeat = Heartbeat(
            seat.link,
            host.timers,
            interval=self._options.heartbeat_interval,
            dead=lambda: seat.ending.end(codes.PING_TIMEOUT),
        )
        connection = Connection(
            seat.link,
            identity,
            core=host.core,
            wire=self._wire,
            ending=seat.ending,
            limits=limits,
            options=self._options,
            metrics=host.metrics,
            counters=self._counters(host.metrics),
            log=seat.log,
            records=host.records,
        )
        data = None if self._client_data is None else msgspec.json.encode(self._client_data).decode()
        welcome = Packet(Topic.AUTH, AuthAction.AUTH_SUCCESSFUL, data=data)
        try:
            heartbeat.start()
            renewal.watch(identity.expires_at)
            await connection.run(welcome, self._client_data)
        finally:
            heartbeat.stop()
            renewal.stop()

    def farewell(self, code: CloseCode, retry_after: float | None) -> bytes | None:  # noqa: ARG002
        """None: a client that is closed comes back by itself; where it should not, it was told so before."""
        return None


def _unwarned(_: float) -> None:
    """The protocol has no words for a login that is about to end: when it has, the client logs in again."""


class DeepstreamProtocol:
    """The deepstream protocol in one of its two ways."""

    def __init__(self, name: str, options: DeepstreamOptions) -> None:
        self._wire = WIRES[name]
        self._options = options
        self._counters = lru_cache(request_counters)  # made once: a session has no table of its own

    def begin(self, seat: Seat) -> DeepstreamConversation:
        return DeepstreamConversation(seat, self._wire(seat.limits()), self._options, self._counters)
