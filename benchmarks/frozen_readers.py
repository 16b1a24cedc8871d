"""What readers that freeze cost the others: ``python -m benchmarks.frozen_readers``.

One publisher, each publish acknowledged before the next, and ten subscribers who read; in every other round ``--frozen`` more have subscribed and read nothing.
A round without them is the base of the one after it; the ratios of the pairs are given, and their median.


Exit status 1 if one was not cut.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio

from benchmarks.idle_sessions import UPGRADE, text_frame
from trio_router.client import connect
from trio_router.testing.process import router_process

WRITE_TIMEOUT = 3.0
CONFIG = f"""
rules: rules.yml
login: [{{strategy: open}}]
listen: {{port: 0}}
limits: {{write_timeout: {WRITE_TIMEOUT}, outbox_size: 100000000}}
"""
READERS = 10
SIZE = 8_000


def freeze(port: int) -> socket.socket:
    """Subscribed, and nothing is read from it any more; blocks."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(("127.0.0.1", port))
    sock.sendall(UPGRADE)
    said = b""
    while b'"hello"' not in said:
        said += sock.recv(4096)
    sock.sendall(text_frame(type="login", id="l") + text_frame(type="subscribe", id="s", channel="a"))
    while b'"done"' not in said:
        said += sock.recv(4096)
    return sock


async def measured(url: str, seconds: float) -> tuple[float, float]:
    """Acknowledged publishes a second, and the 99th percentile of an event's way to a reader, in milliseconds."""
    times: list[float] = []
    async with trio.open_nursery() as nursery:

        async def read(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            async with connect(url) as client, client.subscribe("a", buffer=100_000) as events:
                task_status.started()
                async for event in events:
                    times.append(time.perf_counter() - event.data[0])  # noqa: PERF401 - the loop is cancelled

        for _ in range(READERS):
            await nursery.start(read)
        async with connect(url) as publisher:
            fill, count, began = "x" * SIZE, 0, time.perf_counter()
            while time.perf_counter() - began < seconds:
                await publisher.publish("a", [time.perf_counter(), fill])
                count += 1
            took = time.perf_counter() - began
        nursery.cancel_scope.cancel()
    return count / took, statistics.quantiles(times, n=100)[98] * 1000


async def main(options: argparse.Namespace) -> int:
    pairs = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o700)
        (folder / "config.yml").write_text(CONFIG)
        (folder / "rules.yml").write_text('event: {"a": {subscribe: "true", publish: "true"}}\n')
        async with router_process(folder / "config.yml") as router:
            port = int(router.url.rpartition(":")[2].strip("/"))
            for _ in range(options.pairs):
                base = await measured(router.url, options.seconds)
                frozen = [await trio.to_thread.run_sync(freeze, port) for _ in range(options.frozen)]
                pairs.append((base, await measured(router.url, options.seconds)))
                await trio.sleep(WRITE_TIMEOUT + 2)
                for sock in frozen:
                    sock.close()
                await trio.sleep(1)
        lines = [json.loads(line) for line in router.log.splitlines() if line.startswith("{")]
    cut = sum(line["event"] == "session_closed" and line["reason"] == "slow" for line in lines)
    for (rate, late), (with_rate, with_late) in pairs:
        print(f"{rate:8.0f} -> {with_rate:8.0f} publishes/s    p99 {late:7.1f} -> {with_late:7.1f} ms")
    rates = statistics.median(frozen[0] / base[0] for base, frozen in pairs)
    lates = statistics.median(frozen[1] / base[1] for base, frozen in pairs)
    print(f"throughput x {rates:.3f}, p99 x {lates:.2f} (medians of {len(pairs)} pairs)")
    print(f"{cut} of {options.frozen * options.pairs} frozen readers were cut")
    return 0 if cut == options.frozen * options.pairs else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frozen", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    sys.exit(trio.run(main, parser.parse_args()))
