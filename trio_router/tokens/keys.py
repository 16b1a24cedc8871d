"""Key material in, prepared keys out: once, at start, or not at all.

Owns what makes a key good enough and what it may be used for (T38, T47). Knows nothing of tokens and fetches nothing.
A key's family decides its algorithms, never the other way round: a shared secret that could be read as somebody's
public key is refused, whatever its spelling. The rule that keeps this honest: a message names the key and the fault
and never repeats a byte of it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from trio_router.errors import TokenInvalid
from trio_router.secret import Secret
from trio_router.tokens.compact import decode_part, is_kid
from trio_router.tokens.jwt import ALGORITHMS, Family, Key, Material, SigningKey, prepare

MIN_SECRET: Final[Mapping[str, int]] = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes: as many as the hash has (RFC 7518, section 3.2)."""

MIN_DISTINCT_BYTES: Final = 8  # a random secret of 32 bytes has about 30; a typed filler has few
MIN_RSA: Final = 2048
MAX_RSA: Final = 8192  # a larger modulus costs every login milliseconds
MAX_RSA_EXPONENT: Final = 2**32

CURVES: Final[Mapping[str, tuple[str, type[ec.EllipticCurve]]]] = {
    "ES256": ("P-256", ec.SECP256R1),
    "ES384": ("P-384", ec.SECP384R1),
    "ES512": ("P-521", ec.SECP521R1),
}
"""Each ES algorithm has exactly one curve (RFC 7518, section 3.4)."""


class KeyRefused(ValueError):
    """This key is not used. The text begins with the key's name."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name}: {fault}")
        self.fault = fault


class KeySet:
    """The keys of one issuer. ``kid`` indexes this set and nothing else (T39).

    Raises:
        KeyRefused: two keys share a ``kid``, or one of several has none.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys = tuple(keys)
        self._by_kid: dict[str | None, Key] = {}
        for key in self.keys:
            if key.kid in self._by_kid:
                raise KeyRefused(key.name, "has the same kid as another key of this issuer")
            if key.kid is None and len(self.keys) > 1:
                raise KeyRefused(key.name, "needs a kid, because this issuer has several keys")
            self._by_kid[key.kid] = key

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, kid: str | None) -> Key:
        """The key called ``kid``; the only key there is, when either it or the token has no name for it.

        Raises:
            TokenInvalid: ``key``: there is none.
        """
        key = self._by_kid.get(kid) or self._by_kid.get(None)
        if kid is None and len(self.keys) == 1:
            key = self.keys[0]
        if key is None:
            raise TokenInvalid("key")
        return key


def shared_secret(secret: Secret | bytes, algorithms: Sequence[str], *, name: str, kid: str | None = None) -> Key:
    """A key of shared bytes for those of ``algorithms`` that are HS*. A ``Secret`` counts as UTF-8.

    Raises:
        KeyRefused: it is too short or too plain, or it is a public or private key, a certificate or a JWK.
    """
    material = secret.reveal_bytes() if isinstance(secret, Secret) else secret
    chosen = _choose(algorithms, "secret", name)
    for algorithm in chosen:
        if len(material) < MIN_SECRET[algorithm]:
            raise KeyRefused(name, f"{algorithm} needs a secret of at least {MIN_SECRET[algorithm]} bytes")
    if len(set(material)) < MIN_DISTINCT_BYTES:
        raise KeyRefused(name, "the secret repeats a few characters; use a random one")
    if _is_public_material(material):
        raise KeyRefused(name, "is an asymmetric key, a certificate or a JWK and must not serve as a shared secret")
    return _build(material, chosen, name, kid)


