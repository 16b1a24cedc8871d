"""The description of the token service, statement by statement: docs/reference/seed-pubq.md names these tests."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from starlette.requests import Request

from tests.integration.conftest import start  # noqa: F401 - a fixture
from tests.integration.test_access_tokens import SECRET, Tokens, router, seal  # noqa: F401 - fixtures
from trio_router.auth.access_tokens import AccessTokens
from trio_router.auth.revocations import Revocations
from trio_router.client import (
    ConnectFailed,
    ConnectionEnded,
    HttpFailed,
    LoginDenied,
    RequestRefused,
    Rest,
    TokenAuth,
    connect,
)
from trio_router.clock import SystemClock
from trio_router.config.schema import APP
from trio_router.http.answers import HttpError
from trio_router.http.callers import Callers, RestApp
from trio_router.storage.memorykeys import MemoryKeyStore, MemoryRevocationStore
from trio_router.testing.http_service import HttpService, ServiceRequest, response, serve

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "seed-pubq.md"


class Application:
    """The application's own server with its three URLs. It has the key, and no connection to the router."""

    def __init__(self, rest: Rest, lifetime: int = 3600) -> None:
        self.rest = rest
        self.lifetime = lifetime
        self.declines = False
        self.service: HttpService

    async def __call__(self, request: ServiceRequest, stream: trio.abc.Stream) -> None:
        if self.declines:
            await stream.send_all(response(403))
        elif request.target == "/auth":
            await self._tell(stream, (await self.rest.generate_token("John", lifetime=self.lifetime)).answer)
        elif request.target == "/refresh":
            await self._tell(stream, (await self.rest.refresh_token(request.json["token"])).answer)
        else:
            await self.rest.revoke_token(request.json["token"])
            await stream.send_all(response(204))

    async def _tell(self, stream: trio.abc.Stream, answer: dict[str, Any]) -> None:
        await stream.send_all(response(200, json.dumps(answer).encode()))

    def auth(self, **options: Any) -> TokenAuth:
        base = self.service.url.removesuffix("/login")
        return TokenAuth(f"{base}/auth", f"{base}/refresh", f"{base}/revoke", **options)

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.service.requests]


@asynccontextmanager
async def application(router: Tokens, lifetime: int = 3600) -> AsyncIterator[Application]:  # noqa: F811
    app = Application(router.rest(), lifetime)
    async with serve(app) as app.service:
        yield app


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


async def test_a_trusted_device_issues_time_limited_tokens(router: Tokens) -> None:  # noqa: F811
    token = await router.rest().generate_token("John")
    assert claims(token.text)["exp"] - claims(token.text)["iat"] == 3600
    with pytest.raises(HttpFailed):
        await Rest(router.http_url, token=token.text).generate_token("John")  # who holds a token issues none


async def test_tokens_have_a_limited_set_of_rights(router: Tokens) -> None:  # noqa: F811
    token = await router.rest().generate_token("John", permissions=["subscribe"], restrictions=["news:*"])
    async with connect(router.url, {"token": token.text}) as john:
        async with john.subscribe("news/eu"):
            pass
        with pytest.raises(RequestRefused):
            await john.publish("news/eu", 1)
        with pytest.raises(RequestRefused):
            async with john.subscribe("other"):
                pass


async def test_a_token_has_an_identity_by_client_id(router: Tokens) -> None:  # noqa: F811
    async with connect(router.url, {"token": (await router.rest().generate_token("John")).text}) as john:
        assert john.user_id == "John"
        assert (await john.presence(["John"])).users == {"John": 1}


async def test_the_client_obtains_a_token_from_the_url_and_uses_it(router: Tokens) -> None:  # noqa: F811
    async with application(router) as app, connect(router.url, app.auth()) as john:
        assert john.user_id == "John"
        assert app.targets == ["/auth"]


async def test_near_expiry_the_refresh_url_is_invoked(router: Tokens) -> None:  # noqa: F811
    async with application(router, lifetime=2) as app, connect(router.url, app.auth()) as john:
        session, before = john.session_id, john.expires or 0.0
        with trio.fail_after(10):
            while (john.expires or 0.0) <= before:
                await trio.sleep(0.05)
        assert app.targets[:2] == ["/auth", "/refresh"]
        assert john.session_id == session


async def test_automatic_refresh_can_be_switched_off(router: Tokens) -> None:  # noqa: F811
    auth_options = {"auto_refresh_token": False}
    async with application(router, lifetime=1) as app, connect(router.url, app.auth(**auth_options)):
        await trio.sleep(1.2)
        assert app.targets == ["/auth"]


async def test_revocation_forces_a_client_to_obtain_a_token_again(router: Tokens) -> None:  # noqa: F811
    async with application(router) as app, connect(router.url, app.auth()) as john:
        first = john.session_id
        await router.revoke("user", "John")
        with trio.fail_after(10):
            while john.session_id == first:
                await trio.sleep(0.05)
        assert app.targets == ["/auth", "/auth"]


