from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from jose.backends.ecdsa_backend import ECDSAECKey
from jose.backends.native import HMACKey
from jose.backends.rsa_backend import RSAKey

from tests.unit.tokens.material import ALL, NOW, POLICY, SECRET, claims, clock, forge, pair, rsa_key
from trio_router.errors import TokenInvalid
from trio_router.tokens.claims import ClaimsPolicy
from trio_router.tokens.compact import decode_object, decode_part, parse
from trio_router.tokens.jwt import JoseVerifier, JwtVerifier, Key, check_backends, prepare, sign


def reason(token: object, key: Key, policy: ClaimsPolicy = POLICY) -> str:
    with pytest.raises(TokenInvalid) as caught:
        JoseVerifier(clock()).verify(token, key, policy)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", ALL)
def test_what_is_signed_verifies(algorithm: str) -> None:
    signing, verifying = pair(algorithm)
    token = sign(claims(role="admin"), signing)
    found = JoseVerifier(clock()).verify(token, verifying, POLICY)
    assert found.subject == "ada"
    assert found.values["role"] == "admin"
    assert JoseVerifier(clock()).verify(parse(token), verifying, POLICY).values == found.values


def test_the_header_names_type_algorithm_and_key() -> None:
    signing, _ = pair("ES256", kid="own")
    assert decode_object(decode_part(sign({}, signing).split(".")[0])) == {"typ": "JWT", "alg": "ES256", "kid": "own"}
    other = sign({}, signing, kid="other", typ="at+jwt").split(".")[0]
    assert decode_object(decode_part(other)) == {"typ": "at+jwt", "alg": "ES256", "kid": "other"}
    nameless, _ = pair("HS256")
    assert decode_object(decode_part(sign({}, nameless).split(".")[0])) == {"typ": "JWT", "alg": "HS256"}


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_another_key_of_the_same_kind_does_not_verify(algorithm: str) -> None:
    signing, _ = pair(algorithm)
    _, other = pair(algorithm, number=1)
    assert reason(sign(claims(), signing), other) == "signature"


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_a_changed_payload_does_not_verify(algorithm: str) -> None:
    signing, verifying = pair(algorithm)
    head, _, signature = sign(claims(), signing).split(".")
    other = sign(claims(sub="root"), signing).split(".")[1]
    assert reason(f"{head}.{other}.{signature}", verifying) == "signature"


@pytest.mark.threat("T38")
@pytest.mark.parametrize(
    ("signed", "held"), [("RS256", "HS256"), ("HS256", "RS256"), ("HS512", "HS256"), ("ES384", "ES256")]
)
def test_an_algorithm_that_is_not_the_keys_is_refused_before_the_library_sees_it(
    signed: str, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_router.tokens.jwt.jws.verify", lambda *_, **__: pytest.fail("asked"))
    assert reason(sign(claims(), pair(signed)[0]), pair(held)[1]) == "algorithm"


def test_the_kid_of_token_and_key_agree_where_both_have_one() -> None:
    signing, verifying = pair("HS256", kid="k1")
    bare = attrs.evolve(signing, kid=None)
    verifier = JoseVerifier(clock())
    assert verifier.verify(sign(claims(), signing), verifying, POLICY)
    assert verifier.verify(sign(claims(), bare), verifying, POLICY)
    assert verifier.verify(sign(claims(), signing), attrs.evolve(verifying, kid=None), POLICY)
    assert reason(sign(claims(), signing, kid="k2"), verifying) == "key"


def test_the_time_is_the_clocks() -> None:
    signing, verifying = pair("HS256")
    time = clock()
    verifier: JwtVerifier = JoseVerifier(time)
    token = sign(claims(exp=NOW + 60), signing)
    assert verifier.verify(token, verifying, POLICY)
    time.jump_wall(65)
    with pytest.raises(TokenInvalid, match="expired"):
        verifier.verify(token, verifying, POLICY)
    time.jump_wall(-65)
    time.advance(64)
    assert verifier.verify(token, verifying, POLICY)


@pytest.mark.parametrize(
    ("typ", "wanted", "reason_"),
    [
        ("at+jwt", "at+jwt", ""),
        ("AT+JWT", "at+jwt", ""),
        ("application/at+jwt", "at+jwt", ""),
        ("at+jwt", "application/at+jwt", ""),
        ("JWT", "at+jwt", "type"),
        ("", "at+jwt", "type"),
        ("at+jwt ", "at+jwt", "type"),
        ("JWT", None, ""),
        ("anything", None, ""),
    ],
)
def test_the_type_is_checked_when_asked_for(typ: str, wanted: str | None, reason_: str) -> None:
    signing, verifying = pair("HS256")
    policy = attrs.evolve(POLICY, token_type=wanted)
    token = sign(claims(), signing, typ=typ)
    if reason_:
        assert reason(token, verifying, policy) == reason_
    else:
        assert JoseVerifier(clock()).verify(token, verifying, policy)


def test_a_missing_type_is_another_type() -> None:
    _, verifying = pair("HS256")
    token = forge({"alg": "HS256"}, claims(), SECRET + b"0")
    assert JoseVerifier(clock()).verify(token, verifying, POLICY)
    assert reason(token, verifying, attrs.evolve(POLICY, token_type="JWT")) == "type"


@pytest.mark.parametrize(
    "bad",
    [
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"x": object()},
        {"x": b"bytes"},
        {"x": "y" * 9_000},
        {"x": "\ud800"},
        [],
        "text",
        json.loads("[" * 20 + "]" * 20),
    ],
)
def test_nothing_is_signed_that_would_be_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"claims|JSON"):
        sign(bad, pair("HS256")[0])


