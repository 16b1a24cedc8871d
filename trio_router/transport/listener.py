"""Accepts connections on one listening socket and finds out what each of them wants (one port for HTTP and WebSocket).

From accept on a connection is counted and has one deadline to the end of its WebSocket handshake (T02, T03). TLS, the request's
head, the path, the origin: whatever is not in order ends it there. A good upgrade becomes a link for the session layer, anything else
goes to the HTTP application with its bytes replayed. It knows neither sessions nor routes.

The rule that keeps it honest: the accept loop never ends because of a peer or a full table, and no connection's fault leaves its own
task.
"""

from __future__ import annotations

import contextlib
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

import attrs
import structlog
import trio

from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.protocols.native.shapes import SUBPROTOCOL
from trio_router.session.firewall import contain
from trio_router.session.link import Link, Upgrade
from trio_router.session.protocol import NATIVE
from trio_router.session.turns import Turns
from trio_router.transport.addresses import Addresses, TrustedProxies
from trio_router.transport.admission import Admission
from trio_router.transport.handshake import Handshake
from trio_router.transport.head import HeadEnded, HeadRefused, RequestHead, read_head, response
from trio_router.transport.lane import Lane
from trio_router.transport.origin import OriginPolicy
from trio_router.transport.pipe import Pipe, SocketPipe
from trio_router.transport.replay import ReplayStream
from trio_router.transport.tls import TlsPipe, TlsStream
from trio_router.transport.websocket import serve_websocket

ACCEPT_PAUSE: Final = 0.1
"""Seconds to wait after an accept that failed, for example because the process has no descriptor left."""

ANSWER_TIMEOUT: Final = 0.5
"""Seconds a refused peer has to read why."""

RETRY_AFTER: Final = (1.0, 10.0)
"""Seconds after which those who are refused may come again: not all together (T14)."""

_TOO_MANY: Final = {"overload": "too busy", "total": "too many connections", "per_ip": "too many connections"}

SUBPROTOCOLS: Final = {NATIVE: (SUBPROTOCOL,)}
"""What can be chosen of what a client offers, by the protocol of the path."""


class HttpHandler(Protocol):
    """What is not a WebSocket. Closes the stream when it is done, raises nothing but ``Cancelled``."""

    def __call__(
        self, stream: trio.abc.Stream, *, client: tuple[str, int], server: tuple[str, int], tls: bool
    ) -> Awaitable[None]:
        """Serve one connection."""


@attrs.frozen
class Policy:
    """What a listener lets in. Immutable: a reload puts a new one in its place.

    ``paths`` are those of WebSockets, each with the protocol that is spoken there.
    """

    origins: OriginPolicy = attrs.field(factory=OriginPolicy)
    proxies: TrustedProxies = attrs.field(factory=TrustedProxies)
    paths: Mapping[str, str] = attrs.field(factory=lambda: {"/": NATIVE})
    limits: Limits = attrs.field(factory=Limits)
    tls: ssl.SSLContext | None = None


