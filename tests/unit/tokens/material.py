"""Keys and tokens for tests: real ones, made once a run, and a forger that can spell anything."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from trio_router.clock import ManualClock
from trio_router.tokens.claims import ClaimsPolicy
from trio_router.tokens.jwt import Key, SigningKey
from trio_router.tokens.keys import public_key, shared_secret, signing_key, signing_secret

NOW = 1_700_000_000
SECRET = b"correct horse battery staple and some more words of salt, all sixty-four bytes"
ISSUER = "https://issuer.example"
AUDIENCE = "chat"
POLICY = ClaimsPolicy(issuer=ISSUER, audience=frozenset({AUDIENCE}), leeway=5.0)

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
ALL = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]


def clock() -> ManualClock:
    return ManualClock(wall=float(NOW))


def claims(**changes: Any) -> dict[str, Any]:
    """Valid claims; a change to ``...`` takes one away."""
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": NOW, "exp": NOW + 600, "jti": "t-1", **changes}
    return {name: value for name, value in given.items() if value is not ...}


def rsa_key(bits: int = 2048, *, number: int = 0) -> rsa.RSAPrivateKey:
    """Another ``number``, another key."""
    return _rsa_key(bits, number)


def ec_key(algorithm: str = "ES256", *, number: int = 0) -> ec.EllipticCurvePrivateKey:
    return _ec_key(algorithm, number)


@cache
def _rsa_key(bits: int, _: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def _ec_key(algorithm: str, _: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(CURVES[algorithm])


def private_pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key: Any) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_key(algorithm: str, number: int = 0) -> Any:
    return rsa_key(number=number) if algorithm.startswith("RS") else ec_key(algorithm, number=number)


@cache
def pair(algorithm: str, kid: str | None = None, number: int = 0) -> tuple[SigningKey, Key]:
    """A key to sign with and the one to verify with."""
    if algorithm.startswith("HS"):
        secret = SECRET + b"%d" % number
        return (
            signing_secret(secret, algorithm, name="test", kid=kid),
            shared_secret(secret, [algorithm], name="test", kid=kid),
        )
    private = private_key(algorithm, number)
    return (
        signing_key(private_pem(private), algorithm, name="test", kid=kid),
        public_key(public_pem(private), [algorithm], name="test", kid=kid),
    )


@cache
def certificate(algorithm: str) -> x509.Certificate:
    private = private_key(algorithm)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer.example")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .sign(private, hashes.SHA256())
    )


def jwk(private: Any, **members: Any) -> dict[str, Any]:
    """The public JWK of a private key; a member of ``...`` is taken away."""
    numbers = private.public_key().public_numbers()
    if isinstance(private, rsa.RSAPrivateKey):
        shape = {"kty": "RSA", "n": spell_number(numbers.n), "e": spell_number(numbers.e)}
    else:
        size = (private.curve.key_size + 7) // 8
        crv = {256: "P-256", 384: "P-384", 521: "P-521"}[private.curve.key_size]
        shape = {"kty": "EC", "crv": crv, "x": spell_number(numbers.x, size), "y": spell_number(numbers.y, size)}
    return {name: value for name, value in {**shape, **members}.items() if value is not ...}


def spell_number(number: int, size: int | None = None) -> str:
    return spell(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def spell(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(header: Any, payload: Any, secret: bytes = SECRET, digest: str = "sha256") -> str:
    """A token with any header and payload (objects, or bytes as they stand), with an HMAC by ``secret``."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    text = ".".join(map(spell, parts))
    return f"{text}.{spell(hmac.digest(secret, text.encode(), getattr(hashlib, digest)))}"
