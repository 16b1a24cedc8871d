"""Starts the login service and the router, logs in through both, and takes the service away. Ends by itself."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path

import trio

from trio_router.client import LoginDenied, LoginUnavailable, connect
from trio_router.testing.process import free_port, router_process, service_process

HERE = Path(__file__).parent


def say(text: str) -> None:
    print(text, flush=True)


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
        async with (
            service_process(HERE / "service.py", environ) as service,
            router_process(config, environ=environ) as router,
        ):
            say(f"router listening on {router.url}")
            async with connect(router.url, login) as alice, alice.subscribe("news/tea") as events:
                say(f"{alice.user_id} is logged in; the service told the client {alice.client_data}")
                await refused(router.url, login | {"password": "wrong"})
                service.process.kill()
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
