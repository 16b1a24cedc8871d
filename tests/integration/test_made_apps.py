"""Apps that are made, disabled and removed while routers run: served at once, apart from all others, and gone when gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from tests.integration.conftest import Site, write_files
from trio_router.app import Router
from trio_router.auth.open import OpenType
from trio_router.client import (
    Client,
    ConnectFailed,
    ConnectionEnded,
    ConnectionLost,
    KeyAuth,
    LoginDenied,
    RequestRefused,
    connect,
)
from trio_router.config.load import load

ADMIN = "an-administration-token-for-tests"
SEAL = "the key under which the secrets of this test's app keys rest"
CONFIG = """
rules: rules.yml
login: [{strategy: open}]
listen: {port: 0}
rest: {}
http_api: {}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "${DATABASE}", encryption_key: "${SEAL}"}
apps:
  fixed: {rules: rules.yml, login: [{strategy: open}], path: /fixed/place}
new_apps:
  rules: new.yml
  login: [{strategy: key, user_prefix: "u:"}, {strategy: users}]
  limits: {subscriptions_per_session: 2}
"""
RULES = """
event: {"*": {subscribe: true, publish: true}}
rpc: {"*": {provide: true, request: true}}
presence: {"*": {allow: true}}
"""
NEW_RULES = RULES.replace('"*": {subscribe: true, publish: true}', '"news": {subscribe: true, publish: true}')


@attrs.frozen
class World:
    sites: list[Site]

    @property
    def site(self) -> Site:
        return self.sites[0]

    async def publish(self, app: str, secret: str) -> int:
        """What REST answers to a program with the key ``k`` of this app."""
        base = self.site.address.url.replace("ws://", "http://")
        async with httpx.AsyncClient(trust_env=False, auth=(f"{app}.k", secret)) as http:
            return (await http.post(f"{base}v1/channels/news/messages", json={"data": "rest"})).status_code

    async def make(self, name: str, site: Site | None = None, **body: Any) -> KeyAuth:
        """An app with a key ``k``, and how a server program logs in to it."""
        made = await (site or self.site).admin("POST", "/admin/apps", json={"name": name, **body})
        assert made.status_code == 201, made.text
        key = await (site or self.site).admin("POST", f"/admin/apps/{name}/keys", json={"id": "k"})
        return KeyAuth(f"{name}.k", key.json()["secret"])

    def connect(self, path: str, login: Any, site: Site | None = None) -> Any:
        return connect(f"{(site or self.site).address.url}{path}", login, reconnect=False)


@asynccontextmanager
async def world(folder: Path, *, routers: int = 1, database: str = "sqlite:///router.db") -> AsyncIterator[World]:
    path = write_files(folder, CONFIG, RULES)
    (folder / "new.yml").write_text(NEW_RULES)
    environ = {"ADMIN": ADMIN, "SEAL": SEAL, "DATABASE": database}
    made = [Router.load(lambda: load(path, environ=environ)) for _ in range(routers)]
    async with trio.open_nursery() as nursery:
        yield World([Site(router, await nursery.start(router.run), folder, ADMIN) for router in made])
        for router in made:
            router.stop()


async def until_served(site: Site, name: str, *, served: bool = True) -> None:
    """As another router is told of it: by its own look at the store."""
    with trio.fail_after(30):
        while True:
            listed = (await site.admin("GET", "/admin/apps")).json()["apps"]
            if served == any(app["app"] == name and app["served"] for app in listed):
                return
            await trio.sleep(0.05)


async def end_of(client: Client) -> str:
    """Why it is over."""
    with trio.fail_after(20):
        while True:
            try:
                await client.publish("news", 1)
            except ConnectionEnded as ended:
                return ended.slug
            except ConnectionLost:
                pass
            await trio.sleep(0.02)


@pytest.mark.threat("T66")
@pytest.mark.parametrize("database", ["sqlite:///router.db", "memory://"])
async def test_an_app_is_served_when_the_answer_comes_and_meets_no_other(tmp_path: Path, database: str) -> None:
    async with world(tmp_path, database=database) as run:
        shop, zoo = await run.make("shop"), await run.make("zoo", path="/animals/zoo")
        async with (
            run.connect("shop", shop) as one,
            run.connect("animals/zoo", zoo) as two,
            run.connect("", None) as default,
        ):
            assert one.user_id == two.user_id == "u:k"
            async with one.subscribe("news") as feed_one, two.subscribe("news") as feed_two:
                for client, data in ((default, "default"), (two, "two"), (one, "one")):
                    await client.publish("news", data)
                assert (await anext(feed_one)).data == "one"
                assert (await anext(feed_two)).data == "two"
                assert (await one.presence()).users == {"u:k": 1}
                with pytest.raises(RequestRefused, match="denied"):  # their rules are those of new_apps
                    await one.publish("other", 1)
                await default.publish("other", 1)
        for path, login in (("shop", zoo), ("animals/zoo", shop), ("shop", {"key": "zoo.k"}), ("shop", None)):
            with pytest.raises(LoginDenied):
                async with run.connect(path, login):
                    pass
        listed = (await run.site.admin("GET", "/admin/apps")).json()["apps"]
        assert [(app["app"], app["path"], app["made"]) for app in listed] == [
            ("default", "/", False),
            ("fixed", "/fixed/place", False),
            ("shop", "/shop", True),
            ("zoo", "/animals/zoo", True),
        ]


@pytest.mark.threat("T66")
async def test_over_rest_an_app_is_there_as_long_as_it_is_served(tmp_path: Path) -> None:
    async with world(tmp_path) as run:
        shop = await run.make("shop")
        await run.make("zoo")
        rotated = await run.site.admin("POST", "/admin/apps/shop/keys/k/rotate", json={})
        secret = rotated.json()["secret"]
        async with run.connect("shop", shop) as client, client.subscribe("news") as feed:
            assert await run.publish("shop", secret) == 204
            assert (await anext(feed)).data == "rest"
        assert await run.publish("zoo", secret) == 401
        for change, status in (({"disabled": True}, 401), ({"disabled": False}, 204)):
            await run.site.admin("PATCH", "/admin/apps/shop", json=change)
            assert await run.publish("shop", secret) == status
        await run.site.admin("DELETE", "/admin/apps/shop")
        assert await run.publish("shop", secret) == 401


@pytest.mark.threat("T66")
async def test_whoever_was_let_into_an_app_is_nobody_in_a_later_one_of_its_name(tmp_path: Path) -> None:
    async with world(tmp_path) as run:
        first = await run.make("shop")
        user = {"id": "ann", "password": "the password of ann"}
        assert (await run.site.admin("POST", "/admin/apps/shop/users", json=user)).status_code == 201
        login = {"username": "ann", "password": "the password of ann"}
        async with run.connect("shop", first) as program, run.connect("shop", login) as ann:
            assert (await run.site.admin("DELETE", "/admin/apps/shop")).status_code == 204
            for client in (program, ann):
                assert await end_of(client) == "app_closed"
        with pytest.raises(ConnectFailed):
            async with run.connect("shop", first):
                pass
        async with httpx.AsyncClient(trust_env=False) as http:  # nor over REST
            base = run.site.address.url.replace("ws://", "http://")
            assert (await http.post(f"{base}shop/api", json={"body": []})).status_code == 404
        second = await run.make("shop")
        for old in (first, login):
            with pytest.raises(LoginDenied):
                async with run.connect("shop", old):
                    pass
        assert (await run.site.admin("GET", "/admin/apps/shop/users")).json()["users"] == []
        async with run.connect("shop", second):
            pass


async def test_a_disabled_app_is_not_served_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with world(tmp_path) as run:
        login = await run.make("shop")
        disabled = await run.site.admin("PATCH", "/admin/apps/shop", json={"disabled": True})
        assert (disabled.json()["served"], disabled.json()["disabled"]) == (False, True)
        with pytest.raises(ConnectFailed):
            async with run.connect("shop", login):
                pass
        assert (await run.site.admin("GET", "/admin/apps/shop/keys")).status_code == 404
        assert (await run.site.admin("PATCH", "/admin/apps/shop", json={"disabled": False})).json()["served"]
        async with run.connect("shop", login):
            pass


async def test_apps_outlast_a_restart_and_reach_other_routers(tmp_path: Path) -> None:
    async with world(tmp_path, routers=2) as run:
        here, there = run.sites
        login = await run.make("shop", here)
        await until_served(there, "shop")
        async with run.connect("shop", login, there) as client:
            await here.admin("PATCH", "/admin/apps/shop", json={"disabled": True})
            await until_served(there, "shop", served=False)
            assert await end_of(client) == "app_closed"
        await there.admin("PATCH", "/admin/apps/shop", json={"disabled": False})
    async with world(tmp_path) as run, run.connect("shop", login):
        pass


async def test_a_reload_changes_the_apps_that_were_made_and_loses_none(tmp_path: Path) -> None:
    async with world(tmp_path) as run:
        login = await run.make("shop")
        async with run.connect("shop", login) as client, client.subscribe("news"):
            (tmp_path / "new.yml").write_text("this is no rules file")
            await run.make("early")  # by the rules in force, whatever is in the file meanwhile
            (tmp_path / "new.yml").write_text(RULES.replace("publish: true", "publish: false"))
            assert (await run.site.admin("POST", "/admin/reload")).json()["needs_restart"] == []
            with pytest.raises(RequestRefused, match="denied"):
                await client.publish("news", 1)
        other = await run.make("zoo")
        async with run.connect("zoo", other) as client:
            with pytest.raises(RequestRefused, match="denied"):
                await client.publish("news", 1)
        config = tmp_path / "config.yml"
        whole = config.read_text()
        config.write_text(whole[: whole.index("new_apps:")])
        assert (await run.site.admin("POST", "/admin/reload")).status_code == 200
        with pytest.raises(ConnectFailed):
            async with run.connect("shop", login):
                pass
        config.write_text(whole)
        assert (await run.site.admin("POST", "/admin/reload")).status_code == 200
        await until_served(run.site, "shop")
        async with run.connect("shop", login):
            pass


@pytest.mark.threat("T65")
async def test_what_cannot_be_made_is_refused_with_the_reason_and_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as run:
        await run.make("shop")
        wrong = [
            ({"name": "shop"}, 409, "app_exists"),
            ({"name": "other", "path": "/shop"}, 422, "invalid_app"),
            ({"name": "default"}, 409, "app_exists"),
            ({"name": "fixed"}, 409, "app_exists"),
            ({"name": "x", "path": "/fixed/place"}, 422, "invalid_app"),
            ({"name": "a.b"}, 422, "invalid_app"),
            ({"name": "x", "path": "x"}, 422, "invalid_app"),
            ({"name": "x", "path": "/x?y"}, 422, "invalid_app"),
            ({"name": "x", "path": "/"}, 422, "invalid_app"),
            ({"name": "x", "rules": "/etc/passwd"}, 400, "invalid_body"),
            ({}, 400, "invalid_body"),
        ]
        for body, status, code in wrong:
            answer = await run.site.admin("POST", "/admin/apps", json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), body
        for method, path, status, code in (
            ("DELETE", "/admin/apps/fixed", 409, "app_of_config"),
            ("DELETE", "/admin/apps/default", 409, "app_of_config"),
            ("DELETE", "/admin/apps/nowhere", 404, "app_unknown"),
            ("GET", "/admin/apps/nowhere", 404, "app_unknown"),
            ("GET", "/admin/apps/nowhere/users", 404, "app_unknown"),
        ):
            answer = await run.site.admin(method, path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
        assert len((await run.site.admin("GET", "/admin/apps")).json()["apps"]) == 3


class Broken:
    """A plugin that serves the apps of the config and no other."""

    interface_version = OpenType.interface_version
    Options = OpenType.Options

    def build(self, options: Any, services: Any) -> Any:
        if services.app not in {"default", "fixed"}:
            raise RuntimeError("a fault of the plugin")
        return OpenType().build(options, services)


async def test_an_app_whose_login_cannot_be_built_is_not_made_and_everybody_else_is_served(tmp_path: Path) -> None:
    async with world(tmp_path) as run:
        config = tmp_path / "config.yml"
        broken = "login: [{strategy: tests.integration.test_made_apps:Broken}]"
        config.write_text(
            config.read_text().replace('login: [{strategy: key, user_prefix: "u:"}, {strategy: users}]', broken)
        )
        assert (await run.site.admin("POST", "/admin/reload")).status_code == 200
        answer = await run.site.admin("POST", "/admin/apps", json={"name": "shop"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_config")
        assert "a fault of the plugin" not in answer.text
        assert [app["app"] for app in (await run.site.admin("GET", "/admin/apps")).json()["apps"]] == [
            "default",
            "fixed",
        ]
        async with run.connect("", None):
            pass


async def test_without_the_section_no_app_is_made(tmp_path: Path) -> None:
    async with world(tmp_path) as run:
        config = tmp_path / "config.yml"
        config.write_text(config.read_text()[: config.read_text().index("new_apps:")])
        await run.site.admin("POST", "/admin/reload")
        answer = await run.site.admin("POST", "/admin/apps", json={"name": "shop"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_app")
        assert "new_apps" in answer.json()["error"]["detail"]


@pytest.mark.threat("T66")
async def test_questions_about_rules_are_about_the_app_they_name(tmp_path: Path) -> None:
    async with world(tmp_path) as run:
        login = await run.make("shop")
        async with run.connect("shop", login), run.connect("", None):

            async def who(**query: str) -> dict[str, Any]:
                given = {"action": "event.publish", "name": "other", **query}
                return dict((await run.site.admin("GET", "/admin/who", params=given)).json())

            assert [each["user"] for each in (await who())["who"]] == ["open"]
            assert (await who(app="shop"))["who"] == []
            assert [each["user"] for each in (await who(app="shop", name="news"))["who"]] == ["u:k"]
            assert (await who(app="nowhere"))["error"]["code"] == "app_unknown"
            closed = {"rules": 'event: {"*": {subscribe: false, publish: false}}'}
            for app, sessions in (("default", 1), ("shop", 1), ("fixed", 0)):
                answer = await run.site.admin("POST", "/admin/rules/diff", json={**closed, "app": app})
                assert answer.json()["sessions"] == sessions
            question = {"user": "ann", "action": "event.publish", "name": "other"}
            for app, allowed in (("default", True), ("shop", False)):
                told = (await run.site.admin("POST", "/admin/explain", json={**question, "app": app})).json()
                assert told["allowed"] is allowed
            unknown = await run.site.admin("POST", "/admin/explain", json={**question, "app": "nowhere"})
            assert unknown.status_code == 404
