from __future__ import annotations

import contextlib
import copy
import inspect
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.tokens.material import AUDIENCE, ISSUER, NOW, POLICY, claims
from trio_router.errors import TokenInvalid
from trio_router.tokens.claims import Claims, ClaimsPolicy, SignedPayload, judge


def judged(now: float = NOW, policy: ClaimsPolicy = POLICY, **changes: Any) -> str:
    """``""`` when the claims pass, else the reason."""
    try:
        judge(SignedPayload(claims(**changes)), policy, now)
    except TokenInvalid as error:
        return error.reason
    return ""


def test_claims_that_pass_are_at_hand() -> None:
    found = judge(SignedPayload(claims(aud=["other", AUDIENCE], role="admin")), POLICY, NOW)
    assert (found.issuer, found.subject, found.token_id) == (ISSUER, "ada", "t-1")
    assert (found.expires_at, found.issued_at) == (NOW + 600, NOW)
    assert found.audience == {"other", AUDIENCE}
    assert found.values["role"] == "admin"


@pytest.mark.threat("T44")
@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(0, ""), (600, ""), (604.999, ""), (605, "expired"), (605.001, "expired"), (10**9, "expired")],
)
def test_a_token_is_good_until_exp_and_the_leeway_have_passed(seconds: float, reason: str) -> None:
    assert judged(NOW + seconds) == reason


@pytest.mark.threat("T44")
@pytest.mark.parametrize(
    ("seconds", "reason"), [(-5, ""), (-5.001, "not_yet_valid"), (-3_600, "not_yet_valid"), (0, "")]
)
def test_a_token_is_good_from_nbf_less_the_leeway(seconds: float, reason: str) -> None:
    assert judged(NOW + seconds, nbf=NOW, iat=...) == reason


@pytest.mark.threat("T44")
@pytest.mark.parametrize(("seconds", "reason"), [(-5, ""), (-5.001, "issued_in_future"), (-60, "issued_in_future")])
def test_a_token_is_not_issued_in_the_future(seconds: float, reason: str) -> None:
    assert judged(NOW + seconds) == reason


@pytest.mark.threat("T44")
def test_without_leeway_the_boundaries_are_exact() -> None:
    strict = attrs.evolve(POLICY, leeway=0.0)
    assert judged(NOW + 599.999, strict) == ""
    assert judged(NOW + 600, strict) == "expired"
    assert judged(NOW, strict, nbf=NOW + 0.001) == "not_yet_valid"
    assert judged(NOW, strict, iat=NOW + 0.001) == "issued_in_future"


@pytest.mark.threat("T44")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW + 86_400}, ""),
        ({"exp": NOW + 86_401}, "lifetime"),
        ({"iat": ..., "exp": NOW + 86_405}, ""),
        ({"iat": ..., "exp": NOW + 86_406}, "lifetime"),
        ({"iat": NOW - 86_000, "exp": NOW + 500}, "lifetime"),
        ({"exp": 2**53}, "lifetime"),
    ],
)
def test_no_token_is_good_for_longer_than_the_policy_says(changes: dict[str, Any], reason: str) -> None:
    assert judged(**changes) == reason


@pytest.mark.threat("T44")
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "1700000600",
        "",
        [],
        {},
        [NOW],
        -1,
        -0.5,
        2**53 + 2,
        10**400,
        1e300,
        float("inf"),
        float("nan"),
    ],
)
def test_a_time_is_a_number_and_nothing_that_turns_into_one(name: str, value: Any) -> None:
    assert judged(**{name: value}) == "claims"


@pytest.mark.threat("T44")
def test_exp_is_required_and_the_other_times_are_not() -> None:
    assert judged(exp=...) == "claims"
    assert judged(nbf=..., iat=...) == ""
    assert judged(exp=NOW + 0.5, iat=NOW - 0.5, nbf=NOW - 0.5) == ""


