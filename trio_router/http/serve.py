"""One HTTP connection on a stream somebody else accepted, spoken by Hypercorn's Trio server.

Owns the bounds around an ASGI application: time of a request, size of its target, headers and body, time to write an answer,
time to stay idle. It knows no route. The rule that keeps it honest: no connection can hold a task longer than these
bounds, and nothing an application or a peer does leaves :meth:`HttpServer.serve` as an exception (T09, T10).

Only HTTP/1.0 and 1.1 are spoken: an ``Upgrade: h2c`` or an HTTP/2 preface switches nothing, and WebSocket upgrades
belong to the transport, which sees them before this module does.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trio_router import log
from trio_router.auth.chain import where
from trio_router.http.answers import failure
from trio_router.limits import Limits

Address = tuple[str, int]

MAX_TARGET: Final = 4 * 1024  # bytes of path and query
MAX_HEADERS: Final = 100
MAX_REQUESTS: Final = 1_000  # on one connection
KEEP_ALIVE: Final = 5.0
REQUEST_TIMEOUT: Final = 30.0
CLOSE_TIMEOUT: Final = 1.0
VERSIONS: Final = frozenset({"1.0", "1.1"})

_log = log.get("http")


class HttpServer:
    """Serves ``app`` on as many connections as are handed to it. Times are seconds.

    ``keep_alive`` also bounds how long the head of a further request may take.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        *,
        keep_alive: float = KEEP_ALIVE,
        request_timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        self._bounded = _Bounded(app, limits, request_timeout)
        self._app = ASGIWrapper(self._bounded)  # type: ignore[arg-type]
        self._context = WorkerContext(None)
        self._write_timeout = limits.write_timeout
        self._config = HypercornConfig()
        self._config.accesslog = None
        self._config.errorlog = None  # what goes wrong in an application is logged by _Bounded
        self._config.include_server_header = False
        self._config.h11_max_incomplete_size = limits.request_head_size
        self._config.keep_alive_timeout = keep_alive
        self._config.keep_alive_max_requests = MAX_REQUESTS
        self._config.read_timeout = None  # _Bounded has one deadline for the whole request

    async def serve(
        self, stream: trio.abc.Stream, *, client: Address | None, server: Address | None, tls: bool = False
    ) -> None:
        """Speak HTTP on ``stream`` until either side is done with it, then close it.

        Bytes that were read already must come out of ``stream`` again first. ``client`` and ``server`` are the two
        ends' addresses. Raises nothing but ``Cancelled``.
        """
        connection = _Connection(
            self._app, self._config, self._context, stream, client, server, tls=tls, write_timeout=self._write_timeout
        )
        try:
            await connection.run()
        except Exception as error:  # noqa: BLE001 - the edge of a connection: a peer's bytes must not reach the listener (T09)
            _log.error("http_connection_failed", remote=client[0] if client else "", **where(error))
        finally:
            await trio.aclose_forcefully(stream)

    async def drain(self) -> None:
        """Answer no request after those in progress: every connection closes after its answer."""
        await self._context.terminated.set()

    async def finish(self, seconds: float) -> None:
        """Return when no request is in progress any more, after ``seconds`` at the latest."""
        with trio.move_on_after(seconds):
            await self._bounded.idle.wait()


async def serve_http(
    app: ASGIApp,
    stream: trio.abc.Stream,
    *,
    limits: Limits,
    client: Address | None = None,
    server: Address | None = None,
    tls: bool = False,
) -> None:
    """One connection with a server of its own; see :class:`HttpServer`."""
    await HttpServer(app, limits).serve(stream, client=client, server=server, tls=tls)


class _Http1(H11Protocol):
    """Hypercorn's HTTP/1 without its ways into HTTP/2."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Switches nothing."""


