"""Bounds on how often, through every entrance of a whole router."""

from __future__ import annotations

import httpx
import pytest
import trio

from tests.integration.conftest import USERS_CONFIG, Site, Start
from trio_router.client import ConnectFailed, LoginUnavailable, RequestRefused, connect

RATES = USERS_CONFIG + "http_api: {}\nlimits: {rates: {RATES}}\n"


def config(**rates: float) -> str:
    text = ", ".join(f"{name}: {value}" for name, value in rates.items())
    return RATES.replace("RATES", text)


async def figures(site: Site) -> str:
    return (await site.admin("GET", "/metrics")).text


async def test_publishes_are_refused_with_the_time_to_come_again_and_the_session_goes_on(start: Start) -> None:
    async with start(config(publishes_per_session=0.01, burst=0)) as site:
        url = site.address.url
        async with connect(url, site.login("egon")) as egon, egon.subscribe("room/a") as events:
            await egon.publish("room/a", 1)
            with pytest.raises(RequestRefused) as refused:
                await egon.publish("room/a", 2)
            assert refused.value.slug == "rate_limited"
            assert refused.value.temporary
            assert 90 < refused.value.retry_after <= 100
            assert refused.value.detail.startswith("too many publishes from this session; try again in ")
            async with egon.subscribe("room/b"):  # what is not bounded goes on
                assert (await egon.presence()).users == {"egon": 1}
            async with connect(url, site.login("rosa")) as rosa:  # and so do others
                await rosa.publish("room/a", 3)
            assert [(await anext(events)).data, (await anext(events)).data] == [1, 3]
        assert 'trio_router_rate_limited_total{scope="session",what="publishes"} 1.0' in await figures(site)


@pytest.mark.parametrize("what", ["calls", "subscriptions"])
async def test_calls_and_subscriptions_have_bounds_of_their_own(start: Start, what: str) -> None:
    async with start(config(**{f"{what}_per_user": 0.01, "burst": 0})) as site:
        async with connect(site.address.url, site.login("egon")) as egon, egon.subscribe("room/a"):
            await egon.publish("room/a", 1)
            await egon.publish("room/a", 2)
            if what == "calls":
                await egon.presence()
            with pytest.raises(RequestRefused) as refused:
                if what == "calls":
                    await egon.call("nobody", 1)
                else:
                    async with egon.subscribe("room/b"):
                        pass
            assert refused.value.slug == "rate_limited"
        assert f'trio_router_rate_limited_total{{scope="user",what="{what}"}} 1.0' in await figures(site)


async def test_logins_from_one_address_are_not_judged_when_they_come_too_often(start: Start) -> None:
    async with start(config(logins_per_address=0.01, burst=0)) as site:
        url = site.address.url
        async with connect(url, site.login("egon")) as egon:
            with pytest.raises(LoginUnavailable) as refused:
                async with connect(url, site.login("rosa")):
                    pass
            assert refused.value.slug == "rate_limited"
            assert 90 < refused.value.retry_after <= 100
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(
                    url.replace("ws", "http", 1) + "api/auth", json={"authData": site.login("rosa")}
                )
            assert answer.status_code == 429
            assert 90 < int(answer.headers["retry-after"]) <= 100
            assert (await egon.presence()).users == {"egon": 1}


async def test_a_reload_changes_the_bounds_of_sessions_there_are(start: Start) -> None:
    begin = start(config(publishes_per_user=0.01, burst=0))
    async with begin as site, connect(site.address.url, site.login("egon")) as egon:
        await egon.publish("room/a", 1)
        with pytest.raises(RequestRefused):
            await egon.publish("room/a", 2)
        (site.folder / "config.yml").write_text(config())
        await site.router.reload()
        for number in range(100):
            await egon.publish("room/a", number)


@pytest.mark.threat("T14")
async def test_a_router_that_is_late_refuses_newcomers_then_those_who_wait_and_nobody_else(start: Start) -> None:
    async with start() as site:
        url = site.address.url
        overload = site.router._overload
        async with connect(url, site.login("egon")) as egon:
            waiting = [
                await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2].strip("/"))) for _ in range(4)
            ]
            for stream in waiting:
                await stream.send_all(
                    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Protocol: trio-router.v1+json\r\n\r\n"
                )
            sessions = site.router._served.first.sessions
            with trio.fail_after(10):
                while sessions.waiting < 4:
                    await trio.sleep(0.01)
            for _ in range(3):
                overload.seen(3.0)
            with pytest.raises(ConnectFailed) as refused:
                async with connect(url, site.login("rosa"), wait=False):
                    pass
            assert refused.value.status == 503
            assert 1 <= refused.value.retry_after <= 10
            assert sessions.waiting == 4
            for _ in range(3):
                overload.seen(5.0)
            with trio.fail_after(10):
                while sessions.waiting > 2:
                    await trio.sleep(0.01)
            said = b""
            with trio.fail_after(10):
                while chunk := await waiting[3].receive_some(4096):
                    said += chunk
            assert b"the router is full; try again in" in said
            assert (await egon.presence()).users == {"egon": 1}
            for _ in range(3):
                overload.seen(0.0)
            async with connect(url, site.login("rosa")):
                pass
            for stream in waiting:
                await stream.aclose()
        assert 'trio_router_refused_connections_total{reason="overload"}' in await figures(site)
