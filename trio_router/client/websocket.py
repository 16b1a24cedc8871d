"""A client's WebSocket on a Trio stream: handshake, whole text messages in, whole frames out.

wsproto does the protocol, this module moves its bytes. It knows nothing of what the messages mean. Frames are queued and
written by one task, so that a cancelled sender never leaves half a frame behind (T13); what has been queued and not yet
written is bounded for those who ask with :meth:`WebSocket.room`. While it is on *hold* only what goes first is written; the rest
follows in the order in which it was queued.

The rule that keeps this honest: whatever the peer or the network does ends in ``Disconnected``, and nothing else.
"""

from __future__ import annotations

import math
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from trio_router.client.errors import ConnectFailed

READ_SIZE: Final = 65_536
QUEUE_BOUND: Final = 262_144  # bytes; beyond it senders wait for the network
CLOSE_TOO_BIG: Final = 1009
CLOSE_UNSUPPORTED: Final = 1003

_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Disconnected(Exception):
    """The connection is gone. ``code`` is the peer's close code; None when there was none (1005 and 1006 included)."""

    def __init__(self, code: int | None = None, text: str = "the connection was cut") -> None:
        super().__init__(code, text)
        self.code = code if code not in {1005, 1006} else None
        self.text = text


@attrs.frozen
class Target:
    """Where to connect to: the parts of a ``ws:`` or ``wss:`` URL. A query may hold a token and is not shown."""

    host: str
    port: int
    secure: bool
    path: str = attrs.field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Target:
        """The target of ``url``. Raises ``ValueError``: it is not a WebSocket URL; the text does not repeat it."""
        parts = urlsplit(url)
        if parts.scheme not in {"ws", "wss"}:
            msg = "the URL must begin with ws:// or wss://"
            raise ValueError(msg)
        if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
            msg = "the URL needs a host, and can have neither a user nor a fragment"
            raise ValueError(msg)
        secure = parts.scheme == "wss"
        path = parts.path or "/"
        return cls(
            parts.hostname,
            parts.port or (443 if secure else 80),
            secure,
            f"{path}?{parts.query}" if parts.query else path,
        )

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


