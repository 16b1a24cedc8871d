"""Serves sessions: every accepted link becomes one, from its greeting to its close frame.

It owns the list of open sessions, their end and the drain, the same for all protocols; what is said in a session is its
protocol's. It knows links, not sockets; whoever accepts connections calls :meth:`SessionServer.serve` for each.

The rule that keeps it honest: whatever happens inside a session, ``serve`` ends with the link closed by one code, and raises
nothing but ``Cancelled`` (T09).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
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
from trio_router.protocols import codes
from trio_router.protocols.codes import CloseCode
from trio_router.routing.core import Core
from trio_router.routing.peer import Timers
from trio_router.session.ending import Ending, SessionEnd
from trio_router.session.expiry import Expiry
from trio_router.session.firewall import contain
from trio_router.session.link import Link, LinkClosed
from trio_router.session.native import NativeProtocol
from trio_router.session.protocol import NATIVE, Conversation, Host, Seat, SessionProtocol
from trio_router.session.returns import Returns
from trio_router.session.turns import Turns
from trio_router.storage.records import RecordStore

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
    ``protocols`` are those that links may speak, by what their ``Upgrade.protocol`` says; the native one by default.
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
        protocols: Mapping[str, SessionProtocol] | None = None,
    ) -> None:
        self._revoked = revoked
        self.chain = chain
        self.limits = limits
        self._metrics = metrics
        self._timers = timers
        self._log = log
        self._jitter = jitter
        self._returns = Returns(jitter)
        self._turns = Turns()
        self._protocols = protocols or {NATIVE: NativeProtocol()}
        self._host = Host(
            app=app,
            core=core,
            metrics=metrics,
            clock=clock,
            timers=timers,
            expiry=Expiry(timers, clock),
            turns=self._turns,
            records=records,
        )
        self._open: dict[str, Ending] = {}
        self._waiting: dict[str, Ending] = {}  # sessions in quarantine, in the order they came
        self._draining = False
        self._crowd = 0  # how many sessions there were when the drain began
        self._dismissed = False
        self._empty = trio.Event()
        self._empty.set()

    @property
    def sessions(self) -> int:
        """How many sessions are open, those in quarantine included."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many sessions are in quarantine."""
        return len(self._waiting)

    def full(self) -> float | None:
        """None, or the seconds to stay away: as many wait for a login as may."""
        if len(self._waiting) < self.limits.unauthenticated_connections:
            return None
        return self._returns.of_one(len(self._waiting), self.limits)

    # ---- one session ------------------------------------------------------------------------------------------

    async def serve(self, link: Link) -> None:
        """One session, from an open link to a closed one."""
        session_id = new_session_id()
        log = self._log.bind(session=session_id)
        ending = self._open[session_id] = Ending()
        if len(self._open) == 1:
            self._empty = trio.Event()
        seat = Seat(
            host=self._host,
            link=link,
            session_id=session_id,
            ending=ending,
            log=log,
            chain=lambda: self.chain,
            limits=lambda: self.limits,
        )
        conversation: Conversation | None = None

        async def live() -> _End:
            nonlocal conversation
            conversation = self._protocols[link.upgrade.protocol].begin(seat)
            return await self._live(seat, conversation)

        try:
            failed = _End(codes.INTERNAL)
            end = await contain(live, log, event="session_failed", otherwise=failed)
            await contain(
                lambda: self._close(link, end, ending, conversation), log, event="close_failed", otherwise=None
            )
            slug = end.code.slug if end.code is not None else "lost" if end.peer is None else "peer"
            self._metrics.closes.labels(slug).inc()
            log.info("session_closed", reason=slug, peer_code=None if end.peer is None else int(end.peer))
        finally:
            del self._open[session_id]
            if not self._open:
                self._empty.set()

    async def _live(self, seat: Seat, conversation: Conversation) -> _End:
        ending = seat.ending
        try:
            with ending.scope:
                seat.link.on_slow = partial(ending.end, codes.SLOW)
                if self._draining:
                    self._end_softly(ending)
                if self._dismissed:
                    ending.end(codes.APP_CLOSED)
                identity = await self._quarantine(conversation, seat)
                await self._connected(conversation, identity, seat.link.upgrade.protocol)
        except SessionEnd as end:
            return _End(end.code)
        except LinkClosed as closed:
            return _End(closed.ours, closed.code)
        return _End(ending.code)

    async def _quarantine(self, conversation: Conversation, seat: Seat) -> Identity:
        if len(self._waiting) >= self.limits.unauthenticated_connections:
            self._metrics.refused_connections.labels("quarantine").inc()
            raise SessionEnd(codes.OVERLOADED)
        gauge = self._metrics.connections.labels("quarantine")
        self._waiting[seat.session_id] = seat.ending
        gauge.inc()
        try:
            return await conversation.admit()
        finally:
            del self._waiting[seat.session_id]
            gauge.dec()

    async def _connected(self, conversation: Conversation, identity: Identity, protocol: str) -> None:
        if self._revoked(identity):  # between its acceptance and its place among the sessions (T52)
            raise SessionEnd(codes.REVOKED)
        gauges = self._metrics.connections.labels("live"), self._metrics.sessions.labels(protocol)
        for gauge in gauges:
            gauge.inc()
        try:
            await conversation.live(identity)
        finally:
            for gauge in gauges:
                gauge.dec()

    async def _close(self, link: Link, end: _End, ending: Ending, conversation: Conversation | None) -> None:
        await self._turns.take()
        code = end.code or codes.NORMAL
        retry_after = self._retry_after(code) if ending.retry_after is None else ending.retry_after
        last = None if conversation is None else conversation.farewell(code, retry_after)
        if last is not None:
            link.send(last)
        reason = code.text if retry_after is None else f"{code.text}; try again in {retry_after:.1f} s"
        await link.close(code, reason)

    def _retry_after(self, code: CloseCode) -> float | None:
        """Advice that differs from client to client, so that those sent away together do not come back together (T14)."""
        if code == codes.RESTART:
            return self._returns.of_crowd(self._crowd, self.limits)
        return self._returns.of_one(len(self._waiting), self.limits) if code == codes.OVERLOADED else None

    def shed(self) -> int:
        """The router does not keep up: send a half of those away who wait for a login, who came last; gives how many."""
        endings = list(self._waiting.values())
        late = endings[len(endings) // 2 :]
        for ending in late:
            ending.end(codes.OVERLOADED)
        return len(late)

    # ---- the drain --------------------------------------------------------------------------------------------

    def send_away(self) -> None:
        """End every session in this step, and each that comes: when to come back is spread, as by :meth:`drain`, which is to follow."""
        self._drains()
        for ending in tuple(self._open.values()):
            self._end_softly(ending)

    async def drain(self) -> None:
        """Send everybody away: closes are spread over ``drain_window``, and so is when to come back.

        Returns when no session is left, or cuts those that are after ``drain_timeout``. New sessions are sent away at once.
        """
        limits = self.limits
        self._drains()
        for ending in tuple(self._open.values()):
            self._timers.after(self._jitter() * limits.drain_window, partial(self._end_softly, ending))
        with trio.move_on_after(limits.drain_timeout):
            await self._empty.wait()
        for ending in tuple(self._open.values()):
            ending.end(codes.RESTART)
        with trio.move_on_after(CUT_TIMEOUT):
            await self._empty.wait()

    def _drains(self) -> None:
        self._draining = True
        self._crowd = max(self._crowd, len(self._open))

    def dismiss(self) -> None:
        """End every session now, and each that comes, for good: the app is not served any more."""
        self._dismissed = True
        for ending in tuple(self._open.values()):
            ending.end(codes.APP_CLOSED)

    def _end_softly(self, ending: Ending) -> None:
        ending.end(codes.RESTART, retry_after=self._retry_after(codes.RESTART))
