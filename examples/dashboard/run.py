"""The data source publishes to six levels; an employee of each level sees that level and no other. Ends by itself."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio

from trio_router.client import Client, KeyAuth, RequestRefused, TokenEndpoint, connect
from trio_router.client.http import post_json
from trio_router.testing.process import free_port, router_process, service_process

HERE = Path(__file__).parent
EMPLOYEES = {"ceo": "L1", "vera": "L2", "dirk": "L3", "mona": "L4", "sven": "L5", "emil": "L6"}


def say(text: str) -> None:
    print(text, flush=True)


async def new_key(config: Path, environ: dict[str, str]) -> dict[str, str]:
    """An app key for the programs of the dashboard; its secret is shown this once."""
    command = [
        sys.executable,
        "-m",
        "trio_router",
        "keys",
        "create",
        "--id",
        "dashboard",
        "--config",
        str(config),
        "--json",
    ]
    done = await trio.run_process(command, env=os.environ | environ, capture_stdout=True)
    return json.loads(done.stdout)


async def endpoint(company: str, name: str, password: str, key: str) -> TokenEndpoint:
    """Log in with the company, and get tokens with the cookie that it gave."""
    reply = await post_json(f"{company}/login", {"name": name, "password": password})
    cookie = reply.headers["set-cookie"].partition(";")[0]
    return TokenEndpoint(f"{company}/token", key=key, headers=[("Cookie", cookie)])


async def dashboard(router: str, tokens: TokenEndpoint, name: str, key: str, *, task_status) -> None:
    level = EMPLOYEES[name]
    async with (
        connect(router, {"key": key}, access_token=tokens) as client,
        client.subscribe(f"pvt:{level}") as figures,
    ):
        await is_refused(client, name, "pvt:L1" if level != "L1" else "pvt:L2")
        task_status.started()
        say(f"{name} ({level}) sees: {(await anext(figures)).data}")


async def is_refused(client: Client, name: str, channel: str) -> None:
    try:
        async with client.subscribe(channel):
            pass
    except RequestRefused as refused:
        say(f"{name} may not see {channel}: {refused.detail}")


async def main() -> None:
    password, port = secrets.token_urlsafe(9), free_port()
    environ = {"DASHBOARD_STORAGE_KEY": secrets.token_urlsafe(32), "DASHBOARD_ADMIN_TOKEN": secrets.token_urlsafe(32)}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yml")  # the one beside this file, on ports that are free
        text = (HERE / "config.yml").read_text()
        config.write_text(text.replace("port: 7000", "port: 0").replace("port: 7001", "port: 0"))
        Path(folder, "rules.yml").write_text((HERE / "rules.yml").read_text())
        made = await new_key(config, environ)
        key, secret = made["key"], made["secret"]
        async with router_process(config, environ=environ) as router:
            environ |= {"DASHBOARD_KEY": key, "DASHBOARD_SECRET": secret, "DASHBOARD_PASSWORD": password}
            environ |= {"PORT": str(port), "ROUTER_URL": router.url}
            source = connect(router.url, KeyAuth(key, secret))
            async with (
                service_process(HERE / "auth_server.py", environ) as service,
                source as publisher,
                trio.open_nursery() as nursery,
            ):
                for name in EMPLOYEES:
                    tokens = await endpoint(service.url, name, password, key)
                    await nursery.start(partial(dashboard, router.url, tokens, name, key))
                for level in EMPLOYEES.values():
                    await publisher.publish(f"pvt:{level}", {"level": level, "orders": 42})
    say("router stopped")


if __name__ == "__main__":
    trio.run(main)
