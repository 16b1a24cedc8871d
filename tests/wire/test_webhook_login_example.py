"""The example login service, in a process of its own, asked by the strategy of the example's config."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from trio_router.auth import registry
from trio_router.auth.outbound import HttpOutbound
from trio_router.auth.strategy import Accepted, Denied, Strategy, Unavailable
from trio_router.config.load import load_text
from trio_router.identity import User
from trio_router.testing.process import free_port
from trio_router.testing.strategies import login_request, services

EXAMPLE = Path(__file__).parents[2] / "examples" / "webhook_login"
SECRET = secrets.token_urlsafe(16)
PASSWORD = secrets.token_urlsafe(16)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    environ = {**os.environ, "WEBHOOK_SECRET": SECRET, "DEMO_PASSWORD": PASSWORD, "PORT": "0", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, str(EXAMPLE / "service.py")],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "Running on http://127.0.0.1:" in line:
                    yield int(line.rsplit(":", 1)[1])
                    break
            else:
                pytest.fail("the service did not start")
        finally:
            process.kill()


@pytest.fixture
async def strategy(port: int) -> AsyncIterator[Strategy]:
    text = (EXAMPLE / "config.yml").read_text().replace("127.0.0.1:5000", f"127.0.0.1:{port}")
    (step,) = load_text(text, base=EXAMPLE, environ={"WEBHOOK_SECRET": SECRET}).login
    async with HttpOutbound() as outbound:
        yield registry.load(step.strategy).build(step.options, services(EXAMPLE, outbound=outbound))


async def test_who_the_service_knows_is_let_in_with_a_role(strategy: Strategy) -> None:
    answer = await strategy.start(login_request({"username": "alice", "password": PASSWORD}))
    assert answer == Accepted(User("alice", {"role": "editor", "address": "127.0.0.1"}), {"greeting": "Hello alice"})


@pytest.mark.parametrize(
    "auth", [None, {}, {"username": "alice"}, {"username": "eve", "password": PASSWORD}, {"username": ["alice"]}]
)
async def test_who_it_does_not_know_is_refused(strategy: Strategy, auth: dict[str, object] | None) -> None:
    assert await strategy.start(login_request(auth)) == Denied("refused", {"error": "wrong user name or password"})


@pytest.mark.threat("T61")
def test_only_the_router_may_ask(port: int) -> None:
    body = {
        "connectionData": {"remoteAddress": "127.0.0.1", "headers": {}},
        "authData": {"username": "alice", "password": PASSWORD},
    }
    with httpx.Client(trust_env=False) as stranger:
        url = f"http://127.0.0.1:{port}/login"
        assert stranger.post(url, json=body).status_code == 401
        headers = {"X-Trio-Router-Timestamp": "1", "X-Trio-Router-Signature": "v1=" + "0" * 64}
        assert stranger.post(url, json=body, headers=headers).status_code == 401


async def test_once_it_is_gone_logins_are_unavailable(port: int) -> None:
    text = (EXAMPLE / "config.yml").read_text().replace("127.0.0.1:5000", f"127.0.0.1:{free_port()}")
    (step,) = load_text(text, base=EXAMPLE, environ={"WEBHOOK_SECRET": SECRET}).login
    async with HttpOutbound() as outbound:
        gone = registry.load(step.strategy).build(step.options, services(EXAMPLE, outbound=outbound))
        assert await gone.start(login_request()) == Unavailable("connect")
