"""Access tokens: what they say, who signs them, and what has to hold before anybody believes one.

A token is bound to an app key (``sub`` is ``<app>.<key id>``, the header's ``kid`` the key id again), to one user
(``clientId``) and to a scope, and is signed with the key's secret (HS256). Issuing and checking are the two sides of one
table of claims, which is why they stand in one module; signatures are the business of :mod:`trio_router.tokens.jwt`.

It knows no store, no router and no HTTP. The rule that keeps it honest: an :class:`AccessToken` exists only if everything in
it was proven (T45, T50), and each has exactly one spelling (T46).
"""

from __future__ import annotations

import secrets as chance
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import attrs

from trio_router.clock import Clock
from trio_router.errors import TokenInvalid
from trio_router.names import InvalidName, check_user_id
from trio_router.scope import Scope
from trio_router.secret import Secret
from trio_router.tokens.claims import Claims, ClaimsPolicy
from trio_router.tokens.compact import UnverifiedToken
from trio_router.tokens.jwt import JoseVerifier, Key, sign
from trio_router.tokens.keys import KeyRefused, shared_secret, signing_secret

ALGORITHM: Final = "HS256"
LIFETIME: Final = 3_600
MAX_LIFETIME: Final = 86_400
TOKEN_ID_BYTES: Final = 12  # 96 random bits in sixteen URL-safe characters

CLAIMS: Final = frozenset({"iss", "iat", "exp", "nbf", "jti", "sub", "permissions", "restrictions", "clientId"})
"""The claims of an access token, all of them, and no other (PUBQ's, so that its authorisation servers fit)."""

_MARKS: Final = frozenset({"permissions", "clientId"})
_KEPT_KEYS: Final = 1_024


@attrs.frozen
class AccessToken:
    """A token that was checked (or just made). Times are seconds since the epoch."""

    app: str
    key_id: str
    token_id: str
    client_id: str
    scope: Scope
    issued_at: float
    expires_at: float


def issue(
    secret: Secret,
    *,
    app: str,
    key_id: str,
    client_id: str,
    scope: Scope,
    issuer: str,
    now: float,
    lifetime: int = LIFETIME,
) -> tuple[str, AccessToken]:
    """A new token, signed, and what it says. ``issuer`` is the URL of the token endpoint; ``lifetime`` is seconds.

    Raises:
        ValueError: the client id is no user id, the lifetime is out of range, the secret is too weak, or the scope is
            too large for a token.
    """
    try:
        check_user_id(client_id)
    except InvalidName as error:
        raise ValueError(f"clientId: {error}") from None
    if not 1 <= lifetime <= MAX_LIFETIME:
        raise ValueError(f"lifetime: must be from 1 to {MAX_LIFETIME} seconds")
    issued = int(now)
    token = AccessToken(app, key_id, chance.token_urlsafe(TOKEN_ID_BYTES), client_id, scope, issued, issued + lifetime)
    claims = {
        "iss": issuer,
        "iat": issued,
        "exp": issued + lifetime,
        "nbf": issued,
        "jti": token.token_id,
        "sub": f"{app}.{key_id}",
        "permissions": sorted(scope.permissions),
        "restrictions": None if scope.restrictions is None else list(scope.restrictions),
        "clientId": client_id,
    }
    return sign(claims, signing_secret(secret, ALGORITHM, name="the key", kid=key_id)), token


def claimed_key(token: UnverifiedToken) -> tuple[str, str] | None:
    """The app and the key that ``token`` says it is of; None if it is no access token at all. Proves nothing."""
    payload = token.unverified_payload
    subject = payload.get("sub")
    if not _MARKS.issubset(payload) or not isinstance(subject, str):
        return None
    app, dot, key_id = subject.rpartition(".")
    return (app, key_id) if dot and app and key_id else None


class AccessVerifier:
    """Checks access tokens. Keeps the prepared keys of the last so many app keys, since preparing costs more than checking."""

    def __init__(self, clock: Clock, *, leeway: float = 5.0) -> None:
        self._jwt = JoseVerifier(clock)
        self._policy = ClaimsPolicy(issuer=None, audience=None, leeway=leeway, max_lifetime=MAX_LIFETIME)
        self._keys: OrderedDict[str, tuple[Sequence[Secret], tuple[Key, ...]]] = OrderedDict()

    def verify(self, token: UnverifiedToken, *, app: str, key_id: str, secrets: Sequence[Secret]) -> AccessToken:
        """What ``token`` says, if one of ``secrets`` of this very key signed it and it is valid now.

        Raises:
            TokenInvalid: and nothing else; besides the reasons of the verifier, ``key`` (it is of another key) and
                ``claims`` (they are not those of an access token).
        """
        if token.kid != key_id or claimed_key(token) != (app, key_id):
            raise TokenInvalid("key")
        failure = TokenInvalid("key")
        for key in self._prepared(f"{app}.{key_id}", key_id, secrets):
            try:
                return _read(self._jwt.verify(token, key, self._policy), app, key_id)
            except TokenInvalid as error:
                failure = error
                if error.reason != "signature":
                    break
        raise failure

    def _prepared(self, name: str, key_id: str, secrets: Sequence[Secret]) -> tuple[Key, ...]:
        kept = self._keys.get(name)
        if kept is None or list(kept[0]) != list(secrets):
            try:
                keys = tuple(shared_secret(secret, (ALGORITHM,), name=name, kid=key_id) for secret in secrets)
            except KeyRefused:
                raise TokenInvalid("key") from None
            kept = self._keys[name] = (tuple(secrets), keys)
        self._keys.move_to_end(name)
        if len(self._keys) > _KEPT_KEYS:
            self._keys.popitem(last=False)
        return kept[1]


def _read(claims: Claims, app: str, key_id: str) -> AccessToken:
    values = claims.values
    client_id, permissions, restrictions = values.get("clientId"), values.get("permissions"), values.get("restrictions")
    if set(values) != CLAIMS or claims.token_id is None or claims.issued_at is None:
        raise TokenInvalid("claims")
    if not isinstance(permissions, list) or not isinstance(restrictions, list | None) or not isinstance(client_id, str):
        raise TokenInvalid("claims")
    try:
        check_user_id(client_id)
        scope = Scope.of(permissions, restrictions)
    except (InvalidName, ValueError):
        raise TokenInvalid("claims") from None
    return AccessToken(app, key_id, claims.token_id, client_id, scope, claims.issued_at, claims.expires_at)
