"""The head of a request: read in pieces or at once it is the same head, within its bounds, or refused with a fixed text (T02, T10, T64)."""

from __future__ import annotations

import base64
from typing import Final

from tests.fuzz.target import Target
from trio_router.transport.addresses import TrustedProxies, counting_key
from trio_router.transport.head import MAX_HEADERS, HeadEnded, HeadRefused, RequestHead, read_head
from trio_router.transport.origin import OriginPolicy

MAX_HEAD: Final = 2048
PROXIES: Final = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
ORIGINS: Final = OriginPolicy(["https://shop.example"])


class Pieces:
    """A stream that gives its pieces and then ends; it never waits, so nobody needs to run it."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [piece for piece in pieces if piece]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def read(*pieces: bytes) -> RequestHead | tuple[int, str] | None:
    """The head in these pieces, status and text of the refusal, or None: the peer left."""
    steps = read_head(Pieces(*pieces), MAX_HEAD)  # type: ignore[arg-type]
    try:
        steps.send(None)
    except StopIteration as done:
        head: RequestHead = done.value
        return head
    except HeadRefused as refused:
        assert refused.response().startswith(b"HTTP/1.1 %d " % refused.status)
        return refused.status, refused.text
    except HeadEnded:
        return None
    raise AssertionError("it waits for something")


def request_head(data: bytes) -> bool:
    """The first byte says where the rest is cut in two."""
    cut, data = (data[0] if data else 0), data[1:]
    found = read(data)
    if isinstance(found, RequestHead):
        _check(found, data)
        in_pieces = read(data[:cut], data[cut:])
        assert isinstance(in_pieces, RequestHead)
        assert (in_pieces.raw, in_pieces.headers) == (found.raw, found.headers)
        assert in_pieces.raw + in_pieces.rest == data[: len(in_pieces.raw) + len(in_pieces.rest)]
        again = read(found.raw)
        assert isinstance(again, RequestHead)
        assert (again.method, again.path, again.query, again.headers, again.rest) == (
            found.method, found.path, found.query, found.headers, b"",
        )  # fmt: skip
        return True
    split = read(*(data[at : at + 7] for at in range(0, len(data), 7)))
    assert not isinstance(split, RequestHead) or found is None or found[0] == 431
    return False


def _check(head: RequestHead, data: bytes) -> None:
    assert head.raw + head.rest == data
    assert len(head.raw) <= MAX_HEAD
    assert len(head.headers) <= MAX_HEADERS
    for part in (head.method, head.path, head.query, *(each for header in head.headers for each in header)):
        assert not {"\r", "\n", "\0"} & set(part)
    try:
        key = head.websocket_key()
    except HeadRefused as refused:
        assert refused.response()
    else:
        assert len(base64.b64decode(key, validate=True)) == 16
        assert not {" ", ",", "\t"} & set(key)
    assert head.chosen_subprotocol(["trio-router.v1+json"]) in {None, "trio-router.v1+json"}
    assert counting_key(PROXIES.client_of("127.0.0.1", head.values("x-forwarded-for")))
    origins = head.values("origin")
    assert ORIGINS.allows(origins) == (origins in ([], ["https://shop.example"]))


TARGETS: Final = (
    Target(
        "request_head",
        request_head,
        (
            "GET ", "POST ", " HTTP/1.1\r\n", " HTTP/1.0\r\n", "/?jwt=x", "Host: x\r\n", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", "Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Protocol: trio-router.v1+json\r\n",
            "Origin: https://shop.example\r\n", "X-Forwarded-For: 10.0.0.1, ::ffff:1.2.3.4\r\n", "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n", "\r\n\r\n", "\r\n", "\n", "\t", "a: b\r\n" * 20,
        ),
    ),
)  # fmt: skip
