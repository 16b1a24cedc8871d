"""Takes the mask off what a client sends (RFC 6455, 5.3): in C where that is built, else with Python's long integers.

Both are the same function; a test holds them together. It knows nothing of frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


def unmask_portably(data: bytes, mask: bytes) -> bytes:
    """``data`` with each byte xored with its byte of ``mask``, which has four."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _fastest() -> Callable[[bytes, bytes], bytes]:
    try:
        from websockets.speedups import apply_mask
    except ImportError:
        return unmask_portably
    return apply_mask


unmask: Final = _fastest()
"""The fastest there is."""
