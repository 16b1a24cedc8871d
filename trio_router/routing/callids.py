"""Ids of calls: random, so that nobody can answer a call that he was not given (T55).

The operating system is asked for the bits of many ids at once: asked for each one, it costs more than anything else about a call. Each
id is made of bits that no other has, and they are kept nowhere once it was given out.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from typing import Final

ID_BYTES: Final = 16  # 128 random bits, 22 characters
AT_ONCE: Final = 256


def _ids() -> Iterator[str]:
    while True:
        bits = secrets.token_bytes(ID_BYTES * AT_ONCE)
        for start in range(0, len(bits), ID_BYTES):
            yield base64.urlsafe_b64encode(bits[start : start + ID_BYTES])[:22].decode("ascii")


_made: Final = _ids()


def new_call_id() -> str:
    """An id that nobody can guess, in 22 URL-safe characters."""
    return next(_made)
