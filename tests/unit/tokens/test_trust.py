from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tokens.material import NOW, clock, forge, spell
from trio_router.clock import ManualClock
from trio_router.errors import TokenInvalid
from trio_router.secret import Secret
from trio_router.tokens.trust import MAX_LIFETIME, Participant, Trust, TrustVerifier, issue_trust_token

OLD = "an old secret of the key that is live until rotation ends"
NEW = "a new secret of the key, with which tokens are signed from now on"
OTHER = "the secret of another key that has nothing to do with this one"
SECRETS: dict[str, list[Secret]] = {"k1": [Secret(NEW), Secret(OLD)], "k2": [Secret(OTHER)], "weak": [Secret("a")]}
SESSION = "session-0123456789abcdef"
WHO = Participant("user-42", {"name": "Ada"})
HEADER = {"alg": "HS256", "typ": "JWT", "kid": "k1"}


def live(key: str) -> Sequence[Secret]:
    return SECRETS.get(key, [])


def issued(**changes: Any) -> str:
    options: dict[str, Any] = {
        "key": "k1",
        "secret": NEW,
        "session": SESSION,
        "channel": "prs:room1",
        "participant": WHO,
        "now": float(NOW),
        **changes,
    }
    return issue_trust_token(**options)


def payload(**changes: Any) -> dict[str, Any]:
    info = {"sysid": "user-42", "sysinfo": {}}
    given = {"sid": SESSION, "cname": "prs:room1", "pub": True, "conn_info": info, "exp": NOW + 60, **changes}
    return {name: value for name, value in given.items() if value is not ...}


def opened(token: object, at: ManualClock | None = None, **changes: Any) -> Trust:
    asked: dict[str, Any] = {"session": SESSION, "name": "prs:room1", "action": "channel.subscribe", "key": "k1"}
    return TrustVerifier(live, at or clock()).verify(token, **asked | changes)


def reason(token: object, at: ManualClock | None = None, **changes: Any) -> str:
    with pytest.raises(TokenInvalid) as info:
        opened(token, at, **changes)
    return info.value.reason


def test_a_token_opens_what_it_was_issued_for() -> None:
    trust = opened(issued(publish=False, ttl=60))
    assert (trust.name, trust.publish, trust.expires_at) == ("prs:room1", False, NOW + 60 + 5)
    assert trust.participant == WHO


def test_the_claims_are_those_of_the_original_with_exp() -> None:
    trust = opened(forge(HEADER, payload(), NEW.encode()))
    assert trust.publish
    assert trust.participant == Participant("user-42", {})
    private = opened(forge(HEADER, payload(cname="pvt:L1", conn_info={}), NEW.encode()), name="pvt:L1")
    assert private.participant is None


@pytest.mark.threat("T46")
def test_each_token_has_an_id_by_which_it_is_revoked() -> None:
    ids = [opened(issued()).token_id for _ in range(50)]
    assert len(set(ids)) == 50
    assert opened(issued(token_id="mine")).token_id == "mine"
    assert opened(issued()).issued_at == float(NOW)
    signed_by_hand = opened(forge(HEADER, payload(), NEW.encode()))
    assert (signed_by_hand.token_id, signed_by_hand.issued_at) == (None, None)


def test_a_router_may_let_tokens_live_for_longer_or_shorter() -> None:
    with pytest.raises(ValueError, match="at most 3600 seconds"):
        issued(ttl=7200)
    long = issued(ttl=7200, max_lifetime=7200)
    assert reason(long) == "lifetime"
    asked: dict[str, Any] = {"session": SESSION, "name": "prs:room1", "action": "channel.subscribe", "key": "k1"}
    assert TrustVerifier(live, clock(), max_lifetime=7200).verify(long, **asked).name == "prs:room1"
    with pytest.raises(TokenInvalid, match="lifetime"):
        TrustVerifier(live, clock(), max_lifetime=30).verify(issued(ttl=60), **asked)


