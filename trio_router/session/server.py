"""Serves sessions: every accepted link becomes one, from its greeting to its close frame.

It owns the list of open sessions, their end and the drain. It knows links, not sockets; whoever accepts connections calls
:meth:`SessionServer.serve` for each.

The rule that keeps it honest: whatever happens inside a session, ``serve`` ends with the link closed by one code, and raises
nothing but ``Cancelled`` (T09).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs
import structlog
import trio

from trio_router.auth.chain import Chain
from trio_router.clock import Clock
from trio_router.identity import Identity, new_session_id
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.protocols import codes, messages
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.native.machine import ServerMachine
from trio_router.routing.core import Core
from trio_router.routing.peer import Timers
from trio_router.session.connection import Connection
from trio_router.session.ending import Ending, SessionEnd
from trio_router.session.expiry import Expiry
from trio_router.session.firewall import contain
from trio_router.session.keepalive import Keepalive
from trio_router.session.link import Link, LinkClosed
from trio_router.session.quarantine import Admitted, Quarantine
from trio_router.session.renewal import Renewal
from trio_router.session.turns import Turns
from trio_router.session.wire import NativeWire, Wire
from trio_router.storage.records import RecordStore

SAID_FIRST: Final = frozenset({codes.RESTART.number, codes.OVERLOADED.number})
"""Closes below 4000 that are announced by a ``Closing`` message, as all of ours from 4000 on are."""

RETRY_AFTER: Final = 1.0
"""Seconds after which clients sent away by a drain or an overload may come back, at the earliest."""


CUT_TIMEOUT: Final = 1.0
"""Seconds that those who were cut at the end of a drain have for their close frame."""


@attrs.define
class _End:
    """How a session ended: our code, or the peer's, or None for a connection that broke."""

    code: CloseCode | None
    peer: int | None = None


