"""Logins of official clients: every strategy, attempts, deadlines, clientData, and services that are away."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio

from tests.conformance.clients import QUIET
from tests.conformance.conftest import CONFIG, Site, Start
from tests.integration.conftest import USERS_CONFIG
from trio_router.secret import Secret
from trio_router.testing.http_service import ServiceRequest, answer, answer_json, serve
from trio_router.tokens.jwt import sign
from trio_router.tokens.keys import signing_secret

USERS = USERS_CONFIG + "deepstream: {auth_attempts: 3, auth_timeout: 60}\n"
WEBHOOK = """
rules: rules.yml
login: [{{strategy: webhook, url: "{url}", forward_headers: [cookie], timeout: 2.0}}]
listen: {{port: 0}}
deepstream: {{auth_attempts: 3}}
"""
EVERYBODY_IN = """
event: {"*": {subscribe: "user.data.role === 'boss'", publish: true}}
rpc: {"*": {provide: true, request: true}}
presence: {"*": {allow: true}}
"""


async def test_login_without_credentials_where_that_is_allowed(site: Site) -> None:
    client = await site.client("rosa")
    assert (await client.login())[0] is True
    assert await client.do("state") == "OPEN"


async def test_the_states_of_a_login(site: Site) -> None:
    client = await site.client("rosa")
    await client.login({"username": "rosa"})
    assert [entry[1] for entry in client.all("state")] == [
        "AWAITING_CONNECTION",
        "CHALLENGING",
        "AWAITING_AUTHENTICATION",
        "AUTHENTICATING",
        "OPEN",
    ]


async def test_a_client_closes(site: Site) -> None:
    client = await site.user("rosa")
    await client.do("close")
    await client.sees("state", "CLOSED")
    rosa = await site.user("another")
    with trio.fail_after(5):
        while (await rosa.do("online"))["result"]:
            await trio.sleep(0.01)


async def test_a_user_and_a_password(start: Start) -> None:
    async with start(USERS, users=("egon",)) as site:
        client = await site.client("egon")
        assert (await client.login({"username": "egon", "password": "password of egon"}))[0] is True


@pytest.mark.parametrize(
    "details",
    [
        {"username": "egon", "password": "wrong"},
        {"username": "nobody", "password": "password of egon"},
        {"username": "egon"},
        {"password": "password of egon"},
        {"username": "egon", "password": ["password of egon"]},
        {"username": "egon", "password": ""},
        {},
    ],
)
async def test_wrong_credentials(start: Start, details: Any) -> None:
    async with start(USERS, users=("egon",)) as site:
        client = await site.client("egon")
        success, _ = await client.login(details)
        assert success is False
        assert await client.do("state") == "AWAITING_AUTHENTICATION"


async def test_after_a_wrong_password_the_right_one_logs_in(start: Start) -> None:
    async with start(USERS, users=("egon",)) as site:
        client = await site.client("egon")
        assert (await client.login({"username": "egon", "password": "wrong"}))[0] is False
        assert (await client.login({"username": "egon", "password": "password of egon"}))[0] is True


async def test_too_many_attempts_close_the_client_for_good(start: Start) -> None:
    async with start(USERS, users=("egon",)) as site:
        client = await site.client("egon")
        for _ in range(3):
            assert (await client.login({"username": "egon", "password": "wrong"}))[0] is False
        await client.sees("error", "TOO_MANY_AUTH_ATTEMPTS", "AUTH")
        await trio.sleep(0.5)  # longer than the client would wait to reconnect
        assert await client.do("state") == "TOO_MANY_AUTH_ATTEMPTS"


async def test_who_never_logs_in_is_told_and_stays_closed(start: Start) -> None:
    async with start(
        CONFIG.replace("deepstream: {}", "deepstream: {auth_timeout: 0.2}\nlimits: {login_timeout: 1}")
    ) as site:
        client = await site.client("rosa")
        began = trio.current_time()
        await client.sees("error", "AUTHENTICATION_TIMEOUT", "CONNECTION")
        assert trio.current_time() - began >= 0.15
        await trio.sleep(0.3)  # longer than the client would wait to reconnect
        assert await client.do("state") == "AUTHENTICATION_TIMEOUT"


async def test_an_attempt_lifts_the_deadline(start: Start) -> None:
    config = USERS.replace("auth_timeout: 60", "auth_timeout: 0.5") + "limits: {login_timeout: 5}\n"
    async with start(config, users=("egon",)) as site:
        client = await site.client("egon")
        assert (await client.login({"username": "egon", "password": "wrong"}))[0] is False
        await trio.sleep(0.8)
        assert (await client.login({"username": "egon", "password": "password of egon"}))[0] is True


# ---- webhook -----------------------------------------------------------------------------------------------------


async def let_in(request: ServiceRequest, stream: trio.abc.Stream) -> None:
    """Whoever has the token, in a cookie or in what it says."""
    body = request.json
    said = body["authData"] if isinstance(body["authData"], dict) else {}
    if "token=good" in body["connectionData"]["headers"].get("cookie", "") or said.get("token") == "good":
        user = {"id": "egon", "clientData": {"color": "red"}, "serverData": {"role": "boss"}}
        await answer_json(200, user)(request, stream)
    else:
        await answer_json(403, {"error": "log in first"})(request, stream)


async def test_a_token_for_the_webhook(start: Start) -> None:
    async with serve(let_in) as service, start(WEBHOOK.format(url=service.url)) as site:
        client = await site.client("egon")
        assert await client.login({"type": "webhook", "token": "good"}) == (True, {"color": "red"})
        assert service.requests[0].json["authData"] == {"type": "webhook", "token": "good"}


async def test_a_cookie_for_the_webhook(start: Start) -> None:
    async with serve(let_in) as service, start(WEBHOOK.format(url=service.url)) as site:
        client = await site.client("egon", socketOptions={"headers": {"cookie": "token=good"}})
        assert await client.login(None) == (True, {"color": "red"})


async def test_what_a_webhook_says_with_a_refusal_reaches_the_client(start: Start) -> None:
    async with serve(let_in) as service, start(WEBHOOK.format(url=service.url)) as site:
        client = await site.client("egon")
        assert await client.login({"token": "bad"}) == (False, {"reason": {"error": "log in first"}})


async def test_a_webhook_that_answers_with_a_text(start: Start) -> None:
    async with serve(answer(200, b"egon")) as service, start(WEBHOOK.format(url=service.url)) as site:
        client = await site.client("egon")
        assert (await client.login({"any": 1}))[0] is True
        service.behave = answer(200, b"rosa")
        rosa = await site.client("rosa")
        await rosa.login({"any": 1})
        assert (await rosa.do("online"))["result"] == ["egon"]


async def test_a_webhook_that_is_down_is_told_apart_and_costs_no_attempt(start: Start) -> None:
    async with serve(answer(503)) as service, start(WEBHOOK.format(url=service.url)) as site:
        client = await site.client("egon")
        for _ in range(4):  # more than there are attempts
            success, data = await client.login({"token": "good"})
            reason = data["reason"]
            assert success is False and reason["error"] == "login_unavailable" and reason["temporary"] is True
        service.behave = let_in
        with trio.fail_after(8):  # it is asked again every two seconds at the latest
            while (await client.login({"token": "good"}))[0] is False:
                await trio.sleep(0.2)


async def test_server_data_is_seen_by_rules_and_not_by_clients(start: Start) -> None:
    async with serve(let_in) as service, start(WEBHOOK.format(url=service.url), EVERYBODY_IN) as site:
        egon = await site.client("egon")
        _, data = await egon.login({"token": "good"})
        assert "role" not in str(data)
        await egon.subscribe("news")
        assert egon.errors() == []


async def test_client_data_that_changed_is_announced_after_a_reconnect(start: Start) -> None:
    async with serve(let_in) as service, start(WEBHOOK.format(url=service.url)) as site:
        egon = await site.client("egon")
        await egon.login({"token": "good"})
        service.behave = answer_json(200, {"id": "egon", "clientData": {"color": "blue"}})
        await egon.do("pause")
        await egon.do("resume")
        await egon.sees("clientDataChanged", {"color": "blue"})


async def test_a_login_that_is_refused_after_a_reconnect_is_announced(start: Start) -> None:
    async with serve(let_in) as service, start(WEBHOOK.format(url=service.url)) as site:
        egon = await site.client("egon")
        await egon.login({"token": "good"})
        service.behave = answer_json(403, {"error": "gone"})
        await egon.do("pause")
        await egon.tell("resume")
        await egon.sees("reauthenticationFailure")


# ---- tokens ------------------------------------------------------------------------------------------------------

JWT = """
rules: rules.yml
login:
  - strategy: jwt
    issuer: https://login.example
    audience: router
    algorithms: [HS256]
    secret: ${SECRET}
