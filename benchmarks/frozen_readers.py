"""What readers that freeze cost the others: ``python -m benchmarks.frozen_readers``.

A publisher at a steady pace, and ``--readers`` subscribers who read. Each round has three parts, in an order that changes: the readers alone; with ``--frozen`` more who
have subscribed, read nothing and are stuck (what fits into sockets has been sent before); and with as many more who read. Given are medians over the rounds of ratios to
"alone" in the same round: what arrives at the readers in a second, the 99th percentile of an event's way to one of them, and the router's processor time for a publish.
At the end the publisher goes as fast as it is acknowledged, with the same three parts: there the price of a frozen reader shows in the pace, next to that of one who reads.

Exit status 1 if the frozen cost the others more than 1 % of what arrives or double the 99th percentile, or one was not cut in time: the write deadline and a second.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from benchmarks.idle_sessions import UPGRADE, text_frame
from benchmarks.reconnect_storm import cpu
from trio_router.client import Client, connect
from trio_router.testing.process import RouterProcess, router_process

WRITE_TIMEOUT = 8.0
CONFIG = f"""
rules: rules.yml
login: [{{strategy: open}}]
listen: {{port: 0}}
limits: {{write_timeout: {WRITE_TIMEOUT}, outbox_size: 100000000, ping_interval: 600}}
"""
FILL = 60_000
FILLS = 120  # times FILL is more than two sockets hold
SIZE = 1_000
PARTS = ("alone", "frozen", "reading")


def enter(port: int, buffer: int | None = None) -> socket.socket:
    """Subscribed; blocks. ``buffer``: what it takes without being read, in bytes."""
    sock = socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
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


def drain(port: int, count: int, taken: Any, over: Any) -> None:
    """A process of plain sockets that are read: ``taken`` is how many bytes came."""
    selector = selectors.DefaultSelector()
    for _ in range(count):
        sock = enter(port)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    taken.value = 0
    while not over.is_set():
        for key, _ in selector.select(0.2):
            taken.value += len(key.fileobj.recv(262_144))  # type: ignore[union-attr]


class Readers:
    """Subscribers who read, in a process of their own."""

    def __init__(self, port: int, count: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._taken, self._over = spawn.Value("q", -1, lock=False), spawn.Event()
        self._process = spawn.Process(target=drain, args=(port, count, self._taken, self._over), daemon=True)
        self._process.start()
        while self._taken.value < 0:
            time.sleep(0.01)

    @property
    def bytes(self) -> int:
        """What has come."""
        return int(self._taken.value)

    def close(self) -> None:
        self._over.set()
        self._process.join()


@contextmanager
def others(port: int, part: str, count: int) -> Iterator[None]:
    if part == "alone":
        yield
    elif part == "reading":
        readers = Readers(port, count)
        yield
        readers.close()
    else:
        frozen = [enter(port, 4096) for _ in range(count)]
        yield
        for sock in frozen:
            sock.close()


@attrs.frozen
class Measured:
    arrived: float  # bytes a second at the readers
    late: float  # 99th percentile, milliseconds
    used: float  # processor time of the router for a publish, microseconds
    pace: float  # publishes a second


class Bench:
    def __init__(self, router: RouterProcess, publisher: Client, readers: Readers) -> None:
        self.router, self.publisher, self.readers = router, publisher, readers
        self.stuck: list[float] = []  # when, in seconds since the epoch

    async def part(self, part: str, count: int, seconds: float, pace: float | None) -> Measured:
        """``pace``: publishes a second; None: one after the other, as they are acknowledged."""
        port = int(self.router.url.rpartition(":")[2].strip("/"))
        with others(port, part, count):
            if part == "frozen":
                self.stuck.append(time.time())
            for _ in range(FILLS):  # all parts alike
                await self.publisher.publish("a", [0, "x" * FILL])
            await trio.sleep(0.5)
            measured = await self._measure(seconds, pace)
            if part == "frozen":  # until they are cut
                await trio.sleep(max(0.0, self.stuck[-1] + WRITE_TIMEOUT + 2 - time.time()))
        await trio.sleep(0.5)
        return measured

    async def _measure(self, seconds: float, pace: float | None) -> Measured:
        times: list[float] = []
        async with (
            connect(self.router.url) as client,
            client.subscribe("a", buffer=100_000) as events,
            trio.open_nursery() as nursery,
        ):

            async def read() -> None:
                async for event in events:
                    times.append(time.perf_counter() - event.data[0])  # noqa: PERF401 - the loop is cancelled

            nursery.start_soon(read)
            used, count, taken = cpu(self.router.process.pid), 0, self.readers.bytes
            began = due = time.perf_counter()
            while time.perf_counter() - began < seconds:
                await self.publisher.publish("a", [time.perf_counter(), "x" * SIZE])
                count += 1
                if pace is not None:
                    due += 1 / pace
                    await trio.sleep(max(0.0, due - time.perf_counter()))
            took = time.perf_counter() - began
            taken, used = self.readers.bytes - taken, cpu(self.router.process.pid) - used
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        return Measured(taken / took, statistics.quantiles(times, n=100)[98] * 1000, used / count * 1e6, count / took)


def cuts(log: str) -> list[float]:
    """When sessions were cut for being slow, in seconds since the epoch."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    slow = [line for line in lines if line["event"] == "session_closed" and line["reason"] == "slow"]
    return [dt.datetime.fromisoformat(line["timestamp"]).timestamp() for line in slow]


