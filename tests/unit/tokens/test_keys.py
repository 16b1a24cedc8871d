from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.unit.tokens.material import (
    ALL,
    SECRET,
    certificate,
    ec_key,
    jwk,
    private_pem,
    public_pem,
    rsa_key,
    spell,
    spell_number,
)
from trio_router.errors import TokenInvalid
from trio_router.secret import Secret
from trio_router.tokens.jwt import Key
from trio_router.tokens.keys import (
    KeyRefused,
    KeySet,
    public_jwk,
    public_key,
    shared_secret,
    signing_key,
    signing_secret,
)


def refused(build: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(KeyRefused) as caught:
        build(*args, name="main", **kwargs)
    assert isinstance(caught.value, ValueError)
    assert str(caught.value).startswith("main: ")
    return caught.value.fault


@pytest.mark.threat("T47")
@pytest.mark.parametrize(("algorithm", "least"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_as_long_as_its_hash(algorithm: str, least: int) -> None:
    secret = SECRET[:least]
    assert set(shared_secret(secret, [algorithm], name="main").handles) == {algorithm}
    assert f"at least {least} bytes" in refused(shared_secret, secret[:-1], [algorithm])
    assert f"at least {least} bytes" in refused(signing_secret, secret[:-1], algorithm)


@pytest.mark.threat("T47")
@pytest.mark.parametrize("secret", [b"", b"x", b"secret", b"changeme", b"x" * 64, b"abc" * 30, b" " * 40])
def test_empty_short_and_plain_secrets_are_refused(secret: bytes) -> None:
    assert refused(shared_secret, secret, ["HS256"])
    assert refused(shared_secret, Secret(secret.decode()), ["HS256"])


def test_a_secret_has_some_variety() -> None:
    assert shared_secret(b"abcdefgh" * 4, ["HS256"], name="main").handles
    assert "repeats" in refused(shared_secret, b"abcdefga" * 4, ["HS256"])


def test_the_length_of_a_secret_counts_its_bytes() -> None:
    text = "äöüßéèêñ" * 2
    assert shared_secret(Secret(text), ["HS256"], name="main").kid is None
    assert len(text) == 16


@pytest.mark.parametrize("build", [shared_secret, public_key, public_jwk])
def test_no_message_repeats_the_material(build: Any) -> None:
    material: Any = {"kty": "oct", "k": "tell-nobody"} if build is public_jwk else b"tell-nobody"
    assert "tell-nobody" not in refused(build, material, ["HS256", "RS256"])
    key = shared_secret(SECRET, ["HS256"], name="main")
    assert SECRET.decode() not in repr(key)
    assert "handle" not in repr(key)


@pytest.mark.threat("T47")
def test_small_and_enormous_rsa_keys_are_refused() -> None:
    small = rsa_key(1024)
    assert "1024 bits" in refused(public_key, public_pem(small), ["RS256"])
    assert "1024 bits" in refused(public_jwk, jwk(small), ["RS256"])
    assert "1024 bits" in refused(signing_key, private_pem(small), "RS256")
    enormous = rsa.RSAPublicNumbers(65537, (1 << 9_000) + 1).public_key()
    pem = enormous.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert "9001 bits" in refused(public_key, pem, ["RS256"])
    odd = jwk(rsa_key(), e=spell_number(2**33 + 1))
    assert "exponent" in refused(public_jwk, odd, ["RS256"])


@pytest.mark.threat("T47")
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
@pytest.mark.parametrize("curve", ["ES256", "ES384", "ES512"])
def test_each_es_algorithm_has_exactly_its_curve(algorithm: str, curve: str) -> None:
    key = ec_key(curve)
    if algorithm == curve:
        assert set(public_key(public_pem(key), [algorithm], name="main").handles) == {algorithm}
        assert set(public_jwk(jwk(key), [algorithm], name="main").handles) == {algorithm}
    else:
        assert "curve" in refused(public_key, public_pem(key), [algorithm])
        assert "curve" in refused(public_jwk, jwk(key), [algorithm])
        assert "curve" in refused(signing_key, private_pem(key), algorithm)


@pytest.mark.threat("T47")
@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.BrainpoolP256R1(), ec.SECP224R1()])
def test_other_curves_are_refused(curve: ec.EllipticCurve) -> None:
    assert "curve" in refused(public_key, public_pem(ec.generate_private_key(curve)), ALL)


def test_other_kinds_of_keys_are_refused() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    assert refused(public_key, public_pem(key), ALL) == "is neither an RSA nor an EC key"
    assert refused(signing_key, private_pem(key), "ES256") == "is neither an RSA nor an EC key"


def test_a_private_key_or_a_certificate_is_not_taken_for_a_public_key() -> None:
    assert "-pubout" in refused(public_key, private_pem(rsa_key()), ["RS256"])
    pem = certificate("RS256").public_bytes(serialization.Encoding.PEM)
    assert "x509 -pubkey" in refused(public_key, pem, ["RS256"])
    assert refused(public_key, b"junk", ["RS256"]) == "is not a public key in PEM"
    assert "private key in PEM" in refused(signing_key, public_pem(rsa_key()), "RS256")


def test_an_encrypted_private_key_is_refused() -> None:
    form = serialization.BestAvailableEncryption(b"password")
    pem = rsa_key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, form)
    assert "unencrypted" in refused(signing_key, pem, "RS256")
    assert "-pubout" in refused(public_key, pem, ["RS256"])


