"""Events: official clients publish, subscribe and unsubscribe."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conformance.clients import QUIET, UNDEFINED
from tests.conformance.conftest import Site


async def test_a_subscriber_gets_what_another_client_emits(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    await egon.do("emit", "news", {"title": "hello"})
    await rosa.sees("event", "news", {"title": "hello"})


@pytest.mark.parametrize(
    "data", ["text", "", 0, -1, 1.5, True, False, None, [], [1, "a", None], {}, {"a": {"b": [1]}}, "ümläut \U0001f600"]
)
async def test_data_of_every_json_type_arrives_as_it_was(site: Site, data: Any) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    await egon.do("emit", "news", data)
    await rosa.sees("event", "news")
    assert rosa.events("news") == [data]


async def test_an_event_without_data_arrives_as_undefined(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    await egon.do("emit", "news")
    await rosa.sees("event", "news", UNDEFINED)


async def test_the_router_never_sends_an_event_back_to_whoever_emitted_it(site: Site) -> None:
    egon = await site.user("egon")
    await egon.subscribe("news")
    await egon.do("emit", "news", 1)
    await egon.settled()
    await trio.sleep(QUIET)
    assert egon.events("news") == [1]  # once: the client's own doing


async def test_every_subscriber_gets_an_event_once(site: Site) -> None:
    egon = await site.user("egon")
    others = [await site.user(name) for name in ("rosa", "ada", "bob")]
    for other in others:
        await other.subscribe("news")
    await egon.do("emit", "news", 1)
    for other in others:
        await other.sees("event", "news", 1)
        await other.settled()
        assert other.events("news") == [1]


async def test_two_clients_of_one_user_are_two_subscribers(site: Site) -> None:
    first, second = await site.user("rosa"), await site.client("rosa again")
    await second.login({"username": "rosa"})
    await first.subscribe("news")
    await second.do("emit", "news", 1)
    await first.sees("event", "news", 1)


async def test_events_of_one_publisher_arrive_in_order(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news", "sport")
    for number in range(200):
        await egon.do("emit", "sport" if number % 3 else "news", number)
    await rosa.sees("event", "sport", 199)
    assert [entry[2] for entry in rosa.all("event")] == list(range(200))


async def test_after_unsubscribing_nothing_arrives(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    await rosa.do("unsubscribe", "news")
    await rosa.settled()
    await egon.do("emit", "news", 1)
    await egon.settled()
    await rosa.settled()
    assert rosa.events("news") == [] and rosa.errors() == []


async def test_a_client_can_subscribe_again_after_unsubscribing(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    await rosa.do("unsubscribe", "news")
    await rosa.subscribe("news")
    await egon.do("emit", "news", 1)
    await rosa.sees("event", "news", 1)


async def test_unsubscribing_from_one_channel_leaves_the_others(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news", "sport")
    await rosa.do("unsubscribe", "news")
    await rosa.settled()
    await egon.do("emit", "news", 1)
    await egon.do("emit", "sport", 2)
    await rosa.sees("event", "sport", 2)
    assert rosa.events("news") == []


async def test_many_names_in_one_bulk_subscription(site: Site) -> None:
    rosa, egon = await site.user("rosa", subscriptionInterval=20), await site.user("egon")
    names = [f"room/{number}" for number in range(100)]
    for name in names:
        await rosa.do("subscribe", name)
    await rosa.do("later", 150)  # it gathers names for 20 ms
    await rosa.settled()
    for name in names:
        await egon.do("emit", name, name)
    await rosa.sees("event", names[-1])
    assert [entry[1] for entry in rosa.all("event")] == names
    assert rosa.errors() == []


async def test_a_subscription_is_acknowledged_in_time(site: Site) -> None:
    rosa = await site.user("rosa", subscriptionTimeout=500)
    await rosa.do("subscribe", "news")
    await rosa.do("unsubscribe", "news")
    await trio.sleep(0.7)
    assert rosa.errors() == []  # or it would have reported ACK_TIMEOUT


@pytest.mark.parametrize(
    "name", ["a", "room/1/chat", "sport.football", "a_b-c~d", "mail+tag@host", "x=1", "UPPER", "1"]
)
async def test_names_are_taken_as_they_are(site: Site, name: str) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe(name)
    await egon.do("emit", name, 1)
    await rosa.sees("event", name, 1)


@pytest.mark.parametrize(("name", "other"), [("a.b", "aXb"), ("room", "room/1"), ("room/1", "room"), ("Room", "room")])
async def test_a_name_is_no_pattern(site: Site, name: str, other: str) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe(name)
    await egon.do("emit", other, 1)
    await egon.do("emit", name, 2)
    await rosa.sees("event", name, 2)
    assert rosa.all("event") == [("event", name, 2)]


async def test_an_emit_before_login_is_said_after_it(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.client("egon")
    await rosa.subscribe("news")
    await egon.do("emit", "news", 1)
    await egon.login({"username": "egon"})
    await rosa.sees("event", "news", 1)


async def test_a_large_event_passes_up_to_the_limit(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    await egon.do("emit", "news", "x" * 120_000)
    await rosa.sees("event", "news")
    assert len(rosa.events("news")[0]) == 120_000  # in JSON the client sends data twice, so this is close to the limit


async def test_a_client_that_leaves_is_no_subscriber_any_more(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    await rosa.do("close")
    await rosa.sees("state", "CLOSED")
    await egon.do("emit", "news", 1)
    await egon.settled()
    assert rosa.events("news") == []
