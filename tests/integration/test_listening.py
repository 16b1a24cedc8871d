"""Listening over real sockets: two providers, a subscriber who comes and goes, one provider that dies, and new rules."""

from __future__ import annotations

import pytest
import trio

from tests.integration.conftest import Start
from trio_router.client import RequestRefused, connect

RULES = """
event:
  "clock/*":
    subscribe: true
    publish: "user.data.role !== 'rosa'"
    listen: "user.data.role !== 'rosa'"
  "clock/secret":
    subscribe: true
    publish: true
    listen: false
"""
CLOSED = RULES.replace("listen: \"user.data.role !== 'rosa'\"", "listen: \"user.data.role === 'boss'\"")


class Ticker:
    """Publishes who it is, again and again, while it is wanted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.channels: set[str] = set()
        self.client: object = None

    async def __call__(self, channel: str) -> None:
        self.channels.add(channel)
        try:
            while True:
                await self.client.publish(channel, self.name)  # type: ignore[attr-defined]
                await trio.sleep(0.01)
        finally:
            self.channels.discard(channel)


async def until(condition: object) -> None:
    with trio.fail_after(10):
        while not condition():  # type: ignore[operator]
            await trio.sleep(0.01)


@pytest.mark.threat("T22", "T33")
async def test_channels_are_provided_while_somebody_has_them_subscribed(start: Start) -> None:
    async with start(rules=RULES) as site:
        url = site.address.url
        egon, boss = Ticker("egon"), Ticker("boss")
        async with (
            connect(url, site.login("rosa")) as reader,
            connect(url, site.login("boss")) as third,
            connect(url, site.login("boss")) as second,
        ):
            boss.client = second
            with pytest.raises(RequestRefused, match="denied"):
                async with reader.listen("clock/.*", egon):
                    pytest.fail("rosa listens")
            with pytest.raises(RequestRefused, match="invalid_pattern"):
                async with third.listen("clock/(", egon):
                    pytest.fail("that is no pattern")
            async with connect(url, site.login("egon")) as first:
                egon.client = first
                async with first.listen("^clock/", egon) as listening, reader.subscribe("clock/utc") as events:
                    assert (await anext(events)).data == "egon"
                    async with reader.subscribe("clock/secret"), reader.subscribe("clock/gmt"):
                        await until(lambda: egon.channels == {"clock/utc", "clock/gmt"})  # never the secret one
                    await until(lambda: egon.channels == {"clock/utc"})

                    async with second.listen("^clock/", boss):
                        (site.folder / "rules.yml").write_text(CLOSED)
                        assert (await site.admin("POST", "/admin/reload")).status_code == 200
                        refused = await listening.wait_ended()
                        assert isinstance(refused, RequestRefused)
                        assert refused.verb == "listen"
                        await until(lambda: boss.channels == {"clock/utc"})
                        assert egon.channels == set()
                        async for event in events:
                            if event.data == "boss":
                                break
                await until(lambda: not boss.channels)
