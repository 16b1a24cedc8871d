"""Clients that all lose their router at once: ``python -m benchmarks.reconnect_storm --clients 5000``.

The router, in a process of its own, asks a webhook about each login; every client has a credential of its own and is the library's, with the library's back-off. When
all are in, the router is followed by the next one (SIGUSR2), which ends all sessions in one step. Measured is when the last one is back, and how often the
webhook was asked about one credential. The base, in the same run: how long the same clients took to come the first time, one after another. This process is all the
clients and the webhook, so on few cores it is their speed that is measured too.

Exit status 1 if one is not back within ``--gate`` seconds, or a credential was asked about more than once.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import trio

from trio_router.client import ClientError, connect
from trio_router.testing.http_service import ServiceRequest, response, serve
from trio_router.testing.process import router_process

CONFIG = """
rules: rules.yml
login: [{{strategy: webhook, url: "{url}", timeout: 30}}]
login_deadline: 60
listen: {{port: 0, backlog: 8192}}
log: {{level: warning}}
limits: {{connections: 100000, connections_per_ip: 100000, unauthenticated_connections: 100000, login_timeout: 60, ping_interval: 600}}
"""


class Storm:
    """The clients; ``times`` are those of their logins."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.entered: list[float] = []
        self.back: list[float] = []
        self.cut = trio.Event()

    async def webhook(self, request: ServiceRequest, stream: trio.abc.Stream) -> None:
        name = request.json["authData"]["name"]
        self.asked[name] += 1
        await stream.send_all(response(200, name.encode(), {"Content-Type": "text/plain"}))

    async def client(
        self, url: str, number: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        auth = {"name": f"user{number}"}
        async with connect(url, auth, wait=True, connect_timeout=60) as client, client.subscribe("all") as events:
            self.entered.append(time.perf_counter())
            task_status.started()
            await self.cut.wait()
            while not events.interruptions:
                await trio.sleep(1)
            while True:  # the connection is there again when a question is answered
                try:
                    await client.presence(["nobody"])
                    break
                except ClientError:
                    await trio.sleep(1)
            self.back.append(time.perf_counter())
            await trio.sleep_forever()


async def main(options: argparse.Namespace) -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    storm = Storm()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o700)
        (folder / "rules.yml").write_text('event: {"all": {subscribe: "true"}}\npresence: {"*": {allow: "true"}}\n')
        async with serve(storm.webhook) as service:
            (folder / "config.yml").write_text(CONFIG.format(url=service.url))
            async with router_process(folder / "config.yml", module="tests.soak.router") as router:
                async with trio.open_nursery() as nursery:
                    began = time.perf_counter()
                    for number in range(options.clients):
                        await nursery.start(storm.client, router.url, number)
                    first = time.perf_counter() - began
                    storm.asked.clear()
                    os.kill(router.process.pid, signal.SIGUSR2)
                    while '"handed_over"' not in router.log:
                        await trio.sleep(0.01)
                    cut = time.perf_counter()
                    storm.cut.set()
                    with trio.move_on_after(max(120.0, 4 * options.gate)):
                        while len(storm.back) < options.clients:
                            await trio.sleep(0.05)
                    nursery.cancel_scope.cancel()
                line = next(line for line in router.log.splitlines() if '"handed_over"' in line)
                os.kill(int(line.partition('"successor": ')[2].partition(",")[0]), signal.SIGTERM)
    back = sorted(at - cut for at in storm.back)
    most_asked = max(storm.asked.values(), default=0)
    last = back[-1] if back else float("nan")
    print(f"{options.clients:,} clients came one after another in {first:.1f} s")
    print(f"{len(back):,} back: half of them after {back[len(back) // 2]:.1f} s, the last after {last:.1f} s")
    print(f"the webhook was asked {sum(storm.asked.values()):,} times, at most {most_asked} times about one credential")
    return 0 if len(back) == options.clients and last <= options.gate and most_asked <= 1 else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--gate", type=float, default=30.0)
    sys.exit(trio.run(main, parser.parse_args()))