async def open_stream(target: Target, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    """A connected stream, over TLS if the URL says so. Raises ``ConnectFailed``."""
    try:
        stream: trio.abc.Stream = await trio.open_tcp_stream(target.host, target.port)
    except OSError:
        msg = f"no connection to {target.authority}"
        raise ConnectFailed(msg) from None
    if not target.secure:
        return stream
    context = tls or ssl.create_default_context()
    secured = trio.SSLStream(stream, context, server_hostname=target.host, https_compatible=True)
    try:
        await secured.do_handshake()
    except _BROKEN as exc:
        await trio.aclose_forcefully(stream)
        unverified = isinstance(exc.__cause__, ssl.SSLCertVerificationError)
        msg = f"no TLS connection to {target.authority}" + (": its certificate is not trusted" if unverified else "")
        raise ConnectFailed(msg, permanent=unverified) from exc
    return secured


class WebSocket:
    """One connection. One task receives, one writes; anybody queues."""

    def __init__(self, stream: trio.abc.Stream, *, max_message: int) -> None:
        self._stream = stream
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._max_message = max_message
        self._parts: list[str] = []
        self._size = 0
        self._received: deque[str | Disconnected] = deque()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._held: list[bytes] | None = None
        self._held_size = 0
        self._wake = trio.Event()
        self._room = trio.Event()
        self._pumping = False
        self._dropped = False

    async def handshake(self, target: Target, subprotocol: str, headers: Sequence[tuple[str, str]]) -> None:
        """Upgrade the connection. Raises ``ConnectFailed``."""
        extra = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        request = Request(target.authority, target.path, extra_headers=extra, subprotocols=[subprotocol])
        try:
            await self._stream.send_all(self._ws.send(request))
            event = await self._answer()
        except (*_BROKEN, ProtocolError):
            msg = f"{target.authority} does not answer as a WebSocket server"
            raise ConnectFailed(msg) from None
        if isinstance(event, RejectConnection):
            status = event.status_code
            permanent = 400 <= status < 500 and status not in {404, 408, 425, 429}
            msg = f"{target.authority} refused the connection with HTTP status {status}"
            seconds = seconds_of(dict(event.headers).get(b"retry-after", b"").decode("latin-1"))
            raise ConnectFailed(msg, status=status, permanent=permanent, retry_after=seconds)
        if not isinstance(event, AcceptConnection) or event.subprotocol != subprotocol:
            msg = f"{target.authority} does not speak {subprotocol}"
            raise ConnectFailed(msg, permanent=True)
        self._take_events()

    async def _answer(self) -> Event | None:
        while True:
            data = await self._stream.receive_some(READ_SIZE)
            self._ws.receive_data(bytes(data) or None)
            for event in self._ws.events():
                return event
            if not data:
                return None

    # ---- receiving ------------------------------------------------------------------------------------------

    async def receive(self, *, silence: float = math.inf) -> str:
        """The next text message. Raises ``Disconnected``, also after ``silence`` seconds without a single byte."""
        while not self._received:
            with trio.move_on_after(silence) as scope:
                try:
                    data = await self._stream.receive_some(READ_SIZE)
                except _BROKEN:
                    raise Disconnected from None
            if scope.cancelled_caught:
                raise Disconnected(text="the router has been silent for too long")
            if not data:
                raise Disconnected
            self._ws.receive_data(bytes(data))
            self._take_events()
            if self._queued and not self._pumping:
                await self.flush()
        message = self._received.popleft()
        if isinstance(message, Disconnected):
            self._received.append(message)
            raise message
        return message

    def _take_events(self) -> None:
        """Sorts what arrived. After a close nothing more is taken."""
        for event in self._ws.events():
            if isinstance(event, TextMessage):
                self._size += len(event.data)
                self._parts.append(event.data)
                if self._size > self._max_message:
                    self._give_up(CLOSE_TOO_BIG, "the router sent a message that is too big")
                    return
                if event.message_finished:
                    self._received.append("".join(self._parts))
                    self._parts, self._size = [], 0
            elif isinstance(event, Ping):
                self._enqueue(self._ws.send(event.response()))
            elif isinstance(event, BytesMessage):
                self._give_up(CLOSE_UNSUPPORTED, "the router sent a binary message")
                return
            elif isinstance(event, CloseConnection):
                if self._ws.state is ConnectionState.OPEN:  # not a close of the router's: its bytes make no sense
                    self._give_up(event.code, "the router does not keep to the WebSocket protocol")
                    return
                if self._ws.state is ConnectionState.REMOTE_CLOSING:
                    self._enqueue(self._ws.send(event.response()))
                self._received.append(Disconnected(event.code, event.reason or "the router closed the connection"))
                return

    def _give_up(self, code: int, text: str) -> None:
        if self._ws.state is ConnectionState.OPEN:
            self._enqueue(self._ws.send(CloseConnection(code)))
        self._received.append(Disconnected(text=text))  # the code is ours, and no advice of the router's

    # ---- sending --------------------------------------------------------------------------------------------

    def queue(self, text: bytes, *, first: bool = False) -> None:
        """Queue one text message; ``first``: also while on hold. Raises ``Disconnected`` if the connection is closing."""
        if self._ws.state is not ConnectionState.OPEN:
            raise Disconnected
        frame = self._ws.send(TextMessage(text.decode()))
        if self._held is None or first:
            self._enqueue(frame)
        else:
            self._held.append(frame)
            self._held_size += len(frame)

    def hold(self) -> None:
        """Keep what does not go first, until :meth:`release`."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Queue what was kept, in its order, and keep nothing any more."""
        held, self._held, self._held_size = self._held, None, 0
        if held and self._ws.state is ConnectionState.OPEN:  # nothing may follow a close frame
            self._enqueue(b"".join(held))

    def close(self, code: int = 1000) -> None:
        """Queue a close frame, after what was kept, unless the connection is closing already."""
        if self._ws.state is ConnectionState.OPEN:
            self.release()
            self._enqueue(self._ws.send(CloseConnection(code)))

    async def room(self, *, first: bool = False) -> None:
        """Wait until few enough bytes are queued (or the connection is dropped); what goes first does not wait for what is kept."""
        while self._queued + (0 if first else self._held_size) > QUEUE_BOUND and not self._dropped:
            await self._room.wait()

    async def flushed(self) -> None:
        """Wait until the pump has written everything (or the connection is dropped)."""
        while self._queued and not self._dropped:
            await self._room.wait()

    async def flush(self) -> None:
        """Write what is queued. Only one task at a time may do so. Raises ``Disconnected``."""
        while self._queue:
            data = b"".join(self._queue)
            self._queue.clear()
            try:
                await self._stream.send_all(data)
            except (*_BROKEN, trio.BusyResourceError):
                raise Disconnected from None
            self._queued -= len(data)
        self._room.set()
        self._room = trio.Event()

    async def pump(self) -> None:
        """Write whatever gets queued, until the connection breaks (``Disconnected``) or the task is cancelled."""
        self._pumping = True
        while True:
            await self.flush()
            self._wake = trio.Event()
            if not self._queue:
                await self._wake.wait()

    def _enqueue(self, frame: bytes) -> None:
        self._queue.append(frame)
        self._queued += len(frame)
        self._wake.set()

    async def drop(self) -> None:
        """Drop the connection now, without a word. Never blocks for long."""
        self._dropped = True
        self._room.set()
        await trio.aclose_forcefully(self._stream)


def seconds_of(retry_after: str) -> float:
    """The seconds of a Retry-After header, or 0.0 for none and for a date."""
    known = retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 6
    return float(retry_after) if known else 0.0
