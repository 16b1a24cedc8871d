"""The command ``trio-router serve`` as a process: its signals, its output, and what must never be in it."""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import httpx
import pytest
import trio

from tests.integration.conftest import RULES, USERS_CONFIG, add_users, write_files
from trio_router.client import LoginDenied, LoginUnavailable, RequestRefused, connect
from trio_router.testing.process import router_process


async def test_sighup_reloads_and_a_refused_reload_is_said(tmp_path: Path) -> None:
    config = write_files(tmp_path)
    await add_users(tmp_path, "egon")
    login = {"username": "egon", "password": "password of egon"}
    environ = {"ADMIN": secrets.token_urlsafe(32)}
    async with router_process(config, environ=environ) as router, connect(router.url, login) as egon:
        (tmp_path / "rules.yml").write_text("event: [")
        router.signal(signal.SIGHUP)
        with trio.fail_after(20):
            while "reload_refused" not in router.log:
                await trio.sleep(0.02)
        assert "rules.yml:2:" in router.log
        await egon.publish("room/a", "as before")
        (tmp_path / "rules.yml").write_text(RULES.replace("room/", "hall/"))
        router.signal(signal.SIGHUP)
        with trio.fail_after(20):
            while '"reloaded"' not in router.log:
                await trio.sleep(0.02)
        with pytest.raises(RequestRefused):
            await egon.publish("room/a", "now refused")
        await egon.publish("hall/a", "now allowed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_the_process_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    config = write_files(tmp_path, USERS_CONFIG + "limits: {drain_window: 0.1, drain_timeout: 5}\n")
    await add_users(tmp_path, "egon")
    login = {"username": "egon", "password": "password of egon"}
    async with router_process(config, environ={"ADMIN": secrets.token_urlsafe(32)}) as router:
        async with connect(router.url, login, reconnect=False):
            router.signal(number)
            with trio.fail_after(20):
                assert await router.wait() == 0
        assert '"stopped"' in router.log


@pytest.mark.threat("T62")
async def test_no_secret_is_in_anything_the_router_shows(tmp_path: Path) -> None:
    canaries = {
        name: f"canary-{name}-{secrets.token_urlsafe(24)}" for name in ("admin", "jwt", "hook", "given", "token")
    }
    text = USERS_CONFIG.replace(
        "  - strategy: users",
        """  - strategy: webhook
    url: "http://127.0.0.1:1/?key=${HOOKKEY}"
    secret: "${HOOK}"
    when: [service]
  - strategy: jwt
    issuer: https://auth.example.com
    audience: test
    algorithms: [HS256]
    secret: "${JWT}"
  - strategy: users""",
    )
    config = write_files(tmp_path, text + "log: {level: debug}\n")
    await add_users(tmp_path, "egon")
    environ = {
        "ADMIN": canaries["admin"],
        "JWT": canaries["jwt"],
        "HOOK": canaries["hook"],
        "HOOKKEY": canaries["hook"],
    }
    shown = []
    async with router_process(config, environ=environ) as router:
        async with connect(router.url, {"username": "egon", "password": "password of egon"}) as egon:
            await egon.publish("room/a", canaries["given"])
        given = canaries["given"]
        token = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.{canaries['token']}"
        for login in (
            {"username": "egon", "password": given},
            {"username": given, "password": given},
            {"token": token},
            {"token": given},
            {"service": given},
            {"unknown": given},
        ):
            with pytest.raises((LoginDenied, LoginUnavailable)) as refused:
                async with connect(f"{router.url}?token={given}", login, headers=[("Cookie", f"a={given}")]):
                    pass
            shown.append(repr(refused.value))
        assert router.admin is not None
        async with httpx.AsyncClient(trust_env=False) as client:
            for headers in ({}, {"authorization": f"Bearer {given}"}, {"authorization": f"Bearer {canaries['admin']}"}):
                for path in ("/health", "/metrics", "/admin/users", "/admin/users/egon", "/nothing"):
                    shown.append((await client.get(router.admin + path, headers=headers)).text)
            shown.append((await client.get(router.http_url + f"/?token={given}")).text)
            authorized = {"authorization": f"Bearer {canaries['admin']}"}
            (tmp_path / "rules.yml").write_text("event: {x: 1}")
            shown.append((await client.post(f"{router.admin}/admin/reload", headers=authorized)).text)
        router.process.terminate()
        with trio.fail_after(30):
            await router.wait()
        shown.append(router.log)
    assert "login" in router.log and "trio_router_logins" in "".join(shown)
    found = [line for text in shown for line in text.splitlines() if any(c in line for c in canaries.values())]
    assert found == []
