"""Starts the login service and the router, logs in through both, and takes the service away. Ends by itself."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from trio_router.client import LoginDenied, LoginUnavailable, connect
from trio_router.testing.process import router_process

HERE = Path(__file__).parent


def say(text: str) -> None:
    print(text, flush=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@asynccontextmanager
async def service(environ: dict[str, str]):
    async with trio.open_nursery() as nursery:
        command = [sys.executable, str(HERE / "service.py")]
        process = await nursery.start(
            lambda task_status: trio.run_process(
                command, env=os.environ | environ, check=False, capture_stdout=True, capture_stderr=True,
                task_status=task_status,
            )
        )  # fmt: skip
        while True:  # until it answers
            try:
                await (await trio.open_tcp_stream("127.0.0.1", int(environ["PORT"]))).aclose()
                break
            except OSError:
                await trio.sleep(0.05)
        try:
            yield process
        finally:
            process.kill()


async def main() -> None:
    port = free_port()
    environ = {
        "WEBHOOK_SECRET": secrets.token_urlsafe(32),
        "DEMO_PASSWORD": secrets.token_urlsafe(9),
        "PORT": str(port),
    }
    login = {"username": "alice", "password": environ["DEMO_PASSWORD"]}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yml")  # the one beside this file, on ports that are free
        text = (HERE / "config.yml").read_text().replace(":5000/", f":{port}/").replace("port: 7000", "port: 0")
        config.write_text(text)
        Path(folder, "rules.yml").write_text((HERE / "rules.yml").read_text())
        async with service(environ) as process, router_process(config, environ=environ) as router:
            say(f"router listening on {router.url}")
            async with connect(router.url, login) as alice, alice.subscribe("news/tea") as events:
                say(f"{alice.user_id} is logged in; the service told the client {alice.client_data}")
                await refused(router.url, login | {"password": "wrong"})
                process.kill()
                await refused(router.url, login | {"username": "bob"})
                await alice.publish("news/tea", "still here")
                say(f"alice, who was logged in before, still receives: {(await anext(events)).data}")
    say("router stopped")


async def refused(url: str, login: dict[str, str]) -> None:
    try:
        async with connect(url, login):
            pass
    except LoginDenied as denied:
        say(f"a wrong password is denied: {denied.data}")
    except LoginUnavailable:
        say("with the service down, logins are unavailable")


if __name__ == "__main__":
    trio.run(main)