@pytest.mark.threat("T52")
def test_both_live_secrets_of_a_key_are_good_until_one_goes() -> None:
    secrets = [Secret(NEW), Secret(OLD)]
    verifier = TrustVerifier(lambda key: secrets if key == "k1" else [], clock())
    asked: dict[str, Any] = {"session": SESSION, "name": "prs:room1", "action": "channel.subscribe", "key": "k1"}
    for secret in (NEW, OLD):
        verifier.verify(issued(secret=secret), **asked)
    del secrets[1]
    verifier.verify(issued(), **asked)
    with pytest.raises(TokenInvalid, match="signature"):
        verifier.verify(issued(secret=OLD), **asked)
    secrets.clear()  # disabled
    with pytest.raises(TokenInvalid, match="key"):
        verifier.verify(issued(), **asked)


@pytest.mark.threat("T50")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"session": "session-0123456789abcdeF"}, "session"),
        ({"session": SESSION + "0"}, "session"),
        ({"name": "prs:room2"}, "name"),
        ({"name": "prs:Room1"}, "name"),
        ({"name": "prs:room1/x"}, "name"),
        ({"name": "pvt:room1"}, "name"),
        ({"name": "sys:room1"}, "name"),
        ({"action": "channel.connect"}, "action"),
        ({"action": "system_channel.subscribe"}, "action"),
        ({"action": "rpc.connect"}, "action"),
        ({"action": "rpc.register"}, "action"),
        ({"key": "k2"}, "key"),
        ({"key": "K1"}, "key"),
        ({"key": ""}, "key"),
    ],
)
def test_a_token_is_worth_nothing_anywhere_else(changes: dict[str, str], expected: str) -> None:
    token = issued(action="channel.subscribe")
    opened(token)
    assert reason(token, **changes) == expected


@pytest.mark.threat("T50")
def test_a_token_says_its_key_and_is_signed_by_it() -> None:
    assert reason(forge(HEADER | {"kid": "k2"}, payload(), OTHER.encode())) == "key"
    assert reason(forge(HEADER, payload(), OTHER.encode())) == "signature"
    assert reason(forge({"alg": "HS256"}, payload(), NEW.encode())) == "key"
    assert reason(forge(HEADER | {"kid": "weak"}, payload(), b"a"), key="weak") == "key"


@pytest.mark.threat("T44")
def test_a_token_ends_and_lives_no_longer_than_is_allowed() -> None:
    late = clock()
    late.advance(65)
    token = issued(ttl=60)
    assert reason(token, late) == "expired"
    late.advance(-0.5)
    opened(token, late)
    assert reason(forge(HEADER, payload(exp=...), NEW.encode())) == "claims"
    assert reason(forge(HEADER, payload(exp=NOW + MAX_LIFETIME + 6), NEW.encode())) == "lifetime"
    opened(issued(ttl=MAX_LIFETIME))


@pytest.mark.threat("T37")
@pytest.mark.threat("T38")
@pytest.mark.threat("T40")
@pytest.mark.threat("T41")
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        *(
            ({"alg": spelling}, "algorithm")
            for spelling in ("none", "None", "NONE", "HS384", "HS512", "RS256", "hs256")
        ),
        *(({name: "x"}, "header") for name in ("crit", "jku", "jwk", "x5u", "x5c", "zip", "enc", "b64")),
    ],
)
def test_the_header_chooses_nothing(header: dict[str, str], expected: str) -> None:
    assert reason(forge(HEADER | header, payload(), NEW.encode())) == expected
    unsigned = forge(HEADER | header, payload(), NEW.encode()).rpartition(".")[0] + "."
    assert reason(unsigned) == "malformed"


@pytest.mark.threat("T46")
def test_a_token_has_one_spelling() -> None:
    token = issued()
    head, body, signature = token.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = signature[:-1] + last[last.index(signature[-1]) ^ 1]  # the unused bits
    for spelling in (token + "=", f"{head}.{body}.{other}", f" {token}", f"{token}\n", f"{head}=.{body}.{signature}"):
        assert reason(spelling) == "malformed"
    assert reason(forge(HEADER, b'{"sid":"a","sid":"b"}', NEW.encode())) == "malformed"