class _Connection(TCPServer):
    """Hypercorn's connection over any stream: the addresses are given, and every write has a deadline."""

    def __init__(
        self,
        app: Any,
        config: HypercornConfig,
        context: WorkerContext,
        stream: trio.abc.Stream,
        client: Address | None,
        server: Address | None,
        *,
        tls: bool,
        write_timeout: float,
    ) -> None:
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type]
        self._ends = (client, server)
        self._tls = tls
        self._write_timeout = write_timeout

    async def run(self) -> None:
        client, server = self._ends
        try:
            async with TaskGroup() as task_group:
                self._task_group = task_group
                arguments: tuple[Any, ...] = (
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState({}),
                    self._tls,
                    client,
                    server,
                    self.protocol_send,
                )
                self.protocol = ProtocolWrapper(*arguments)
                self.protocol.protocol = _Http1(*arguments)
                await self.protocol.initiate()
                await self.idle_task.restart(task_group, self._idle_timeout)
                await self._read_data()
                await self.idle_task.stop()
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            try:
                with trio.fail_after(self._write_timeout):  # a peer that does not read holds nothing (M3)
                    await self.stream.send_all(event.data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                await trio.aclose_forcefully(self.stream)
            else:
                return
        await self.protocol.handle(Closed())

    async def _initiate_server_close(self) -> None:
        await self.protocol.handle(Closed())
        await self._close()

    async def _close(self) -> None:
        with trio.move_on_after(CLOSE_TIMEOUT):
            await super()._close()


class _Bounded:
    """Around the application: refuses what is too big, reads the whole body before anything looks at it, ends in time."""

    def __init__(self, app: ASGIApp, limits: Limits, timeout: float) -> None:
        self._app = app
        self._body_size = limits.http_body_size
        self._head_size = limits.request_head_size
        self._timeout = timeout
        self._requests = 0
        self.idle = trio.Event()  # set while no request is in progress
        self.idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})  # before an accept this is answered with 403
            return
        self._requests += 1
        if self._requests == 1:
            self.idle = trio.Event()
        try:
            await self._request(scope, receive, send)
        finally:
            self._requests -= 1
            if not self._requests:
                self.idle.set()

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def tracked(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        with trio.move_on_after(self._timeout) as scope_of_time:
            try:
                await self._handle(scope, receive, tracked)
            except Exception as error:  # noqa: BLE001 - the edge of a request: the client learns that it failed and no more
                _log.error("http_request_failed", method=scope["method"], path=scope["path"], **where(error))
                if not answered:
                    await _answer(failure(500, "internal_error"), scope, receive, tracked)
        if scope_of_time.cancelled_caught and not answered:
            await _answer(failure(408, "timeout"), scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope, self._head_size, self._body_size)
        body = b"" if refusal else await _read_body(receive, self._body_size)
        if body is None:
            return  # the client left
        if len(body) > self._body_size:
            refusal = (413, "too_big")
        if refusal:
            await _answer(failure(*refusal), scope, receive, send)
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)


def _refusal(scope: MutableMapping[str, Any], head_size: int, body_size: int) -> tuple[int, str] | None:
    if scope["http_version"] not in VERSIONS:
        return 505, "http_version"
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET:
        return 414, "target_too_long"
    if (
        len(scope["headers"]) > MAX_HEADERS
        or sum(len(name) + len(value) for name, value in scope["headers"]) > head_size
    ):
        return 431, "too_many_headers"
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if len(length) > len(str(body_size)) or int(length) > body_size:  # h11 takes digits only
        return 413, "too_big"
    return None


async def _read_body(receive: Receive, size: int) -> bytes | None:
    """The body, at most one message more than ``size`` bytes of it; None if the client left before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > size or not message.get("more_body"):
            return bytes(body)


async def _answer(answer: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer although the body may not be read: what still comes in is thrown away, or the reader would wait for ever."""

    async def discard() -> None:
        while (await receive())["type"] == "http.request":
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(discard)
        await answer(scope, receive, send)
        nursery.cancel_scope.cancel()
