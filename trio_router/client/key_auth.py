"""A server program's login: it proves that it has an app key's secret, which never travels.

The proof is made for the session id that the router greets with, so it is made anew for each connection and is good for no other.
Knows the proof's form from :mod:`trio_router.protocols.keyproof` and no connection.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from trio_router.clock import Clock, SystemClock
from trio_router.names import InvalidName, split_key
from trio_router.protocols.keyproof import key_proof
from trio_router.secret import Secret

NONCE_BYTES: Final = 18


class KeyAuth:
    """The ``login`` of a server program: ``key`` is ``<app>.<key id>``. Raises ``ValueError`` if it is not.

    This machine's clock has to be right to within the router's ``skew`` (30 seconds unless configured).
    """

    def __init__(self, key: str, secret: Secret | str, *, clock: Clock | None = None) -> None:
        try:
            split_key(key)
        except InvalidName as error:
            raise ValueError(f"key: {error}") from None
        self._key = key
        self._secret = secret if isinstance(secret, Secret) else Secret(secret)
        self._clock = clock or SystemClock()

    def prove(self, session_id: str) -> dict[str, Any]:
        """The credentials for one connection."""
        timestamp, nonce = int(self._clock.wall()), secrets.token_urlsafe(NONCE_BYTES)
        proof = key_proof(self._key, timestamp, nonce, session_id, self._secret)
        return {"key": self._key, "timestamp": timestamp, "nonce": nonce, "proof": proof}
