"""Access tokens: exactly the claims of the format, one key, one spelling, one scope."""

from __future__ import annotations

import base64
import json
import string
from typing import Any

import pytest

from trio_router.clock import ManualClock
from trio_router.errors import TokenInvalid
from trio_router.scope import Scope
from trio_router.secret import Secret
from trio_router.tokens.access import CLAIMS, AccessToken, AccessVerifier, claimed_key, issue
from trio_router.tokens.compact import decode_object, decode_part, parse
from trio_router.tokens.jwt import sign
from trio_router.tokens.keys import signing_secret

NOW = 1_700_000_000.25
SECRET = Secret("9pWbndVJg50MaOPAapAx7LQ_zKw6YvXl2Babcdef")
OTHER = Secret("another-secret-0123456789-abcdefghijklmnop")
ISSUER = "https://router.example/v1/keys/tokens"
SCOPE = Scope.of(["*"], None)


def made(**changes: Any) -> tuple[str, AccessToken]:
    given: dict[str, Any] = {
        "app": "q4D9G2", "key_id": "rGQK1W", "client_id": "John", "scope": SCOPE, "issuer": ISSUER, "now": NOW,
    }  # fmt: skip
    return issue(SECRET, **(given | changes))


def verify(text: str, secrets: tuple[Secret, ...] = (SECRET,), *, at: float = NOW, **key: str) -> AccessToken:
    given = {"app": "q4D9G2", "key_id": "rGQK1W"} | key
    return AccessVerifier(ManualClock(wall=at)).verify(parse(text), secrets=secrets, **given)


def forged(secret: Secret = SECRET, *, kid: str | None = "rGQK1W", without: str = "", **claims: Any) -> str:
    text, _ = made()
    payload = decode_object(decode_part(text.split(".")[1])) | claims
    payload.pop(without, None)
    return sign(payload, signing_secret(secret, "HS256", name="test", kid=kid))


def test_the_claims_are_those_of_the_format() -> None:
    text, token = made()
    head, middle, _ = text.split(".")
    assert decode_object(decode_part(head)) == {"alg": "HS256", "typ": "JWT", "kid": "rGQK1W"}
    payload = decode_object(decode_part(middle))
    assert payload == {
        "iss": ISSUER,
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
        "nbf": 1_700_000_000,
        "jti": token.token_id,
        "sub": "q4D9G2.rGQK1W",
        "permissions": ["*"],
        "restrictions": None,
        "clientId": "John",
    }
    assert set(payload) == CLAIMS
    assert len(token.token_id) == 16
    assert set(token.token_id) <= set(string.ascii_letters + string.digits + "-_")
    assert verify(text) == token
    assert claimed_key(parse(text)) == ("q4D9G2", "rGQK1W")


def test_ids_are_new_every_time() -> None:
    assert len({made()[1].token_id for _ in range(100)}) == 100


@pytest.mark.parametrize("changes", [{"client_id": ""}, {"client_id": "a/b"}, {"lifetime": 0}, {"lifetime": 86_401}])
def test_a_bad_request_makes_no_token(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"clientId|lifetime"):
        made(**changes)


def test_a_weak_secret_signs_nothing() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        issue(Secret("short"), app="a", key_id="k", client_id="c", scope=SCOPE, issuer=ISSUER, now=NOW)


@pytest.mark.threat("T44", "T48")
@pytest.mark.parametrize(
    ("at", "reason"), [(NOW + 3604, None), (NOW + 3605, "expired"), (NOW - 5, None), (NOW - 6, "not_yet_valid")]
)
def test_time(at: float, reason: str | None) -> None:
    text, _ = made()
    if reason is None:
        verify(text, at=at)
        return
    with pytest.raises(TokenInvalid) as caught:
        verify(text, at=at)
    assert caught.value.reason == reason


