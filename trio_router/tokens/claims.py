"""What a signed payload must say before anybody acts on it.

Owns the types, times and texts of the registered claims (RFC 7519, section 4.1) and knows neither keys nor
algorithms. The order of types is the proof: only a verifier makes a :data:`SignedPayload`, only :func:`judge` makes
:class:`Claims` of one, and it does so when every check has passed. There is no half-valid result to use by
mistake (T45).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NewType, final

import attrs

from trio_router.errors import TokenInvalid

MAX_LEEWAY: Final = 60.0
MAX_TOKEN_ID: Final = 256
_LATEST: Final = 2**53  # beyond this a float no longer counts seconds

SignedPayload = NewType("SignedPayload", Mapping[str, Any])
"""A payload whose signature was checked. Made by verifiers, never by a caller."""


@attrs.frozen
class ClaimsPolicy:
    """What is asked of a token.

    ``issuer`` must be its ``iss``; one member of ``audience`` must be (in) its ``aud``. None asks for neither, which is
    right only for tokens bound by other claims that the caller compares (a trust-token's session and channel). ``leeway`` is how many seconds
    (0 to 60) the issuer's clock may be off. ``max_lifetime`` (seconds) bounds how long a token may be good for, from
    its ``iat`` and from now. ``token_type``, when given, must be the header's ``typ`` (RFC 7515, section 4.1.9).

    Raises:
        ValueError: a field is out of its range; the text names it.
    """

    issuer: str | None
    audience: frozenset[str] | None
    leeway: float = 5.0
    max_lifetime: float = 86_400.0
    token_type: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.issuer == "":
            raise ValueError("issuer: must not be empty")
        if self.audience is not None and (not self.audience or "" in self.audience):
            raise ValueError("audience: must name at least one audience")
        if not 0 <= self.leeway <= MAX_LEEWAY:
            raise ValueError(f"leeway: must be between 0 and {MAX_LEEWAY:.0f} seconds")
        if not 0 < self.max_lifetime <= _LATEST:
            raise ValueError("max_lifetime: must be a positive number of seconds")


@final
@attrs.frozen(init=False, eq=False)
class Claims:
    """The claims of a token that passed every check. Times are seconds since the epoch.

    ``token_id`` is the ``jti``, the name a revocation uses. ``values`` holds all claims.
    """

    issuer: str | None
    subject: str | None
    audience: frozenset[str]
    expires_at: float
    issued_at: float | None
    token_id: str | None
    values: Mapping[str, Any] = attrs.field(repr=False)

    def __init__(self, *_: object, **__: object) -> None:
        raise TypeError("Claims are made by judge() alone")


def judge(payload: SignedPayload, policy: ClaimsPolicy, now: float) -> Claims:
    """The claims in ``payload`` if all of them satisfy ``policy`` at ``now`` (seconds since the epoch).

    Raises:
        TokenInvalid: ``claims`` (one is missing or of the wrong type), ``issuer``, ``audience``, ``expired``,
            ``not_yet_valid``, ``issued_in_future`` or ``lifetime``.
    """
    issuer = _text(payload, "iss")
    if policy.issuer is not None and issuer != policy.issuer:
        raise TokenInvalid("issuer")
    audience = _audience(payload, policy)
    if policy.audience is not None and audience.isdisjoint(policy.audience):
        raise TokenInvalid("audience")
    expires_at = _time(payload, "exp")
    not_before = _time(payload, "nbf")
    issued_at = _time(payload, "iat")
    subject = _text(payload, "sub")
    token_id = _text(payload, "jti")
    if expires_at is None:
        raise TokenInvalid("claims")
    if token_id is not None and not (0 < len(token_id) <= MAX_TOKEN_ID and token_id.isprintable()):
        raise TokenInvalid("claims")
    if now >= expires_at + policy.leeway:
        raise TokenInvalid("expired")
    if not_before is not None and now < not_before - policy.leeway:
        raise TokenInvalid("not_yet_valid")
    if issued_at is not None and now < issued_at - policy.leeway:
        raise TokenInvalid("issued_in_future")
    if issued_at is not None and expires_at - issued_at > policy.max_lifetime:
        raise TokenInvalid("lifetime")
    if expires_at - now > policy.max_lifetime + policy.leeway:
        raise TokenInvalid("lifetime")
    claims = Claims.__new__(Claims)
    claims.__attrs_init__(issuer, subject, audience, expires_at, issued_at, token_id, payload)
    return claims


def _time(payload: SignedPayload, name: str) -> float | None:
    """A NumericDate (RFC 7519, section 2): a JSON number and nothing that merely turns into one (T44)."""
    if name not in payload:
        return None
    value = payload[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise TokenInvalid("claims")
    return float(value)


def _text(payload: SignedPayload, name: str) -> str | None:
    if name not in payload:
        return None
    value = payload[name]
    if not isinstance(value, str):
        raise TokenInvalid("claims")
    return value


def _audience(payload: SignedPayload, policy: ClaimsPolicy) -> frozenset[str]:
    """``aud`` is one text or a list of texts (RFC 7519, section 4.1.3); none at all, when one is asked for, is nobody's token."""
    if policy.audience is None and "aud" not in payload:
        return frozenset()
    value = payload.get("aud")
    if isinstance(value, str):
        return frozenset((value,))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return frozenset(value)
    raise TokenInvalid("audience" if value is None else "claims")
