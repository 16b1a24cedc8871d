"""The official client and the paths of apps: one of several segments has to be its option ``path``, not a part of the URL."""

from __future__ import annotations

from tests.conformance.conftest import Start
from trio_router.client import connect

CONFIG = """
rules: rules.yml
login: [{strategy: open, allow_username: true}]
listen: {port: 0}
deepstream: {}
apps:
  shop:
    path: /shop
    rules: rules.yml
    login: [{strategy: open, allow_username: true}]
"""


async def test_the_option_path_leads_to_a_further_app(start: Start) -> None:
    async with start(CONFIG) as site:
        host = site.address.url.rpartition("/")[0]
        there = await site.client("there", url=host, path="/shop/deepstream")
        assert await there.login({"username": "there"}) == (True, None)
        here = await site.user("here")
        await here.subscribe("news")
        async with connect(f"{host}/shop", {"username": "native"}) as native, native.subscribe("news") as events:
            await there.do("emit", "news", "of the shop")
            assert (await anext(events)).data == "of the shop"
        assert here.events("news") == []


async def test_of_a_path_in_the_url_the_client_drops_the_slashes(start: Start) -> None:
    async with start(CONFIG) as site:
        host = site.address.url.rpartition("/")[0]
        lost = await site.client("lost", url=f"{host}/shop/deepstream")
        await lost.sees("error", "CONNECTION_ERROR", "CONNECTION")
        assert await lost.do("state") == "RECONNECTING"