@pytest.mark.threat("T39", "T50", "T66")
@pytest.mark.parametrize(
    "text",
    [
        forged(OTHER),
        forged(kid="other"),
        forged(kid=None),
        forged(sub="other.rGQK1W"),
        forged(sub="q4D9G2.other"),
        forged(sub="q4D9G2"),
        forged(without="sub"),
    ],
)
def test_a_token_of_another_key_or_app_is_refused(text: str) -> None:
    with pytest.raises(TokenInvalid):
        verify(text)


@pytest.mark.threat("T50", "T66")
def test_a_token_is_good_for_its_own_key_and_app_alone() -> None:
    text, _ = made()
    for key in ({"app": "other"}, {"key_id": "other"}):
        with pytest.raises(TokenInvalid):
            verify(text, **key)


@pytest.mark.threat("T44", "T45", "T50")
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "somebody"},
        {"extra": 1},
        {"clientId": None},
        {"clientId": ""},
        {"clientId": "a/b"},
        {"clientId": ["John"]},
        {"permissions": None},
        {"permissions": "*"},
        {"permissions": ["everything"]},
        {"restrictions": "*"},
        {"restrictions": ["a::b"]},
        {"restrictions": [None]},
        {"jti": 7},
        {"exp": "1700003600"},
        {"exp": 1_700_003_600 + 90_000},
        *({"without": name} for name in ("iat", "exp", "jti", "permissions", "clientId", "restrictions", "iss", "nbf")),
    ],
)
def test_a_signed_token_with_other_claims_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        verify(forged(**changes))


@pytest.mark.threat("T52")
def test_both_secrets_of_a_key_that_is_being_rotated_verify() -> None:
    text, token = made()
    assert verify(text, (OTHER, SECRET)) == token
    with pytest.raises(TokenInvalid):
        verify(text, (OTHER,))
    with pytest.raises(TokenInvalid):
        verify(text, ())


def test_a_verifier_notices_a_rotation() -> None:
    verifier = AccessVerifier(ManualClock(wall=NOW))
    text = parse(made()[0])
    verifier.verify(text, app="q4D9G2", key_id="rGQK1W", secrets=[SECRET])
    with pytest.raises(TokenInvalid):
        verifier.verify(text, app="q4D9G2", key_id="rGQK1W", secrets=[OTHER])
    verifier.verify(text, app="q4D9G2", key_id="rGQK1W", secrets=[OTHER, SECRET])


@pytest.mark.threat("T37", "T38", "T41", "T42")
@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS384"},
        {"alg": "RS256"},
        {"alg": "HS256", "crit": ["exp"]},
        {"alg": "HS256", "zip": "DEF"},
        {"alg": "HS256", "jku": "https://evil.example"},
    ],
)
def test_a_header_chooses_nothing(header: dict[str, Any]) -> None:
    _, middle, signature = made()[0].split(".")
    head = base64.urlsafe_b64encode(json.dumps(header | {"kid": "rGQK1W"}).encode()).rstrip(b"=").decode()
    with pytest.raises(TokenInvalid):
        verify(f"{head}.{middle}.{signature}")


@pytest.mark.threat("T46")
def test_a_token_has_one_spelling() -> None:
    text, _ = made()
    head, middle, signature = text.split(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(signature[-1]) ^ 1]
    for other in (
        f"{head}=.{middle}.{signature}", f"{head}.{middle}=.{signature}", f"{text}=", f"{text}==", f" {text}", f"{text}\n",
        f"{head}.{middle}.{signature[:-1]}{last}", f"{text}.", f"Bearer {text}", text.replace("-", "+").replace("_", "/") + "=",
    ):  # fmt: skip
        with pytest.raises(TokenInvalid):
            verify(other)


def test_other_tokens_are_nobodys_access_token() -> None:
    trust = sign({"sid": "s", "cname": "c", "exp": 1}, signing_secret(SECRET, "HS256", name="t"))
    assert claimed_key(parse(trust)) is None
    assert claimed_key(parse(forged(sub=7))) is None
