"""The proof that a program has an app key's secret, without the secret travelling.

Both sides compute it: the client library to log in, the router to check. Pure. What goes under the MAC is a version and
typed fields, each with its length before it, so that no two different logins are the same bytes (T49); the session id
in it is the router's own random choice, so that a proof is good for one connection (T51).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from trio_router.secret import Secret

VERSION: Final = b"trio-router key login 1"
MIN_NONCE: Final = 16  # characters
MAX_NONCE: Final = 64
MAX_TIMESTAMP: Final = 2**53


def signed_fields(key: str, timestamp: int, nonce: str, session_id: str) -> bytes:
    """The bytes under the MAC. ``key`` is ``<app>.<key id>``, ``timestamp`` whole seconds since the epoch.

    Raises:
        ValueError: a field is not one that either side would send.
    """
    if not 0 <= timestamp <= MAX_TIMESTAMP:
        raise ValueError("timestamp: out of range")
    fields = [
        VERSION,
        key.encode("ascii"),
        timestamp.to_bytes(8, "big"),
        nonce.encode("ascii"),
        session_id.encode("ascii"),
    ]
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def key_proof(key: str, timestamp: int, nonce: str, session_id: str, secret: Secret) -> str:
    """The proof, HMAC-SHA256 in lower-case hexadecimal. Raises ``ValueError`` as :func:`signed_fields`."""
    data = signed_fields(key, timestamp, nonce, session_id)
    return hmac.new(secret.reveal_bytes(), data, hashlib.sha256).hexdigest()
