"""Signatures: checked and made here, and nowhere else. The only importer of jose.

jose is handed a key object prepared at start and exactly one algorithm, and is asked one question: does this
signature hold. It parses no claims, chooses no key and sees no text that :mod:`trio_router.tokens.compact` has not
taken apart first. :class:`JwtVerifier` is the seam: another library, or another algorithm, is another class behind it.
The rule that keeps this honest: whatever happens inside, only ``TokenInvalid`` comes out of ``verify`` (T43).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol, TypeAlias

import attrs
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jws
from jose.backends import ECKey, HMACKey, RSAKey
from jose.backends.base import Key as JoseKey
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyHMACKey, CryptographyRSAKey
from jose.exceptions import JOSEError

from trio_router.clock import Clock
from trio_router.errors import TokenInvalid
from trio_router.tokens.claims import Claims, ClaimsPolicy, SignedPayload, judge
from trio_router.tokens.compact import UnverifiedToken, is_kid, parse

Family = Literal["secret", "RSA", "EC"]
Material: TypeAlias = (
    bytes | rsa.RSAPublicKey | rsa.RSAPrivateKey | ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey
)

ALGORITHMS: Final[Mapping[str, Family]] = {
    "HS256": "secret",
    "HS384": "secret",
    "HS512": "secret",
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "ES512": "EC",
}
"""Every algorithm there is, and the kind of key it takes. ``none`` is not among them in any spelling (T37)."""


@attrs.frozen(eq=False)
class Key:
    """A key to verify with: made by :mod:`trio_router.tokens.keys` from material that was checked there.

    ``name`` is for messages. ``handles`` has one prepared object per algorithm the key may be used with, all of one
    family, so that a key can never serve an algorithm it was not made for (T38).
    """

    name: str
    kid: str | None
    handles: Mapping[str, JoseKey] = attrs.field(repr=False)


@attrs.frozen(eq=False)
class SigningKey:
    """A key to sign with, for one algorithm. ``kid`` goes into the header of what it signs."""

    name: str
    kid: str | None
    algorithm: str
    handle: JoseKey = attrs.field(repr=False)


class JwtVerifier(Protocol):
    """Decides whether a token holds. Implementations keep no state about tokens."""

    def verify(self, token: object, key: Key, policy: ClaimsPolicy) -> Claims:
        """The claims of ``token``, a text or one already parsed, if ``key`` signed it and ``policy`` is satisfied.

        Raises:
            TokenInvalid: and nothing else, for input of any type; the reasons are those of ``compact.parse`` and
                ``claims.judge`` and ``algorithm``, ``key``, ``type`` and ``signature``.
        """


class JoseVerifier:
    """:class:`JwtVerifier` on python-jose, with the ``cryptography`` library doing the arithmetic."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def verify(self, token: object, key: Key, policy: ClaimsPolicy) -> Claims:
        unverified = token if isinstance(token, UnverifiedToken) else parse(token)
        if policy.token_type is not None and not _same_type(unverified.typ, policy.token_type):
            raise TokenInvalid("type")
        payload = _check_signature(unverified, key)
        return judge(payload, policy, self._clock.wall())


def sign(claims: Mapping[str, Any], key: SigningKey, kid: str | None = None, *, typ: str = "JWT") -> str:
    """A token with ``claims``, signed. ``kid`` (default: the key's own) names the key in the header.

    Raises:
        ValueError: the claims are not JSON, or the token would be one that is refused everywhere (over 8 KiB).
    """
    kid = key.kid if kid is None else kid
    if kid is not None and not is_kid(kid):
        raise ValueError("kid: must be 1 to 128 printable ASCII characters")
    try:
        body = json.dumps(claims, allow_nan=False, separators=(",", ":")).encode()
    except TypeError as error:
        raise ValueError(f"claims: {error}") from None
    headers = {"typ": typ} if kid is None else {"typ": typ, "kid": kid}
    token = jws.sign(body, key.handle, headers=headers, algorithm=key.algorithm)
    try:
        parse(token)
    except TokenInvalid:
        raise ValueError("claims: too much, too deep or not a JSON object") from None
    return token


def prepare(material: Material, algorithm: str) -> JoseKey:
    """jose's key object for ``material`` and one algorithm. Strength and kind are the caller's to check.

    Raises:
        ValueError: the material does not fit the algorithm.
    """
    try:
        key: JoseKey = _CLASSES[ALGORITHMS[algorithm]](material, algorithm)
    except (JOSEError, KeyError) as error:
        raise ValueError(f"does not fit {algorithm}") from error
    return key


def check_backends(rsa_key: object = RSAKey, ec_key: object = ECKey, hmac_key: object = HMACKey) -> None:
    """Returns if jose computes with ``cryptography``; its other backends are slower or leak through timing.

    Raises:
        ImportError: it does not.
    """
    if (rsa_key, ec_key, hmac_key) != (CryptographyRSAKey, CryptographyECKey, CryptographyHMACKey):
        raise ImportError("python-jose does not use cryptography: install python-jose[cryptography]")


def _check_signature(token: UnverifiedToken, key: Key) -> SignedPayload:
    handle = key.handles.get(token.algorithm)
    if handle is None:
        raise TokenInvalid("algorithm")
    if token.kid is not None and key.kid is not None and token.kid != key.kid:
        raise TokenInvalid("key")
    try:
        body = jws.verify(token.text, handle, algorithms=[token.algorithm])
    except Exception:  # noqa: BLE001 - the edge: jose lets many kinds escape, and each means "not proven"
        raise TokenInvalid("signature") from None
    if body != token.body:  # what was proven is what was parsed
        raise TokenInvalid("signature")
    return SignedPayload(token.unverified_payload)


def _same_type(typ: str | None, wanted: str) -> bool:
    """Media types compare without case, and ``application/`` may be left out (RFC 7515, section 4.1.9)."""
    return typ is not None and typ.lower().removeprefix("application/") == wanted.lower().removeprefix("application/")


check_backends()
_CLASSES: Final[Mapping[Family, Any]] = {
    "secret": CryptographyHMACKey,
    "RSA": CryptographyRSAKey,
    "EC": CryptographyECKey,
}
