"""An authorisation server's tokens open the router: an editor publishes, a reader reads, a forged token does neither."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import trio
from jose import jwt  # any JWT library will do: the router never sees how a token was made

from trio_router.client import LoginDenied, RequestRefused, connect
from trio_router.testing.process import router_process

CONFIG = Path(__file__).parent / "config.yml"


def say(text: str) -> None:
    print(text, flush=True)


def token(secret: str, user: str, lifetime: float = 300, **claims: str) -> dict[str, str]:
    """What the authorisation server gives to ``user`` once it knows who that is."""
    now = int(time.time())
    standard = {"iss": "https://auth.example.com", "aud": "articles", "sub": user, "iat": now, "exp": now + lifetime}
    return {"token": jwt.encode(standard | claims, secret, algorithm="HS256")}


async def main() -> None:
    secret = secrets.token_urlsafe(48)
    async with router_process(CONFIG, environ={"JWT_SECRET": secret}) as router:
        say(f"router listening on {router.url}")
        editor = token(secret, "nora", role="editor", section="sports")
        reader = token(secret, "omar", role="reader")
        async with connect(router.url, editor) as nora, connect(router.url, reader) as omar:
            say(f"{nora.user_id} is logged in with {nora.client_data}")
            await articles(nora, omar)
        await forged(router.url)
    say("router stopped")


async def articles(nora, omar) -> None:
    async with omar.subscribe("articles/sports") as events:
        await nora.publish("articles/sports", {"title": "One nil"})
        say(f"omar read: {(await anext(events)).data['title']}")
    for who, client, channel in (("nora", nora, "articles/politics"), ("omar", omar, "articles/sports")):
        try:
            await client.publish(channel, {"title": "Me too"})
        except RequestRefused as refused:
            say(f"{who} may not publish to {channel}: {refused.slug}")
    try:
        async with omar.subscribe("drafts/nora"):
            pass
    except RequestRefused as refused:
        say(f"omar may not read nora's drafts: {refused.slug}")


async def forged(url: str) -> None:
    try:
        async with connect(url, token("a secret of somebody else, long enough", "nora", role="editor")):
            pass
    except LoginDenied as denied:
        say(f"a forged token is refused: {denied.slug}")


if __name__ == "__main__":
    trio.run(main)
