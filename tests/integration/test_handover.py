"""One router follows another without a moment in which nobody answers: by SIGUSR2, and on systemd's sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest
import trio

from trio_router.client import Client, ClientError, connect
from trio_router.testing.process import RouterProcess, free_port, router_process

HANDSHAKES = int(os.environ.get("HANDSHAKES", "600"))
"""Acceptance: 3,000, by ``HANDSHAKES=3000 pytest tests/integration/test_handover.py``."""

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: router\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: trio-router.v1+json\r\n\r\n"
)


def write(folder: Path, *, rules: str = 'event: {"*": {subscribe: "true", publish: "true"}}', more: str = "") -> Path:
    folder.chmod(0o700)
    (folder / "rules.yml").write_text(rules)
    (folder / "config.yml").write_text(
        "rules: rules.yml\nlogin: [{strategy: open}]\nlisten: {port: 0}\nadmin: {port: 0}\n"
        f"limits: {{drain_window: 0.5}}\ndecisions: {{log: decisions.log}}\n{more}"
    )
    return folder / "config.yml"


def said(router: RouterProcess, event: str) -> list[dict[str, str]]:
    lines = (json.loads(line) for line in router.log.splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == event]


async def until_said(router: RouterProcess, event: str, times: int = 1) -> list[dict[str, str]]:
    with trio.fail_after(60):
        while len(found := said(router, event)) < times:
            await trio.sleep(0.02)
    return found


def port_of(router: RouterProcess) -> int:
    return int(router.url.rpartition(":")[2].strip("/"))


async def end(pid: int) -> None:
    """The routers that follow are nobody's children here."""
    os.kill(pid, signal.SIGTERM)
    with trio.move_on_after(20):
        while Path(f"/proc/{pid}").exists():
            await trio.sleep(0.05)


