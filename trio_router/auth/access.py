"""The strategy ``access``: log in with an access token, ``{"token": "<JWT>"}``.

The user is the token's ``clientId``. Its permissions and restrictions, and the grants of the key that signed it, go along
with the session as bounds that no rule can widen. It knows no HTTP and issues nothing.

The rule that keeps it honest: a token that says it is an access token is judged here and by nobody after; one that is
something else is left to the strategies that know what.
"""

from __future__ import annotations

from typing import Final

import attrs

from trio_router.auth.access_tokens import AccessTokens
from trio_router.auth.services import Services
from trio_router.auth.strategy import INTERFACE_VERSION, Accepted, Answer, Denied, LoginRequest, NotMine, Unavailable
from trio_router.errors import StorageUnavailable, TokenInvalid
from trio_router.identity import User
from trio_router.tokens.access import claimed_key
from trio_router.tokens.claims import MAX_LEEWAY
from trio_router.tokens.compact import parse

TOKEN: Final = "token"  # noqa: S105 - the name of a field

_TELLING: Final = frozenset({"expired"})
"""Reasons the client is told: it needs a new token. Only said of a token whose signature holds."""


def _leeway(_: object, __: object, value: float) -> None:
    if not 0 <= value <= MAX_LEEWAY:
        raise ValueError(f"must be between 0 and {MAX_LEEWAY:.0f} seconds")


@attrs.frozen
class AccessOptions:
    """``leeway``: seconds that the clock of whoever issues tokens may be off."""

    leeway: float = attrs.field(default=5.0, validator=_leeway)


class AccessStrategy:
    """Accepts access tokens of its app's keys; not mine when the login holds none."""

    name = "access"

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens

    async def start(self, request: LoginRequest) -> Answer:
        text = (request.auth or {}).get(TOKEN)
        if not isinstance(text, str):
            return NotMine()
        try:
            unverified = parse(text)
        except TokenInvalid:  # nobody's access token; another strategy may know what it is
            return NotMine()
        if claimed_key(unverified) is None:
            return NotMine()
        try:
            token, key = await self._tokens.check(unverified)
        except TokenInvalid as error:
            return Denied(error.reason, {"error": error.reason} if error.reason in _TELLING else None)
        except StorageUnavailable:
            return Unavailable("storage")
        return Accepted(
            User(token.client_id),
            expires_at=token.expires_at,
            token_id=token.token_id,
            issued_at=token.issued_at,
            key=token.key_id,
            grants=key.grants,
            scope=token.scope,
        )


class AccessType:
    """The entry point ``access``."""

    interface_version = INTERFACE_VERSION
    Options = AccessOptions

    def build(self, options: AccessOptions, services: Services) -> AccessStrategy:
        """Keys are looked up in the store when a token needs one."""
        return AccessStrategy(AccessTokens(services.app, services.keys, services.clock, leeway=options.leeway))
