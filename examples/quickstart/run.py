"""A router with two users and a host, a chat under rules, and what the rules refuse. Ends by itself."""

from __future__ import annotations

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


def say(text: str) -> None:
    print(text, flush=True)


def add_user(name: str, environ: dict[str, str], *options: str) -> dict[str, str]:
    """Adds a user with the router's own command and gives the credentials, which are shown this once."""
    command = [sys.executable, "-m", "trio_router", "users", "add", name, "--generate", "--json"]
    command += ["--config", str(CONFIG), *options]
    done = subprocess.run(command, env={**os.environ, **environ}, check=True, capture_output=True, text=True)
    return {"username": name, "password": json.loads(done.stdout)["password"]}


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environ = {"DATA": folder}
        egon = add_user("egon", environ)
        rosa = add_user("rosa", environ, "--data", '{"role": "host"}')
        say("users added: egon, and rosa whose user data says role=host")
        async with router_process(CONFIG, environ=environ) as router:
            say(f"router listening on {router.url}")
            async with connect(router.url, egon) as at_egon, connect(router.url, rosa) as at_rosa:
                await chat(at_egon, at_rosa)
        say("router stopped")


async def chat(egon, rosa) -> None:
    say(f"logged in: {egon.user_id} and {rosa.user_id}")
    async with egon.subscribe("room/kitchen") as events, egon.subscribe("announcements") as news:
        await rosa.publish("room/kitchen", {"text": "tea is ready"}, disclose=True)
        event = await anext(events)
        say(f"egon received on {event.channel} from {event.publisher.user}: {event.data['text']}")

        await rosa.publish("announcements", "the kitchen closes at ten")
        say(f"egon received on announcements: {(await anext(news)).data}")

        for channel, data in (("announcements", "free cake"), ("room/kitchen", {"text": 42}), ("cellar", {})):
            try:
                await egon.publish(channel, data)
            except RequestRefused as refused:
                say(f"egon may not publish {data!r} to {channel}: {refused.slug}")
    online = await egon.presence()
    say(f"online: {', '.join(f'{user} ({count})' for user, count in sorted(online.users.items()))}")


if __name__ == "__main__":
    trio.run(main)
