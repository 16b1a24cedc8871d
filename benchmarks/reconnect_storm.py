"""Clients that all lose their router at once: ``python -m benchmarks.reconnect_storm --clients 5000``.

The router, in a process of its own, asks a webhook, another process, about each login. Every client has a credential and a subscription of its own and is the
library's, with the library's back-off. When all are in, the router is followed by the next one (SIGUSR2), which ends all sessions in one step; or, with ``--kill``, is
killed and started anew, and nobody is told when to come back. Measured is when each client has its subscription again, and how often the webhook was asked about one
credential. The base, in the same run: how fast the same clients came the first time, fifty at a time. This process is all the clients, so on few cores their
speed is part of it: the processor time of both sides is given.

Exit status 1 if one is not back within ``--gate`` seconds, or a credential was asked about more than once.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from trio_router.client import connect
from trio_router.testing.process import RouterProcess, free_port, router_process, service_process

CONFIG = """
rules: rules.yml
login: [{{strategy: webhook, url: "http://127.0.0.1:{webhook}/"}}]
listen: {{port: {port}, backlog: 4096}}
limits: {{connections: 100000, connections_per_ip: 100000}}
"""
AT_ONCE = 50


class Turned(logging.Handler):
    """Why attempts came to nothing, as the clients say."""

    def __init__(self) -> None:
        super().__init__()
        self.why: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg.startswith("no connection yet"):
            self.why[str(record.args[0]).partition(" ")[2] if record.args else ""] += 1


class Storm:
    """The clients: ``feeds`` are their subscriptions."""

    def __init__(self) -> None:
        self.feeds: list[Any] = []

    async def client(
        self, url: str, number: int, limit: trio.CapacityLimiter, task_status: trio.TaskStatus[None]
    ) -> None:
        await limit.acquire_on_behalf_of(number)
        task_status.started()
        auth = {"name": f"user{number}"}
        async with connect(url, auth, wait=True) as client, client.subscribe("all") as events:
            self.feeds.append(events)
            limit.release_on_behalf_of(number)
            await trio.sleep_forever()

    async def arrive(self, url: str, clients: int, nursery: trio.Nursery) -> None:
        limit = trio.CapacityLimiter(AT_ONCE)
        for number in range(clients):
            await nursery.start(self.client, url, number, limit)
        while len(self.feeds) < clients:
            await trio.sleep(0.02)

    async def back(self, since: float, patience: float) -> list[float]:
        """When each of them had its subscription again, in seconds after ``since``."""
        times: list[float] = []
        missing = list(self.feeds)
        with trio.move_on_after(patience):
            while missing:
                await trio.sleep(0.05)
                still = [feed for feed in missing if not feed.interruptions]
                times += [time.perf_counter() - since] * (len(missing) - len(still))
                missing = still
        return times


def cpu(pid: int) -> float:
    """Seconds of processor time that this process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def successor(router: RouterProcess) -> AsyncIterator[int]:
    """The next router, from the moment it has the place."""
    os.kill(router.process.pid, signal.SIGUSR2)
    while '"handed_over"' not in router.log:
        await trio.sleep(0.01)
    line = next(line for line in router.log.splitlines() if '"handed_over"' in line)
    pid = json.loads(line)["successor"]
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)


async def main(options: argparse.Namespace) -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    turned = Turned()
    logging.getLogger("trio_router.client").addHandler(turned)
    logging.getLogger("trio_router.client").setLevel(logging.INFO)
    logging.getLogger("trio_router.client").propagate = False
    storm, webhook, port = Storm(), free_port(), free_port()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o700)
        config = folder / "config.yml"
        config.write_text(CONFIG.format(webhook=webhook, port=port))
        (folder / "rules.yml").write_text('event: {"all": {subscribe: "true"}}\n')
        script = Path(__file__).with_name("counting_webhook.py")
        service = await stack.enter_async_context(service_process(script, {"PORT": str(webhook)}))
        asking = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, base_url=service.url))
        router = await stack.enter_async_context(router_process(config))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        began, used, ours = time.perf_counter(), cpu(router.process.pid), time.process_time()
        await storm.arrive(router.url, options.clients, nursery)
        first = time.perf_counter() - began
        first_used, first_ours = cpu(router.process.pid) - used, time.process_time() - ours
        await asking.get("/")
        turned.why.clear()
        ours = time.process_time()
        if options.kill:
            cut = time.perf_counter()
            router.process.kill()
            next_router = await stack.enter_async_context(router_process(config))
            pid = next_router.process.pid
        else:
            pid = await stack.enter_async_context(successor(router))
            cut = time.perf_counter()
        back = await storm.back(cut, 4 * options.gate)
        used, ours = cpu(pid), time.process_time() - ours
        asked = (await asking.get("/")).json()
        nursery.cancel_scope.cancel()
        await trio.sleep(1)
    each = 1000 / options.clients
    print(
        f"{options.clients:,} clients came, {AT_ONCE} at a time, in {first:.1f} s ({options.clients / first:.0f} a second)"
    )
    print(f"    processor time a client: router {first_used * each:.2f} ms, client {first_ours * each:.2f} ms")
    if back:
        print(f"{len(back):,} back: half of them after {back[len(back) // 2]:.1f} s, the last after {back[-1]:.1f} s")
    print(f"    processor time a client: router {used * each:.2f} ms, client {ours * each:.2f} ms")
    for why, times in turned.why.most_common():
        print(f"    {times:6,} attempts {why}")
    print(f"the webhook was asked {asked['asked']:,} times, at most {asked['most']} times about one credential")
    return 0 if len(back) == options.clients and back[-1] <= options.gate and asked["most"] <= 1 else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--gate", type=float, default=30.0)
    parser.add_argument("--kill", action="store_true", help="kill the router instead of handing over")
    sys.exit(trio.run(main, parser.parse_args()))