class SessionServer:
    """All sessions of one app. ``chain`` and ``limits`` may be replaced at any time; sessions to come use the new ones.

    ``timers`` must be running. ``revoked`` says whether a login was revoked since it was accepted. ``jitter`` gives a number
    in [0, 1): it spreads the drain. ``records`` are loaded for rules that need them; without, such a request fails.
    """

    def __init__(
        self,
        *,
        app: str,
        core: Core,
        chain: Chain,
        limits: Limits,
        metrics: Metrics,
        clock: Clock,
        timers: Timers,
        log: structlog.stdlib.BoundLogger,
        revoked: Callable[[Identity], bool] = lambda _: False,
        jitter: Callable[[], float] = random.random,
        records: RecordStore | None = None,
    ) -> None:
        self._revoked = revoked
        self.chain = chain
        self.limits = limits
        self._app = app
        self._core = core
        self._metrics = metrics
        self._clock = clock
        self._timers = timers
        self._expiry = Expiry(timers, clock)
        self._log = log
        self._jitter = jitter
        self._records = records
        self._turns = Turns()
        self._open: dict[str, Ending] = {}
        self._waiting = 0  # sessions in quarantine
        self._draining = False
        self._empty = trio.Event()
        self._empty.set()

    @property
    def sessions(self) -> int:
        """How many sessions are open, those in quarantine included."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many sessions are in quarantine."""
        return self._waiting

    # ---- one session ------------------------------------------------------------------------------------------

    async def serve(self, link: Link) -> None:
        """One session, from an open link to a closed one."""
        session_id = new_session_id()
        log = self._log.bind(session=session_id)
        ending = self._open[session_id] = Ending()
        if len(self._open) == 1:
            self._empty = trio.Event()
        wire: Wire = NativeWire(self.limits)
        try:
            failed = _End(codes.INTERNAL)
            end = await contain(
                lambda: self._live(link, session_id, ending, wire, log), log, event="session_failed", otherwise=failed
            )
            await contain(lambda: self._close(link, end, ending, wire), log, event="close_failed", otherwise=None)
            slug = end.code.slug if end.code is not None else "lost" if end.peer is None else "peer"
            self._metrics.closes.labels(slug).inc()
            log.info("session_closed", reason=slug, peer_code=None if end.peer is None else int(end.peer))
        finally:
            del self._open[session_id]
            if not self._open:
                self._empty.set()

    async def _live(
        self, link: Link, session_id: str, ending: Ending, wire: Wire, log: structlog.stdlib.BoundLogger
    ) -> _End:
        try:
            with ending.scope:
                link.on_slow = partial(ending.end, codes.SLOW)
                if self._draining:
                    self._end_softly(ending)
                machine = ServerMachine()
                admitted = await self._quarantine(link, session_id, wire, machine)
                await self._connected(link, admitted, ending, wire, machine, log)
        except SessionEnd as end:
            return _End(end.code)
        except LinkClosed as closed:
            return _End(closed.ours, closed.code)
        return _End(ending.code)

    async def _quarantine(self, link: Link, session_id: str, wire: Wire, machine: ServerMachine) -> Admitted:
        if self._waiting >= self.limits.unauthenticated_connections:
            self._metrics.refused_connections.labels("quarantine").inc()
            raise SessionEnd(codes.OVERLOADED)
        quarantine = Quarantine(
            link,
            session_id,
            app=self._app,
            wire=wire,
            chain=self.chain,
            machine=machine,
            limits=self.limits,
            metrics=self._metrics,
            turns=self._turns,
        )
        gauge = self._metrics.connections.labels("quarantine")
        self._waiting += 1
        gauge.inc()
        try:
            return await quarantine.admit()
        finally:
            self._waiting -= 1
            gauge.dec()

    async def _connected(
        self,
        link: Link,
        admitted: Admitted,
        ending: Ending,
        wire: Wire,
        machine: ServerMachine,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        limits = self.limits
        renewal = Renewal(
            chain=lambda: self.chain,
            expiry=self._expiry,
            clock=self._clock,
            grace=limits.expiry_grace,
            warn=lambda expires: connection.warn(expires),  # noqa: PLW0108 - it does not exist yet
            end=lambda: ending.end(codes.SESSION_EXPIRED),
        )
        connection = Connection(
            link,
            admitted.identity,
            core=self._core,
            wire=wire,
            machine=machine,
            ending=ending,
            renewal=renewal,
            limits=limits,
            metrics=self._metrics,
            log=log,
            records=self._records,
        )
        keepalive = Keepalive(
            link,
            self._timers,
            ping_interval=limits.ping_interval,
            pong_timeout=limits.pong_timeout,
            dead=lambda: ending.end(codes.PING_TIMEOUT),
        )
        gauge = self._metrics.connections.labels("live")
        gauge.inc()
        try:
            keepalive.start()
            if self._revoked(admitted.identity):  # between its acceptance and its place among the sessions (T52)
                raise SessionEnd(codes.REVOKED)
            await connection.run(admitted.welcome)
        finally:
            gauge.dec()
            keepalive.stop()
            renewal.stop()

    async def _close(self, link: Link, end: _End, ending: Ending, wire: Wire) -> None:
        await self._turns.take()
        code = end.code or codes.NORMAL
        retry_after = self._retry_after(code) if ending.retry_after is None else ending.retry_after
        if code.number >= 4000 or code.number in SAID_FIRST:
            milliseconds = None if retry_after is None else round(retry_after * 1000)
            link.send(wire.frame(messages.Closing(code.number, milliseconds)))
        reason = code.text if retry_after is None else f"{code.text}; try again in {retry_after:.1f} s"
        await link.close(code, reason)

    def _retry_after(self, code: CloseCode) -> float | None:
        """Advice that differs from client to client, so that those sent away together do not come back together (T14)."""
        if code.number not in SAID_FIRST:
            return None
        return RETRY_AFTER + self._jitter() * self.limits.drain_window

    # ---- the drain --------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Send everybody away: closes are spread over ``drain_window``, and so is when to come back.

        Returns when no session is left, or cuts those that are after ``drain_timeout``. New sessions are sent away at once.
        """
        self._draining = True
        limits = self.limits
        for ending in tuple(self._open.values()):
            self._timers.after(self._jitter() * limits.drain_window, partial(self._end_softly, ending))
        with trio.move_on_after(limits.drain_timeout):
            await self._empty.wait()
        for ending in tuple(self._open.values()):
            ending.end(codes.RESTART)
        with trio.move_on_after(CUT_TIMEOUT):
            await self._empty.wait()

    def _end_softly(self, ending: Ending) -> None:
        ending.end(codes.RESTART, retry_after=self._retry_after(codes.RESTART))
