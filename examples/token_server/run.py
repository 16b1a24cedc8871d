"""Makes a key, starts the router and the token server, and stays connected over several tokens. Ends by itself."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import trio

from trio_router.client import LoginDenied, RequestRefused, Rest, TokenAuth, connect
from trio_router.testing.process import free_port, router_process, service_process

HERE = Path(__file__).parent


def say(text: str) -> None:
    print(text, flush=True)


def make_key(config: Path) -> str:
    """``<app>.<key id>:<secret>``, as ``trio-router keys create`` prints it this once."""
    command = [sys.executable, "-m", "trio_router", "keys", "create", "--json", "--config", str(config)]
    made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return f"{made['key']}:{made['secret']}"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yml")  # the one beside this file, on a port that is free
        config.write_text((HERE / "config.yml").read_text().replace("port: 7000", "port: 0"))
        Path(folder, "rules.yml").write_text((HERE / "rules.yml").read_text())
        Path(folder, "storage-key").touch(mode=0o600)
        Path(folder, "storage-key").write_text(secrets.token_urlsafe(32))
        key = make_key(config)
        async with router_process(config) as router:
            say(f"router listening on {router.url}")
            http = router.url.replace("ws://", "http://").rstrip("/")
            environ = {"ROUTER": http, "APP_KEY": key, "PORT": str(free_port())}
            async with service_process(HERE / "server.py", environ) as service:
                await show(router.url, http, service.url)
    say("router stopped")


def visitor(server: str, cookie: str) -> TokenAuth:
    return TokenAuth(
        f"{server}/auth",
        f"{server}/refresh",
        f"{server}/revoke",
        auth_headers={"X-Session": cookie},
        revoke_on_close=True,
    )


async def show(url: str, http: str, server: str) -> None:
    tokens = visitor(server, "ann's cookie")
    editor = visitor(server, "the editor's cookie")
    async with connect(url, tokens) as ann, ann.subscribe("news/tea") as events:
        first, session = await tokens.token(), ann.session_id
        say(f"{ann.user_id} is logged in with a token of her own server")
        await Rest(http, token=editor).publish("news/tea", "published over REST")
        say(f"ann received: {(await anext(events)).data}")
        for name, attempt in (("publish", ann.publish("news/tea", 1)), ("call", ann.call("add"))):
            try:
                await attempt
            except RequestRefused as refused:
                say(f"ann may not {name}: {refused.reason}")
        with trio.move_on_after(7):
            await trio.sleep_forever()
        last = await tokens.token()
        say(f"seven seconds later: another token {last != first}, the same connection {ann.session_id == session}")
        await Rest(http, token=editor).publish("news/tea", "still here")
        say(f"ann received: {(await anext(events)).data}")
    try:
        async with connect(url, {"token": last}):
            pass
    except LoginDenied as denied:
        say(f"the token she gave up is refused: {denied.data}")


trio.run(main)
