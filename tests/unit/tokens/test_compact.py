from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.tokens.material import claims, forge, spell
from trio_router.errors import TokenInvalid
from trio_router.tokens.compact import MAX_DEPTH, MAX_TOKEN, REFUSED_HEADERS, decode_object, decode_part, parse

HEADER = {"alg": "HS256", "typ": "JWT"}


def reason(token: object) -> str:
    with pytest.raises(TokenInvalid) as caught:
        parse(token)
    return caught.value.reason


def test_a_token_is_taken_apart() -> None:
    token = parse(forge({"alg": "RS256", "kid": "k1", "typ": "at+jwt"}, claims(sub="ada")))
    assert (token.algorithm, token.kid, token.typ) == ("RS256", "k1", "at+jwt")
    assert token.unverified_payload["sub"] == "ada"
    assert token.unverified_issuer == "https://issuer.example"
    assert json.loads(token.body) == token.unverified_payload


def test_a_token_does_not_show_itself() -> None:
    token = parse(forge(HEADER, claims(sub="somebody-in-particular")))
    assert "somebody" not in repr(token)
    assert token.text not in repr(token)


@pytest.mark.parametrize("issuer", [None, 1, ["https://issuer.example"], {}, True])
def test_an_issuer_that_is_no_text_is_nobodys(issuer: Any) -> None:
    assert parse(forge(HEADER, {"iss": issuer})).unverified_issuer is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "a..c",
        ".b.c",
        "a.b.",
        "a" * 20,
        "\x00.\x00.\x00",
        "é.é.é",
        "\U0001d7ce.\U0001d7ce.\U0001d7ce",
    ],
)
def test_what_is_not_three_parts_is_malformed(token: str) -> None:
    assert reason(token) == "malformed"


@pytest.mark.threat("T37")
def test_an_empty_signature_is_malformed() -> None:
    assert reason(forge(HEADER, claims()).rpartition(".")[0] + ".") == "malformed"


def test_a_header_may_hold_nothing_but_the_algorithm() -> None:
    token = parse(forge({"alg": "HS256"}, {}))
    assert (token.kid, token.typ, token.unverified_payload) == (None, None, {})


@pytest.mark.threat("T42")
@pytest.mark.parametrize("parts", [4, 5, 6])
def test_an_encrypted_token_is_refused_before_anything_is_decoded(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(part: str) -> bytes:
        raise AssertionError("decoded")

    monkeypatch.setattr("trio_router.tokens.compact.decode_part", decode)
    header = spell(json.dumps({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}).encode())
    assert reason(".".join([header] + ["QUJD"] * (parts - 1))) == "malformed"


@pytest.mark.threat("T43")
def test_size_is_looked_at_before_anything_else() -> None:
    tokens = (
        forge({**HEADER, "kid": "k" * n}, {**claims(), "f": "x" * m}) for n in (1, 2, 3) for m in range(5_700, 6_300)
    )
    by_size = {len(token): token for token in tokens}
    parse(by_size[MAX_TOKEN])
    assert reason(by_size[MAX_TOKEN + 1]) == "malformed"
    assert reason("." * 5_000_000) == "malformed"


@pytest.mark.threat("T43")
@pytest.mark.parametrize(
    "token", [None, 1, 1.5, True, b"a.b.c", [], ["a.b.c"], {}, {"token": "a"}, object(), float("nan")]
)
def test_only_a_text_is_a_token(token: object) -> None:
    assert reason(token) == "malformed"


@pytest.mark.threat("T46")
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(min_size=1, max_size=40), st.data())
def test_bytes_have_one_spelling(data: bytes, more: st.DataObject) -> None:
    text = spell(data)
    assert decode_part(text) == data
    alphabet = "ABCXYZabcxyz0189-_+/= \n\t.\u00e9"
    position = more.draw(st.integers(0, len(text)))
    letter = more.draw(st.sampled_from(alphabet))
    for other in (text[:position] + letter + text[position:], text[:position] + letter + text[position + 1 :]):
        if other != text:
            try:
                assert decode_part(other) != data
            except TokenInvalid as error:
                assert error.reason == "malformed"


@pytest.mark.threat("T41")
@pytest.mark.threat("T40")
@pytest.mark.parametrize("member", sorted(REFUSED_HEADERS))
@pytest.mark.parametrize("value", [None, [], ["exp"], "https://evil.example/keys", {"kty": "oct"}, False, "DEF"])
def test_members_that_steer_a_verifier_are_refused_whatever_they_hold(member: str, value: Any) -> None:
    assert reason(forge({**HEADER, member: value}, claims())) == "header"


@pytest.mark.parametrize("kid", [None, "", "k" * 129, 1, ["k"], {}, "k\n", "k\x00", "k\x7f", "ключ", "k\u200b"])
@pytest.mark.threat("T39")
def test_a_kid_is_a_short_printable_text(kid: Any) -> None:
    assert reason(forge({**HEADER, "kid": kid}, claims())) == "header"


@pytest.mark.parametrize("kid", ["k", "k" * 128, "2024-01-01T00:00:00Z", "../../etc/passwd", "' OR 1=1 --"])
def test_a_kid_is_otherwise_any_text(kid: str) -> None:
    assert parse(forge({**HEADER, "kid": kid}, claims())).kid == kid


@pytest.mark.parametrize("header", [{}, {"alg": None}, {"alg": ["HS256"]}, {"alg": {}}, {"alg": 1}, {"alg": True}])
def test_the_algorithm_is_a_text(header: Any) -> None:
    assert reason(forge(header, claims())) == "header"


@pytest.mark.parametrize("typ", [None, 1, [], {}])
def test_the_type_is_a_text(typ: Any) -> None:
    assert reason(forge({**HEADER, "typ": typ}, claims())) == "header"


@pytest.mark.threat("T43")
@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b"[]",
        b"1",
        b'"alg"',
        b"{",
        b"{}{}",
        b"{} x",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b'{"a": 1, "a": 2}',
        b'{"x": {"a": 1, "a": 1}}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\xed\xa0\x80"}',
        b"{'a': 1}",
        b'{"a": 01}',
        b'{"a": "\n"}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": ' + b"[" * 3_000 + b"]" * 3_000 + b"}",
        b'{"a":' * 3_000,
        b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    ],
)
def test_json_is_read_strictly(text: bytes) -> None:
    with pytest.raises(TokenInvalid, match="malformed"):
        decode_object(text)
    assert reason(forge(text, claims())) == "malformed"
    assert reason(forge(HEADER, text)) == "malformed"


def test_depth_counts_nesting_and_not_brackets() -> None:
    deep = b'{"a": ' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert decode_object(deep)
    assert decode_object(deep[:-1] + b', "b": [], "c": {}}')
    wide = {"roles": [{"name": '[{[{\\"[{' + str(i)} for i in range(200)]}
    assert decode_object(json.dumps(wide).encode()) == wide


def test_escapes_of_whole_letters_are_fine() -> None:
    assert decode_object(b'{"a": "\\ud83d\\ude00\\u00e9"}') == {"a": "\U0001f600é"}
