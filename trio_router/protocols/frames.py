"""A WebSocket frame from the server's side, as bytes. Pure: no socket, no state.

A server does not mask what it sends (RFC 6455, 5.1), so one frame made here is right for every receiver of an
event, and the outboxes of a thousand subscribers share it. Only whole messages are made here; control
frames and the handshake belong to the transport.
"""

from __future__ import annotations

import struct
from typing import Final

_FIN_TEXT: Final = 0x81  # the last (and only) fragment of a text message, no extension bit set
_FIN_BINARY: Final = 0x82
_SHORT: Final = struct.Struct("!BB").pack
_MEDIUM: Final = struct.Struct("!BBH").pack
_LONG: Final = struct.Struct("!BBQ").pack


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame around ``payload``, which is UTF-8 already (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:  # the busiest cases of all, without another call
        return _SHORT(_FIN_TEXT, size) + payload
    if size < 65_536:
        return _MEDIUM(_FIN_TEXT, 126, size) + payload
    return _frame(_FIN_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked binary frame around ``payload``."""
    return _frame(_FIN_BINARY, payload)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return _SHORT(first, size) + payload
    if size < 65_536:
        return _MEDIUM(first, 126, size) + payload
    return _LONG(first, 127, size) + payload