def public_key(pem: bytes, algorithms: Sequence[str], *, name: str, kid: str | None = None) -> Key:
    """A key to verify with, out of a public key in PEM, for those of ``algorithms`` that fit it.

    Raises:
        KeyRefused: it is no such key, is too weak, or fits none of ``algorithms``.
    """
    try:
        loaded = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if b"PRIVATE KEY-----" in pem:
            fault = "is a private key; give the router the public one (openssl pkey -pubout)"
        elif b"CERTIFICATE-----" in pem:
            fault = "is a certificate; give its public key (openssl x509 -pubkey -noout)"
        else:
            fault = "is not a public key in PEM"
        raise KeyRefused(name, fault) from None
    if not isinstance(loaded, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise KeyRefused(name, "is neither an RSA nor an EC key")
    return _build(loaded, _fitting(loaded, algorithms, name), name, kid)


def public_jwk(jwk: Mapping[str, object], algorithms: Sequence[str], *, name: str) -> Key:
    """A key to verify with, out of a JWK (RFC 7517) that may be used for signatures, for the ``algorithms`` that fit it.

    Raises:
        KeyRefused: it is private, symmetric, meant for something else, malformed, too weak, or fits none.
    """
    kid, use, operations, algorithm = (jwk.get(member) for member in ("kid", "use", "key_ops", "alg"))
    if kid is not None and not is_kid(kid):
        raise KeyRefused(name, "kid: must be 1 to 128 printable ASCII characters")
    if use is not None and use != "sig":
        raise KeyRefused(name, "use: is not sig")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        raise KeyRefused(name, "key_ops: does not hold verify")
    if algorithm is not None:
        if not isinstance(algorithm, str) or algorithm not in algorithms:
            raise KeyRefused(name, "alg: is none of this issuer's algorithms")
        algorithms = (algorithm,)
    if "d" in jwk or "k" in jwk:
        raise KeyRefused(name, "is a secret or private key, which a key set must not hold")
    loaded = _load_jwk(jwk, name)
    return _build(loaded, _fitting(loaded, algorithms, name), name, kid if isinstance(kid, str) else None)


def signing_secret(secret: Secret | bytes, algorithm: str, *, name: str, kid: str | None = None) -> SigningKey:
    """A key of shared bytes to sign with; as strict as :func:`shared_secret`, whose tokens it makes.

    Raises:
        KeyRefused: see :func:`shared_secret`.
    """
    key = shared_secret(secret, (algorithm,), name=name, kid=kid)
    return SigningKey(name, kid, algorithm, key.handles[algorithm])


def signing_key(pem: bytes, algorithm: str, *, name: str, kid: str | None = None) -> SigningKey:
    """A key to sign with, out of an unencrypted private key in PEM.

    Raises:
        KeyRefused: it is no such key, is too weak, or does not fit ``algorithm``.
    """
    _check_kid(kid, name)
    try:
        loaded = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRefused(name, "is not an unencrypted private key in PEM") from None
    if not isinstance(loaded, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyRefused(name, "is neither an RSA nor an EC key")
    _fitting(loaded.public_key(), (algorithm,), name)
    return SigningKey(name, kid, algorithm, prepare(loaded, algorithm))


def _build(material: Material, algorithms: Sequence[str], name: str, kid: str | None) -> Key:
    _check_kid(kid, name)
    try:
        return Key(name, kid, {algorithm: prepare(material, algorithm) for algorithm in algorithms})
    except ValueError as error:
        raise KeyRefused(name, str(error)) from None


def _check_kid(kid: str | None, name: str) -> None:
    if kid is not None and not is_kid(kid):
        raise KeyRefused(name, "kid: must be 1 to 128 printable ASCII characters")


def _choose(algorithms: Sequence[str], family: Family, name: str) -> list[str]:
    unknown = [algorithm for algorithm in algorithms if algorithm not in ALGORITHMS]
    if unknown:
        raise KeyRefused(name, f"unknown algorithm; there are {', '.join(ALGORITHMS)}")
    chosen = [algorithm for algorithm in algorithms if ALGORITHMS[algorithm] == family]
    if not chosen:
        kind = "a shared secret" if family == "secret" else f"an {family} key"
        raise KeyRefused(name, f"is {kind}, which none of these algorithms takes: {', '.join(algorithms)}")
    return chosen


def _fitting(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, algorithms: Sequence[str], name: str) -> list[str]:
    """Those of ``algorithms`` that ``key`` fits, if it is strong enough."""
    if isinstance(key, rsa.RSAPublicKey):
        chosen = _choose(algorithms, "RSA", name)
        if not MIN_RSA <= key.key_size <= MAX_RSA:
            raise KeyRefused(name, f"is an RSA key of {key.key_size} bits; it must have {MIN_RSA} to {MAX_RSA}")
        if key.public_numbers().e >= MAX_RSA_EXPONENT:
            raise KeyRefused(name, "is an RSA key with an oversized public exponent")
        return chosen
    chosen = [algorithm for algorithm in _choose(algorithms, "EC", name) if isinstance(key.curve, CURVES[algorithm][1])]
    if not chosen:
        raise KeyRefused(name, f"is on the curve {key.curve.name}, which none of these takes: {', '.join(algorithms)}")
    return chosen


def _load_jwk(jwk: Mapping[str, object], name: str) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    kty = jwk.get("kty")
    try:
        if kty == "RSA":
            return rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key()
        if kty == "EC":
            curve = dict(CURVES.values()).get(str(jwk.get("crv")))
            if curve is None:
                raise KeyRefused(name, "crv: is none of P-256, P-384, P-521")
            return ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), curve()).public_key()
    except (TokenInvalid, UnsupportedAlgorithm):
        raise KeyRefused(name, "a number in it is not base64url") from None
    except KeyRefused:
        raise
    except ValueError:  # a point off its curve, an impossible exponent
        raise KeyRefused(name, "its numbers are not a key") from None
    raise KeyRefused(name, "kty: is neither RSA nor EC")


