"""The head of an HTTP request: read within bounds, parsed by h11, and judged as a WebSocket upgrade or not.

It owns the bytes from accept to the empty line and nothing after it. It knows no session and no application.

The rule that keeps it honest: what is refused here is answered with a fixed text, and nothing of the request is ever
repeated in an answer (T64).
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable
from typing import Final

import attrs
import h11
import trio

MAX_HEADERS: Final = 100  # T10: a browser sends about 20

_READ: Final = 4096


class HeadRefused(Exception):
    """The request is answered with ``status`` and a fixed ``text``; ``reason`` is a slug for log and metrics.

    ``retry_after``: the seconds that a 503 says.
    """

    def __init__(self, status: int, text: str, reason: str, retry_after: float = 5.0) -> None:
        super().__init__(status, reason)
        self.retry_after = retry_after
        self.status = status
        self.text = text
        self.reason = reason

    def response(self) -> bytes:
        return response(self.status, self.text, self.retry_after)


class HeadEnded(Exception):
    """The peer left before its request was complete."""


@attrs.frozen
class RequestHead:
    """A parsed request head. Header names are in lower case; ``raw`` is the head's bytes, ``rest`` what came behind it."""

    method: str
    path: str
    query: str = attrs.field(repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    raw: bytes = attrs.field(repr=False)
    rest: bytes = attrs.field(repr=False)

    def values(self, name: str) -> list[str]:
        """All values of the header ``name`` (lower case), in order."""
        return [value for key, value in self.headers if key == name]

    def tokens(self, name: str) -> tuple[str, ...]:
        """The comma-separated values of the header ``name``, all its lines together."""
        pieces = (piece.strip() for value in self.values(name) for piece in value.split(","))
        return tuple(piece for piece in pieces if piece)

    @property
    def wants_websocket(self) -> bool:
        """Whether this asks for a WebSocket at all."""
        return any(token.lower() == "websocket" for token in self.tokens("upgrade"))

    def websocket_key(self) -> str:
        """The key of a correct upgrade request (RFC 6455, 4.2.1).

        Raises:
            HeadRefused: it is not a correct one.
        """
        if self.method != "GET" or not any(token.lower() == "upgrade" for token in self.tokens("connection")):
            raise HeadRefused(400, "not a WebSocket upgrade", "handshake")
        if self.values("sec-websocket-version") != ["13"]:
            raise HeadRefused(426, "WebSocket version 13 is needed", "handshake")
        keys = self.values("sec-websocket-key")
        try:
            valid = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
        except (binascii.Error, ValueError):
            valid = False
        if not valid:
            raise HeadRefused(400, "the WebSocket key is not valid", "handshake")
        if self.values("transfer-encoding") or any(value != "0" for value in self.values("content-length")):
            raise HeadRefused(400, "a WebSocket upgrade has no body", "handshake")
        return keys[0]

    def chosen_subprotocol(self, known: Iterable[str]) -> str | None:
        """The first subprotocol the client offers that is ``known``, or None."""
        known = frozenset(known)
        return next((token for token in self.tokens("sec-websocket-protocol") if token in known), None)


async def read_head(stream: trio.abc.ReceiveStream, max_size: int) -> RequestHead:
    """Read one request head of at most ``max_size`` bytes. The caller sets the deadline.

    Raises:
        HeadRefused: too long, too many headers, or not HTTP/1.1.
        HeadEnded: the peer left.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=max_size)
    received = bytearray()
    while True:
        try:
            data = await stream.receive_some(_READ)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as exc:
            raise HeadEnded from exc
        if not data:
            raise HeadEnded
        received += data
        try:
            parser.receive_data(bytes(data))
            event = parser.next_event()
        except h11.RemoteProtocolError as exc:
            if exc.error_status_hint == 431:
                raise HeadRefused(431, "the request head is too long", "head_size") from None
            raise HeadRefused(400, "not a valid HTTP/1.1 request", "head") from None
        if isinstance(event, h11.Request):
            return _head(event, bytes(received), len(received) - len(parser.trailing_data[0]), max_size)


def _head(event: h11.Request, received: bytes, size: int, max_size: int) -> RequestHead:
    if size > max_size:
        raise HeadRefused(431, "the request head is too long", "head_size")
    if len(event.headers) > MAX_HEADERS:
        raise HeadRefused(431, "too many headers", "head_count")
    if event.http_version not in {b"1.0", b"1.1"}:
        raise HeadRefused(505, "HTTP/1.1 is needed", "head")
    path, _, query = event.target.decode("ascii").partition("?")
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)
    return RequestHead(event.method.decode("ascii"), path, query, headers, received[:size], received[size:])


_REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


def response(status: int, text: str, retry_after: float = 5.0) -> bytes:
    """A whole HTTP response of ours, after which the connection is closed. ``text`` is fixed and ASCII.

    ``retry_after``: what a 503 says, in seconds.
    """
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(text) + 1}",
        "Connection: close",
    ]
    if status == 426:
        lines += ["Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    if status == 503:
        lines.append(f"Retry-After: {math.ceil(retry_after)}")
    return ("\r\n".join([*lines, "", ""]) + text + "\n").encode("ascii")