@pytest.mark.threat("T45")
def test_nobody_else_makes_a_trust() -> None:
    with pytest.raises(TypeError):
        Trust("prs:room1", True, 0.0, None, None)


@pytest.mark.threat("T44")
@pytest.mark.parametrize(
    "changes",
    [
        {"pub": ...}, {"pub": 1}, {"pub": "true"}, {"pub": None}, {"conn_info": ...}, {"conn_info": None}, {"conn_info": []},
        {"conn_info": {}}, {"conn_info": {"sysinfo": {}}}, {"conn_info": {"sysid": 1}}, {"conn_info": {"sysid": ""}},
        {"conn_info": {"sysid": "a/b"}}, {"conn_info": {"sysid": "a", "sysinfo": []}}, {"conn_info": {"sysid": "a", "admin": 1}},
        {"permissions": ["*"]}, {"clientId": "John"},
    ],
)  # fmt: skip
def test_claims_of_another_shape_are_refused(changes: dict[str, Any]) -> None:
    assert reason(forge(HEADER, payload(**changes), NEW.encode())) == "claims"


@pytest.mark.parametrize("changes", [{"sid": ...}, {"sid": None}, {"sid": [SESSION]}, {"sid": ""}])
def test_a_token_of_no_session_is_of_none(changes: dict[str, Any]) -> None:
    assert reason(forge(HEADER, payload(**changes), NEW.encode())) == "session"


def test_private_names_have_no_participant() -> None:
    token = forge(HEADER, payload(cname="pvt:x"), NEW.encode())
    assert reason(token, name="pvt:x") == "claims"
    assert opened(issued(channel="prs:f", participant=None), name="prs:f", action="rpc.connect").participant is None


@pytest.mark.threat("T43")
@settings(deadline=None, max_examples=100)
@given(token=st.text() | st.binary() | st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=3))
def test_whatever_comes_is_invalid_and_nothing_else(token: object) -> None:
    reason(token)


@pytest.mark.threat("T43")
@settings(deadline=None, max_examples=100)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
    ),
    claim=st.sampled_from(["sid", "cname", "pub", "conn_info", "exp", "act", "iat", "nbf", "jti"]),
)
def test_a_claim_of_any_type_is_judged_or_invalid(claim: str, value: object) -> None:
    try:
        opened(forge(HEADER, payload(**{claim: value}), NEW.encode()))
    except TokenInvalid:
        return


@pytest.mark.threat("T42")
@pytest.mark.threat("T43")
def test_a_token_is_bounded() -> None:
    assert (
        reason(forge(HEADER, payload(conn_info={"sysid": "a", "sysinfo": {"x": "y" * 9000}}), NEW.encode()))
        == "malformed"
    )
    assert reason(".".join([spell(b'{"alg":"dir","enc":"A256GCM"}')] * 5)) == "malformed"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"session": "a b"}, "session: "),
        ({"channel": "news"}, "channel: public names need no token"),
        ({"channel": "xyz:a"}, "channel: has a kind"),
        ({"channel": "prs:*"}, "channel: holds a character"),
        ({"key": ""}, "key: "),
        ({"action": "publish"}, "action: must be one of"),
        ({"token_id": ""}, "token_id: "),
        ({"token_id": "caf\u00e9"}, "token_id: "),
        ({"token_id": "x" * 256}, "token_id: "),
        ({"ttl": 0}, "ttl: "),
        ({"ttl": MAX_LIFETIME + 1}, "ttl: "),
        ({"channel": "pvt:a"}, "participant: private"),
        ({"participant": None, "action": "channel.subscribe"}, "participant: prs: channels need one"),
        ({"participant": Participant("a/b")}, "participant.sysid: "),
        ({"participant": Participant("a", {"x": object()})}, "claims: "),
        ({"secret": "short"}, "the app key's secret: "),
    ],
)
@pytest.mark.threat("T47")
def test_what_would_be_refused_is_not_issued(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        issued(**changes)
