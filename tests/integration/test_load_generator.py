"""The load generator counts what it says: with a router, with the floor, and with servers that lose, reorder or refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_websocket

from benchmarks.generator import build_floor, build_load
from trio_router.testing.process import free_port, router_process

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

CONFIG = """
rules: rules.yml
login: [{strategy: open}]
listen: {port: 0}
storage: {url: "memory://"}
deepstream: {}
"""
RULES = """
event:
  "bench/*": {subscribe: true}
  "bench/$channel": {subscribe: true, publish: true}
rpc:
  "bench/$name": {provide: true, request: true}
presence:
  "*": {allow: true}
"""


async def load(port: int, *, status: int = 0, **options: Any) -> dict[str, Any]:
    """What the generator printed; with a status other than 0, what it said in ``error``."""
    program, _ = await trio.to_thread.run_sync(build_load)
    command = [str(program), "--port", str(port)]
    for name, value in {"warmup": 0.1, "seconds": 0.3, **options}.items():
        command += [f"--{name}", str(value)]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == status, done.stderr.decode()
    return json.loads(done.stdout) if status == 0 else {"error": done.stderr.decode()}


@pytest.fixture
async def router(tmp_path: Path) -> AsyncIterator[int]:
    (tmp_path / "config.yml").write_text(CONFIG)
    (tmp_path / "rules.yml").write_text(RULES)
    async with router_process(tmp_path / "config.yml") as process:
        yield int(process.url.rpartition(":")[2].strip("/"))


@pytest.fixture
async def floor() -> AsyncIterator[int]:
    program = await trio.to_thread.run_sync(build_floor)
    port = free_port()
    async with trio.open_nursery() as nursery:
        run = partial(trio.run_process, [str(program), "coalesced", str(port)], stdout=subprocess.PIPE, check=False)
        process: trio.Process = await nursery.start(run)
        assert process.stdout is not None
        assert await process.stdout.receive_some() == b"listening\n"
        yield port
        process.kill()


DEEPSTREAM = {"dialect": "deepstream", "path": "/deepstream"}


@pytest.mark.parametrize("dialect", [{}, DEEPSTREAM], ids=["native", "deepstream"])
async def test_every_subscriber_of_a_router_gets_every_event_in_order(router: int, dialect: dict[str, str]) -> None:
    one = await load(router, subscribers=7, count=200, **dialect)
    assert one["operations"] == 200
    assert one["deliveries"] == 1400
    assert one["disordered"] == one["refused"] == one["in_flight"] == 0
    assert one["latency_us"]["p50"] <= one["latency_us"]["p99"] <= one["latency_us"]["max"]

    many = await load(router, subscribers=10, channels=50, per_channel=3, count=300, **dialect)
    assert many["deliveries"] == 900

    calls = await load(router, scenario="calls", callers=5, window=3, providers=2, count=200, **dialect)
    assert calls["operations"] == calls["deliveries"] == 200


async def test_patterns_logins_idle_connections_and_an_even_rate(router: int) -> None:
    pattern = await load(router, subscribers=4, channels=20, pattern=1, count=100)
    assert pattern["deliveries"] == 400
    logins = await load(router, scenario="logins", connections=30, hold=1)
    assert logins["operations"] == 30  # those that come back; the first ones are not measured
    assert logins["connections"] == 60
    idle = await load(router, scenario="idle", connections=20)
    assert idle["operations"] == 0
    even = await load(router, subscribers=2, rate=100, seconds=1)
    assert 50 <= even["operations"] <= 110


async def test_the_floor_does_the_same_work(floor: int) -> None:
    events = await load(floor, dialect="plain", subscribers=5, count=500)
    assert events["deliveries"] == 2500
    assert events["disordered"] == 0
    calls = await load(floor, dialect="plain", scenario="calls", callers=4, window=8, providers=3, count=400)
    assert calls["operations"] == 400


@asynccontextmanager
async def faulty(fault: str) -> AsyncIterator[int]:
    """The "plain" dialect for one subscriber; of its events the tenth is lost, or comes after the eleventh."""
    members: list[trio_websocket.WebSocketConnection] = []

    async def session(request: trio_websocket.WebSocketRequest) -> None:
        connection = await request.accept()
        number, late = 0, ""
        try:
            while True:
                message = json.loads(await connection.get_message())
                if message["type"] == "subscribe":
                    members.append(connection)
                    await connection.send_message(f'{{"type":"done","id":"{message["id"]}"}}')
                    continue
                number += 1
                text = json.dumps({"type": "event", "data": message["data"]}, separators=(",", ":"))
                if number == 10:
                    late = "" if fault == "loses" else text
                    continue
                await members[0].send_message(text)
                if late:
                    await members[0].send_message(late)
                    late = ""
        except trio_websocket.ConnectionClosed:
            pass

    async with trio.open_nursery() as nursery:
        serve = partial(trio_websocket.serve_websocket, session, "127.0.0.1", 0, ssl_context=None)
        server = await nursery.start(serve)
        yield server.port
        nursery.cancel_scope.cancel()


async def test_a_server_that_loses_an_event_is_found_out() -> None:
    async with faulty("loses") as port:
        result = await load(port, dialect="plain", window=4, count=50)
    assert result["stalled"] is False or result["in_flight"] > 0
    assert result["disordered"] == 1 or result["stalled"]
    assert result["operations"] < 50


async def test_a_server_that_reorders_events_is_found_out() -> None:
    async with faulty("reorders") as port:
        result = await load(port, dialect="plain", window=4, count=50)
    assert result["operations"] == 50
    assert result["disordered"] >= 1


async def test_what_cannot_be_measured_is_said_and_nothing_is_printed(router: int) -> None:
    refused = await load(router, status=2, channel="elsewhere/")
    assert "refused:" in refused["error"]
    assert "denied" in refused["error"]
    nobody = await load(free_port(), status=2)
    assert "Connection refused" in nobody["error"]
    assert "no option --subscribes" in (await load(router, status=2, subscribes=3))["error"]
    assert "no number" in (await load(router, status=2, subscribers="many"))["error"]
    assert "404" in (await load(router, status=2, path="/nowhere"))["error"]


def test_arguments_reach_the_generator_through_its_module() -> None:
    command = [sys.executable, "-m", "benchmarks.generator", "--port", str(free_port())]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Connection refused" in done.stderr


async def test_chat_mixes_events_calls_and_presence(router: int) -> None:
    chat = await load(router, scenario="chat", subscribers=12, channels=3, count=300)
    assert chat["operations"] == 300
    assert chat["refused"] == 0
    assert chat["events"] + chat["calls"] + chat["questions"] == 300
    assert chat["deliveries"] == 4 * chat["events"]
    assert 15 <= chat["calls"] <= 80
    assert 3 <= chat["questions"] <= 40
