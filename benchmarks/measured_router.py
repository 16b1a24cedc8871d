"""A router that measures its own loop: ``python -m benchmarks.measured_router CONFIG``, for other benchmarks to start.

Serves the config like ``trio-router serve`` and prints one JSON object at its end: the loop's worst gap in milliseconds, counted
from the first login on, and the peak memory in MiB.
"""

from __future__ import annotations

import json
import sys

import trio

from benchmarks.login_storm import LoopGap, peak_rss
from trio_router import log
from trio_router.app import Router
from trio_router.config.load import load
from trio_router.process import serve


async def main(path: str) -> None:
    log.configure("info", "json")
    gap = LoopGap()
    router = Router.load(lambda: load(path))
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, router)
        trio.lowlevel.add_instrument(gap)
    print(json.dumps({"worst_gap_ms": gap.worst * 1000, "peak_rss_mib": peak_rss()}), flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
