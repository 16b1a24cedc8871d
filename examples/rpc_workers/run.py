"""Two workers share the calls of one procedure; one of them dies in the middle of a call and the other takes over."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import trio

from trio_router.client import RequestRefused, connect
from trio_router.testing.process import router_process

HERE = Path(__file__).parent
CONFIG = HERE / "config.yml"
WORKER = """{"kind": "worker"}"""


def say(text: str) -> None:
    print(text, flush=True)


def add_user(name: str, environ: dict[str, str], *options: str) -> dict[str, str]:
    command = [sys.executable, "-m", "trio_router", "users", "add", name, "--generate", "--json"]
    command += ["--config", str(CONFIG), *options]
    done = subprocess.run(command, env={**os.environ, **environ}, check=True, capture_output=True, text=True)
    return {"username": name, "password": json.loads(done.stdout)["password"]}


async def worker(
    name: str, url: str, login: dict[str, str], dies_at: int | None, *, task_status: trio.TaskStatus[None]
) -> None:
    """Answers calls until it is cancelled, or until an image of the width ``dies_at`` kills it."""
    with trio.CancelScope() as life:

        async def resize(data, call):
            if data["width"] == dies_at:
                life.cancel()
                await trio.sleep_forever()
            return {"by": name, "size": [data["width"], data["width"] * 3 // 4]}

        async with connect(url, login) as client, client.provide("resize", resize):
            task_status.started()
            await trio.sleep_forever()
    say(f"{name} died")


async def resized(client, width: int) -> dict:
    """Calls until somebody answers: a lost provider is worth another try, since resizing twice does no harm."""
    while True:
        try:
            return await client.call("resize", {"width": width}, timeout=5)
        except RequestRefused as refused:
            if not refused.temporary:
                raise
            say(f"width {width}: {refused.slug}, trying again")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environ = {"DATA": folder}
        logins = {name: add_user(name, environ, "--data", WORKER) for name in ("anna", "bert")}
        caller = add_user("cora", environ)
        async with router_process(CONFIG, environ=environ) as router, trio.open_nursery() as nursery:
            await nursery.start(worker, "anna", router.url, logins["anna"], None)
            await nursery.start(worker, "bert", router.url, logins["bert"], 640)
            async with connect(router.url, caller) as client:
                done = collections.Counter([(await resized(client, width))["by"] for width in (100, 200, 300, 400)])
                say(f"shared: {', '.join(f'{name} did {count}' for name, count in sorted(done.items()))}")
                answers = [await resized(client, 640) for _ in range(2)]
                say(f"after the failure: {answers[-1]['by']} answers")
                try:
                    await client.call("resize", {"width": 10_000})
                except RequestRefused as refused:
                    say(f"a width of 10000 is not allowed: {refused.slug}")
            nursery.cancel_scope.cancel()
    say("router stopped")


if __name__ == "__main__":
    trio.run(main)