def public_forms(algorithm: str) -> dict[str, bytes]:
    """What others may know about a key: every form in which somebody might have it in a file."""
    private = rsa_key() if algorithm == "RS256" else ec_key()
    public, encoding, formats = private.public_key(), serialization.Encoding, serialization.PublicFormat
    der = public.public_bytes(encoding.DER, formats.SubjectPublicKeyInfo)
    pem = public.public_bytes(encoding.PEM, formats.SubjectPublicKeyInfo)
    ssh = public.public_bytes(encoding.OpenSSH, formats.OpenSSH)
    cert = certificate(algorithm)
    raw = serialization.PrivateFormat
    plain = serialization.NoEncryption()
    forms = {
        "PEM": pem,
        "PEM, one line": pem.replace(b"\n", b""),
        "PEM after text": b"Here you are:\n" + pem,
        "PEM body": b"".join(pem.splitlines()[1:-1]),
        "PEM body, lines": b"\n".join(pem.splitlines()[1:-1]),
        "DER": der,
        "DER, line": der + b"\n",
        "DER, hexadecimal": der.hex().encode(),
        "SSH": ssh,
        "SSH, comment": ssh + b" ada@example",
        "SSH body": ssh.split()[1],
        "SSH2": b"---- BEGIN SSH2 PUBLIC KEY ----\n" + ssh.split()[1] + b"\n---- END SSH2 PUBLIC KEY ----\n",
        "JWK": json.dumps(jwk(private)).encode(),
        "JWK set": json.dumps({"keys": [jwk(private)]}).encode(),
        "JWK list": json.dumps([jwk(private)]).encode(),
        "certificate PEM": cert.public_bytes(encoding.PEM),
        "certificate DER": cert.public_bytes(encoding.DER),
        "private PEM": private_pem(private),
        "private PEM, traditional": private.private_bytes(encoding.PEM, raw.TraditionalOpenSSL, plain),
        "private PEM, encrypted": private.private_bytes(
            encoding.PEM, raw.PKCS8, serialization.BestAvailableEncryption(b"x")
        ),
        "private DER": private.private_bytes(encoding.DER, raw.PKCS8, plain),
        "private DER, encrypted": private.private_bytes(
            encoding.DER, raw.PKCS8, serialization.BestAvailableEncryption(b"x")
        ),
        "private SSH": private.private_bytes(encoding.PEM, raw.OpenSSH, plain),
    }
    if isinstance(public, rsa.RSAPublicKey):
        forms["PKCS1 PEM"] = public.public_bytes(encoding.PEM, formats.PKCS1)
        forms["PKCS1 DER"] = public.public_bytes(encoding.DER, formats.PKCS1)
    return forms


FORMS = [(algorithm, form) for algorithm in ("RS256", "ES256") for form in public_forms(algorithm)]


@pytest.mark.threat("T38")
@pytest.mark.threat("T47")
@pytest.mark.parametrize(("algorithm", "form"), FORMS)
def test_nothing_that_others_may_know_serves_as_a_secret(algorithm: str, form: str) -> None:
    material = public_forms(algorithm)[form]
    for hs in ("HS256", "HS384", "HS512"):
        assert "must not serve as a shared secret" in refused(shared_secret, material, [hs])
    assert refused(signing_secret, material, "HS256")


@pytest.mark.parametrize(
    "secret", [spell(bytes(range(48))).encode(), bytes(range(100, 164)).hex().encode(), bytes(range(48))]
)
def test_random_secrets_in_usual_spellings_are_fine(secret: bytes) -> None:
    assert shared_secret(secret, ["HS256"], name="main").handles


@pytest.mark.threat("T38")
def test_a_key_serves_its_own_family_only() -> None:
    assert set(shared_secret(SECRET, ALL, name="main").handles) == {"HS256", "HS384", "HS512"}
    assert set(public_key(public_pem(rsa_key()), ALL, name="main").handles) == {"RS256", "RS384", "RS512"}
    assert set(public_key(public_pem(ec_key()), ALL, name="main").handles) == {"ES256"}
    assert "none of these algorithms" in refused(shared_secret, SECRET, ["RS256"])
    assert "none of these algorithms" in refused(public_key, public_pem(rsa_key()), ["HS256", "ES256"])
    assert "none of these algorithms" in refused(signing_key, private_pem(ec_key()), "HS256")


@pytest.mark.threat("T37")
@pytest.mark.parametrize("name", ["none", "None", "NONE", "", "hs256", "RSA-OAEP", "dir", "PS256", "EdDSA"])
def test_there_are_no_other_algorithms(name: str) -> None:
    assert "unknown algorithm" in refused(shared_secret, SECRET, ["HS256", name])
    assert "unknown algorithm" in refused(public_key, public_pem(rsa_key()), [name])


