"""Records, which the router does not have yet: every way to ask for one gets a clear error, and nothing else suffers."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conformance.conftest import Site

DENIED = "MESSAGE_DENIED"


@pytest.mark.parametrize(
    ("what", "args"),
    [
        ("snapshot", ["r"]),
        ("has", ["r"]),
        ("head", ["r"]),
        ("setData", ["r", {"a": 1}]),
        ("notify", [["r"]]),
    ],
)
async def test_a_request_for_a_record_is_denied(site: Site, what: str, args: list[Any]) -> None:
    rosa = await site.user("rosa")
    told = await rosa.do(what, *args)
    assert told["error"] is not None
    assert DENIED in str(told["error"]) or DENIED in str(rosa.saw)


@pytest.mark.parametrize("what", ["record", "list"])
async def test_a_record_or_a_list_says_that_it_is_denied(site: Site, what: str) -> None:
    rosa = await site.user("rosa")
    await rosa.do(what, "r")
    with trio.fail_after(5):
        while DENIED not in str(rosa.saw):
            await trio.sleep(0.01)


async def test_listening_for_records_is_denied(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("listenRecords", "r/.*", "accept")
    await rosa.sees("error", DENIED, "RECORD")


async def test_who_asks_for_records_goes_on(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.do("record", "r")
    await rosa.subscribe("news")
    await egon.do("emit", "news", 1)
    await rosa.sees("event", "news", 1)
    assert await rosa.do("state") == "OPEN"