@pytest.mark.threat("T44")
@pytest.mark.parametrize(
    ("issuer", "reason"),
    [
        (..., "issuer"),
        ("", "issuer"),
        (ISSUER + "/", "issuer"),
        (ISSUER.upper(), "issuer"),
        (ISSUER + "\x00", "issuer"),
        (None, "claims"),
        ([ISSUER], "claims"),
        (1, "claims"),
    ],
)
def test_the_issuer_is_required_and_exact(issuer: Any, reason: str) -> None:
    assert judged(iss=issuer) == reason


@pytest.mark.threat("T44")
@pytest.mark.parametrize(
    ("audience", "reason"),
    [
        (AUDIENCE, ""),
        ([AUDIENCE], ""),
        (["a", AUDIENCE], ""),
        (..., "audience"),
        (None, "audience"),
        ("", "audience"),
        ([], "audience"),
        ("chats", "audience"),
        ("cha", "audience"),
        ("Chat", "audience"),
        (["c", "h", "a", "t"], "audience"),
        ([[AUDIENCE]], "claims"),
        ([AUDIENCE, 1], "claims"),
        ({AUDIENCE: 1}, "claims"),
        (1, "claims"),
        (True, "claims"),
    ],
)
def test_the_audience_is_required_and_exact(audience: Any, reason: str) -> None:
    assert judged(aud=audience) == reason


def test_one_of_several_audiences_is_enough() -> None:
    policy = attrs.evolve(POLICY, audience=frozenset({"a", "b"}))
    assert judged(policy=policy, aud="b") == ""
    assert judged(policy=policy, aud=["c", "a"]) == ""
    assert judged(policy=policy, aud="c") == "audience"


@pytest.mark.parametrize("name", ["sub", "jti"])
@pytest.mark.parametrize("value", [None, 1, True, [], {}])
def test_texts_are_texts(name: str, value: Any) -> None:
    assert judged(**{name: value}) == "claims"


@pytest.mark.parametrize(
    ("value", "reason"), [("j" * 256, ""), ("j" * 257, "claims"), ("", "claims"), ("a\nb", "claims")]
)
def test_a_token_id_is_short_and_printable(value: str, reason: str) -> None:
    assert judged(jti=value) == reason


def test_sub_and_jti_may_be_missing() -> None:
    found = judge(SignedPayload(claims(sub=..., jti=...)), POLICY, NOW)
    assert found.subject is None
    assert found.token_id is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.threat("T43")
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "x"]), json_values))
def test_whatever_a_payload_holds_only_token_invalid_comes_out(payload: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):  # none of them can guess the issuer
        judge(SignedPayload(payload), POLICY, NOW)
    with contextlib.suppress(TokenInvalid):
        judge(SignedPayload({**claims(), **{k: v for k, v in payload.items() if k not in {"iss", "aud"}}}), POLICY, NOW)


@pytest.mark.threat("T45")
def test_claims_have_no_constructor() -> None:
    with pytest.raises(TypeError):
        Claims()
    with pytest.raises(TypeError):
        Claims(ISSUER, "ada", frozenset({AUDIENCE}), 1.0, None, None, {})
    valid = judge(SignedPayload(claims()), POLICY, NOW)
    with pytest.raises(TypeError):
        attrs.evolve(valid, subject="root")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        valid.subject = "root"  # type: ignore[misc]
    assert copy.copy(valid).subject == "ada"
    assert inspect.signature(judge).return_annotation == "Claims"  # never a pair of a result and an error


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", ""),
        ("audience", frozenset()),
        ("audience", frozenset({""})),
        ("leeway", 61),
        ("leeway", -1),
        ("leeway", float("nan")),
        ("max_lifetime", 0),
        ("max_lifetime", float("inf")),
        ("max_lifetime", float("nan")),
    ],
)
@pytest.mark.threat("T44")
def test_a_policy_cannot_be_lax(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        attrs.evolve(POLICY, **{field: value})


def test_a_policy_may_go_to_its_bounds() -> None:
    policy = attrs.evolve(POLICY, leeway=60, max_lifetime=2**53)
    assert judged(NOW + 659, policy) == ""
    assert judged(policy=policy, exp=2**53, nbf=0, iat=0) == ""
    assert judged(policy=policy, exp=0) == "expired"
