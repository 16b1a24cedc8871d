"""A router that notes what it holds, for a soak: ``python -m tests.soak.router config.yml``; otherwise what ``trio-router serve`` is."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import trio

from trio_router import log
from trio_router.app import Router
from trio_router.config.load import load
from trio_router.inheritance import Inheritance
from trio_router.process import serve

INTERVAL = float(os.environ.get("SOAK_INTERVAL", "5"))


async def sample(router: Router, path: Path) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    while True:
        due = trio.current_time() + INTERVAL
        health = router.health()
        line = {
            "t": round(time.monotonic(), 3),
            "pid": os.getpid(),
            "rss": int(Path("/proc/self/statm").read_text().split()[1]) * page,
            "fds": len(os.listdir("/proc/self/fd")),
            "tasks": trio.lowlevel.current_statistics().tasks_living,
            "sessions": health.sessions,
            "connections": health.connections,
        }
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        await trio.sleep_until(due)


async def main(config: str) -> None:
    log.configure("info", "json")
    inherited = Inheritance.take()
    router = Router.load(lambda: load(config), inherited=inherited)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, router)
        nursery.start_soon(sample, router, Path(config).parent / "samples.jsonl")
        await router.ended.wait()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
