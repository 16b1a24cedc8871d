"""Revocations across routers on one database, and of single trust-tokens: what ends, how soon, and what does not."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.integration.conftest import USERS_CONFIG, Site, Start, write_files
from tests.postgres import Postgres, PostgresMissing, cluster
from trio_router.app import Router
from trio_router.client import ConnectionEnded, ConnectionLost, KeyAuth, LoginDenied, RequestRefused, connect
from trio_router.config.load import load
from trio_router.tokens.trust import issue_trust_token

ADMIN = "an-administration-token-for-tests"
SEAL = "the key under which the secrets of this test's app keys rest"
CONFIG = """
rules: rules.yml
login: [{strategy: key}]
listen: {port: 0}
rest: {}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "${DATABASE}", encryption_key: "${SEAL}"}
"""
RULES = """
event:
  "*": {subscribe: true, publish: true}
  "pvt:*": {subscribe: true, publish: true}
presence: {"*": {allow: true}}
"""
WITHIN = 1.0
"""Seconds after a revocation in which it is in force everywhere."""


@asynccontextmanager
async def routers(folder: Path, database: str, number: int = 2) -> AsyncIterator[list[Site]]:
    """So many routers of one config, and so of one database."""
    path = write_files(folder, CONFIG, RULES)
    environ = {"ADMIN": ADMIN, "SEAL": SEAL, "DATABASE": database}
    made = [Router.load(lambda: load(path, environ=environ)) for _ in range(number)]
    async with trio.open_nursery() as nursery:
        yield [Site(router, await nursery.start(router.run), folder, ADMIN) for router in made]
        for router in made:
            router.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Any:
    if request.param == "sqlite":
        yield "sqlite:///router.db"
        return
    try:
        running = cluster()
        server: Postgres = running.__enter__()
    except PostgresMissing as missing:
        pytest.skip(str(missing))
    try:
        yield server.new_database()
    finally:
        running.__exit__(None, None, None)


async def new_secret(site: Site) -> str:
    """The secret of a new key ``default.k``."""
    return str((await site.admin("POST", "/admin/apps/default/keys", json={"id": "k"})).json()["secret"])


async def new_key(site: Site) -> KeyAuth:
    """How a server program with that key logs in."""
    return KeyAuth("default.k", await new_secret(site))


async def revoke(site: Site, kind: str, value: str, **more: Any) -> dict[str, int]:
    answer = await site.admin("POST", "/admin/revocations", json={"kind": kind, "value": value, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def until_ended(client: Any) -> Exception:
    with trio.fail_after(30):
        while True:
            try:
                await client.presence()
            except (ConnectionEnded, ConnectionLost) as error:
                return error
            await trio.sleep(0.02)


@pytest.mark.threat("T52")
@pytest.mark.parametrize("kind", ["session", "user", "key", "before"])
async def test_what_one_router_revokes_ends_at_the_others(tmp_path: Path, database: str, kind: str) -> None:
    async with routers(tmp_path, database) as (here, there):
        login = await new_key(here)
        async with connect(there.address.url, login, reconnect=False) as client:
            await trio.sleep(1.1)  # into another second than the login's
            value = {"session": client.session_id, "user": "key:k", "key": "k", "before": ""}[kind]
            assert (await revoke(here, kind, value, for_good=True))["ended"] == 0
            began = time.monotonic()
            ended = await until_ended(client)
            assert getattr(ended, "slug", "revoked_for_good") == "revoked_for_good"  # what was said there is said here
            assert time.monotonic() - began < WITHIN + 20  # what a busy machine may add
        listed = (await there.admin("GET", "/admin/revocations")).json()["revocations"]
        assert [(entry["kind"], entry["value"], entry["for_good"]) for entry in listed] == [(kind, value, True)]


@pytest.mark.threat("T52")
async def test_a_key_that_is_disabled_at_one_router_ends_its_sessions_at_the_others(
    tmp_path: Path, database: str
) -> None:
    async with routers(tmp_path, database) as (here, there):
        login = await new_key(here)
        async with connect(there.address.url, login, reconnect=False) as client:
            await here.admin("PATCH", "/admin/apps/default/keys/k", json={"disabled": True})
            await until_ended(client)
        with pytest.raises(LoginDenied):
            async with connect(there.address.url, login, reconnect=False):
                pass


@pytest.mark.threat("T52")
async def test_two_administrators_at_two_routers_do_not_undo_each_other(tmp_path: Path, database: str) -> None:
    async with routers(tmp_path, database) as sites:
        await new_key(sites[0])
        async with trio.open_nursery() as nursery:
            for site, change in zip(sites, ({"disabled": True}, {"grants": ["rpc"]}), strict=True):

                async def patch(site: Site = site, change: dict[str, Any] = change) -> None:
                    await site.admin("PATCH", "/admin/apps/default/keys/k", json=change)

                nursery.start_soon(patch)
        found = (await sites[0].admin("GET", "/admin/apps/default/keys/k")).json()
        assert (found["disabled"], found["grants"]) == (True, ["rpc"])


def claims_of(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


@pytest.mark.threat("T52")
@pytest.mark.threat("T46")
async def test_one_trust_token_is_revoked_and_nothing_else_ends(tmp_path: Path) -> None:
    async with routers(tmp_path, "sqlite:///router.db") as (here, there):
        secret = await new_secret(here)
        signed: dict[str, str] = {}

        def authorise(channel: str, session: str, action: str) -> str:
            signed[channel] = issue_trust_token(key="k", secret=secret, session=session, channel=channel, action=action)
            return signed[channel]

        for site, rights in ((here, 1), (there, 0)):
            async with connect(site.address.url, {"key": "default.k"}, access_token=authorise) as client:
                async with client.subscribe("pvt:one") as one, client.subscribe("pvt:two") as two:
                    answer = await revoke(here, "token", claims_of(signed["pvt:one"])["jti"])
                    assert answer == {"ended": 0, "rights": rights}
                    with trio.fail_after(20), pytest.raises(RequestRefused) as caught:
                        await anext(one)
                    assert (caught.value.slug, caught.value.detail) == ("token_refused", "revoked")
                    await client.publish("pvt:two", 1)
                    assert (await anext(two)).data == 1
                async with client.subscribe("pvt:one"):  # with a new token, which the application could refuse to sign
                    pass
                client_token = signed["pvt:one"]
                await revoke(here, "token", claims_of(client_token)["jti"])


@pytest.mark.threat("T46")
async def test_a_trust_token_over_rest_tells_its_id(tmp_path: Path) -> None:
    async with routers(tmp_path, "sqlite:///router.db", 1) as (site,):
        secret = await new_secret(site)
        http = site.address.url.replace("ws://", "http://")
        async with httpx.AsyncClient(trust_env=False, auth=("default.k", secret)) as client:
            body = {"session": "s-1", "channel": "pvt:one"}
            data = (await client.post(f"{http}v1/keys/trust-tokens", json=body)).json()["data"]
            assert claims_of(data["token"])["jti"] == data["id"]
            longer = await client.post(f"{http}v1/keys/trust-tokens", json={**body, "ttl": 4000})
            assert (longer.status_code, "at most 3600" in longer.text) == (400, True)
            config = site.folder / "config.yml"
            config.write_text(config.read_text() + "trust: {max_lifetime: 4000, leeway: 1}\n")
            assert (await site.admin("POST", "/admin/reload")).json()["changed"] == ["trust"]
            assert (await client.post(f"{http}v1/keys/trust-tokens", json={**body, "ttl": 4000})).status_code == 200


@pytest.mark.threat("T33")
async def test_a_user_who_is_locked_out_has_no_session_any_more_when_that_returns(start: Start) -> None:
    """Not even one that is about to close: events of the same moment do not reach it, and calls are not given to it."""
    async with start(USERS_CONFIG) as site, connect(site.address.url, site.login("egon")):
        space = site.router._served.first
        assert len(space.core.sessions) == 1
        space._lock_out("egon")
        assert len(space.core.sessions) == 0
