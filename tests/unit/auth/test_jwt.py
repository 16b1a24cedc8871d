"""The jwt strategy: its answers, where it looks, and which configurations it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.unit.tokens.material import (
    AUDIENCE,
    ISSUER,
    NOW,
    SECRET,
    claims,
    clock,
    ec_key,
    forge,
    jwk,
    pair,
    private_pem,
    public_pem,
    rsa_key,
)
from trio_router.auth import registry
from trio_router.auth.jwt import JwtStrategy, JwtType
from trio_router.auth.jwt_options import JwtOptions, KeyFile
from trio_router.auth.outbound import HttpOutbound
from trio_router.auth.services import HttpAnswer, Outbound, OutboundError
from trio_router.auth.strategy import Accepted, Answer, Denied, LoginRequest, NotMine, Prepares, Strategy, Unavailable
from trio_router.clock import ManualClock
from trio_router.config.structure import StructureFailed, Structurer
from trio_router.errors import ConfigError
from trio_router.secret import Secret
from trio_router.testing.http_service import answer as http_answer
from trio_router.testing.http_service import answer_json, hang, huge, in_turn, redirect, serve
from trio_router.testing.strategies import StrategyContract, login_request, services
from trio_router.tokens.jwt import sign

HMAC = SECRET + b"0"  # what pair("HS256") signs with
URL = "https://issuer.example/keys"


def options(**changes: Any) -> JwtOptions:
    given = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "algorithms": ["HS256"],
        "secret": Secret(HMAC.decode()),
        **changes,
    }
    return JwtOptions(**{name: value for name, value in given.items() if value is not ...})


def build(
    base: Path = Path(), *, time: ManualClock | None = None, outbound: Outbound | None = None, **changes: Any
) -> JwtStrategy:
    return JwtType().build(options(**changes), services(base, clock=time or clock(), outbound=outbound))


def token(algorithm: str = "HS256", kid: str | None = None, number: int = 0, **changes: Any) -> str:
    return sign(claims(**changes), pair(algorithm, kid, number)[0])


async def ask(strategy: Strategy, text: object) -> Answer:
    return await strategy.start(login_request({"token": text}))


class TestContract(StrategyContract):
    strategy_type = JwtType()
    secrets = (HMAC.decode(), token(), token(iss="https://other.example"))

    @pytest.fixture
    def strategy(self, tmp_path: Path) -> Strategy:
        return build(tmp_path, token_from=["login", "authorization", "cookie:jwt", "subprotocol", "query:jwt"])

    def accepted(self) -> list[LoginRequest]:
        return [
            login_request({"token": token()}),
            login_request(None, {"authorization": f"Bearer {token()}"}),
            login_request(None, {"cookie": f"a=b; jwt={token()}"}),
            login_request(None, subprotocols=("trio-router.v1+json", f"trio-router.jwt.{token()}")),
            login_request(None, query=f"jwt={token()}"),
        ]

    def denied(self) -> list[LoginRequest]:
        bad = [token(number=1), token(exp=NOW - 60), token(aud="other"), token(sub="a/b"), "junk", None, 5]
        return [login_request({"token": text}) for text in bad]

    def foreign(self) -> list[LoginRequest]:
        foreign = token(iss="https://other.example")
        return [
            login_request(),
            login_request({"username": "ada", "password": "x"}),
            login_request({"token": foreign}),
            login_request(None, {"authorization": "Basic YTpi", "cookie": "session=x"}),
            login_request(None, {"authorization": f"Bearer {foreign}"}),
        ]


# What is accepted


async def test_a_valid_token_logs_its_subject_in_until_it_expires() -> None:
    answer = await ask(build(), token())
    assert isinstance(answer, Accepted)
    assert answer.user.id == "ada"
    assert answer.user.data is None
    assert answer.user.is_authenticated
    assert answer.client_data is None


@pytest.mark.threat("T48")
@pytest.mark.parametrize("exp", [NOW + 1, NOW + 600, NOW + 0.5, NOW - 4])
async def test_the_answer_says_when_the_session_must_end(exp: float) -> None:
    answer = await ask(build(), token(exp=exp, iat=...))
    assert isinstance(answer, Accepted)
    assert answer.expires_at == exp


@pytest.mark.threat("T46")
async def test_the_answer_says_which_token_it_was() -> None:
    answer = await ask(build(), token(jti="revoke-me"))
    assert isinstance(answer, Accepted)
    assert answer.token_id == "revoke-me"
    answer = await ask(build(), token(jti=...))
    assert isinstance(answer, Accepted)
    assert answer.token_id is None


async def test_claims_become_user_and_client_data() -> None:
    strategy = build(
        user_id="/user/name",
        user_data={"roles": "/realm_access/roles", "tier": "https://app.example/tier", "none": "nothing"},
        client_data=["name", "/realm_access/roles"],
    )
    text = token(
        user={"name": "grace"},
        name="Grace",
        realm_access={"roles": ["admin"]},
        **{"https://app.example/tier": 3},
    )
    answer = await ask(strategy, text)
    assert isinstance(answer, Accepted)
    assert answer.user.id == "grace"
    assert answer.user.data == {"roles": ["admin"], "tier": 3}
    assert answer.client_data == {"name": "Grace", "roles": ["admin"]}


@pytest.mark.threat("T23")
@pytest.mark.parametrize("sub", ["", "*", "a/b", "a b", "é", "x" * 129, 5, None, True, ["ada"], {}, ..., "ada\n"])
async def test_a_subject_that_is_no_user_id_is_denied(sub: Any) -> None:
    text = forge({"alg": "HS256"}, claims(sub=sub), HMAC)
    reason = "claims" if sub is not ... and not isinstance(sub, str) else "bad_user_id"
    assert await ask(build(), text) == Denied(reason)


@pytest.mark.parametrize("uid", [5, None, ["ada"], {}, "a/b"])
async def test_a_mapped_claim_that_is_no_user_id_is_denied(uid: Any) -> None:
    assert await ask(build(user_id="uid"), token(uid=uid)) == Denied("bad_user_id")


# What is denied


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": "other"}, "audience"),
        ({"aud": ...}, "audience"),
        ({"iss": ...}, "issuer"),
        ({"iss": ["x"]}, "claims"),
        ({"exp": ...}, "claims"),
        ({"exp": str(NOW + 600)}, "claims"),
        ({"nbf": NOW + 60}, "not_yet_valid"),
        ({"iat": NOW + 60}, "issued_in_future"),
        ({"exp": NOW + 10**7}, "lifetime"),
    ],
)
async def test_each_fault_has_its_reason_which_the_client_is_not_told(changes: Any, reason: str) -> None:
    assert await ask(build(), token(**changes)) == Denied(reason)


async def test_the_client_is_told_that_it_needs_a_new_token_when_the_old_one_was_real() -> None:
    assert await ask(build(), token(exp=NOW - 60)) == Denied("expired", {"error": "expired"})
    assert await ask(build(), token(number=1, exp=NOW - 60)) == Denied("signature")


async def test_the_type_is_checked_when_the_config_asks_for_it() -> None:
    strategy = build(token_type="at+jwt")
    assert await ask(strategy, token()) == Denied("type")
    assert isinstance(await ask(strategy, sign(claims(), pair("HS256")[0], typ="at+jwt")), Accepted)


async def test_an_algorithm_that_is_not_configured_is_denied_before_a_key_is_looked_for() -> None:
    outbound = Spy()
    strategy = build(secret=..., algorithms=["RS256"], jwks_url=URL, outbound=outbound)
    for text in (token("ES256", kid="k"), token("HS256"), forge({"alg": "none"}, claims())):
        assert await ask(strategy, text) == Denied("algorithm")
    assert outbound.urls == []


# Whose it is


async def test_a_token_of_another_issuer_is_somebody_elses() -> None:
    strategy = build()
    for iss in ("https://other.example", "", ISSUER + "/"):
        assert await ask(strategy, token(iss=iss)) == NotMine()


async def test_several_issuers_stand_in_one_chain() -> None:
    other = "https://other.example"
    chain = [
        build(),
        build(issuer=other, secret=..., algorithms=["RS256"], jwks_url=URL, outbound=Spy(jwk(rsa_key(), kid="k"))),
    ]
    answers = [await ask(strategy, token("RS256", kid="k", iss=other, sub="eve")) for strategy in chain]
    assert answers[0] == NotMine()
    assert isinstance(answers[1], Accepted)


async def test_places_are_asked_in_order_and_foreign_tokens_skipped() -> None:
    strategy = build(token_from=["cookie:jwt", "login"])
    mine, other = token(sub="mine"), token(sub="other", iss="https://other.example")
    request = login_request({"token": token(sub="login")}, {"cookie": f"jwt={mine}"})
    answer = await strategy.start(request)
    assert isinstance(answer, Accepted)
    assert answer.user.id == "mine"
    answer = await strategy.start(login_request({"token": mine}, {"cookie": f"jwt={other}"}))
    assert isinstance(answer, Accepted)
    assert await strategy.start(login_request({"token": mine}, {"cookie": "jwt=junk"})) == Denied("malformed")


async def test_a_place_that_is_not_configured_is_not_looked_at() -> None:
    strategy = build()
    text = token()
    request = login_request(
        None, {"cookie": f"jwt={text}; token={text}"}, subprotocols=(f"trio-router.jwt.{text}",), query=f"token={text}"
    )
    assert await strategy.start(request) == NotMine()


async def test_two_tokens_in_one_place_are_ambiguous() -> None:
    strategy = build(token_from=["cookie:jwt"])
    request = login_request(None, {"cookie": f"jwt={token()}; jwt={token(sub='eve')}"})
    assert await strategy.start(request) == Denied("ambiguous")


# Keys by file


async def test_a_public_key_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "issuer.pem"
    file.write_bytes(public_pem(rsa_key()))
    strategy = build(secret=..., key_file=file, algorithms=["RS256", "RS512"])
    for algorithm in ("RS256", "RS512"):
        assert isinstance(await ask(strategy, token(algorithm)), Accepted)
    assert isinstance(await ask(strategy, token("RS256", kid="any")), Accepted)
    assert await ask(strategy, token("RS384")) == Denied("algorithm")
    assert await ask(strategy, token("RS256", number=1)) == Denied("signature")


async def test_several_public_keys_by_kid(tmp_path: Path) -> None:
    files = []
    for kid, key in (("rsa", rsa_key()), ("ec", ec_key()), ("old", rsa_key(number=1))):
        (tmp_path / kid).write_bytes(public_pem(key))
        files.append(KeyFile(tmp_path / kid, kid=kid, algorithm="RS512" if kid == "old" else None))
    strategy = build(secret=..., keys=files, algorithms=["RS256", "RS512", "ES256"])
    assert isinstance(await ask(strategy, token("RS256", kid="rsa")), Accepted)
    assert isinstance(await ask(strategy, token("ES256", kid="ec")), Accepted)
    assert isinstance(await ask(strategy, token("RS512", kid="old", number=1)), Accepted)
    assert await ask(strategy, token("RS256", kid="old", number=1)) == Denied("algorithm")
    assert await ask(strategy, token("RS256", kid="ec")) == Denied("algorithm")
    assert await ask(strategy, token("RS256", kid="new")) == Denied("key")
    assert await ask(strategy, token("RS256")) == Denied("key")


# Keys by URL


class Spy:
    """An outbound that answers with these keys and remembers what it was asked for."""

    def __init__(self, *keys: Any, status: int = 200, error: OutboundError | None = None) -> None:
        self.keys = keys
        self.status = status
        self.error = error
        self.urls: list[str] = []

    async def request(self, method: str, url: str, **_: Any) -> HttpAnswer:
        self.urls.append(url)
        await trio.lowlevel.checkpoint()
        if self.error:
            raise self.error
        return HttpAnswer(self.status, {}, json.dumps({"keys": self.keys}).encode())


async def test_keys_from_a_url() -> None:
    outbound = Spy(jwk(rsa_key(), kid="k"), jwk(ec_key(), kid="e"))
    strategy = build(secret=..., algorithms=["RS256", "ES256"], jwks_url=URL, outbound=outbound)
    assert outbound.urls == []
    assert isinstance(await ask(strategy, token("RS256", kid="k")), Accepted)
    assert isinstance(await ask(strategy, token("ES256", kid="e")), Accepted)
    assert await ask(strategy, token("RS256", kid="k", number=1)) == Denied("signature")
    assert await ask(strategy, token("RS256", kid="x")) == Denied("key")
    assert await ask(strategy, token("RS256", kid="e")) == Denied("algorithm")
    assert outbound.urls == [URL]


async def test_keys_are_fetched_before_the_first_login_when_the_router_starts() -> None:
    outbound = Spy(jwk(rsa_key(), kid="k"), jwk(ec_key(), kid="e"))
    strategy = build(secret=..., algorithms=["RS256", "ES256"], jwks_url=URL, outbound=outbound)
    assert isinstance(strategy, Prepares)
    await strategy.prepare()
    await strategy.prepare()
    assert outbound.urls == [URL]
    assert isinstance(await ask(strategy, token("RS256", kid="k")), Accepted)
    assert outbound.urls == [URL]


async def test_the_router_starts_without_the_keys(tmp_path: Path) -> None:
    outbound, time = Spy(error=OutboundError("connect")), clock()
    strategy = build(secret=..., algorithms=["RS256"], jwks_url=URL, outbound=outbound, time=time)
    await strategy.prepare()
    assert await ask(strategy, token("RS256", kid="k")) == Unavailable("keys_connect")
    outbound.error, outbound.keys = None, (jwk(rsa_key(), kid="k"),)
    time.advance(5)
    assert isinstance(await ask(strategy, token("RS256", kid="k")), Accepted)
    await build(tmp_path).prepare()


@pytest.mark.parametrize(
    ("outbound", "reason"),
    [
        (Spy(error=OutboundError("timeout")), "keys_timeout"),
        (Spy(error=OutboundError("too_big")), "keys_too_big"),
        (Spy(status=404), "keys_status"),
        (Spy(status=302), "keys_status"),
        (Spy(), "keys_no_keys"),
        (Spy(*[{}] * 51), "keys_too_many_keys"),
    ],
)
async def test_keys_that_cannot_be_had_are_nobodys_fault(outbound: Spy, reason: str) -> None:
    strategy = build(secret=..., algorithms=["RS256"], jwks_url=URL, outbound=outbound)
    assert await ask(strategy, token("RS256", kid="k")) == Unavailable(reason)


async def test_a_real_service_that_rotates_fails_and_comes_back() -> None:
    def keys(*kids: int) -> Any:
        return answer_json(200, {"keys": [jwk(rsa_key(number=kid), kid=str(kid)) for kid in kids]})

    time = clock()
    behave = in_turn(
        http_answer(503), redirect("http://127.0.0.1:1/"), keys(0), keys(0, 1), http_answer(500), huge(10**6)
    )
    async with serve(behave) as service, HttpOutbound() as outbound:
        strategy = build(secret=..., algorithms=["RS256"], jwks_url=service.url, time=time, outbound=outbound)
        first, second = token("RS256", kid="0", exp=NOW + 3_000), token("RS256", kid="1", number=1, exp=NOW + 3_000)
        assert await ask(strategy, first) == Unavailable("keys_status")
        time.advance(5)
        assert await ask(strategy, first) == Unavailable("keys_status")
        time.advance(5)
        assert isinstance(await ask(strategy, first), Accepted)
        assert await ask(strategy, second) == Denied("key")
        time.advance(60)
        assert isinstance(await ask(strategy, second), Accepted)
        time.advance(301)
        assert isinstance(await ask(strategy, first), Accepted)
        time.advance(60)
        assert isinstance(await ask(strategy, first), Accepted)
        assert [request.method for request in service.requests] == ["GET"] * 6
        assert {request.header("authorization") for request in service.requests} == {None}


async def test_a_service_that_hangs_is_given_up() -> None:
    async with serve(hang()) as service, HttpOutbound() as outbound:
        strategy = build(secret=..., algorithms=["RS256"], jwks_url=service.url, jwks_timeout=0.1, outbound=outbound)
        with trio.fail_after(10):
            assert await ask(strategy, token("RS256", kid="k")) == Unavailable("keys_timeout")


# Configurations


def structured(tmp_path: Path, **changes: Any) -> list[str]:
    """The faults a config's author is told, as "key: text"."""
    given = {"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["HS256"], "secret": HMAC.decode(), **changes}
    try:
        Structurer(tmp_path).structure({k: v for k, v in given.items() if v is not ...}, JwtOptions)
    except StructureFailed as failed:
        return [": ".join([*map(str, fault.path), fault.message]) for fault in failed.faults]
    return []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"audience": ["a", "b"]},
        {"user_data": "roles"},
        {"user_data": ["roles", "name"]},
        {"user_data": {"r": "/realm_access/roles"}},
        {"secret": ..., "algorithms": ["RS256"], "key_file": "issuer.pem"},
        {
            "secret": ...,
            "algorithms": ["RS256"],
            "keys": [{"file": "a.pem", "kid": "a"}, {"file": "b.pem", "kid": "b"}],
        },
        {"secret": ..., "algorithms": ["ES256"], "jwks_url": URL},
        {"secret": ..., "algorithms": ["ES256"], "jwks_url": "http://127.0.0.1:8080/keys"},
        {"secret": ..., "algorithms": ["ES256"], "jwks_url": "http://localhost/keys"},
        {"secret": ..., "algorithms": ["ES256"], "jwks_url": "http://[::1]:1/keys"},
        {"secret": ..., "algorithms": ["ES256"], "jwks_url": "http://keys.internal/", "jwks_allow_http": True},
        {"leeway": 60, "max_lifetime": 60},
    ],
)
def test_configurations_that_are_right(tmp_path: Path, changes: Any) -> None:
    assert structured(tmp_path, **changes) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"issuer": ...}, "the key 'issuer' is missing"),
        ({"audience": ...}, "the key 'audience' is missing"),
        ({"algorithms": ...}, "the key 'algorithms' is missing"),
        ({"issuer": ""}, "issuer: must not be empty"),
        ({"audience": []}, "audience: must not be empty"),
        ({"audience": ["a", ""]}, "audience: must not be empty"),
        ({"algorithms": []}, "algorithms: must name at least one"),
        ({"algorithms": ["none"]}, "algorithms: there is no algorithm 'none'"),
        ({"algorithms": ["hs256"]}, "algorithms: there is no algorithm 'hs256'"),
        ({"algorithms": ["PS256"]}, "algorithms: there is no algorithm 'PS256'"),
        ({"algorithms": ["HS256", "HS256"]}, "algorithms: must name at least one algorithm, and each once"),
        ({"algorithms": ["HS256", "RS256"]}, "algorithms: RS256 takes a public key"),
        ({"secret": ...}, "needs exactly one of"),
        ({"key_file": "a.pem"}, "needs exactly one of"),
        ({"jwks_url": URL}, "needs exactly one of"),
        ({"secret": ..., "key_file": "a.pem"}, "HS256 takes a shared secret"),
        ({"secret": ..., "jwks_url": URL}, "HS256 takes a shared secret"),
        ({"secret": ..., "keys": [], "algorithms": ["RS256"]}, "keys: must not be empty"),
        ({"jwks_url": "ftp://a/"}, "jwks_url: must be an http:// or https:// URL with a host"),
        ({"jwks_url": "https:///x"}, "jwks_url: must be an http:// or https:// URL with a host"),
        ({"jwks_url": "https://u:p@a/"}, "jwks_url: must not hold a user or password"),
        ({"jwks_url": "https://a/#x"}, "jwks_url: must not have a fragment"),
        ({"jwks_url": "https://a/ b"}, "jwks_url: must be plain ASCII"),
        ({"jwks_url": "https://a:x/"}, "jwks_url: is not a URL"),
        ({"secret": ..., "algorithms": ["RS256"], "jwks_url": "http://issuer.example/"}, "jwks_url: must be https"),
        ({"secret": ..., "algorithms": ["RS256"], "jwks_url": "http://127.0.0.1.evil.example/"}, "must be https"),
        ({"jwks_refresh_after": 600, "jwks_max_age": 300}, "jwks_refresh_after must not be more"),
        ({"leeway": 61}, "leeway: must be between 0 and 60"),
        ({"leeway": -1}, "leeway: must be between 0 and 60"),
        ({"leeway": "5"}, "leeway: expected a number"),
        ({"max_lifetime": 0}, "max_lifetime: must be between"),
        ({"token_from": []}, "token_from: must name at least one"),
        ({"token_from": ["login", "login"]}, "token_from: must name at least one place for the token, and each once"),
        ({"token_from": ["header"]}, "token_from: 'header' is no place"),
        ({"token_from": ["cookie"]}, "token_from: 'cookie' needs the name"),
        ({"user_id": ""}, "user_id: a claim's name must not be empty"),
        ({"user_data": ["/a/x", "/b/x"]}, "user_data: two claims have the same name"),
        ({"client_data": {"a": "/~"}}, "client_data: '/~'"),
        ({"secrets": "x"}, "secrets: unknown key 'secrets'; did you mean 'secret'?"),
        ({"keys": [{"file": "a", "kid": "a\nb"}]}, "keys: 0: kid: must be 1 to 128 printable"),
    ],
)
def test_configurations_that_are_wrong_say_where(tmp_path: Path, changes: Any, fault: str) -> None:
    assert any(fault in text for text in structured(tmp_path, **changes)), structured(tmp_path, **changes)


