"""A checked upgrade request, and the few frames that the transport makes by itself. Pure.

The rule that keeps it honest: no text of the client's request goes into anything made here but its key, which was checked, and the
one subprotocol we know; so nothing is negotiated or echoed (M6, T64).
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Final

import attrs

from trio_router.session.link import Upgrade

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_CLOSE_OPCODE: Final = 0x88
_PONG_OPCODE: Final = 0x8A


@attrs.frozen
class Handshake:
    """A checked upgrade request: the key is base64 of 16 bytes, ``rest`` what came behind the request's head."""

    upgrade: Upgrade
    key: str = attrs.field(repr=False)
    rest: bytes = attrs.field(default=b"", repr=False)

    def request(self) -> bytes:
        """The request that trio-websocket is shown."""
        return self._head(
            "GET / HTTP/1.1",
            "Host: router",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self.key}",
            "Sec-WebSocket-Version: 13",
        )

    def answer(self) -> bytes:
        """The response that accepts it (RFC 6455, 4.2.2)."""
        digest = hashlib.sha1(f"{self.key}{_GUID}".encode("ascii"), usedforsecurity=False).digest()
        return self._head(
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode('ascii')}",
        )

    def _head(self, *lines: str) -> bytes:
        chosen = self.upgrade.subprotocol
        extra = () if chosen is None else (f"Sec-WebSocket-Protocol: {chosen}",)
        return "\r\n".join([*lines, *extra, "", ""]).encode("ascii")


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame from the server's side; ``reason`` is cut to what fits (RFC 6455, 5.5)."""
    text = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return struct.pack("!BBH", _CLOSE_OPCODE, 2 + len(text), code) + text


def pong_frame(payload: bytes) -> bytes:
    """A pong from the server's side; ``payload`` is that of the ping, at most 125 bytes (RFC 6455, 5.5.3)."""
    return struct.pack("!BB", _PONG_OPCODE, len(payload)) + payload