async def test_the_application_can_decline_to_issue_again(router: Tokens) -> None:  # noqa: F811
    async with application(router) as app, connect(router.url, app.auth()) as john, john.subscribe("c") as feed:
        app.declines = True
        await router.revoke("user", "John")
        with trio.fail_after(10), pytest.raises(ConnectionEnded) as ended:
            await anext(feed)
        assert isinstance(ended.value.__cause__, ConnectFailed)


async def test_the_client_can_revoke_its_token(router: Tokens) -> None:  # noqa: F811
    async with application(router) as app:
        auth = app.auth(revoke_on_close=True)
        async with connect(router.url, auth):
            token = await auth.token()
        assert app.targets[-1] == "/revoke"
        with pytest.raises(LoginDenied):
            async with connect(router.url, {"token": token}):
                pass


async def test_body_and_headers_go_along_to_all_urls(router: Tokens) -> None:  # noqa: F811
    body, headers = {"key": "value", "anotherKey": "another value"}, {"header1": "header 1", "header2": "header 2"}
    async with application(router) as app:
        auth = app.auth(auth_body=body, auth_headers=headers)
        await auth.token()
        await auth.refresh()
        await auth.revoke()
        assert app.targets == ["/auth", "/refresh", "/revoke"]
        for request in app.service.requests:
            assert {name: request.json[name] for name in body} == body
            assert {name: request.header(name) for name in headers} == headers


async def test_a_server_generates_a_token_with_its_key(router: Tokens) -> None:  # noqa: F811
    made = await Rest(router.http_url, key=f"{APP}.k1:{SECRET}").generate_token(client_id="John")
    assert claims(made.text)["clientId"] == "John"


async def test_the_answer_and_the_claims_have_the_shape(router: Tokens) -> None:  # noqa: F811
    made = await router.rest().generate_token("John")
    data = made.answer["data"]
    assert made.answer == {"data": {"token": made.text, "token_type": "Bearer", "expires_in": data["expires_in"]}}
    found = claims(made.text)
    assert found == {
        "iss": "https://router.example/v1/keys/tokens", "iat": found["iat"], "exp": found["iat"] + 3600, "nbf": found["iat"],
        "jti": found["jti"], "sub": f"{APP}.k1", "permissions": ["*"], "restrictions": None, "clientId": "John",
    }  # fmt: skip
    assert found["exp"] == data["expires_in"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{16}", found["jti"])


@pytest.mark.threat("T62")
async def test_the_key_stays_on_the_server(router: Tokens) -> None:  # noqa: F811
    async with application(router) as app:
        auth = app.auth()
        async with connect(router.url, auth):
            token = await auth.token()
    assert SECRET not in token
    assert SECRET not in json.dumps(claims(token))
    assert all(SECRET.encode() not in request.body for request in app.service.requests)
    assert SECRET not in repr(app.rest.__dict__)


@pytest.mark.threat("T44", "T48")
async def test_a_token_is_of_no_use_after_its_end(router: Tokens) -> None:  # noqa: F811
    token = await router.rest().generate_token("John", lifetime=1)
    with trio.fail_after(15):
        while True:
            answer = await router.post("/v1/channels/c/messages", {"data": 1}, bearer=token.text)
            if answer.status_code != 204:
                break
            await trio.sleep(0.3)
    assert answer.json()["error"]["code"] == "token_expired"
    with pytest.raises(LoginDenied) as caught:
        async with connect(router.url, {"token": token.text}):
            pass
    assert caught.value.data == {"error": "expired"}


async def test_the_authorisation_server_needs_no_connection(router: Tokens) -> None:  # noqa: F811
    async with application(router) as app:
        await app.auth().token()
        health = (await router.site.admin("GET", "/health")).json()
    assert health["sessions"] == 0


@pytest.mark.threat("T62")
@pytest.mark.parametrize(
    ("scheme", "remote", "plain", "code"),
    [
        ("http", "192.0.2.7", False, "tls_required"),
        ("http", "192.0.2.7", True, "unauthorized"),
        ("https", "192.0.2.7", False, "unauthorized"),
        ("http", "127.0.0.1", False, "unauthorized"),
    ],
)
async def test_secrets_of_keys_need_tls(scheme: str, remote: str, plain: bool, code: str) -> None:
    clock, keys = SystemClock(), MemoryKeyStore()
    app = RestApp(APP, lambda: keys, AccessTokens(APP, lambda: keys, clock), lambda *_: None)
    callers = Callers({APP: app}.get, Revocations(MemoryRevocationStore, clock), clock, plain_basic=plain)
    basic = base64.b64encode(f"{APP}.k1:{SECRET}".encode()).decode()
    scope = {
        "type": "http", "method": "POST", "scheme": scheme, "path": "/v1/keys/tokens", "query_string": b"",
        "headers": [(b"authorization", f"Basic {basic}".encode())], "client": (remote, 1), "server": ("192.0.2.1", 80),
    }  # fmt: skip
    with pytest.raises(HttpError) as caught:
        await callers.by_key(Request(scope))
    assert caught.value.code == code


def test_every_statement_names_a_test_that_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    folder = Path(__file__).parents[1]
    there = {name for path in folder.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    assert named
    assert named - there == set()
