"""The trust-token seed, statement by statement, in a whole router over real sockets; docs/reference/seed-databridges.md lists them.

Each test is named after what the statement promises. The authorisation server is this module's ``authorise``: it knows a
hierarchy and a secret, and nothing of the router but ``trio_router.tokens.trust``.
"""

from __future__ import annotations

# ruff: noqa: SIM117 - nested blocks show who is inside of what
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from tests.integration.conftest import Site, Start
from tests.integration.conftest import start as start  # noqa: PLC0414 - a fixture
from trio_router.client import KeyAuth, LoginDenied, RequestRefused, connect
from trio_router.protocols.messages import Source
from trio_router.tokens.trust import Participant, issue_trust_token

ROOT = Path(__file__).parents[2]
SEAL = "the key under which the secrets of this test's app keys rest"
CONFIG = """
rules: rules.yml
login: [{strategy: key}]
listen: {port: 0}
rest: {}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "memory://", encryption_key: "${SEAL}"}
apps:
  other: {rules: rules.yml, login: [{strategy: key}]}
"""
RULES = """
event:
  "*": {subscribe: true, publish: true}
  "pvt:*": {subscribe: true, publish: true}
  "prs:*": {subscribe: true, publish: true}
  "sys:*": {subscribe: true, publish: true}
  "pvt:closed": {subscribe: false, publish: false}
rpc:
  "*": {provide: true, request: true}
  "pvt:*": {provide: true, request: true}
  "prs:*": {provide: true, request: true}
"""
HIERARCHY = {"ceo": "L1", "vera": "L2", "dirk": "L3", "mona": "L4", "sven": "L5", "emil": "L6"}


@attrs.frozen
class Key:
    name: str
    secret: str

    @property
    def id(self) -> str:
        return self.name.partition(".")[2]


@attrs.frozen
class App:
    """The router and the app's keys, one for each kind of program."""

    site: Site
    source: Key
    web: Key

    @property
    def url(self) -> str:
        return self.site.address.url

    def as_server(self, key: Key | None = None) -> Any:
        key = key or self.source
        return connect(self.url, KeyAuth(key.name, key.secret))

    def as_client(self, access_token: Any = None, key: Key | None = None) -> Any:
        return connect(self.url, {"key": (key or self.web).name}, access_token=access_token)

    def authorise(self, employee: str, **changes: Any) -> Any:
        """The company's authorisation server, as the client asks it."""

        def token(channel: str, session: str, action: str) -> str:
            options: dict[str, Any] = {
                "key": self.web.id,
                "secret": self.web.secret,
                "session": session,
                "action": action,
            }
            who = None if channel.startswith("pvt:") else Participant(employee, {"level": HIERARCHY[employee]})
            return issue_trust_token(**{**options, "channel": channel, "participant": who, **changes})

        return token


async def new_key(site: Site, key_id: str, app: str = "default", **more: Any) -> Key:
    answer = await site.admin("POST", f"/admin/apps/{app}/keys", json={"id": key_id, **more})
    assert answer.status_code in {200, 201}, answer.text
    made = answer.json()
    return Key(made["key"], made["secret"])


@pytest.fixture
async def app(start: Start) -> AsyncIterator[App]:
    async with start(CONFIG, RULES, users=(), SEAL=SEAL) as site:
        yield App(site, await new_key(site, "source"), await new_key(site, "web"))


async def slug(wanted: Any) -> str:
    """What entering the block is refused with."""
    with pytest.raises(RequestRefused) as caught:
        async with wanted:
            pass
    return caught.value.slug


# ---- app keys -----------------------------------------------------------------------------------------------


async def test_an_app_needs_a_valid_application_key_to_connect(app: App) -> None:
    async with app.as_client() as client:
        assert client.is_connected
    for login in ({"key": "default.nobody"}, {"key": "web"}, {}, None):
        with pytest.raises(LoginDenied):
            async with connect(app.url, login):
                pass


