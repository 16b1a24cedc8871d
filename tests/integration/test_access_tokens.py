"""Access tokens in a whole router: issued over REST, used on both entrances, refreshed, revoked, remembered."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
from click.testing import CliRunner, Result

from tests.integration.conftest import Site, Start
from trio_router.cli.main import cli
from trio_router.client import ConnectionEnded, LoginDenied, RequestRefused, Rest, connect
from trio_router.config.schema import APP
from trio_router.grants import Grants
from trio_router.protocols import messages
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord
from trio_router.storage.opening import open_key_store

CONFIG = """
rules: rules.yml
login:
  - strategy: access
  - strategy: users
listen: {port: 0}
rest: {url: "https://router.example"}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "sqlite:///users.db", encryption_key: "${SEAL}"}
"""
RULES = """
event:
  "*":
    subscribe: true
    publish: "user.id !== 'mute'"
rpc:
  "*":
    provide: true
    request: true
presence:
  "*":
    allow: true
"""
SECRET = secrets.token_urlsafe(32)


@attrs.frozen
class Tokens:
    """A router with keys, as its REST interface sees a program."""

    site: Site
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        return self.site.address.url

    def rest(self, key: str = "k1") -> Rest:
        return Rest(self.http_url, key=f"{APP}.{key}:{SECRET}")

    @property
    def http_url(self) -> str:
        return self.url.replace("ws://", "http://").rstrip("/")

    async def post(
        self, path: str, body: Any, *, key: str = "", bearer: str = "", secret: str = SECRET
    ) -> httpx.Response:
        basic = base64.b64encode(f"{APP}.{key}:{secret}".encode()).decode()
        authorization = f"Basic {basic}" if key else f"Bearer {bearer}"
        return await self.http.post(self.http_url + path, json=body, headers={"authorization": authorization})

    async def revoke(self, kind: str, value: str = "", **more: Any) -> httpx.Response:
        return await self.site.admin("POST", "/admin/revocations", json={"kind": kind, "value": value, **more})


@asynccontextmanager
async def tokens(start: Start, tmp_path: Path, seal: str) -> AsyncIterator[Tokens]:
    store = open_key_store(Secret("sqlite:///users.db"), tmp_path, Secret(seal))
    tmp_path.chmod(0o700)
    for key, grants in (
        ("k1", Grants()),
        ("readonly", Grants(publish=False, rpc=False)),
        ("noissue", Grants(issue=False)),
    ):
        if await store.get(APP, key) is None:
            await store.add(KeyRecord(APP, key, (Secret(SECRET),), grants))
    await store.aclose()
    users = () if (tmp_path / "rules.yml").exists() else ("egon",)
    async with start(CONFIG, RULES, users=users, SEAL=seal) as site, httpx.AsyncClient(trust_env=False) as http:
        yield Tokens(site, http)


@pytest.fixture
def seal() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture
async def router(start: Start, tmp_path: Path, seal: str) -> AsyncIterator[Tokens]:
    async with tokens(start, tmp_path, seal) as running:
        yield running


async def test_the_answer_has_exactly_the_shape(router: Tokens) -> None:
    answer = await router.post("/v1/keys/tokens", {"clientId": "John"}, key="k1")
    assert answer.status_code == 200
    assert list(answer.json()) == ["data"]
    data = answer.json()["data"]
    assert list(data) == ["token", "token_type", "expires_in"]
    assert data["token_type"] == "Bearer"
    again = await router.post("/v1/keys/tokens/refresh", {}, bearer=data["token"])
    assert again.json()["data"]["expires_in"] >= data["expires_in"]
    assert again.json()["data"]["token"] != data["token"]


@pytest.mark.threat("T50")
async def test_login_publish_and_bounds_on_both_entrances(router: Tokens) -> None:
    rest = router.rest()
    token = await rest.generate_token("John", permissions=["subscribe", "publish"], restrictions=["room:*"])
    async with connect(router.url, {"token": token.text}) as john:
        assert john.user_id == "John"
        assert john.expires == token.expires
        async with john.subscribe("room/1") as feed:
            await Rest(router.http_url, token=token.text).publish("room/1", {"n": 1})
            await john.publish("room/1", {"n": 2})
            assert [(await anext(feed)).data["n"] for _ in range(2)] == [1, 2]
        for channel in ("hall", "room"):
            with pytest.raises(RequestRefused, match="denied"):
                await john.publish(channel, 1)
            refused = await router.post(f"/v1/channels/{channel}/messages", {"data": 1}, bearer=token.text)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "denied")
        with pytest.raises(RequestRefused):
            async with john.subscribe("*"):
                pass
        async with john.subscribe("room/*"):
            pass
        with pytest.raises(RequestRefused):
            await john.call("add")


async def test_the_rules_decide_on_top(router: Tokens) -> None:
    token = await router.rest().generate_token("mute")
    refused = await router.post("/v1/channels/room/messages", {"data": 1}, bearer=token.text)
    assert refused.status_code == 403
    assert (await router.post("/v1/channels/room/messages", {"data": 1}, key="k1")).status_code == 204


@pytest.mark.threat("T50")
async def test_a_token_never_exceeds_its_key(router: Tokens) -> None:
    beyond = await router.post("/v1/keys/tokens", {"clientId": "a", "permissions": ["publish"]}, key="readonly")
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (403, "beyond_key")
    everything = await router.rest("readonly").generate_token("a")
    assert (await router.post("/v1/channels/c/messages", {"data": 1}, bearer=everything.text)).status_code == 403
    async with connect(router.url, {"token": everything.text}) as client:
        with pytest.raises(RequestRefused):
            await client.publish("c", 1)
    refused = await router.post("/v1/keys/tokens", {"clientId": "a"}, key="noissue")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "may_not_issue")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"clientId": 7}, 400),
        ({"clientId": "a/b"}, 400),
        ({"clientId": "a", "admin": True}, 400),
        ({"clientId": "a", "permissions": ["root"]}, 400),
        ({"clientId": "a", "permissions": ["subscribe", "stats"]}, 400),  # a word that nothing here asks for
        ({"clientId": "a", "permissions": ["logs"]}, 400),
        ({"clientId": "a", "restrictions": ["a::b"]}, 400),
        ({"clientId": "a", "lifetime": 0}, 400),
        ({"clientId": "a", "lifetime": 86_401}, 400),
        ([], 400),
    ],
)
async def test_bodies_are_strict(router: Tokens, body: Any, status: int) -> None:
    assert (await router.post("/v1/keys/tokens", body, key="k1")).status_code == status


@pytest.mark.threat("T37", "T46", "T47", "T53")
async def test_strangers_are_told_nothing(router: Tokens) -> None:
    token = (await router.rest().generate_token("John")).text
    head, middle, signature = token.split(".")
    answers = {
        (answer.status_code, answer.text)
        for answer in [
            await router.post("/v1/keys/tokens", {"clientId": "a"}, key="k1", secret="wrong"),
            await router.post("/v1/keys/tokens", {"clientId": "a"}, key="nokey"),
            await router.post("/v1/keys/tokens", {"clientId": "a"}, bearer=token),
            await router.post("/v1/keys/tokens/refresh", {}, key="k1"),
            await router.post("/v1/keys/tokens/refresh", {}, bearer=f"{head}.{middle}."),
            await router.post("/v1/keys/tokens/refresh", {}, bearer=f"{head}.{middle}.{signature[::-1]}"),
            await router.post("/v1/channels/c/messages", {"data": 1}, bearer="x"),
        ]
    }
    assert len(answers) == 1
    assert answers.pop()[0] == 401


@pytest.mark.threat("T57")
async def test_guesses_are_slowed_down(router: Tokens) -> None:
    statuses = [
        (await router.post("/v1/keys/tokens", {"clientId": "a"}, key="k1", secret=f"no{n}")).status_code
        for n in range(7)
    ]
    assert 429 in statuses
    slowed = await router.post("/v1/keys/tokens", {"clientId": "a"}, key="k1")
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) >= 1


@pytest.mark.threat("T46", "T52")
async def test_a_revoked_token_ends_its_connection_and_opens_nothing(router: Tokens) -> None:
    rest = router.rest()
    token, other = await rest.generate_token("John"), await rest.generate_token("John")
    async with connect(router.url, {"token": other.text}) as stays:
        with pytest.raises(LoginDenied) as caught:
            async with connect(router.url, {"token": token.text}, reconnect=False) as john, john.subscribe("c") as feed:
                assert (await router.post("/v1/keys/tokens/revoke", {}, bearer=token.text)).status_code == 204
                with trio.fail_after(5), pytest.raises(ConnectionEnded) as ended:
                    await anext(feed)
                assert ended.value.slug == "revoked"
                async with connect(router.url, {"token": token.text}):
                    pass
        assert caught.value.data == {"error": "revoked"}
        assert stays.is_connected
    for spelling in (token.text, token.text + "=", token.text.replace("-", "+"), f" {token.text}"):
        assert (await router.post("/v1/channels/c/messages", {"data": 1}, bearer=spelling)).status_code == 401
    assert (await router.post("/v1/channels/c/messages", {"data": 1}, bearer=other.text)).status_code == 204


@pytest.mark.threat("T52")
async def test_a_revocation_survives_a_restart(start: Start, tmp_path: Path, seal: str) -> None:
    async with tokens(start, tmp_path, seal) as first:
        token = await first.rest().generate_token("John")
        assert (await first.revoke("user", "John")).json() == {"ended": 0, "rights": 0}
    async with tokens(start, tmp_path, seal) as second:
        assert (await second.post("/v1/channels/c/messages", {"data": 1}, bearer=token.text)).status_code == 401
        with pytest.raises(LoginDenied):
            async with connect(second.url, {"token": token.text}):
                pass
        fresh = await second.rest().generate_token("John")
        async with connect(second.url, {"token": fresh.text}) as john:
            assert john.user_id == "John"
        [kept] = (await second.site.admin("GET", "/admin/revocations")).json()["revocations"]
        assert (kept["kind"], kept["value"]) == ("user", "John")


@pytest.mark.threat("T52")
@pytest.mark.parametrize("kind", ["session", "user", "key", "before"])
async def test_whatever_is_revoked_ends_live_connections(router: Tokens, kind: str) -> None:
    token = await router.rest().generate_token("John")
    async with connect(router.url, {"token": token.text}, reconnect=False) as john, john.subscribe("c") as feed:
        value = {"session": john.session_id, "user": "John", "key": "k1", "before": ""}[kind]
        answer = await router.revoke(
            kind, value, for_good=True, **({"at": token.expires - 3599.5} if kind == "before" else {})
        )
        while answer.status_code == 422:  # the instant has to have come
            await trio.sleep(0.1)
            answer = await router.revoke(kind, value, for_good=True, at=token.expires - 3599.5)
        assert answer.json() == {"ended": 1, "rights": 0}
        with trio.fail_after(5), pytest.raises(ConnectionEnded) as ended:
            await anext(feed)
        assert ended.value.slug == "revoked_for_good"


async def test_a_user_with_a_password_is_revoked_too_and_may_come_back(router: Tokens) -> None:
    login = router.site.login("egon")
    async with connect(router.url, login, reconnect=False) as egon, egon.subscribe("c") as feed:
        assert (await router.revoke("user", "egon")).json() == {"ended": 1, "rights": 0}
        with trio.fail_after(5), pytest.raises(ConnectionEnded):
            await anext(feed)
    async with connect(router.url, login) as again:
        assert again.user_id == "egon"


@pytest.mark.parametrize(
    "body", [{"kind": "user"}, {"kind": "everything", "value": "x"}, {"kind": "user", "value": "x", "kept": 0}]
)
async def test_bad_revocations_are_refused(router: Tokens, body: dict[str, Any]) -> None:
    answer = await router.site.admin("POST", "/admin/revocations", json=body)
    assert answer.status_code in {400, 422}


async def test_refresh_in_band(router: Tokens) -> None:
    rest = router.rest()
    first = await rest.generate_token("John", lifetime=60)
    second, foreign = await rest.generate_token("John"), await rest.generate_token("Eve")
    async with connect(router.url, {"token": first.text}) as john:
        session = john._supervisor.current()

        done = await session.request(lambda request_id: messages.Refresh(request_id, second.text))
        assert isinstance(done, messages.Done)
        assert done.expires == second.expires
        with pytest.raises(RequestRefused, match="refresh_denied"):
            await session.request(lambda request_id: messages.Refresh(request_id, foreign.text))
        await router.post("/v1/keys/tokens/revoke", {}, bearer=first.text)
        assert (await john.presence()).users == {"John": 1}


async def test_revoke_from_the_command_line(router: Tokens, tmp_path: Path) -> None:
    secret_file = tmp_path / "admin-token"
    secret_file.touch(mode=0o600)
    secret_file.write_text(router.site.admin_token)
    where = ["--url", str(router.site.address.admin), "--token-file", str(secret_file)]

    async def run(*arguments: str) -> Result:
        return await trio.to_thread.run_sync(lambda: CliRunner().invoke(cli, ["revoke", *arguments, *where]))

    token = await router.rest().generate_token("John")
    async with connect(router.url, {"token": token.text}, reconnect=False) as john, john.subscribe("c") as feed:
        done = await run("user", "John")
        assert done.exit_code == 0
        assert done.output.endswith("revoked; 1 sessions ended\n")
        with trio.fail_after(5), pytest.raises(ConnectionEnded):
            await anext(feed)
    assert (await run("before")).exit_code == 0
    assert (await run("before", "soon")).exit_code == 2
    assert (await run("user")).exit_code == 2
    assert (await run("user", "x" * 300)).exit_code == 1