class Handshakes:
    """People who connect one after another, and leave."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.good = 0
        self.faults: list[str] = []

    async def go_on(self) -> None:
        while True:
            try:
                with trio.fail_after(30):
                    await self._one()
            except (OSError, trio.BrokenResourceError, trio.TooSlowError, EOFError) as error:
                self.faults.append(repr(error))
            else:
                self.good += 1

    async def _one(self) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(UPGRADE)
            answer = b""
            while b"\r\n\r\n" not in answer:
                chunk = await stream.receive_some(4096)
                if not chunk:
                    raise EOFError(answer)
                answer += chunk
            if not answer.startswith(b"HTTP/1.1 101 "):
                raise EOFError(answer)


async def test_no_handshake_breaks_while_routers_follow_each_other(tmp_path: Path) -> None:
    async with router_process(write(tmp_path)) as first, trio.open_nursery() as nursery:
        people = Handshakes(port_of(first))
        for _ in range(16):
            nursery.start_soon(people.go_on)
        pid = first.process.pid
        try:
            for number in (1, 2, 3):
                while people.good < number * HANDSHAKES / 4:
                    await trio.sleep(0.01)
                os.kill(pid, signal.SIGUSR2)
                pid = int((await until_said(first, "handed_over", number))[-1]["successor"])
                await until_said(first, "listening", number + 1)
                os.kill(pid, 0)
            while people.good < HANDSHAKES:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await end(pid)
        assert people.faults == []
        assert len(said(first, "stopped")) == 4


async def test_what_was_acknowledged_has_reached_everybody_who_was_there(tmp_path: Path) -> None:
    async with router_process(write(tmp_path)) as first:
        acknowledged: set[tuple[int, int]] = set()
        received: list[set[tuple[int, int]]] = []

        async def publish(client: Client, name: int) -> None:
            number = 0
            try:
                while True:
                    await client.publish("room", [name, number])
                    acknowledged.add((name, number))
                    number += 1
            except ClientError:
                return

        async def subscribe(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            got: set[tuple[int, int]] = set()
            received.append(got)
            try:
                async with (
                    connect(first.url, reconnect=False) as client,
                    client.subscribe("room", buffer=100_000) as events,
                ):
                    task_status.started()
                    async for event in events:
                        got.add(tuple(event.data))
            except ClientError:
                return

        async def publisher(name: int) -> None:
            async with connect(first.url, reconnect=False) as client:
                await publish(client, name)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    await nursery.start(subscribe)
                for name in range(4):
                    nursery.start_soon(publisher, name)
                while len(acknowledged) < 400:
                    await trio.sleep(0.01)
                first.signal(signal.SIGUSR2)
        pid = int((await until_said(first, "handed_over"))[0]["successor"])
        await end(pid)
        assert len(acknowledged) >= 400
        assert [acknowledged - got for got in received] == [set()] * 3


async def test_clients_find_the_next_router_by_themselves_and_the_decision_log_is_one(tmp_path: Path) -> None:
    async with router_process(write(tmp_path)) as first:
        async with connect(first.url) as client, client.subscribe("room") as events:
            await client.publish("room", "before")
            assert (await anext(events)).data == "before"
            first.signal(signal.SIGUSR2)
            pid = int((await until_said(first, "handed_over"))[0]["successor"])
            try:
                with trio.fail_after(30):
                    while True:
                        try:
                            await client.publish("room", "after")
                            break
                        except ClientError:
                            await trio.sleep(0.1)
                    assert (await anext(events)).data == "after"
            finally:
                with trio.CancelScope(shield=True):
                    await end(pid)
        assert await first.wait() == 0
        kinds = [json.loads(line)["kind"] for line in (tmp_path / "decisions.log").read_text().splitlines()]
        assert kinds == ["start", "stop", "start", "stop"]


async def test_a_next_router_that_cannot_start_changes_nothing(tmp_path: Path) -> None:
    config = write(tmp_path)
    async with router_process(config) as first, connect(first.url) as client, client.subscribe("room") as events:
        (tmp_path / "rules.yml").write_text("event: nonsense")
        first.signal(signal.SIGUSR2)
        failed = await until_said(first, "handover_failed")
        assert "before it was prepared" in failed[0]["problem"]
        await client.publish("room", 1)
        assert (await anext(events)).data == 1
        async with connect(first.url):
            pass
        write(tmp_path)
        first.signal(signal.SIGUSR2)  # and the next attempt may succeed
        pid = int((await until_said(first, "handed_over"))[0]["successor"])
        await end(pid)


async def test_a_changed_address_is_opened_by_the_next_router(tmp_path: Path) -> None:
    config = write(tmp_path)
    async with router_process(config) as first:
        port = free_port()
        config.write_text(config.read_text().replace("listen: {port: 0}", f"listen: {{port: {port}}}"))
        first.signal(signal.SIGUSR2)
        pid = int((await until_said(first, "handed_over"))[0]["successor"])
        try:
            listening = await until_said(first, "listening", 2)
            assert listening[1]["url"] == f"ws://127.0.0.1:{port}/"
            assert listening[1]["admin"] == listening[0]["admin"]
            async with connect(listening[1]["url"]):
                pass
        finally:
            with trio.CancelScope(shield=True):
                await end(pid)


@pytest.mark.parametrize("usable", [True, False])
async def test_it_listens_on_what_systemd_opened_and_says_when_it_is_ready(tmp_path: Path, usable: bool) -> None:
    """The sockets of LISTEN_FDS, in the order systemd has them: 3, 4; and the datagrams of NOTIFY_SOCKET."""
    config = write(tmp_path)
    (tmp_path / "start.py").write_text(
        "import os, socket, sys\n"
        "clients, admin = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:3])\n"
        "os.dup2(clients.fileno(), 13), os.dup2(admin.fileno(), 14)\n"
        "os.dup2(13, 3), os.dup2(14, 4)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='clients:admin')\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'trio_router', 'serve', '--log-format', 'json', '--config', sys.argv[3]])\n"
    )
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    clients, admin = (socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2))
    if not usable:
        clients.close()
        clients = socket.socket()
    with told, clients, admin:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(30)
        command = ["python3", str(tmp_path / "start.py"), str(clients.fileno()), str(admin.fileno()), str(config)]
        command[0] = os.sys.executable  # type: ignore[attr-defined]
        process = await trio.lowlevel.open_process(
            command,
            pass_fds=[clients.fileno(), admin.fileno()],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=-1,
        )
        if not usable:
            assert process.stderr is not None
            text = b"".join([chunk async for chunk in process.stderr])
            assert b"socket 1 of systemd cannot be used: it does not listen" in text
            assert await process.wait() == 1
            return
        try:
            async with connect(
                f"ws://127.0.0.1:{clients.getsockname()[1]}/"
            ) as client:  # waits in the queue until it is there
                await client.publish("room", 1)
            ready = (await trio.to_thread.run_sync(told.recv, 100)).decode()
            assert ready == f"READY=1\nMAINPID={process.pid}"
            async with await trio.open_tcp_stream("127.0.0.1", admin.getsockname()[1]) as stream:
                await stream.send_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 200")
        finally:
            process.terminate()
            with trio.CancelScope(shield=True):
                await process.wait()
        assert (await trio.to_thread.run_sync(told.recv, 100)).decode() == "STOPPING=1"
