"""1,000 sessions connect and log in at once through argon2id: ``python -m benchmarks.session_storm``.

The router is a process of its own, with built-in users in SQLite, the argon2id parameters of the product and a Trio
instrument on its loop; this process is all its clients. Before the storm one session logs in, subscribes and keeps publishing to
itself: how long its events take is what the storm costs somebody who is logged in. The floor, in the same run: the same
events before the storm, and bare argon2 verifications in as many threads.

Exit status 1 if a login failed or the loop's worst gap was not below ``--gate`` milliseconds.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

import trio

from benchmarks.login_storm import floor, percentile
from trio_router.auth.accounts import Accounts
from trio_router.auth.passwords import PasswordHasher, usable_cores
from trio_router.client import connect
from trio_router.clock import SystemClock
from trio_router.config.schema import APP
from trio_router.secret import Secret
from trio_router.storage.opening import open_user_store
from trio_router.testing.process import router_process

USERS = 50
CONFIG = """
rules: rules.yml
login: [{strategy: users, hash_queue: 100000}]
listen: {port: 0, backlog: 4096}
storage: {url: "sqlite:///users.db"}
login_deadline: 600
limits: {login_timeout: 600, connections_per_ip: 100000, unauthenticated_connections: 100000}
"""
RULES = 'event: {"probe": {subscribe: true, publish: true}}\n'


async def prepare(folder: Path) -> Path:
    folder.chmod(0o700)
    (folder / "config.yml").write_text(CONFIG)
    (folder / "rules.yml").write_text(RULES)
    store = open_user_store(Secret("sqlite:///users.db"), folder)
    accounts = Accounts(store, APP, PasswordHasher(), SystemClock())
    for number in range(USERS):
        await accounts.add(f"user{number}", Secret("right"))
    await store.aclose()
    return folder / "config.yml"


async def probe(client, times: list[float], done: trio.Event) -> None:
    async with client.subscribe("probe") as events:
        while not done.is_set():
            began = time.perf_counter()
            await client.publish("probe", 1, acknowledge=False)
            await anext(events)
            times.append(time.perf_counter() - began)
            await trio.sleep(0.01)


async def storm(sessions: int, folder: Path) -> dict[str, float]:
    config = await prepare(folder)
    quiet: list[float] = []
    busy: list[float] = []
    waits: list[float] = []
    everybody = trio.Event()

    async def session(url: str, number: int) -> None:
        began = time.perf_counter()
        login = {"username": f"user{number % USERS}", "password": "right"}
        async with connect(url, login, connect_timeout=600, reconnect=False):
            waits.append(time.perf_counter() - began)
            if len(waits) == sessions:
                everybody.set()
            await everybody.wait()

    async with router_process(config, module="benchmarks.measured_router") as router:
        async with connect(router.url, {"username": "user0", "password": "right"}) as client:
            done = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(probe, client, quiet, done)
                await trio.sleep(2)
                done.set()
            done = trio.Event()
            began = time.perf_counter()
            async with trio.open_nursery() as prober:
                prober.start_soon(probe, client, busy, done)
                async with trio.open_nursery() as nursery:
                    for number in range(sessions):
                        nursery.start_soon(session, router.url, number)
                done.set()
            seconds = time.perf_counter() - began
        router.signal(signal.SIGTERM)
        await router.wait()
    measured = json.loads(router.log.splitlines()[-1])
    return {
        "sessions": sessions,
        "logged_in": len(waits),
        "seconds": seconds,
        "logins_per_second": sessions / seconds,
        "slowest_login_seconds": max(waits),
        "quiet_event_p99_ms": percentile(quiet, 0.99) * 1000,
        "storm_event_p99_ms": percentile(busy, 0.99) * 1000,
        **measured,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.session_storm", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--gate", type=float, default=100.0, help="worst gap allowed, in milliseconds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = trio.run(storm, arguments.sessions, Path(folder))
    figures["floor_verifications_per_second"] = floor(usable_cores(), 3.0)
    for name, value in figures.items():
        print(f"{name:32} {value:10.2f}" if isinstance(value, float) else f"{name:32} {value:10}")
    return 0 if figures["logged_in"] == arguments.sessions and figures["worst_gap_ms"] < arguments.gate else 1


if __name__ == "__main__":
    sys.exit(main())
