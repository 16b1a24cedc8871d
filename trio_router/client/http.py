"""One HTTP/1.1 request from a client program: for tokens and for publishing without a connection.

h11 does the protocol, this module moves its bytes over Trio streams. It follows no redirect, reads no proxy from the
environment and keeps nothing open. The rule that keeps it honest: an answer is whole, of bounded size and in time, or there
is :class:`HttpFailed`; no text of either holds what was sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import h11
import msgspec
import trio

from trio_router.client.errors import ConnectFailed
from trio_router.client.websocket import Target, open_stream, seconds_of

MAX_BODY: Final = 64 * 1024
TIMEOUT: Final = 10.0
_READ: Final = 16_384


class HttpFailed(ConnectFailed):
    """There is no good answer. ``status`` is that of a bad one, if there was one; ``permanent``: the same request will fail again."""


@attrs.frozen
class HttpReply:
    """A complete answer; header names in lower case."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    def json(self) -> Any:
        """The body's JSON value. Raises ``HttpFailed``."""
        try:
            return msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            raise HttpFailed("the answer is not JSON") from None


async def post_json(
    url: str,
    value: Any,
    *,
    headers: Sequence[tuple[str, str]] = (),
    tls: ssl.SSLContext | None = None,
    timeout: float = TIMEOUT,
) -> HttpReply:
    """``POST`` of ``value`` as JSON to ``url``, within ``timeout`` seconds altogether.

    Raises:
        HttpFailed: no answer, or one that is not 2xx.
        ValueError: ``url`` is no http(s) URL, or a header cannot be sent; the text does not repeat it.
    """
    target = _target(url)
    body = msgspec.json.encode(value)
    fields = [("Host", target.authority), ("Content-Type", "application/json"), ("Accept", "application/json")]
    fields += [("Content-Length", str(len(body))), ("Connection", "close"), *headers]
    try:
        request = h11.Request(method="POST", target=target.path, headers=fields)
    except (h11.LocalProtocolError, UnicodeEncodeError):
        msg = "a header or the URL holds what HTTP cannot carry"
        raise ValueError(msg) from None
    with trio.move_on_after(timeout):
        reply = await _exchange(target, request, body, tls)
        if not 200 <= reply.status < 300:
            permanent = 400 <= reply.status < 500 and reply.status not in {408, 425, 429}
            msg = f"{target.authority} answered with HTTP status {reply.status}"
            raise HttpFailed(
                msg,
                status=reply.status,
                permanent=permanent,
                retry_after=seconds_of(reply.headers.get("retry-after", "")),
            )
        return reply
    msg = f"{target.authority} did not answer within {timeout:g} s"
    raise HttpFailed(msg)


async def _exchange(target: Target, request: h11.Request, body: bytes, tls: ssl.SSLContext | None) -> HttpReply:
    stream = await open_stream(target, tls)
    connection = h11.Connection(h11.CLIENT)
    try:
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            await stream.send_all(connection.send(event) or b"")
        return await _read(stream, connection)
    except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
        msg = f"{target.authority} does not answer as an HTTP server"
        raise HttpFailed(msg) from None
    finally:
        await trio.aclose_forcefully(stream)


async def _read(stream: trio.abc.Stream, connection: h11.Connection) -> HttpReply:
    response: h11.Response | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(bytes(await stream.receive_some(_READ)))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                msg = f"the answer is longer than {MAX_BODY} bytes"
                raise HttpFailed(msg)
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            found = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
            return HttpReply(response.status_code, found, bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            msg = "the connection ended before the answer"
            raise HttpFailed(msg)


def _target(url: str) -> Target:
    scheme, colon, rest = url.partition(":")
    known = {"http": "ws", "https": "wss"}.get(scheme.lower())
    if known is None or not colon:
        msg = "the URL must begin with http:// or https://"
        raise ValueError(msg)
    if not urlsplit(url).path.isascii():
        msg = "the URL must be ASCII"
        raise ValueError(msg)
    return Target.parse(f"{known}:{rest}")
