"""A room whose people see each other come and go, by the names an authorisation server vouches for. Ends by itself."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from pathlib import Path

import trio

from trio_router.client import RequestRefused, TokenEndpoint, connect
from trio_router.testing.process import free_port, router_process, service_process

HERE = Path(__file__).parent
ROOM = "prs:room/tea"


def say(text: str) -> None:
    print(text, flush=True)


async def new_key(config: Path, environ: dict[str, str]) -> dict[str, str]:
    """An app key for the programs of the rooms; its secret is shown this once."""
    command = [
        sys.executable,
        "-m",
        "trio_router",
        "keys",
        "create",
        "--id",
        "rooms",
        "--config",
        str(config),
        "--json",
    ]
    done = await trio.run_process(command, env=os.environ | environ, capture_stdout=True)
    return json.loads(done.stdout)


async def main() -> None:
    environ = {"ROOMS_STORAGE_KEY": secrets.token_urlsafe(32), "PORT": str(free_port())}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yml")  # the one beside this file, on a port that is free
        config.write_text((HERE / "config.yml").read_text().replace("port: 7000", "port: 0"))
        Path(folder, "rules.yml").write_text((HERE / "rules.yml").read_text())
        made = await new_key(config, environ)
        environ |= {"ROOMS_KEY": made["key"], "ROOMS_SECRET": made["secret"]}
        async with (
            router_process(config, environ=environ) as router,
            service_process(HERE / "auth_server.py", environ) as service,
        ):
            await show(router.url, service.url, made["key"])
    say("router stopped")


async def show(url: str, server: str, key: str) -> None:
    def person(name: str):
        tokens = TokenEndpoint(f"{server}/token", key=key, headers=[("X-Session", f"{name}'s cookie")])
        return connect(url, {"key": key}, access_token=tokens)

    async with person("ada") as ada, ada.watch_participants(ROOM) as changes, ada.subscribe(ROOM) as talk:
        async with person("ben") as ben, ben.subscribe(ROOM):
            await seen(changes)
            there = [who.sysinfo["name"] for who in await ada.participants(ROOM)]
            say(f"in the room: {', '.join(there)}")
            await ben.publish(ROOM, "tea is ready")
            say(f"ada received: {(await anext(talk)).data}")
            try:
                await ben.publish(ROOM, 42)
            except RequestRefused as refused:
                say(f"ben may not publish 42: {refused.slug}")
        await seen(changes)
        say(f"in the room: {', '.join([who.sysinfo['name'] for who in await ada.participants(ROOM)])}")
        async with person("eve") as eve:
            try:
                async with eve.subscribe(ROOM):
                    pass
            except RequestRefused as refused:
                say(f"eve stays outside: {refused.detail}")
            try:
                await eve.participants(ROOM)
            except RequestRefused as refused:
                say(f"eve may not see who is there: {refused.slug}")


async def seen(changes) -> None:
    event = await anext(changes)
    say(f"ada sees: {event.participant.sysid} ({event.participant.sysinfo['name']}) {event.change}")


if __name__ == "__main__":
    trio.run(main)