def refused(tmp_path: Path, **changes: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        build(tmp_path, **changes)
    (problem,) = caught.value.problems
    return problem.field, problem.message


@pytest.mark.threat("T47")
def test_weak_or_wrong_keys_are_refused_at_start_with_their_name(tmp_path: Path) -> None:
    assert refused(tmp_path, secret=Secret("short")) == ("secret", "secret: HS256 needs a secret of at least 32 bytes")
    public = Secret(public_pem(rsa_key()).decode())
    assert "must not serve as a shared secret" in refused(tmp_path, secret=public)[1]

    def file(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    def key(file: Path, algorithm: str = "RS256") -> str:
        field, message = refused(tmp_path, secret=..., key_file=file, algorithms=[algorithm])
        assert field == "key_file"
        assert message.startswith(f"{file}: ")
        return message

    assert "1024 bits" in key(file("small.pem", public_pem(rsa_key(1024))))
    assert "curve" in key(file("ec.pem", public_pem(ec_key("ES384"))), "ES256")
    assert "private key" in key(file("private.pem", private_pem(rsa_key())))
    assert "not a public key" in key(file("junk.pem", b"junk"))
    assert "larger than" in key(file("big.pem", b"x" * 70_000))
    assert "cannot be read: No such file" in key(tmp_path / "missing.pem")
    assert "cannot be read: Is a directory" in key(tmp_path)


def test_keys_that_do_not_go_together_are_refused_at_start(tmp_path: Path) -> None:
    for name, private in (("rsa", rsa_key()), ("ec", ec_key())):
        (tmp_path / name).write_bytes(public_pem(private))
    one, two = KeyFile(tmp_path / "rsa", kid="a"), KeyFile(tmp_path / "ec", kid="a")
    both = {"secret": ..., "algorithms": ["RS256", "ES256"]}
    assert "same kid" in refused(tmp_path, keys=[one, two], **both)[1]
    assert "needs a kid" in refused(tmp_path, keys=[one, KeyFile(tmp_path / "ec")], **both)[1]
    assert refused(tmp_path, keys=[one], **both) == ("algorithms", "no key is of use for ES256")
    strange = KeyFile(tmp_path / "rsa", algorithm="RS512")
    assert "none of the strategy's algorithms" in refused(tmp_path, keys=[strange], **both)[1]


def test_what_is_unsafe_is_named() -> None:
    def unsafe(**changes: Any) -> list[str]:
        return registry.unsafe(JwtType(), options(**changes))

    assert unsafe() == []
    assert unsafe(token_from=["login", "cookie:jwt", "subprotocol"]) == []
    (query,) = unsafe(token_from=["login", "query:jwt"])
    assert "query:jwt" in query
    (http,) = unsafe(secret=..., algorithms=["RS256"], jwks_url="http://keys.internal/", jwks_allow_http=True)
    assert "jwks_url" in http
    (long,) = unsafe(max_lifetime=30 * 86_400.0)
    assert "30 days" in long


def test_the_strategy_is_found_by_its_name() -> None:
    assert isinstance(registry.load("jwt"), JwtType)


def test_options_show_no_secret() -> None:
    assert HMAC.decode() not in repr(options())
