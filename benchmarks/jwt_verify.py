"""How many tokens a second are verified, next to what the library alone does in the same run.

    python -m benchmarks.jwt_verify [--seconds 1.0] [--rounds 5] [--json]

Three contenders per algorithm, each with a key prepared beforehand, taking turns so that a busy machine slows all alike;
the best round of each counts:

* ``signature``: ``jose.jws.verify``, the floor: signature alone, nothing decided
* ``library``: ``jose.jwt.decode`` with audience and issuer: signature and the library's own, laxer claims checks
* ``router``: ``JoseVerifier.verify``: canonical form, header, signature, all claims

What is reported is the router's rate as a share of the other two. Absolute figures say something about this machine only.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jose import jws, jwt

from trio_router.clock import SystemClock
from trio_router.tokens.claims import ClaimsPolicy
from trio_router.tokens.jwt import JoseVerifier, Key, SigningKey, sign
from trio_router.tokens.keys import public_key, shared_secret, signing_key, signing_secret

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "chat"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="per contender and algorithm, over all rounds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {name: measure(name, options.seconds, options.rounds) for name in ("HS256", "RS256", "ES256")}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(f"{'':8}{'signature/s':>12}{'library/s':>12}{'router/s':>12}{'of signature':>14}{'of library':>12}")
    for name, result in results.items():
        print(
            f"{name:8}{result['signature']:12,.0f}{result['library']:12,.0f}{result['router']:12,.0f}"
            f"{result['router'] / result['signature']:14.0%}{result['router'] / result['library']:12.0%}"
        )


def measure(algorithm: str, seconds: float, rounds: int) -> dict[str, float]:
    """The best rate of each contender, in verifications a second."""
    signing, key = keys(algorithm)
    now = time.time()
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "ada",
        "iat": now,
        "exp": now + 3_600,
        "jti": "7fd1",
        "roles": ["user"],
    }
    token = sign(claims, signing)
    handle = key.handles[algorithm]
    verifier = JoseVerifier(SystemClock())
    policy = ClaimsPolicy(issuer=ISSUER, audience=frozenset({AUDIENCE}))
    contenders: dict[str, Callable[[], Any]] = {
        "signature": lambda: jws.verify(token, handle, algorithms=[algorithm]),
        "library": lambda: jwt.decode(token, handle, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER),
        "router": lambda: verifier.verify(token, key, policy),
    }
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(rounds):
        for name, contender in contenders.items():
            best[name] = max(best[name], rate(contender, seconds / rounds))
    return best


def rate(contender: Callable[[], Any], seconds: float) -> float:
    count = 0
    began = time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        for _ in range(100):
            contender()
        count += 100
    return count / spent


def keys(algorithm: str) -> tuple[SigningKey, Key]:
    if algorithm == "HS256":
        secret = bytes(range(64))
        return signing_secret(secret, algorithm, name="bench"), shared_secret(secret, [algorithm], name="bench")
    private = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if algorithm == "RS256"
        else ec.generate_private_key(ec.SECP256R1())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return signing_key(pem, algorithm, name="bench"), public_key(public, [algorithm], name="bench")


if __name__ == "__main__":
    main()
