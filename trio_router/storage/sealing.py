"""How a secret rests in a database: AES-256-GCM, bound to the row it belongs to.

A key's secret has to sign, so it cannot be kept as a hash. It is sealed under a key that is not in the database: the
config's ``storage.encryption_key``. The rule that keeps this honest: what was sealed for one place does not open in
another, so that rows that were copied or swapped behind the router's back open for nobody (T66).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trio_router.secret import Secret

MIN_KEY: Final = 32
"""Characters an encryption key has at least. `trio-router init` makes one of 256 random bits."""

_VERSION: Final = "1"
_NONCE: Final = 12  # bytes; random: a store seals far fewer than 2**32 secrets (NIST SP 800-38D, 8.3)
_INFO: Final = b"trio_router storage sealing 1"


class SealBroken(Exception):
    """What is stored does not open: another encryption key sealed it, or somebody changed it."""


class Sealer:
    """Seals and opens under ``key``, any text of at least ``MIN_KEY`` characters that cannot be guessed."""

    def __init__(self, key: Secret) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), 32, salt=None, info=_INFO).derive(key.reveal_bytes()))

    def seal(self, secret: Secret, *place: str) -> str:
        """``secret``, sealed for ``place`` (table, app, id, ...), in ASCII."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._cipher.encrypt(nonce, secret.reveal_bytes(), _bound_to(place))
        return f"{_VERSION}:{base64.b64encode(sealed).decode('ascii')}"

    def unseal(self, sealed: str, *place: str) -> Secret:
        """What was sealed for ``place``. Raises ``SealBroken``."""
        version, _, text = sealed.partition(":")
        try:
            data = base64.b64decode(text, validate=True) if version == _VERSION else b""
            return Secret(self._cipher.decrypt(data[:_NONCE], data[_NONCE:], _bound_to(place)).decode())
        except (InvalidTag, binascii.Error, ValueError):
            pass  # raised below, without a context that holds any of it
        raise SealBroken


def _bound_to(place: tuple[str, ...]) -> bytes:
    """The parts with their lengths, so that no two places are the same bytes (T49)."""
    parts = [part.encode("utf-8", "surrogatepass") for part in place]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
