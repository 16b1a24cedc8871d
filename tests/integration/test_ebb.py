"""A running router forgets a crowd that has left, and says so; who stayed goes on."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.integration.conftest import write_files
from trio_router.client import connect
from trio_router.ebb import CROWD
from trio_router.testing.process import RouterProcess, router_process

CONFIG = """
rules: rules.yml
login: [{strategy: open}]
listen: {port: 0}
storage: {url: "memory://"}
"""


async def told(router: RouterProcess) -> None:
    with trio.fail_after(20):
        while "memory_given_back" not in router.log:
            await trio.sleep(0.05)


async def test_what_a_crowd_needed_is_given_back_when_it_has_left(tmp_path: Path) -> None:
    config = write_files(tmp_path, CONFIG, 'event: {"room/$name": {publish: "true"}}')
    async with router_process(config) as router, connect(router.url) as stays:
        await stays.publish("room/a", "before")
        host, port = router.url.removeprefix("ws://").rstrip("/").split(":")
        crowd = [await trio.open_tcp_stream(host, int(port)) for _ in range(CROWD)]
        await trio.sleep(2)  # the router has looked, and they were there
        assert "memory_given_back" not in router.log
        for stream in crowd:
            await stream.aclose()
        await told(router)
        await stays.publish("room/a", "after")
