"""Two apps with the same names in one router: keys, logins, grants, and that neither sees anything of the other."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from tests.integration.conftest import Site, Start
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

CONFIG = """
rules: rules.yml
login: [{strategy: key}]
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "sqlite:///users.db", encryption_key: "${SEAL}"}
apps:
  one: {rules: rules.yml, login: [{strategy: key, user_prefix: "u:"}]}
  two: {rules: rules.yml, login: [{strategy: key, user_prefix: "u:"}], path: /second/app, limits: {subscriptions_per_session: 1}}
"""
RULES = """
event: {"*": {subscribe: true, publish: true}}
rpc: {"*": {provide: true, request: true}}
presence: {"*": {allow: true}}
"""
PATHS = {"one": "one", "two": "second/app"}


@attrs.frozen
class Apps:
    """A router with the apps ``one`` and ``two``, each with a key ``k``."""

    site: Site
    secrets: dict[str, str]

    def connect(self, app: str, **login: Any) -> Any:
        auth = login.get("login") or KeyAuth(f"{app}.k", self.secrets[app])
        return connect(f"{self.site.address.url}{PATHS[app]}", auth, reconnect=False)


async def create(site: Site, app: str, **body: Any) -> dict[str, Any]:
    answer = await site.admin("POST", f"/admin/apps/{app}/keys", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@pytest.fixture
def apps(start: Start) -> Any:
    @asynccontextmanager
    async def running() -> AsyncIterator[Apps]:
        async with start(CONFIG, RULES, users=(), SEAL="an encryption key for tests, of some length") as site:
            made = {app: await create(site, app, id="k") for app in PATHS}
            yield Apps(site, {app: key["secret"] for app, key in made.items()})

    return running


@pytest.mark.threat("T66")
async def test_sessions_of_two_apps_with_the_same_names_meet_nowhere(apps: Any) -> None:
    async with apps() as world, world.connect("one") as one, world.connect("two") as two:
        assert one.user_id == two.user_id == "u:k"

        async def answer(data: Any, _: Any) -> Any:
            return f"one: {data}"

        async with (
            one.subscribe("news") as feed_one,
            two.subscribe("news") as feed_two,
            one.provide("sum", answer),
            one.watch_presence() as changes,
        ):
            await two.publish("news", "for two")
            await one.publish("news", "for one")
            assert (await anext(feed_one)).data == "for one"
            assert (await anext(feed_two)).data == "for two"
            with pytest.raises(RequestRefused) as caught:
                await two.call("sum", 1)
            assert caught.value.slug == "no_provider"
            assert await one.call("sum", 1) == "one: 1"
            assert (await one.presence()).users == {"u:k": 1}
            async with world.connect("two"):
                assert (await two.presence()).users == {"u:k": 2}
                assert (await one.presence()).users == {"u:k": 1}
            async with world.connect("one"):
                change = await anext(changes)
            assert (change.user, change.sessions) == ("u:k", 2)  # the first change that one is told is its own app's
            with pytest.raises(RequestRefused, match="limit"):  # two's limit, which is not one's
                async with two.subscribe("more"):
                    pass
            async with one.subscribe("more"):
                pass


@pytest.mark.threat("T66")
async def test_a_key_opens_its_own_app_and_no_other(apps: Any) -> None:
    async with apps() as world:
        for app, other in (("one", "two"), ("two", "one")):
            theirs = KeyAuth(f"{other}.k", world.secrets[other])
            renamed = KeyAuth(f"{app}.k", world.secrets[other])
            for login in (theirs, renamed, {"key": f"{other}.k"}, {"key": "default.k"}):
                with pytest.raises(LoginDenied):
                    async with world.connect(app, login=login):
                        pass
        for path in ("three", "One", "one/", "second"):
            with pytest.raises(ConnectFailed):
                async with connect(f"{world.site.address.url}{path}", {"key": "one.k"}, reconnect=False):
                    pass


@pytest.mark.threat("T66")
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_done_in_one_app_the_other_is_as_if_it_were_alone(apps: Any, seed: int) -> None:
    """A random history over two apps with the same names, compared with what each app alone would deliver."""
    choose = random.Random(seed)
    async with apps() as world, AsyncExitStack() as stack:
        clients: dict[str, list[Client]] = {
            app: [await stack.enter_async_context(world.connect(app)) for _ in range(2)] for app in PATHS
        }
        feeds = {
            app: [await stack.enter_async_context(client.subscribe("c")) for client in clients[app]] for app in PATHS
        }
        expected: dict[str, list[int]] = {app: [] for app in PATHS}
        for number in range(60):
            app = choose.choice(list(PATHS))
            client = choose.choice(clients[app])
            what = choose.randrange(3)
            if what == 0:
                assert (await client.presence()).users == {"u:k": 2}
            else:
                await client.publish("c", number)
                expected[app].append(number)
        for app in PATHS:
            for client in clients[app]:
                await client.publish("c", -1)
                expected[app].append(-1)
            for feed in feeds[app]:
                with trio.fail_after(10):
                    got = [(await anext(feed)).data for _ in expected[app]]
                assert got == expected[app]


@pytest.mark.threat("T52")
async def test_a_key_is_rotated_restricted_and_disabled_under_a_live_program(apps: Any) -> None:
    async with apps() as world:
        site = world.site
        rotated = await site.admin("POST", "/admin/apps/one/keys/k/rotate", json={"grace": 60})
        new = KeyAuth("one.k", rotated.json()["secret"])
        old = KeyAuth("one.k", world.secrets["one"])
        for login in (old, new):
            async with world.connect("one", login=login):
                pass
        async with world.connect("one", login=new) as client, world.connect("two") as other:
            async with client.subscribe("news") as feed:
                await client.publish("news", 1)
                assert (await anext(feed)).data == 1
                answer = await site.admin("PATCH", "/admin/apps/one/keys/k", json={"grants": ["rpc"]})
                assert answer.json()["grants"] == ["rpc"]
                with pytest.raises(RequestRefused) as lost:  # what stood ends, with a reason
                    await anext(feed)
                assert lost.value.slug == "key_grant"
            with pytest.raises(RequestRefused) as caught:
                await client.publish("news", 2)
            assert caught.value.slug == "key_grant"
            assert (await site.admin("PATCH", "/admin/apps/one/keys/k", json={"disabled": True})).status_code == 200
            with pytest.raises((ConnectionEnded, ConnectionLost)), trio.fail_after(5):
                while True:
                    await client.presence()
            await other.publish("news", 3)  # the key k of the other app is another one
        for login in (old, new, {"key": "one.k"}):
            with pytest.raises(LoginDenied):
                async with world.connect("one", login=login):
                    pass


@pytest.mark.threat("T62")
async def test_keys_over_rest_show_a_secret_once_and_refuse_what_is_wrong(apps: Any) -> None:
    async with apps() as world:
        site = world.site
        served = {"keys": True, "users": False, "made": False, "served": True, "disabled": False}
        assert (await site.admin("GET", "/admin/apps")).json()["apps"] == [
            {"app": app, "path": path, **served}
            for app, path in (("default", "/"), ("one", "/one"), ("two", "/second/app"))
        ]
        listed = await site.admin("GET", "/admin/apps/one/keys")
        assert [key["key"] for key in listed.json()["keys"]] == ["one.k"]
        assert world.secrets["one"] not in listed.text
        assert world.secrets["one"] not in (await site.admin("GET", "/admin/apps/one/keys/k")).text
        wrong = [
            ("POST", "/admin/apps/one/keys", {"id": "k"}, 409, "key_exists"),
            ("POST", "/admin/apps/one/keys", {"id": "a.b"}, 422, "invalid_key"),
            ("POST", "/admin/apps/one/keys", {"secret": "mine"}, 400, "invalid_body"),
            ("POST", "/admin/apps/nowhere/keys", {}, 404, "app_unknown"),
            ("PATCH", "/admin/apps/one/keys/x", {"disabled": True}, 404, "key_unknown"),
            ("POST", "/admin/apps/one/keys/k/rotate", {"grace": -1}, 422, "invalid_key"),
        ]
        for method, path, body, status, code in wrong:
            answer = await site.admin(method, path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert (await site.admin("DELETE", "/admin/apps/one/keys/k")).status_code == 204
        assert (await site.admin("GET", "/admin/apps/two/keys/k")).status_code == 200


async def test_a_reload_changes_the_rules_of_one_app_and_keeps_the_other(apps: Any) -> None:
    async with apps() as world, world.connect("one") as one, world.connect("two") as two:
        folder = world.site.folder
        (folder / "closed.yml").write_text(RULES.replace("publish: true", "publish: false"))
        config = folder / "config.yml"
        config.write_text(config.read_text().replace("one: {rules: rules.yml", "one: {rules: closed.yml"))
        answer = await world.site.admin("POST", "/admin/reload")
        assert answer.json()["changed"] == ["apps.one.rules"]
        with pytest.raises(RequestRefused):
            await one.publish("news", 1)
        await two.publish("news", 1)
