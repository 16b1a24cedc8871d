"""A whole router with the fast lane and without it: the same for its users, switched by the config."""

from __future__ import annotations

import pytest
import trio

from tests.integration.conftest import USERS_CONFIG, Start
from trio_router.client import connect


@pytest.mark.parametrize("fast", [True, False])
async def test_the_config_says_which_way_messages_take(start: Start, fast: bool) -> None:
    config = USERS_CONFIG.replace("listen: {port: 0}", f"listen: {{port: 0, fast_lane: {str(fast).lower()}}}")
    async with start(config=config) as site:
        async with (
            connect(site.address.url, site.login("egon")) as egon,
            connect(site.address.url, site.login("rosa")) as rosa,
            egon.subscribe("room/a") as events,
        ):
            for number in range(300):
                await rosa.publish("room/a", number)
            with trio.fail_after(10):
                assert [(await anext(events)).data for _ in range(300)] == list(range(300))
            (session,) = [s for s in site.router._served.first.core.sessions.values() if s.identity.user.id == "egon"]
            assert (session.peer.link.lane is not None) == fast  # type: ignore[attr-defined]
        assert site.router.health().version
