"""What idle sessions cost, and what is left of them: ``python -m benchmarks.idle_sessions --sessions 8000``.

The router is a process of its own that writes down its memory (resident set), tasks and descriptors every second. The base, in the same run,
is taken after a hundred sessions have come and gone, so that what is loaded on first use is part of it. Then all come, one after another, log in, subscribe
one channel and say nothing more; stand for ``--stand`` seconds; and leave at once. All that happens twice.

What has ended is freed at once (``tests/wire/test_nothing_left.py``), and what is only remembered is forgotten when a crowd has left (``trio_router.ebb``). How much then leaves the
process is up to the allocator: Python's own gives back a piece of a MiB only when nothing at all is left in it; that of the C library, which Python
takes with ``PYTHONMALLOC=malloc`` in the environment, gives back every page. The floor, in the same run: a bare Trio server that keeps one task
and one name for each connection, and forgets them.

Exit status 1 if a session costs more than ``--gate`` KiB, tasks or descriptors do not come back to the base, the second crowd leaves 20 % more memory
than the first, or after either the memory is more than ``--kept`` times the base: 1.1 with ``PYTHONMALLOC=malloc``, else 2.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import trio

from trio_router.testing.process import router_process

CONFIG = """
rules: rules.yml
login: [{strategy: open}]
listen: {port: 0, backlog: 4096}
limits: {connections: 100000, connections_per_ip: 100000, ping_interval: 600}
"""
GONE = 8.0
"""Seconds after which a crowd has left and the router has noticed that it has."""

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: router\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: trio-router.v1+json\r\n\r\n"
)


def text_frame(**message: Any) -> bytes:
    """A client's frame, with a mask of zeroes; of a short message."""
    payload = json.dumps(message).encode()
    return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload


def enter(port: int, number: int) -> socket.socket:
    """A session that is logged in and has subscribed its channel; blocks."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(UPGRADE)
    said = b""
    while b'"hello"' not in said:
        said += sock.recv(4096)
    sock.sendall(text_frame(type="login", id="l"))
    sock.sendall(text_frame(type="subscribe", id="s", channel=f"mine/{number}"))
    said = b""
    while b'"done"' not in said:
        chunk = sock.recv(4096)
        if not chunk:
            raise SystemExit(f"session {number} was refused: {said!r}")
        said += chunk
    return sock


def samples(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "samples.jsonl").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


async def settled(folder: Path, sessions: int) -> dict[str, Any]:
    """The sample after the first one that has this many connections."""
    with trio.fail_after(120):
        while True:
            known = samples(folder)[-2:]
            if len(known) == 2 and all(sample["connections"] == sessions for sample in known):
                return known[-1]
            await trio.sleep(0.5)


async def bare() -> None:
    """The floor: a task for each connection, and the names of those who came lately."""
    names: dict[int, str] = {}

    async def wait(stream: trio.SocketStream) -> None:
        names[len(names) % 4096] = f"mine/{len(names)}"
        await stream.receive_some(1)

    await trio.serve_tcp(wait, 0, host="127.0.0.1", backlog=4096, task_status=_Says())


class _Says(trio.TaskStatus[Any]):
    """Prints the port of the listener that has started."""

    def started(self, value: Any = None) -> None:
        print(value[0].socket.getsockname()[1], flush=True)


async def floor(sessions: int, stand: float) -> list[float]:
    """The resident set of the bare server in KiB a session, beyond its base: with the crowd, and when it has left."""
    code = "import trio; from benchmarks.idle_sessions import bare; trio.run(bare)"
    process = await trio.lowlevel.open_process([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(await process.stdout.receive_some(64))

        async def come(count: int) -> list[float]:
            socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
            await trio.sleep(stand)
            there = resident(process.pid)
            for sock in socks:
                sock.close()
            await trio.sleep(GONE)
            return [there, resident(process.pid)]

        _, base = await come(100)
        return [(rss - base) / sessions / 1024 for rss in await come(sessions)]
    finally:
        process.kill()


def resident(pid: int) -> float:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


async def visit(port: int, sessions: int, folder: Path, stand: float) -> dict[str, Any]:
    """All of them come, stand and leave; the sample of when they stood."""
    open_sockets = [await trio.to_thread.run_sync(enter, port, number) for number in range(sessions)]
    await trio.sleep(stand)
    sample = await settled(folder, sessions)
    for sock in open_sockets:
        sock.close()
    return sample


async def main(options: argparse.Namespace) -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o700)
        (folder / "config.yml").write_text(CONFIG)
        (folder / "rules.yml").write_text('event: {"mine/$n": {subscribe: "true"}}\n')
        environ = {"SOAK_INTERVAL": "1"}
        async with router_process(folder / "config.yml", module="tests.soak.router", environ=environ) as router:
            port = int(router.url.rpartition(":")[2].strip("/"))
            await visit(port, 100, folder, 1)
            base = await settled(folder, 0)
            stood = await visit(port, options.sessions, folder, options.stand)
            await trio.sleep(GONE)
            left = await settled(folder, 0)
            again = await visit(port, options.sessions, folder, options.stand)
            await trio.sleep(GONE)
            after = await settled(folder, 0)
    each = (stood["rss"] - base["rss"]) / options.sessions / 1024
    for what, sample in (
        ("before", base),
        ("standing", stood),
        ("left", left),
        ("again", again),
        ("left again", after),
    ):
        print(
            f"{what:>11}: {sample['rss'] / 2**20:7.1f} MiB  {sample['tasks']:>6} tasks  {sample['fds']:>6} descriptors"
        )
    kept = (after["rss"] - base["rss"]) / options.sessions / 1024
    print(f"{each:.1f} KiB a session ({options.sessions:,} sessions); {kept:.1f} KiB stay when they have left")
    bare_each, bare_kept = await floor(options.sessions, options.stand)
    print(f"a bare Trio server: {bare_each:.1f} KiB a connection; {bare_kept:.1f} KiB stay")
    faults = []
    if each > options.gate:
        faults.append(f"more than {options.gate} KiB a session")
    if after["tasks"] > base["tasks"] or after["fds"] > base["fds"]:
        faults.append("tasks or descriptors did not come back")
    faults += [
        f"{sample['rss'] / base['rss']:.2f} times the base were left, {options.kept} may be"
        for sample in (left, after)
        if sample["rss"] > base["rss"] * options.kept
    ]
    if after["rss"] > left["rss"] * 1.2:
        faults.append(f"the second crowd left {after['rss'] / left['rss'] - 1:.0%} more memory than the first")
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=8000)
    parser.add_argument("--stand", type=float, default=5.0)
    parser.add_argument("--gate", type=float, default=40.0)
    parser.add_argument("--kept", type=float, default=1.1 if os.environ.get("PYTHONMALLOC") == "malloc" else 2.0)
    sys.exit(trio.run(main, parser.parse_args()))