async def test_an_app_can_have_several_keys_each_managed_alone(app: App) -> None:
    async with app.as_client() as web, app.as_server():
        await app.site.admin("PATCH", "/admin/apps/default/keys/web", json={"disabled": True})
        with trio.fail_after(5):
            while web.is_connected:
                await trio.sleep(0.01)
        with pytest.raises(LoginDenied):
            async with app.as_client():
                pass
        async with app.as_server() as source:
            assert source.is_connected


async def test_each_connection_gets_a_session_id_of_its_own(app: App) -> None:
    async with app.as_client() as one, app.as_client() as two, app.as_server() as three:
        assert len({one.session_id, two.session_id, three.session_id}) == 3


@pytest.mark.threat("T66")
async def test_sessions_of_one_app_are_linked_and_of_no_other(app: App) -> None:
    foreign = await new_key(app.site, "web", app="other")
    url = app.url.rstrip("/") + "/other"
    async with app.as_client() as one, app.as_client() as two, connect(url, {"key": foreign.name}) as stranger:
        async with one.subscribe("news") as ours, stranger.subscribe("news") as theirs:
            await two.publish("news", "for this app")
            assert (await anext(ours)).data == "for this app"
            await stranger.publish("news", "for the other")
            assert (await anext(theirs)).data == "for the other"
    with pytest.raises(LoginDenied):
        async with connect(url, {"key": app.web.name}):
            pass


async def test_a_valid_key_is_authorised_for_public_channels_and_procedures(app: App) -> None:
    async def answer(data: Any, _call: Any) -> Any:
        return data

    async with (
        app.as_client() as one,
        app.as_client() as two,
        one.subscribe("news") as feed,
        one.provide("echo", answer),
    ):
        await two.publish("news", 1)
        assert (await anext(feed)).data == 1
        assert await two.call("echo", 2) == 2


async def test_publishing_to_public_channels_can_be_disabled_for_a_key(app: App) -> None:
    reader = await new_key(app.site, "reader", grants=["subscribe", "rpc"])
    async with app.as_client(key=reader) as client, client.subscribe("news"):
        with pytest.raises(RequestRefused) as caught:
            await client.publish("news", 1)
        assert caught.value.slug == "key_grant"


# ---- trust-tokens -------------------------------------------------------------------------------------------


@pytest.mark.threat("T26")
async def test_private_presence_and_system_names_require_a_trust_token(app: App) -> None:
    async with app.as_client() as client:
        for name in ("pvt:L1", "prs:L1", "sys:L1"):
            assert await slug(client.subscribe(name)) == "token_needed"
            assert await slug(client.connect(name)) == "token_needed"
        for name in ("pvt:p", "prs:p"):
            assert await slug(client.provide(name, lambda *_: None)) == "token_needed"
            with pytest.raises(RequestRefused) as caught:
                await client.call(name)
            assert caught.value.slug == "token_needed"


async def test_the_data_source_publishes_and_each_employee_gets_the_level_of_the_hierarchy(app: App) -> None:
    got: dict[str, Any] = {}

    async def dashboard(employee: str, *, task_status: trio.TaskStatus[None]) -> None:
        async with app.as_client(app.authorise(employee)) as client:
            async with client.subscribe(f"pvt:{HIERARCHY[employee]}") as figures:
                task_status.started()
                got[employee] = (await anext(figures)).data

    async with app.as_server() as source, trio.open_nursery() as nursery:
        for employee in HIERARCHY:
            await nursery.start(dashboard, employee)
        for level in HIERARCHY.values():
            await source.publish(f"pvt:{level}", f"figures of {level}")
    assert got == {employee: f"figures of {level}" for employee, level in HIERARCHY.items()}


@pytest.mark.threat("T50")
async def test_the_token_allows_this_session_this_channel(app: App) -> None:
    async with app.as_client(app.authorise("emil", channel="pvt:L6")) as client:
        async with client.subscribe("pvt:L6"):
            assert await slug(client.subscribe("pvt:L1")) == "token_refused"
    async with app.as_client() as other, app.as_client(app.authorise("emil", session=other.session_id)) as client:
        assert await slug(client.subscribe("pvt:L6")) == "token_refused"


