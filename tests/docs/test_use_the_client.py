"""The code in the how-to for the client runs, and prints what one would expect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from trio_router.client import Client
from trio_router.client.feeds import Feed
from trio_router.protocols import codes, messages
from trio_router.protocols.native import codec

TEXT = (Path(__file__).parents[2] / "docs" / "howto" / "use-the-client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
PRINTED = [
    "logged in as ann in session s1",
    "news/sport {'headline': 'Rain'}",
    None,
    "{'url': '/img/200'}\nprovider_error too wide",
    "0\n1\n2",
]
PRINTED += ["clock/utc tick"]
PRINTED += ["{'ann': 1, 'bob': 0} ()\nbob joined 1"]


async def echo_router(request: WebSocketRequest) -> None:
    """One session alone in the world: it gets its own events and answers its own calls."""
    ws = await request.accept(subprotocol="trio-router.v1+json")

    async def say(message: Any) -> None:
        await ws.send_message(codec.encode(message).decode())

    await say(messages.Hello("s1", 15_000, 65_536, 25_000))
    try:
        while True:
            match codec.decode(await ws.get_message()):
                case messages.Login(id=request_id):
                    await say(messages.Welcome(request_id, "s1", "ann"))
                case messages.Publish(id=str(request_id)) as message:
                    await say(messages.Done(request_id))
                    by = "news/*" if message.channel.startswith("news/") else None
                    await say(messages.Event(message.channel, message.data, by))
                case messages.Call() as message:
                    await say(messages.Invoke(message.id, message.procedure, message.data, progress=message.progress))
                case messages.ProviderResult() as message:
                    await say(messages.Result(message.call, message.data, message.more))
                case messages.ProviderError() as message:
                    await say(messages.Failed(codes.PROVIDER_ERROR, message.call, data=message.data))
                case messages.PresenceQuery(id=request_id):
                    await say(messages.PresenceState(request_id, {"ann": 1, "bob": 0}))
                case messages.PresenceSubscribe(id=request_id):
                    await say(messages.Done(request_id))
                    await say(messages.PresenceChange("bob", "joined", 1))
                case messages.Subscribe(id=request_id) | messages.Provide(id=request_id) as message:
                    await say(messages.Done(request_id))
                    if isinstance(message, messages.Subscribe) and message.channel.startswith("clock/"):
                        await say(messages.ListenFound("^clock/", message.channel))
                case messages.Listen(id=request_id):
                    await say(messages.Done(request_id))
    except ConnectionClosed:
        pass


def test_every_block_has_an_expectation() -> None:
    assert len(BLOCKS) == len(PRINTED)


@pytest.mark.parametrize("number", [number for number, printed in enumerate(PRINTED) if printed is not None])
async def test_a_block_runs(number: int, nursery: trio.Nursery, capsys: pytest.CaptureFixture[str]) -> None:
    server = await nursery.start(serve_websocket, echo_router, "127.0.0.1", 0, None)
    space: dict[str, Any] = {}
    for block in BLOCKS[: number + 1]:  # later ones use the imports of earlier ones
        exec(block.replace('trio.run(main, "ws://localhost:7000/")', ""), space)
    with trio.fail_after(10):
        await space["main"](f"ws://127.0.0.1:{server.port}/")
    assert capsys.readouterr().out.strip() == PRINTED[number]


async def test_the_loop_that_follows_goes_on_after_a_lag() -> None:
    space: dict[str, Any] = {}
    exec(BLOCKS[2], space)
    feed: Feed[str] = Feed(2)
    for word in ("a", "b", "c", "d"):
        feed.put(word)
    seen: list[Any] = []

    def show(what: Any) -> None:
        seen.append(what)
        if what == "2 events missed":
            feed.put("e")
        if what == "e":
            scope.cancel()

    class OneFeed(Client):
        def __init__(self) -> None:
            pass

        def subscribe(self, channel: str, *, buffer: int = 0) -> Any:
            return Held()

    class Held:
        async def __aenter__(self) -> Feed[str]:
            return feed

        async def __aexit__(self, *_: object) -> None:
            pass

    with trio.CancelScope() as scope:
        await space["follow"](OneFeed(), "news", show)
    assert seen == ["a", "b", "2 events missed", "e"]
