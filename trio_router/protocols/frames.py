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
    return (_TEXT_HEADERS[size] if size < _USUAL else _header(_FIN_TEXT, size)) + payload


def binary_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked binary frame around ``payload``."""
    size = len(payload)
    return (_BINARY_HEADERS[size] if size < _USUAL else _header(_FIN_BINARY, size)) + payload


def _header(first: int, size: int) -> bytes:
    if size < 126:
        return _SHORT(first, size)
    if size < 65_536:
        return _MEDIUM(first, 126, size)
    return _LONG(first, 127, size)


_USUAL: Final = 1_024
"""Sizes below which headers are made beforehand, for most messages are that short."""
_TEXT_HEADERS: Final = tuple([_header(_FIN_TEXT, size) for size in range(_USUAL)])
_BINARY_HEADERS: Final = tuple([_header(_FIN_BINARY, size) for size in range(_USUAL)])
