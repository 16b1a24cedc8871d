"""HTTP to the outside: the only importer of httpx, and the only place that knows what may go wrong there.

It is built on httpx's *transport* rather than its client, because what a client adds is what a router must not
have: redirects, proxies and credentials from the environment, cookies remembered from one user's answer and sent
with the next user's request, and a log line with the whole URL (T58, T62). What is left is one pool of connections.

The rule that keeps it honest: one scope bounds the whole exchange in time, and no byte past the cap is kept, whatever
the other side does (T59). Answers are never decompressed.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
import trio

from trio_router.auth.services import HttpAnswer, OutboundError
from trio_router.errors import ConfigError, Problem

CONNECTIONS: Final = 200
IDLE_CONNECTIONS: Final = 40
"""More than a strategy asks at once by default: with fewer, a crowd of logins would open and close connections all the time."""

IDLE_SECONDS: Final = 5.0

MAX_PORT: Final = 65_535

USER_AGENT: Final = "trio_router"

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE: Final = re.compile(r"([!-~\x80-\xff]+([ \t]+[!-~\x80-\xff]+)*)?\Z")
_RESERVED: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "user-agent", "te", "trailer"}
    | {"upgrade", "expect", "keep-alive", "proxy-authorization", "proxy-connection"}
)

# Their loggers name URLs (httpx) and headers (httpcore): both may hold secrets (T62).
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def is_header(name: str, value: str) -> bool:
    """Whether this header can be sent: a token as name that is not ours to set, and a value on one line of Latin-1.

    ``value`` comes from clients, so a line break here would be a header, or a request, of their own (T58).
    """
    return bool(_NAME.match(name)) and name.lower() not in _RESERVED and bool(_VALUE.match(value))


class HttpOutbound:
    """One bounded pool of connections for every strategy; implements :class:`trio_router.auth.services.Outbound`.

    Certificates are always checked: against the authorities that ``certifi`` ships, or, with ``ca_file`` (PEM), against
    those alone. Use as an async context manager, or call :meth:`aclose`.

    Raises:
        ConfigError: ``ca_file`` cannot be read.
    """

    def __init__(self, *, ca_file: Path | None = None, connections: int = CONNECTIONS) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            verify=True if ca_file is None else _authorities(ca_file),
            trust_env=False,
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=min(connections, IDLE_CONNECTIONS),
                keepalive_expiry=IDLE_SECONDS,
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        timeout: float,
        max_body: int,
    ) -> HttpAnswer:
        request = _request(method, url, headers, body)
        answer: HttpAnswer | None = None
        # The only clock: timeouts per read, which httpx has, would never see a slow drip (M10).
        with trio.move_on_after(timeout):
            answer = await self._exchange(request, max_body)
        if answer is None:
            raise OutboundError("timeout")
        return answer

    async def _exchange(self, request: httpx.Request, max_body: int) -> HttpAnswer:
        try:
            response = await self._transport.handle_async_request(request)
            try:
                return await _read(response, max_body)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise OutboundError(_slug(error)) from None


class _Body(httpx.AsyncByteStream):
    """A request's body in one part; no generator, so that a cancelled request leaves none half-way."""

    def __init__(self, body: bytes) -> None:
        self._parts = [body]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._parts:
            raise StopAsyncIteration
        return self._parts.pop()


async def _read(response: httpx.Response, max_body: int) -> HttpAnswer:
    codings = response.headers.get("content-encoding", "").lower().split(",")
    if any(coding.strip() not in {"", "identity"} for coding in codings):
        raise OutboundError("encoded")
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_body:
        raise OutboundError("too_big")
    body = bytearray()
    # Cancelling, rather than leaving the loop, unwinds the library's nested generators; one buffer more may still come.
    with trio.CancelScope() as enough:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > max_body:
                enough.cancel()
    if len(body) > max_body:
        raise OutboundError("too_big")
    return HttpAnswer(response.status_code, dict(response.headers.items()), bytes(body))


def _request(method: str, url: str, headers: tuple[tuple[str, str], ...], body: bytes) -> httpx.Request:
    if not all(is_header(name, value) for name, value in headers):
        raise OutboundError("header")
    try:
        target = httpx.URL(url)
        if target.scheme not in {"http", "https"} or not target.host or " " in url or (target.port or 0) > MAX_PORT:
            raise OutboundError("url")
        fixed = (
            ("host", target.netloc.decode("ascii")),
            ("user-agent", USER_AGENT),
            ("accept-encoding", "identity"),
            ("content-length", str(len(body))),
        )
    except (httpx.InvalidURL, UnicodeError):
        raise OutboundError("url") from None
    encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in (*fixed, *headers)]
    return httpx.Request(method, target, headers=encoded, stream=_Body(body))


def _slug(error: httpx.HTTPError) -> str:
    if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
        return "tls"
    if isinstance(error, httpx.ConnectError):
        return "connect"
    return "protocol"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _authorities(path: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError):
        raise ConfigError(Problem("cannot be read as certificates in PEM", str(path))) from None