@pytest.mark.threat("T50")
async def test_the_token_is_signed_with_the_secret_of_the_key_the_session_was_opened_with(app: App) -> None:
    for changes in (
        {"secret": "some other secret of enough characters, guessed"},
        {"secret": app.source.secret},
        {"key": app.source.id, "secret": app.source.secret},
    ):
        async with app.as_client(app.authorise("emil", **changes)) as client:
            assert await slug(client.subscribe("pvt:L6")) == "token_refused"
    async with app.as_client(app.authorise("emil"), key=app.source) as client:
        assert await slug(client.subscribe("pvt:L6")) == "token_refused"


@pytest.mark.threat("T52")
async def test_a_rotated_secret_signs_and_the_old_one_verifies_until_it_ends(app: App) -> None:
    answer = await app.site.admin("POST", "/admin/apps/default/keys/web/rotate", json={"grace": 3600})
    rotated = attrs.evolve(app, web=Key(app.web.name, answer.json()["secret"]))
    for signer in (app, rotated):
        async with app.as_client(signer.authorise("emil")) as client, client.subscribe("pvt:L6"):
            pass
    await app.site.admin("POST", "/admin/apps/default/keys/web/rotate", json={"grace": 0})
    for signer in (app, rotated):
        async with app.as_client(signer.authorise("emil")) as client:
            assert await slug(client.subscribe("pvt:L6")) == "token_refused"


async def test_the_session_id_changes_with_a_new_connection_and_so_does_the_token(app: App) -> None:
    asked: list[str] = []
    sign = app.authorise("emil")

    def token(channel: str, session: str, action: str) -> str:
        asked.append(session)
        return str(sign(channel, session, action))

    async with app.as_client(token) as client:
        async with client.subscribe("pvt:L6"):
            first = client.session_id
        async with app.as_client(token) as again, again.subscribe("pvt:L6"):
            assert asked == [first, again.session_id]
            assert first != again.session_id


@pytest.mark.threat("T48")
async def test_what_a_token_opened_ends_with_it(app: App) -> None:
    sign = app.authorise("emil", ttl=0.3)
    tokens: list[str] = []

    def token(channel: str, session: str, action: str) -> str:
        tokens.append(sign(channel, session, action))
        return tokens[0]  # the one that has expired is given again

    async with app.as_client(token) as client, client.subscribe("pvt:L6") as figures:
        with trio.fail_after(15), pytest.raises(RequestRefused) as caught:
            await anext(figures)
        assert caught.value.slug == "token_refused"
        assert len(tokens) == 2


async def test_participants_of_a_presence_channel_are_known_by_the_identity_in_their_tokens(app: App) -> None:
    async with app.as_client(app.authorise("ceo")) as ceo, app.as_client(app.authorise("emil")) as emil:
        async with ceo.watch_participants("prs:lobby") as changes, emil.connect("prs:lobby"):
            joined = await anext(changes)
            assert (joined.change, joined.participant.sysid, joined.participant.sysinfo) == (
                "joined",
                "emil",
                {"level": "L6"},
            )
            assert joined.participant.session == emil.session_id
            assert [who.sysid for who in await ceo.participants("prs:lobby")] == ["ceo", "emil"]
        async with ceo.subscribe("prs:lobby"):
            assert [who.sysid for who in await ceo.participants("prs:lobby")] == ["ceo"]


async def test_an_event_on_a_presence_channel_tells_its_source_and_its_number(app: App) -> None:
    async with app.as_client(app.authorise("vera")) as vera, app.as_client(app.authorise("emil")) as emil:
        async with vera.subscribe("prs:floor") as feed, vera.subscribe("news") as news, emil.connect("prs:floor"):
            await emil.publish("prs:floor", "hello", seq=41)
            await emil.publish("prs:floor", "there", seq=42, acknowledge=False)
            for seq, data in ((41, "hello"), (42, "there")):
                event = await anext(feed)
                assert (event.data, event.seq, event.source) == (data, seq, Source(emil.session_id, "emil"))
            await emil.publish("news", 1, seq=0)
            event = await anext(news)
            assert (event.seq, event.source) == (0, None)
            for wrong in (-1, 2**53):
                with pytest.raises(ValueError, match="seq"):
                    await emil.publish("news", 1, seq=wrong)


