"""Ids of calls: random, so that nobody can answer a call that he was not given (T55).

The operating system is asked for the bits of many ids at once: asked for each one, it costs as much as the decision on the call. Each
id is made of bits that no other has, and they are kept nowhere once it was given out.
"""

from __future__ import annotations

import base64
import secrets
from typing import Final

LENGTH: Final = 22  # characters of six random bits each: 132 bits
AT_ONCE: Final = 256
_BYTES: Final = 18  # 24 characters, two of which are not used

_made: Final[list[str]] = []


def new_call_id() -> str:
    """An id that nobody can guess, in ``LENGTH`` URL-safe characters."""
    if not _made:
        text = base64.urlsafe_b64encode(secrets.token_bytes(_BYTES * AT_ONCE)).decode("ascii")
        _made.extend([text[start : start + LENGTH] for start in range(0, len(text), 24)])
    return _made.pop()
