"""What idle sessions cost, and what is left of them: ``python -m benchmarks.idle_sessions --sessions 8000``.

The router is a process of its own that writes down its memory (resident set), tasks and descriptors every second. The base, in the same run,
is taken after a hundred sessions have come and gone, so that what is loaded on first use is part of it. Then all come, one after another, log in, subscribe
one channel and say nothing more; stand for ``--stand`` seconds; and leave at once. All that happens twice: Python keeps most of the memory that was
in use once (its arenas are given back only when nothing at all is left in them), so that the resident set does not come down to the base. What would be a leak is that
the second crowd needs more than the first one left.

Exit status 1 if a session costs more than ``--gate`` KiB, tasks or descriptors do not come back to the base, or the second crowd leaves 10 % more memory
than the first.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
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
            await trio.sleep(2)
            left = await settled(folder, 0)
            again = await visit(port, options.sessions, folder, options.stand)
            await trio.sleep(2)
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
    print(f"{each:.1f} KiB a session ({options.sessions:,} sessions)")
    faults = []
    if each > options.gate:
        faults.append(f"more than {options.gate} KiB a session")
    if after["tasks"] > base["tasks"] or after["fds"] > base["fds"]:
        faults.append("tasks or descriptors did not come back")
    if after["rss"] > left["rss"] * 1.1:
        faults.append(f"the second crowd left {after['rss'] / left['rss'] - 1:.0%} more memory than the first")
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=8000)
    parser.add_argument("--stand", type=float, default=5.0)
    parser.add_argument("--gate", type=float, default=40.0)
    sys.exit(trio.run(main, parser.parse_args()))