class Listener:
    """One listening socket. ``policy`` may be replaced at any time; connections to come use the new one.

    ``serve`` gets every open link and is done with it when it returns; ``http`` gets everything else. ``lane`` must be running;
    None: trio-websocket does everything. ``turns_away`` says whether the router is too busy for newcomers now, ``full`` of a WebSocket's path
    whether it is no use to go there, and for how many seconds.
    """

    def __init__(
        self,
        socket: trio.SocketListener,
        *,
        policy: Policy,
        admission: Admission,
        serve: Callable[[Link], Awaitable[None]],
        http: HttpHandler,
        metrics: Metrics,
        log: structlog.stdlib.BoundLogger,
        lane: Lane | None = None,
        turns_away: Callable[[], bool] = lambda: False,
        full: Callable[[str], float | None] = lambda _: None,
    ) -> None:
        self.policy = policy
        self._turns_away = turns_away
        self._full = full
        self._socket = socket
        self._admission = admission
        self._serve = serve
        self._http = http
        self._metrics = metrics
        self._log = log
        self._lane = lane
        self._accepting = trio.CancelScope()
        self._finished = trio.Event()
        self._turns = Turns()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept until :meth:`stop`, then return when the last connection has ended. Cancel to cut them all."""
        async with trio.open_nursery() as nursery:
            try:
                with self._accepting:
                    task_status.started()
                    await self._accept(nursery)
            finally:
                self._socket.socket.close()
        self._finished.set()

    def stop(self) -> None:
        """Accept no more, and close the listening socket."""
        self._accepting.cancel()

    async def finish(self, seconds: float) -> None:
        """After :meth:`stop`: return when all connections have ended, after ``seconds`` at the latest."""
        with trio.move_on_after(seconds):
            await self._finished.wait()

    async def _accept(self, nursery: trio.Nursery) -> None:
        while True:
            try:
                stream = await self._socket.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM: it may be better soon
                self._log.error("accept_failed", errno=error.errno)
                self._metrics.refused_connections.labels("accept").inc()
                await trio.sleep(ACCEPT_PAUSE)
                continue
            nursery.start_soon(self._contained, stream, trio.current_time())

    async def _contained(self, stream: trio.SocketStream, accepted_at: float) -> None:
        """One connection, whatever becomes of it: nothing of it gets to the other tasks of this nursery (T09)."""
        try:
            await contain(
                lambda: self._connection(stream, accepted_at), self._log, event="connection_failed", otherwise=None
            )
        finally:
            await trio.aclose_forcefully(stream)

    async def _connection(self, stream: trio.SocketStream, accepted_at: float) -> None:
        """Count it while it lasts, and find out what it wants."""
        try:
            addresses = _addresses(stream)
        except OSError:  # it is gone already
            return
        policy = self.policy
        host = addresses.client[0]
        if self._turns_away():
            await self._refuse(stream, "overload", policy)
            return
        behind_proxy = policy.proxies.trusts(host)  # then it is counted by the client's address, once that is known
        if not self._admission.enter():
            await self._refuse(stream, "total", policy)
            return
        ticket: str | None = None
        try:
            if not behind_proxy:
                ticket = self._admission.enter_host(host)
                if ticket is None:
                    await self._refuse(stream, "per_ip", policy)
                    return
            await self._identify(stream, addresses, accepted_at, policy)
        finally:
            self._admission.leave()
            if ticket is not None:
                self._admission.leave_host(ticket)

    # ---- what does it want? -----------------------------------------------------------------------------------

    async def _identify(
        self, socket: trio.SocketStream, addresses: Addresses, accepted_at: float, policy: Policy
    ) -> None:
        deadline = accepted_at + policy.limits.request_head_timeout
        gauge = self._metrics.connections.labels("handshake")
        gauge.inc()
        stream: trio.abc.Stream | None = None
        try:
            try:
                stream = await self._secure(socket, deadline, policy)
                head = None if stream is None else await self._head(stream, deadline, policy.limits)
            finally:
                gauge.dec()
            if stream is not None and head is not None:
                await self._welcome(stream, head, addresses, deadline, policy)
        finally:
            if isinstance(stream, TlsStream):  # it has taken the socket out of the hands of whoever closes that
                await trio.aclose_forcefully(stream)

    async def _welcome(
        self, stream: trio.abc.Stream, head: RequestHead, addresses: Addresses, deadline: float, policy: Policy
    ) -> None:
        """The client behind a proxy is counted by its own address."""
        client = policy.proxies.client_of(addresses.client[0], head.values("x-forwarded-for"))
        if client == addresses.client[0]:
            await self._dispatch(stream, head, addresses, deadline, policy)
            return
        ticket = self._admission.enter_host(client)
        if ticket is None:
            await self._refuse(stream, "per_ip", policy)
            return
        try:
            addresses = attrs.evolve(addresses, client=(client, 0))
            await self._dispatch(stream, head, addresses, deadline, policy)
        finally:
            self._admission.leave_host(ticket)

    async def _secure(self, socket: trio.SocketStream, deadline: float, policy: Policy) -> trio.abc.Stream | None:
        if policy.tls is None:
            return socket
        latest = min(deadline, trio.current_time() + policy.limits.tls_handshake_timeout)
        if self._lane is not None:
            return await self._secure_in_memory(socket, latest, policy.tls)
        stream = trio.SSLStream(socket, policy.tls, server_side=True, https_compatible=True)
        try:
            with trio.move_on_at(latest):
                await stream.do_handshake()
                return stream
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._count("tls")
        return None

    async def _secure_in_memory(
        self, socket: trio.SocketStream, latest: float, context: ssl.SSLContext
    ) -> trio.abc.Stream | None:
        pipe = TlsPipe(SocketPipe.of(socket), context)
        done = False
        try:
            with trio.move_on_at(latest):
                await pipe.shake_hands()
                done = True
        except trio.BrokenResourceError:
            pass
        finally:
            if not done:
                pipe.close()
        if done:
            return TlsStream(pipe)
        self._count("tls")
        return None

    async def _head(self, stream: trio.abc.Stream, deadline: float, limits: Limits) -> RequestHead | None:
        try:
            with trio.move_on_at(deadline):
                return await read_head(stream, limits.request_head_size)
        except HeadEnded:
            self._count("ended")
            return None
        except HeadRefused as refused:
            await self._answer(stream, refused)
            return None
        await self._answer(stream, HeadRefused(408, "the request took too long", "timeout"))
        return None

    async def _dispatch(
        self, stream: trio.abc.Stream, head: RequestHead, addresses: Addresses, deadline: float, policy: Policy
    ) -> None:
        if not head.wants_websocket:
            await self._http(
                ReplayStream(stream, head.raw + head.rest),
                client=addresses.client,
                server=addresses.server,
                tls=policy.tls is not None,
            )
            return
        try:
            protocol = policy.paths.get(head.path)
            if protocol is None:
                raise HeadRefused(404, "there is no WebSocket here", "path")
            if not policy.origins.allows(head.values("origin")):
                raise HeadRefused(403, "this origin may not connect", "origin")
            key = head.websocket_key()
        except HeadRefused as refused:
            await self._answer(stream, refused)
            return
        upgrade = Upgrade(
            remote_address=addresses.client[0],
            path=head.path,
            query=head.query,
            headers=head.headers,
            subprotocols=head.tokens("sec-websocket-protocol"),
            subprotocol=head.chosen_subprotocol(SUBPROTOCOLS.get(protocol, ())),
            secure=policy.tls is not None,
            protocol=protocol,
        )
        handshake = Handshake(upgrade, key, head.rest)
        await self._turns.take()
        wait = self._full(head.path)
        if wait is not None:  # to say the same in a session would cost several times as much
            await self._answer(stream, HeadRefused(503, "too many wait for a login", "quarantine", wait))
            return
        if self._lane is not None:
            pipe, handshake = _detached(stream, handshake)
            await self._lane.serve(pipe, handshake, limits=policy.limits, handler=self._serve)
        elif not await serve_websocket(stream, handshake, limits=policy.limits, deadline=deadline, handler=self._serve):
            self._count("handshake")

    # ---- refusals ---------------------------------------------------------------------------------------------

    def _count(self, reason: str) -> None:
        self._metrics.refused_connections.labels(reason).inc()

    async def _answer(self, stream: trio.abc.Stream, refused: HeadRefused) -> None:
        self._count(refused.reason)
        await _say(stream, refused.response())

    async def _refuse(self, stream: trio.abc.Stream, reason: str, policy: Policy) -> None:
        """Too many: away at once, with a word if that costs nothing."""
        self._count(reason)
        if policy.tls is None or not isinstance(stream, trio.SocketStream):
            with trio.move_on_after(ANSWER_TIMEOUT), contextlib.suppress(trio.BrokenResourceError):
                after = random.uniform(*RETRY_AFTER)  # noqa: S311 - it spreads, it hides nothing
                await stream.send_all(response(503, _TOO_MANY[reason], after))  # fits into any fresh socket's buffer


async def _say(stream: trio.abc.Stream, answer: bytes) -> None:
    """Send a last answer, and read for a moment, so that it is not lost to a reset."""
    with trio.move_on_after(ANSWER_TIMEOUT):
        try:
            await stream.send_all(answer)
            if isinstance(stream, trio.SocketStream):
                await stream.send_eof()
                while await stream.receive_some(4096):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


def _detached(stream: trio.abc.Stream, handshake: Handshake) -> tuple[Pipe, Handshake]:
    """The connection as the fast lane takes it."""
    if isinstance(stream, TlsStream):
        pipe, rest = stream.detach()
        return pipe, attrs.evolve(handshake, rest=handshake.rest + rest)
    if not isinstance(stream, trio.SocketStream):
        raise TypeError("only sockets go into the fast lane")
    return SocketPipe.of(stream), handshake


def _addresses(stream: trio.SocketStream) -> Addresses:
    client, server = stream.socket.getpeername(), stream.socket.getsockname()
    if not isinstance(client, tuple):  # a Unix socket has none
        return Addresses(("", 0), ("", 0))
    return Addresses((client[0], client[1]), (server[0], server[1]))