@pytest.mark.parametrize("kid", ["", "k" * 129, "k\n"])
def test_a_configured_kid_is_one_that_a_token_can_have(kid: str) -> None:
    assert "kid" in refused(shared_secret, SECRET, ["HS256"], kid=kid)
    assert "kid" in refused(signing_key, private_pem(rsa_key()), "RS256", kid=kid)


@pytest.mark.threat("T39")
@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"use": "enc"}, "use: is not sig"),
        ({"use": 1}, "use: is not sig"),
        ({"key_ops": ["sign"]}, "key_ops: does not hold verify"),
        ({"key_ops": "verify"}, "key_ops: does not hold verify"),
        ({"key_ops": []}, "key_ops: does not hold verify"),
        ({"alg": "RS512"}, "alg: is none of this issuer's algorithms"),
        ({"alg": ["RS256"]}, "alg: is none of this issuer's algorithms"),
        ({"alg": "RSA-OAEP"}, "alg: is none of this issuer's algorithms"),
        ({"alg": "HS256"}, "is an RSA key, which none of these algorithms takes: HS256"),
        ({"alg": "ES256"}, "is an RSA key, which none of these algorithms takes: ES256"),
        ({"kty": "EC"}, "crv: is none of P-256, P-384, P-521"),
        ({"kty": "oct"}, "kty: is neither RSA nor EC"),
        ({"kty": "OKP"}, "kty: is neither RSA nor EC"),
        ({"kty": ["RSA"]}, "kty: is neither RSA nor EC"),
        ({"kty": ...}, "kty: is neither RSA nor EC"),
        ({"d": "AQ"}, "is a secret or private key, which a key set must not hold"),
        ({"k": "AQ"}, "is a secret or private key, which a key set must not hold"),
        ({"kid": 1}, "kid: must be 1 to 128 printable ASCII characters"),
        ({"kid": "k" * 129}, "kid: must be 1 to 128 printable ASCII characters"),
        ({"n": ...}, "a number in it is not base64url"),
        ({"n": 1}, "a number in it is not base64url"),
        ({"n": "AQ=="}, "a number in it is not base64url"),
        ({"n": "A" * 100_000}, "a number in it is not base64url"),
        ({"e": "AA"}, "its numbers are not a key"),
        ({"e": "Ag"}, "its numbers are not a key"),
    ],
)
def test_a_jwk_that_is_not_meant_for_this_is_refused(members: dict[str, Any], fault: str) -> None:
    assert refused(public_jwk, jwk(rsa_key(), **members), ["RS256", "ES256", "HS256"]) == fault


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"crv": "P-384"}, "its numbers are not a key"),
        ({"crv": "secp256k1"}, "crv: is none of P-256, P-384, P-521"),
        ({"crv": None}, "crv: is none of P-256, P-384, P-521"),
        ({"x": "AQ"}, "its numbers are not a key"),
        ({"y": ...}, "a number in it is not base64url"),
    ],
)
def test_a_point_is_on_its_curve(members: dict[str, Any], fault: str) -> None:
    assert refused(public_jwk, jwk(ec_key(), **members), ["ES256", "ES384"]) == fault


def test_a_jwk_says_itself_what_it_is_for() -> None:
    key = public_jwk(jwk(rsa_key(), kid="k1", use="sig", alg="RS384", key_ops=["verify"]), ALL, name="main")
    assert (key.kid, set(key.handles)) == ("k1", {"RS384"})


def test_a_key_set_finds_by_kid() -> None:
    one, two = (shared_secret(SECRET + kid.encode(), ["HS256"], name=kid, kid=kid) for kid in ("one", "two"))
    keys = KeySet([one, two])
    assert keys.find("one") is one
    assert keys.find("two") is two
    for kid in ("three", None, "", "ONE"):
        with pytest.raises(TokenInvalid, match="key"):
            keys.find(kid)


@pytest.mark.threat("T39")
def test_a_key_that_has_or_is_asked_for_without_a_name_is_found_only_when_alone() -> None:
    named = shared_secret(SECRET, ["HS256"], name="named", kid="k")
    nameless = shared_secret(SECRET, ["HS256"], name="nameless")
    assert KeySet([named]).find(None) is named
    assert KeySet([nameless]).find(None) is nameless
    assert KeySet([nameless]).find("whatever") is nameless
    with pytest.raises(TokenInvalid):
        KeySet([named]).find("other")
    with pytest.raises(TokenInvalid):
        KeySet([]).find(None)
    with pytest.raises(KeyRefused, match="needs a kid"):
        KeySet([named, nameless])


@pytest.mark.threat("T39")
def test_a_kid_is_given_once() -> None:
    keys: list[Key] = [shared_secret(SECRET + b"%d" % i, ["HS256"], name=f"key {i}", kid="same") for i in range(2)]
    with pytest.raises(KeyRefused, match="key 1: has the same kid"):
        KeySet(keys)