@pytest.mark.parametrize("kid", ["", "k" * 129, "a\nb"])
def test_no_kid_is_signed_that_would_be_refused(kid: str) -> None:
    with pytest.raises(ValueError, match="kid"):
        sign(claims(), pair("HS256")[0], kid=kid)


@pytest.mark.threat("T43")
@pytest.mark.parametrize(
    "fault", [TypeError, RecursionError, UnicodeEncodeError, AttributeError, OverflowError, KeyError]
)
def test_whatever_the_library_raises_only_token_invalid_comes_out(
    fault: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise fault("x", "y", 0, 1, "z") if fault is UnicodeEncodeError else fault("x")

    signing, verifying = pair("HS256")
    token = sign(claims(), signing)
    monkeypatch.setattr("trio_router.tokens.jwt.jws.verify", fail)
    assert reason(token, verifying) == "signature"


def test_what_the_library_proved_is_what_was_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    signing, verifying = pair("HS256")
    token = sign(claims(), signing)
    monkeypatch.setattr("trio_router.tokens.jwt.jws.verify", lambda *_, **__: b'{"sub": "root"}')
    assert reason(token, verifying) == "signature"


@pytest.mark.threat("T38")
def test_the_library_gets_one_prepared_key_and_one_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    signing, verifying = pair("RS256")
    token = sign(claims(), signing)

    def spy(text: str, key: object, algorithms: list[str]) -> bytes:
        seen.append((key, algorithms))
        return parse(text).body

    monkeypatch.setattr("trio_router.tokens.jwt.jws.verify", spy)
    JoseVerifier(clock()).verify(token, verifying, POLICY)
    assert seen == [(verifying.handles["RS256"], ["RS256"])]


@pytest.mark.threat("T53")
@pytest.mark.parametrize(
    "other", [{"rsa_key": RSAKey}, {"ec_key": ECDSAECKey}, {"hmac_key": HMACKey}, {"rsa_key": None}]
)
def test_only_the_constant_time_backends_are_used(other: dict[str, Any]) -> None:
    check_backends()
    with pytest.raises(ImportError, match="cryptography"):
        check_backends(**other)


def test_material_that_does_not_fit_is_a_value_error() -> None:
    for material, algorithm in ((rsa_key(), "HS256"), (b"-----BEGIN PUBLIC KEY-----", "HS256"), (b"x", "none")):
        with pytest.raises(ValueError, match="does not fit"):
            prepare(material, algorithm)
