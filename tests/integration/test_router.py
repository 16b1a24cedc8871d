"""The whole router, from the config file to the client library, over real sockets."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from tests.integration.conftest import RULES, USERS_CONFIG, Start
from trio_router.client import ConnectFailed, ConnectionEnded, LoginDenied, LoginUnavailable, RequestRefused, connect
from trio_router.errors import ProblemsError

FAST_DRAIN = USERS_CONFIG + "limits: {drain_window: 0.2, drain_timeout: 5}\n"


async def test_events_calls_and_presence_pass_the_rules_from_one_user_to_another(start: Start) -> None:
    async with start() as site:
        url = site.address.url
        async with connect(url, site.login("egon")) as egon, connect(url, site.login("boss")) as boss:
            async with egon.subscribe("desk/egon") as desk:
                await boss.publish("desk/egon", {"task": "sweep"}, disclose=True)
                event = await anext(desk)
            assert (event.channel, event.data, event.publisher.user) == ("desk/egon", {"task": "sweep"}, "boss")
            with pytest.raises(RequestRefused) as refused:
                async with boss.subscribe("desk/egon"):
                    pass
            assert refused.value.slug == "denied"

            async def double(data: int, _: object) -> int:
                return data * 2

            async with boss.provide("double", double):
                assert await egon.call("double", 21) == 42
            with pytest.raises(RequestRefused) as refused:
                await egon.call("double", 21)
            assert refused.value.slug == "no_provider"
            assert (await egon.presence()).users == {"egon": 1, "boss": 1}


async def test_one_port_speaks_https_and_wss_with_the_configured_certificate(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=number > 0)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    config = USERS_CONFIG.replace("{port: 0}", "{port: 0, tls: {certificate: cert.pem, key: key.pem}}", 1)
    async with start(config) as site:
        assert site.address.url.startswith("wss://")
        connecting = connect(site.address.url, site.login("egon"), tls=context)
        async with connecting as egon, egon.subscribe("room/a") as events:
            await egon.publish("room/a", 1)
            assert (await anext(events)).data == 1
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            answer = await client.get(site.address.url.replace("wss", "https") + "health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        with pytest.raises(ConnectFailed):
            async with connect(site.address.url, site.login("egon")):  # the system does not know this authority
                pass


async def test_denied_and_unavailable_are_different_answers_to_the_client(start: Start) -> None:
    config = USERS_CONFIG.replace(
        "  - strategy: users",
        "  - strategy: webhook\n    url: http://127.0.0.1:1/\n    when: [service]\n  - strategy: users",
    )
    async with start(config) as site:
        with pytest.raises(LoginDenied):
            async with connect(site.address.url, {**site.login("egon"), "password": "wrong"}):
                pass
        with pytest.raises(LoginDenied):
            async with connect(site.address.url, {"nobody": "knows this"}):
                pass
        with pytest.raises(LoginUnavailable):
            async with connect(site.address.url, {"service": "down"}):
                pass
        async with connect(site.address.url, site.login("egon")) as egon:
            assert egon.user_id == "egon"


@pytest.mark.threat("T31", "T69")
async def test_broken_rules_never_replace_working_ones(start: Start) -> None:
    async with start() as site, connect(site.address.url, site.login("egon")) as egon:
        for broken in ("", "event:\n", "nonsense", "event: {'room/$room': {subscribe: 'user.'}}", RULES + "x: 1\n"):
            (site.folder / "rules.yml").write_text(broken)
            answer = await site.admin("POST", "/admin/reload")
            assert answer.status_code == 422, answer.text
            with pytest.raises(ProblemsError):
                await site.router.reload()
            async with egon.subscribe("room/a") as events:
                await egon.publish("room/a", broken)
                assert (await anext(events)).data == broken
        (site.folder / "rules.yml").unlink()
        with pytest.raises(ProblemsError):
            await site.router.reload()
        await egon.publish("room/a", "still here")


@pytest.mark.threat("T33", "T69")
async def test_a_reload_ends_rights_that_the_new_rules_do_not_give(start: Start) -> None:
    async with (
        start() as site,
        connect(site.address.url, site.login("egon")) as egon,
        connect(site.address.url, site.login("rosa")) as rosa,
        egon.subscribe("room/a") as at_egon,
        rosa.subscribe("room/a") as at_rosa,
    ):
        only_rosa = RULES.replace('subscribe: "user.isAuthenticated"', "subscribe: \"user.id === 'rosa'\"", 1)
        (site.folder / "rules.yml").write_text(only_rosa)
        answer = await site.admin("POST", "/admin/reload")
        assert answer.status_code == 200, answer.text
        await egon.publish("room/a", "after")
        assert (await anext(at_rosa)).data == "after"
        with pytest.raises(RequestRefused) as revoked:
            await anext(at_egon)
        assert revoked.value.slug == "denied"


async def test_a_reload_forgets_no_failed_attempts(start: Start) -> None:
    async with start() as site:
        wrong = {**site.login("egon"), "password": "wrong"}
        for _ in range(6):
            with pytest.raises(LoginDenied):
                async with connect(site.address.url, wrong):
                    pass
        assert (await site.admin("POST", "/admin/reload")).status_code == 200
        with pytest.raises(LoginDenied) as denied:
            async with connect(site.address.url, site.login("egon")):
                pass
        assert denied.value.data["error"] == "too many failed logins"


async def test_users_made_over_rest_log_in_and_disabled_ones_do_not(start: Start) -> None:
    async with start(users=()) as site:
        made = await site.admin("POST", "/admin/users", json={"id": "nora", "password": "password of nora"})
        assert made.status_code == 201, made.text
        assert "password" not in made.text.replace("has_password", "")
        async with connect(site.address.url, site.login("nora")) as nora, nora.subscribe("room/a") as events:
            changed = await site.admin("PATCH", "/admin/users/nora", json={"disabled": True})
            assert changed.status_code == 200
            with trio.fail_after(5), pytest.raises(ConnectionEnded, match="login_denied"):
                await anext(events)
        with pytest.raises(LoginDenied):
            async with connect(site.address.url, site.login("nora")):
                pass


async def test_a_stop_tells_clients_to_come_back_and_ends_in_time(start: Start) -> None:
    async with start(FAST_DRAIN) as site:
        connecting = connect(site.address.url, site.login("egon"), reconnect=False)
        async with connecting as egon, egon.subscribe("room/a") as events:
            site.router.stop()
            with trio.fail_after(5), pytest.raises(ConnectionEnded) as ended:
                await anext(events)
        assert ended.value.slug == "restart"


@pytest.mark.threat("T01")
async def test_a_page_of_another_origin_gets_no_socket(start: Start) -> None:
    config = USERS_CONFIG.replace("{port: 0}", "{port: 0, origins: ['https://chat.example.com']}", 1)
    async with start(config) as site:
        headers = [("Origin", "https://chat.example.com.evil.example")]
        with pytest.raises(ConnectFailed):
            async with connect(site.address.url, site.login("egon"), headers=headers):
                pass
        headers = [("Origin", "https://chat.example.com")]
        async with connect(site.address.url, site.login("egon"), headers=headers) as egon:
            assert egon.user_id == "egon"