listen: {port: 0}
deepstream: {}
"""
SECRET = "a secret of this test that is long enough"


def token(**claims: Any) -> str:
    now = int(time.time())
    claims = {"sub": "egon", "iss": "https://login.example", "aud": "router", "iat": now, "exp": now + 60} | claims
    return sign(claims, signing_secret(Secret(SECRET), "HS256", name="test"))


async def test_a_jwt(start: Start) -> None:
    async with start(JWT, SECRET=SECRET) as site:
        client = await site.client("egon")
        assert (await client.login({"token": token()}))[0] is True


@pytest.mark.parametrize(
    "claims", [{"exp": 1}, {"aud": "somebody else"}, {"iss": "https://evil.example"}, {"nbf": 2**33}]
)
async def test_a_jwt_that_is_not_good(start: Start, claims: dict[str, Any]) -> None:
    async with start(JWT, SECRET=SECRET) as site:
        client = await site.client("egon")
        assert (await client.login({"token": token(**claims)}))[0] is False


async def test_a_jwt_that_ends_closes_the_connection_and_the_client_is_told(start: Start) -> None:
    async with start(JWT + "limits: {expiry_grace: 0}\n", SECRET=SECRET) as site:
        client = await site.client("egon")
        assert (await client.login({"token": token(exp=int(time.time()) + 1)}))[0] is True
        await client.sees("reauthenticationFailure")


async def test_nothing_but_a_login_is_taken_before_it(start: Start) -> None:
    async with start(USERS, users=("egon",)) as site:
        egon, other = await site.client("egon"), await site.client("other")
        await egon.login({"username": "egon", "password": "password of egon"})
        await egon.do("subscribe", "room/1")
        await other.do("emit", "room/1", "from nobody")
        await trio.sleep(QUIET)
        assert egon.events("room/1") == []
        assert (await other.login({"username": "egon", "password": "wrong"}))[0] is False
        await trio.sleep(QUIET)
        assert egon.events("room/1") == []