def ratios(rounds: list[dict[str, Measured]], part: str, field: str) -> float:
    return statistics.median(getattr(each[part], field) / getattr(each["alone"], field) for each in rounds)


async def main(options: argparse.Namespace) -> int:
    steady: list[dict[str, Measured]] = []
    full: list[dict[str, Measured]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o700)
        (folder / "config.yml").write_text(CONFIG)
        (folder / "rules.yml").write_text('event: {"a": {subscribe: "true", publish: "true"}}\n')
        async with router_process(folder / "config.yml") as router:
            port = int(router.url.rpartition(":")[2].strip("/"))
            readers = Readers(port, options.readers)
            async with connect(router.url) as publisher:
                bench = Bench(router, publisher, readers)
                for rounds, pace, number in ((steady, options.pace, options.rounds), (full, None, options.full)):
                    for turn in range(number):
                        order = PARTS[turn % 3 :] + PARTS[: turn % 3]
                        rounds.append(
                            {part: await bench.part(part, options.frozen, options.seconds, pace) for part in order}
                        )
            readers.close()
        log = router.log
    for title, rounds in ((f"{options.pace:.0f} publishes a second", steady), ("as fast as acknowledged", full)):
        if rounds:
            print(f"{title}, {options.readers} readers, medians of {len(rounds)} rounds:")
        for part in PARTS if rounds else ():
            median = {
                f.name: statistics.median(getattr(each[part], f.name) for each in rounds)
                for f in attrs.fields(Measured)
            }
            print(
                f"{part:>9}: {median['arrived'] / 1e6:7.2f} MB/s (x {ratios(rounds, part, 'arrived'):.4f})"
                f"   p99 {median['late']:7.2f} ms (x {ratios(rounds, part, 'late'):.2f})"
                f"   router {median['used']:6.0f} us a publish (x {ratios(rounds, part, 'used'):.3f})"
                f"   {median['pace']:6.0f} publishes/s"
            )
    cut = cuts(log)
    after = [min(at - stuck for stuck in bench.stuck if at > stuck) for at in cut]
    expected = options.frozen * len(bench.stuck)
    print(f"{len(cut)} of {expected} were cut, {min(after):.1f} to {max(after):.1f} s after they subscribed")
    fine = len(cut) == expected and max(after) <= WRITE_TIMEOUT + 1
    return 0 if fine and ratios(steady, "frozen", "arrived") >= 0.99 and ratios(steady, "frozen", "late") <= 2 else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readers", type=int, default=100)
    parser.add_argument("--frozen", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--full", type=int, default=3)
    parser.add_argument("--pace", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    sys.exit(trio.run(main, parser.parse_args()))