async def test_the_rules_stay_on_top_of_every_token(app: App) -> None:
    async with app.as_client(app.authorise("ceo")) as client, app.as_server() as source:
        assert await slug(client.subscribe("pvt:closed")) == "denied"
        assert await slug(source.subscribe("pvt:closed")) == "denied"


# ---- server programs ----------------------------------------------------------------------------------------


async def test_server_programs_reach_every_channel_and_choose_who_receives(app: App) -> None:
    one, two = app.authorise("ceo"), app.authorise("emil")
    async with app.as_server() as source, source.subscribe("sys:*") as everything:
        async with app.as_client(one) as ceo, app.as_client(two) as emil:
            async with ceo.subscribe("sys:a") as first, emil.subscribe("sys:a") as second:
                await source.publish("sys:a", "one", to=emil.session_id)
                await source.publish("sys:a", "others", exclude=[emil.session_id])
                await source.publish("sys:a", "all")
                assert [(await anext(first)).data for _ in range(2)] == ["others", "all"]
                assert [(await anext(second)).data for _ in range(2)] == ["one", "all"]
                await emil.publish("sys:a", "up")
                assert [(await anext(everything)).data for _ in range(3)] == ["others", "all", "up"]
                with pytest.raises(RequestRefused) as caught:
                    await emil.publish("sys:a", "x", to=ceo.session_id)
                assert caught.value.slug == "server_only"


async def test_server_programs_call_the_function_of_one_client(app: App) -> None:
    async def confirm(data: Any, _call: Any) -> str:
        return f"emil says {data}"

    async with app.as_server() as source, app.as_client() as emil, app.as_client() as other:
        async with emil.provide("confirm", confirm, direct=True):
            assert await source.call("confirm", "yes", provider=emil.session_id) == "emil says yes"
            for who, options in (
                (other, {}),
                (other, {"provider": emil.session_id}),
                (source, {"provider": other.session_id}),
            ):
                with pytest.raises(RequestRefused) as caught:
                    await who.call("confirm", "no", **options)
                assert caught.value.slug in {"no_provider", "server_only"}


async def test_procedures_of_a_kind_open_by_token_on_both_sides(app: App) -> None:
    async def answer(_data: Any, _call: Any) -> str:
        return "42"

    async with app.as_client(app.authorise("ceo")) as ceo, app.as_client(app.authorise("emil")) as emil:
        async with ceo.provide("prs:figures", answer):
            assert await emil.call("prs:figures") == "42"


# ---- tokens over REST ---------------------------------------------------------------------------------------


async def test_a_token_can_be_had_over_rest_with_the_key(app: App) -> None:
    url = app.url.replace("ws://", "http://").rstrip("/") + "/v1/keys/trust-tokens"
    async with httpx.AsyncClient(trust_env=False) as http, app.as_client() as client:
        body = {"session": client.session_id, "channel": "prs:room", "sysid": "emil", "action": "channel.subscribe"}
        answer = await http.post(url, json=body, auth=(app.web.name, app.web.secret))
        assert answer.status_code == 200
        data = answer.json()["data"]
        assert sorted(data) == ["expires_in", "id", "token", "token_type"]
        async with app.as_client(lambda *_: data["token"]) as other:
            assert await slug(other.subscribe("prs:room")) == "token_refused"
        assert (await http.post(url, json=body, auth=(app.web.name, "wrong"))).status_code == 401
        for wrong in ({"channel": "news"}, {"ttl": 0}, {"action": "publish"}, {"more": 1}, {"sysid": "a b"}):
            assert (await http.post(url, json=body | wrong, auth=(app.web.name, app.web.secret))).status_code == 400


def test_the_table_lists_every_test() -> None:
    listed = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "reference" / "seed-databridges.md").read_text())
    defined = re.findall(r"^(?:async )?def (test_\w+)", Path(__file__).read_text(), re.MULTILINE)
    assert set(defined) - {"test_the_table_lists_every_test"} == set(listed)
