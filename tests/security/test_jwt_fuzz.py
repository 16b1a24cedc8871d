"""Whatever comes in, what comes out is ``TokenInvalid`` or the claims of a token that was signed as it stands (T43)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.tokens.material import AUDIENCE, ISSUER, POLICY, SECRET, claims, clock, forge, pair, spell
from trio_router.auth.jwt import JwtType
from trio_router.auth.jwt_options import JwtOptions
from trio_router.auth.strategy import Denied, NotMine
from trio_router.errors import TokenInvalid
from trio_router.secret import Secret
from trio_router.testing.strategies import login_request, services
from trio_router.tokens.jwt import JoseVerifier, sign

pytestmark = pytest.mark.threat("T43")

HMAC = SECRET + b"0"
SIGNING, KEY = pair("HS256")
TOKEN = sign(claims(), SIGNING)
VERIFIER = JoseVerifier(clock())
STRATEGY = JwtType().build(
    JwtOptions(
        issuer=ISSUER,
        audience=AUDIENCE,
        algorithms=["HS256"],
        secret=Secret(HMAC.decode()),
        token_from=["login", "authorization", "cookie:jwt", "subprotocol", "query:jwt"],
    ),
    services(Path(), clock=clock()),
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**60, max_value=2**4000)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.text(st.characters(categories=["Cs"]), max_size=3)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    [
        "alg",
        "typ",
        "kid",
        "crit",
        "b64",
        "jku",
        "jwk",
        "x5c",
        "zip",
        "cty",
        "iss",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "sub",
    ]
)
objects = st.dictionaries(names | st.text(max_size=5), values, max_size=8)


def outcome(token: object) -> bool:
    try:
        VERIFIER.verify(token, KEY, POLICY)
    except TokenInvalid as error:
        assert error.reason.isidentifier()
        return False
    return True


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values | st.binary() | st.builds(object) | st.tuples(st.text()) | st.sets(st.integers()) | st.complex_numbers())
def test_anything_as_a_token(token: object) -> None:
    assert not outcome(token)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(st.sampled_from('AZaz09-_=+/ .\n{}[]"\\é'), max_size=30), max_size=6).map(".".join))
def test_any_text_that_looks_like_a_token(token: str) -> None:
    assert not outcome(token)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(objects, objects)
def test_any_objects_well_signed(header: dict[str, Any], payload: dict[str, Any]) -> None:
    outcome(forge(encoded(header), encoded(payload), HMAC))
    outcome(forge(encoded({**header, "alg": "HS256"}), encoded({**claims(), **payload}), HMAC))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_well_signed(header: bytes, payload: bytes) -> None:
    assert not outcome(forge(header, payload, HMAC))
    assert not outcome(forge(b'{"alg":"HS256"}', payload, HMAC))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 7_000), st.sampled_from([b"[", b'{"a":', b'{"":[', b"[[{}],"]))
def test_any_depth_well_signed(depth: int, opening: bytes) -> None:
    assert not outcome(forge(b'{"alg":"HS256"}', (opening * depth)[:6_000], HMAC))
    assert not outcome(forge((opening * depth)[:6_000], encoded(claims()), HMAC))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_change_to_a_valid_token(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TOKEN)))
    cut = data.draw(st.integers(0, 4))
    put = data.draw(st.text(st.sampled_from("ABZabz019-_=+/.\n é\0"), max_size=4))
    changed = TOKEN[:at] + put + TOKEN[at + cut :]
    assert outcome(changed) == (changed == TOKEN)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values, st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_login(token: Any, header: str, cookie: str, query: str) -> None:
    logins = [
        login_request({"token": token}),
        login_request(None, {"authorization": f"Bearer {header}", "cookie": f"jwt={cookie}"}),
        login_request(None, {"cookie": cookie}, query=query, subprotocols=(header, f"trio-router.jwt.{header}")),
        login_request(None, query=f"jwt={query}"),
        login_request({"token": spell(header.encode("utf-8", "replace")) + "." + spell(encoded(token)) + ".AA"}),
    ]

    async def ask() -> None:
        for login in logins:
            assert isinstance(await STRATEGY.start(login), Denied | NotMine)

    trio.run(ask)
