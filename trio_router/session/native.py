"""Sessions that speak ``trio-router.v1+json``: its quarantine, its connection, its farewell."""

from __future__ import annotations

from typing import Final

from trio_router.identity import Identity
from trio_router.protocols import codes, messages
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.native.machine import ServerMachine
from trio_router.session.connection import Connection
from trio_router.session.keepalive import Keepalive
from trio_router.session.protocol import Seat
from trio_router.session.quarantine import Admitted, Quarantine
from trio_router.session.wire import NativeWire

SAID_FIRST: Final = frozenset({codes.RESTART.number, codes.OVERLOADED.number})
"""Closes below 4000 that are announced by a ``Closing`` message, as all of ours from 4000 on are."""


class NativeConversation:
    """See ``session.protocol.Conversation``."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._wire = NativeWire(seat.limits())
        self._machine = ServerMachine()
        self._admitted: Admitted | None = None

    async def admit(self) -> Identity:
        seat, host = self._seat, self._seat.host
        quarantine = Quarantine(
            seat.link,
            seat.session_id,
            app=host.app,
            wire=self._wire,
            chain=seat.chain(),
            machine=self._machine,
            limits=seat.limits(),
            metrics=host.metrics,
            turns=host.turns,
        )
        self._admitted = await quarantine.admit()
        return self._admitted.identity

    async def live(self, identity: Identity) -> None:
        assert self._admitted is not None  # noqa: S101 - admit() came first
        seat, host, limits = self._seat, self._seat.host, self._seat.limits()
        renewal = seat.renewal(lambda expires: connection.warn(expires))  # noqa: PLW0108 - it does not exist yet
        connection = Connection(
            seat.link,
            identity,
            core=host.core,
            wire=self._wire,
            machine=self._machine,
            ending=seat.ending,
            renewal=renewal,
            limits=limits,
            metrics=host.metrics,
            log=seat.log,
            records=host.records,
        )
        keepalive = Keepalive(
            seat.link,
            host.timers,
            ping_interval=limits.ping_interval,
            pong_timeout=limits.pong_timeout,
            dead=lambda: seat.ending.end(codes.PING_TIMEOUT),
        )
        try:
            keepalive.start()
            await connection.run(self._admitted.welcome)
        finally:
            keepalive.stop()
            renewal.stop()

    def farewell(self, code: CloseCode, retry_after: float | None) -> bytes | None:
        if code.number < 4000 and code.number not in SAID_FIRST:
            return None
        milliseconds = None if retry_after is None else round(retry_after * 1000)
        return self._wire.frame(messages.Closing(code.number, milliseconds))


class NativeProtocol:
    """The router's own protocol."""

    def begin(self, seat: Seat) -> NativeConversation:
        return NativeConversation(seat)
