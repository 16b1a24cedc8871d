"""The commands that talk to a router, against a real one on loopback."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
import trio
from click.testing import CliRunner, Result

from trio_router import app, log
from trio_router.cli import calls
from trio_router.cli.main import cli
from trio_router.cli.output import safe_json
from trio_router.client.connect import connect
from trio_router.client.errors import CallError
from trio_router.client.offers import Invocation
from trio_router.config.load import load

Env = dict[str, str]


@pytest.fixture
async def env(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Env]:
    before = structlog.get_config()
    log.configure("error", "json", io.StringIO())  # the commands' own output is what is looked at
    folder = tmp_path / "router"
    made = await command({}, "init", str(folder), "--port", "0", "--admin-port", "0", "--json")
    password = json.loads(made.output)["password"]
    router = app.Router.load(lambda: load(folder / "config.yml"))
    address = await nursery.start(router.run)
    yield {"TRIO_ROUTER_URL": address.url, "TRIO_ROUTER_USERNAME": "admin", "TRIO_ROUTER_PASSWORD": password}
    router.stop()
    structlog.configure(**before)


async def command(env: Env, *arguments: str) -> Result:
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(cli, list(arguments), env=env))


def login(env: Env) -> dict[str, str]:
    return {"username": env["TRIO_ROUTER_USERNAME"], "password": env["TRIO_ROUTER_PASSWORD"]}


async def test_an_event_goes_from_one_shell_to_another(env: Env) -> None:
    results: dict[str, Result] = {}

    async def listen() -> None:
        results["subscribe"] = await command(env, "subscribe", "news/*", "--count", "3", "--timeout", "20", "--json")

    async with connect(env["TRIO_ROUTER_URL"], login(env)) as client, trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        while "subscribe" not in results:  # until the other shell has subscribed and seen enough
            await client.publish("news/tick", {"n": 1})
            await trio.sleep(0.02)
    assert results["subscribe"].exit_code == 0, results["subscribe"].output
    rows = [json.loads(row) for row in results["subscribe"].stdout.splitlines()]
    assert rows == [{"channel": "news/tick", "data": {"n": 1}}] * 3
    result = await command(env, "publish", "news/a", "--text", "hello", "--json")
    assert json.loads(result.stdout) == {"channel": "news/a", "published": True}


async def test_a_shell_provides_channels_while_they_are_wanted(env: Env, capfd: pytest.CaptureFixture[str]) -> None:
    environ = {**os.environ, **env}
    arguments = [sys.executable, "-m", "trio_router", "listen", "^news/", '{"n": 1}', "--every", "0.02", "--json"]
    async with connect(env["TRIO_ROUTER_URL"], login(env)) as client, trio.open_nursery() as nursery:
        # Tests that run in the background of a shell ignore SIGINT, and so would the command.
        obey = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        start = functools.partial(trio.run_process, arguments, env=environ, check=False, preexec_fn=obey)
        process: trio.Process = await nursery.start(start)
        with trio.fail_after(20):
            async with client.subscribe("news/tick") as events:
                for _ in range(3):
                    assert (await anext(events)).data == {"n": 1}
            await trio.sleep(0.5)
            process.send_signal(signal.SIGINT)
            await process.wait()
    out, err = capfd.readouterr()
    assert [json.loads(row) for row in out.splitlines()] == [
        {"channel": "news/tick", "provided": True},
        {"channel": "news/tick", "provided": False},
    ]
    assert "listening with ^news/" in err


async def test_a_call_is_answered_by_a_program(env: Env) -> None:
    async with connect(env["TRIO_ROUTER_URL"], login(env)) as client:

        async def double(data: object, _call: object) -> object:
            return {"got": data}

        async with client.provide("demo/double", double):
            result = await command(env, "call", "demo/double", '{"n": 2}')
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"got": {"n": 2}})


@pytest.mark.parametrize(
    ("arguments", "exit_code", "slug"),
    [
        (("publish", "private/x", "1"), 1, "denied"),
        (("publish", "not a name", "1"), 1, "invalid_name"),
        (("call", "demo/nobody", "1"), 1, "no_provider"),
        (("subscribe", "private/x", "--count", "1"), 1, "denied"),
        (("provide", "private/x", "--echo"), 1, "denied"),
        (("listen", "private/x"), 1, "denied"),
        (("listen", "news/("), 1, "invalid_pattern"),
    ],
)
async def test_a_refusal_is_one_line_with_its_code(
    env: Env, arguments: tuple[str, ...], exit_code: int, slug: str
) -> None:
    result = await command(env, *arguments)
    assert result.exit_code == exit_code
    assert slug in result.stderr
    assert "Traceback" not in result.output
    result = await command(env, *arguments, "--json")
    assert json.loads(result.stderr)["error"]["code"] == slug


@pytest.mark.threat("T62")
async def test_a_wrong_password_is_denied_and_not_repeated(env: Env) -> None:
    result = await command({**env, "TRIO_ROUTER_PASSWORD": "canary-wrong"}, "publish", "news/a", "1")
    assert result.exit_code == 1
    assert "login_denied" in result.stderr
    assert "canary" not in result.output


async def test_a_subscription_that_sees_nothing_in_time_fails_if_it_was_to_count(env: Env) -> None:
    result = await command(env, "subscribe", "news/*", "--count", "1", "--timeout", "0.05")
    assert result.exit_code == 1
    assert "did not come in time" in result.stderr
    assert (await command(env, "subscribe", "news/*", "--timeout", "0.05")).exit_code == 0


@pytest.mark.threat("T63")
def test_what_others_send_cannot_move_the_cursor() -> None:
    value = {"a": "\u009b31m\u202e\x1b[2J\n", "b": "Grüße"}
    shown = safe_json(value)
    assert shown.isprintable()
    assert "Grüße" in shown
    assert json.loads(shown) == value


CALL = Invocation("demo/shell", None, 5.0, has_data=True, wants_progress=False)


@pytest.mark.threat("T62")
async def test_a_program_gets_the_data_as_input_and_not_our_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIO_ROUTER_PASSWORD", "canary")
    data = {"text": "x; exit 7 $HOME `id`"}
    assert await calls._execute("cat", data, CALL) == data
    assert await calls._execute("env", data, CALL) != ""
    assert "canary" not in await calls._execute("env", data, CALL)
    assert await calls._execute('echo "$TRIO_ROUTER_PROCEDURE: done"', data, CALL) == "demo/shell: done"
    assert await calls._execute("true", data, CALL) == ""


async def test_a_program_that_fails_is_an_error_of_the_call() -> None:
    with pytest.raises(CallError) as caught:
        await calls._execute("echo canary; exit 3", None, CALL)
    assert caught.value.value == {"exit_code": 3}