def _number(jwk: Mapping[str, object], member: str) -> int:
    text = jwk.get(member)
    if not isinstance(text, str) or len(text) > 4 * MAX_RSA // 3 // 8 + 4:
        raise TokenInvalid("malformed")
    return int.from_bytes(decode_part(text), "big")


def _is_public_material(material: bytes) -> bool:
    """Whether ``material``, plainly or in base64 or hexadecimal, is something that others may know (T38)."""
    if b"-----BEGIN " in material or b"---- BEGIN " in material:
        return True
    return any(_is_json(data) or _is_ssh_blob(data) or _loads(data) for data in _spellings(material))


def _spellings(material: bytes) -> Iterable[bytes]:
    yield material
    yield material.strip()
    text = b"".join(material.split())
    decoders: tuple[Callable[[bytes], bytes], ...] = (
        lambda data: base64.b64decode(data + b"=" * (-len(data) % 4), validate=True),
        lambda data: base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4)),
        binascii.unhexlify,
    )
    for decode in decoders:
        try:
            yield decode(text)
        except ValueError:
            continue


def _is_json(data: bytes) -> bool:
    """Whether ``data`` could be a JWK or a set of them."""
    try:
        return isinstance(json.loads(data), dict | list)
    except (ValueError, RecursionError):
        return False


def _is_ssh_blob(data: bytes) -> bool:
    """Whether ``data`` is what stands in base64 in the middle of an SSH public key (RFC 4253, section 6.6)."""
    return data[4:].startswith((b"ssh-", b"ecdsa-sha2-", b"sk-"))


def _loads(data: bytes) -> bool:
    loaders: tuple[Callable[[bytes], Any], ...] = (
        serialization.load_der_public_key,
        lambda der: serialization.load_der_private_key(der, password=None),
        x509.load_der_x509_certificate,
        x509.load_der_x509_csr,
        serialization.load_ssh_public_key,
        lambda der: serialization.load_ssh_private_key(der, password=None),
        serialization.load_ssh_public_identity,
    )
    for load in loaders:
        try:
            load(data)
        except TypeError:  # an encrypted private key
            return True
        except (ValueError, UnsupportedAlgorithm):
            continue
        return True
    return False
