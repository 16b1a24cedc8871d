"""What 1,000 logins at once through argon2id cost the loop: ``python -m benchmarks.login_storm``.

One process: the strategy ``users`` with its defaults over a real SQLite file, a Trio instrument that measures how long the
loop was away from its sockets, and an echo over a loopback socket that stands for the sessions already logged in.
The floor, measured in the same run: bare argon2 verifications in the same number of threads, without Trio.

Exit status 1 if a login failed or the loop's worst gap was not below ``--gate`` milliseconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import argon2
import structlog
import trio

from trio_router.auth.accounts import Accounts
from trio_router.auth.passwords import PARAMETERS, PasswordHasher
from trio_router.auth.strategy import Accepted, LoginRequest
from trio_router.auth.throttle import Throttle
from trio_router.auth.users import UsersStrategy
from trio_router.clock import SystemClock
from trio_router.secret import Secret
from trio_router.storage.opening import open_user_store
from trio_router.storage.users import UserRecord

APP = "bench"


class LoopGap(trio.abc.Instrument):
    """The longest time between two looks at the sockets: how late the loop can be for anybody."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._since: float | None = None

    def after_io_wait(self, timeout: float) -> None:
        self._since = time.perf_counter()

    def before_io_wait(self, timeout: float) -> None:
        if self._since is not None:
            self.worst = max(self.worst, time.perf_counter() - self._since)


async def echo(times: list[float], stop: trio.Event) -> None:
    """Sends a byte there and back every 10 ms and keeps what it took, lateness of the timer included."""
    near, far = await _socket_pair()

    async def answer() -> None:
        async for data in far:
            await far.send_all(data)

    async with trio.open_nursery() as nursery, near, far:
        nursery.start_soon(answer)
        while not stop.is_set():
            began = time.perf_counter()
            await trio.sleep(0.01)
            await near.send_all(b"x")
            await near.receive_some(1)
            times.append(time.perf_counter() - began - 0.01)
        nursery.cancel_scope.cancel()


async def _socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        near = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return near, await listener.accept()


def floor(threads: int, seconds: float) -> float:
    """Bare verifications per second in ``threads`` threads."""
    hasher = argon2.PasswordHasher.from_parameters(PARAMETERS)
    stored = hasher.hash("right")
    counts = [0] * threads
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < end:
            hasher.verify(stored, "right")
            counts[number] += 1

    began = time.perf_counter()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - began)


async def storm(logins: int, threads: int | None, folder: Path) -> dict[str, float]:
    """``logins`` users log in at once, each with the right password and from one address."""
    store = open_user_store(Secret("sqlite:///users.db"), folder)
    hasher = PasswordHasher(threads=threads, queue=2 * logins)
    clock = SystemClock()
    async with hasher.turn() as turn:
        stored = await turn.hash(Secret("right"))
    for number in range(logins):
        await store.add(APP, UserRecord(f"user{number}", stored, {"number": number}))
    log = structlog.wrap_logger(None, processors=[])
    accounts = Accounts(store, APP, hasher, clock)
    strategy = UsersStrategy(store, hasher, Throttle(clock), accounts, log)
    await strategy.prepare()
    accepted, waits, echoes, quiet = 0, [], [], []  # type: ignore[var-annotated]

    async def login(number: int) -> None:
        nonlocal accepted
        auth = {"username": f"user{number}", "password": "right"}
        began = time.perf_counter()
        answer = await strategy.start(LoginRequest(APP, "session", "127.0.0.1", auth=auth))
        waits.append(time.perf_counter() - began)
        accepted += isinstance(answer, Accepted)

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, quiet, stop)
        await trio.sleep(1)
        stop.set()
    gap, stop, before = LoopGap(), trio.Event(), peak_rss()
    trio.lowlevel.add_instrument(gap)
    began = time.perf_counter()
    async with trio.open_nursery() as others:
        others.start_soon(echo, echoes, stop)
        async with trio.open_nursery() as nursery:
            for number in range(logins):
                nursery.start_soon(login, number)
        stop.set()
    seconds = time.perf_counter() - began
    trio.lowlevel.remove_instrument(gap)
    await store.aclose()
    return {
        "logins": logins,
        "accepted": accepted,
        "threads": hasher.threads,
        "seconds": seconds,
        "logins_per_second": logins / seconds,
        "median_login_seconds": statistics.median(waits),
        "slowest_login_seconds": max(waits),
        "worst_gap_ms": gap.worst * 1000,
        "echo_p99_ms": percentile(echoes, 0.99) * 1000,
        "echo_worst_ms": max(echoes) * 1000,
        "quiet_echo_p99_ms": percentile(quiet, 0.99) * 1000,
        "peak_rss_mib": peak_rss(),
        "rss_growth_mib": peak_rss() - before,
    }


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def peak_rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.login_storm", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--logins", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=None, help="hashing threads (default: one per usable core)")
    parser.add_argument("--gate", type=float, default=100.0, help="worst gap allowed, in milliseconds")
    parser.add_argument("--floor", type=float, default=3.0, help="seconds to measure bare argon2 for")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = trio.run(storm, arguments.logins, arguments.threads, Path(folder))
    figures["floor_verifications_per_second"] = floor(int(figures["threads"]), arguments.floor)
    figures["share_of_floor"] = figures["logins_per_second"] / figures["floor_verifications_per_second"]
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value:10.2f}" if isinstance(value, float) else f"{name:32} {value:10}")
    return 0 if figures["accepted"] == arguments.logins and figures["worst_gap_ms"] < arguments.gate else 1


if __name__ == "__main__":
    sys.exit(main())
