"""One answer to "whose access token is this, and does it hold", for every entrance: the login strategy and REST.

Joins the verifier with the store of keys of one app. Whether a token was revoked is not asked here: that is compared with
every credential, whatever made it. The rule that keeps it honest: a token never opens more than its key does now, so the
key is looked up each time and its grants go along with what the token says.
"""

from __future__ import annotations

from collections.abc import Callable

from trio_router.auth.revocation import Credential
from trio_router.clock import Clock
from trio_router.errors import TokenInvalid
from trio_router.storage.keys import KeyRecord, KeyStore, could_be_key
from trio_router.tokens.access import AccessToken, AccessVerifier, claimed_key
from trio_router.tokens.compact import UnverifiedToken


class AccessTokens:
    """The access tokens of ``app``."""

    def __init__(self, app: str, keys: Callable[[], KeyStore], clock: Clock, *, leeway: float = 5.0) -> None:
        self._app = app
        self._keys = keys
        self._clock = clock
        self._verifier = AccessVerifier(clock, leeway=leeway)

    async def check(self, token: UnverifiedToken) -> tuple[AccessToken, KeyRecord]:
        """What ``token`` says, and the key it is of.

        Raises:
            TokenInvalid: it does not hold: ``app`` (it is of another app) or a reason of the verifier.
            StorageUnavailable: the key cannot be looked up.
        """
        claimed = claimed_key(token)
        if claimed is None or claimed[0] != self._app:
            raise TokenInvalid("app")
        key_id = claimed[1]
        if not could_be_key(self._app, key_id):
            raise TokenInvalid("key")
        key = await self._keys().get(self._app, key_id)
        try:
            return self._verified(token, key_id, key)
        except TokenInvalid as error:
            if error.reason != "signature":
                raise
        now = await self._keys().get(self._app, key_id, fresh=True)  # it may have been rotated elsewhere just now
        return self._verified(token, key_id, now)

    def _verified(self, token: UnverifiedToken, key_id: str, key: KeyRecord | None) -> tuple[AccessToken, KeyRecord]:
        if key is None:
            raise TokenInvalid("key")
        secrets = key.live_secrets(self._clock.wall())
        return self._verifier.verify(token, app=self._app, key_id=key_id, secrets=secrets), key


def credential_of(token: AccessToken) -> Credential:
    """The names by which a revocation reaches whoever holds ``token``."""
    return Credential(token.app, token.client_id, token_id=token.token_id, key=token.key_id, issued_at=token.issued_at)
