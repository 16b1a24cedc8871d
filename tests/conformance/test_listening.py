"""Listening: clients that provide the events of channels only while somebody wants them."""

from __future__ import annotations

import trio

from tests.conformance.clients import QUIET
from tests.conformance.conftest import CONFIG, Site, Start

IN_ORDER = CONFIG.replace("deepstream: {}", "deepstream: {listen_shuffle: false, listen_response_timeout: 0.2}")


async def test_whoever_listens_is_asked_when_somebody_subscribes(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("listen", "^room/.*", "accept")
    await provider.settled()
    await rosa.subscribe("room/1")
    await provider.sees("asked", "^room/.*", "room/1")


async def test_whoever_listens_is_asked_about_subscriptions_that_were_there(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await rosa.subscribe("room/1", "room/2", "hall")
    await provider.do("listen", "^room/.*", "accept")
    await provider.sees("asked", "^room/.*", times=2)
    assert sorted(entry[2] for entry in provider.all("asked")) == ["room/1", "room/2"]


async def test_whoever_listens_is_asked_about_its_own_subscriptions(site: Site) -> None:
    provider = await site.user("provider")
    await provider.do("listen", "room/.*", "accept")
    await provider.subscribe("room/1")
    await provider.sees("asked", "room/.*", "room/1")


async def test_a_pattern_is_not_anchored(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("listen", "oom", "accept")
    await provider.settled()
    await rosa.subscribe("room/1")
    await provider.sees("asked", "oom", "room/1")


async def test_a_pattern_is_a_regular_expression_of_javascript(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("listen", r"^a/[0-9]{2}$", "accept")
    await provider.settled()
    await rosa.subscribe("a/1", "a/12", "a/123", "b/12")
    await provider.sees("asked", r"^a/[0-9]{2}$", "a/12")
    await provider.settled()
    assert len(provider.all("asked")) == 1


async def test_a_second_subscriber_asks_nobody_again(site: Site) -> None:
    provider, rosa, egon = await site.user("provider"), await site.user("rosa"), await site.user("egon")
    await provider.do("listen", "room/.*", "accept")
    await provider.settled()
    await rosa.subscribe("room/1")
    await provider.sees("asked")
    await egon.subscribe("room/1")
    await provider.settled()
    await trio.sleep(QUIET)
    assert len(provider.all("asked")) == 1


async def test_the_provider_is_told_when_the_last_subscriber_left(site: Site) -> None:
    provider, rosa, egon = await site.user("provider"), await site.user("rosa"), await site.user("egon")
    await provider.do("listen", "room/.*", "accept")
    await provider.settled()
    await rosa.subscribe("room/1")
    await egon.subscribe("room/1")
    await provider.sees("asked")
    await rosa.do("unsubscribe", "room/1")
    await rosa.settled()
    await provider.settled()
    assert provider.all("stopped") == []
    await egon.do("unsubscribe", "room/1")
    await provider.sees("stopped", "room/.*", "room/1")


async def test_the_provider_is_told_when_the_last_subscriber_is_gone(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("listen", "room/.*", "accept")
    await provider.settled()
    await rosa.subscribe("room/1")
    await provider.sees("asked")
    await rosa.do("close")
    await provider.sees("stopped", "room/.*", "room/1")


async def test_subscribing_again_asks_again(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("listen", "room/.*", "accept")
    await provider.settled()
    await rosa.subscribe("room/1")
    await provider.sees("asked")
    await rosa.do("unsubscribe", "room/1")
    await provider.sees("stopped")
    await rosa.subscribe("room/1")
    await provider.sees("asked", "room/.*", "room/1", times=2)


async def test_what_the_provider_emits_reaches_the_subscriber(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("listen", "room/.*", "accept")
    await provider.settled()
    await rosa.subscribe("room/1")
    await provider.sees("asked", "room/.*", "room/1")
    await provider.do("emit", "room/1", "fresh")
    await rosa.sees("event", "room/1", "fresh")


async def test_who_rejects_is_not_the_provider_and_the_next_is_asked(start: Start) -> None:
    async with start(IN_ORDER) as site:
        first, second, rosa = await site.user("first"), await site.user("second"), await site.user("rosa")
        await first.do("listen", "room/.*", "reject")
        await first.settled()
        await second.do("listen", "room/[0-9]", "accept")
        await second.settled()
        await rosa.subscribe("room/1")
        await first.sees("asked", "room/.*", "room/1")
        await second.sees("asked", "room/[0-9]", "room/1")
        await rosa.do("unsubscribe", "room/1")
        await second.sees("stopped", "room/[0-9]", "room/1")
        assert first.all("stopped") == []


async def test_who_does_not_answer_in_time_is_passed_over(start: Start) -> None:
    async with start(IN_ORDER) as site:
        first, second, rosa = await site.user("first"), await site.user("second"), await site.user("rosa")
        await first.do("listen", "room/.*", "nothing")
        await first.settled()
        await second.do("listen", "room/.*", "accept")
        await second.settled()
        await rosa.subscribe("room/1")
        await first.sees("asked", "room/.*", "room/1")
        await second.sees("asked", "room/.*", "room/1")


async def test_the_first_that_accepts_is_the_only_provider(start: Start) -> None:
    async with start(IN_ORDER) as site:
        first, second, rosa = await site.user("first"), await site.user("second"), await site.user("rosa")
        for provider in (first, second):
            await provider.do("listen", "room/.*", "accept")
            await provider.settled()
        await rosa.subscribe("room/1")
        await first.sees("asked", "room/.*", "room/1")
        await trio.sleep(0.3)  # longer than the time to answer
        assert second.all("asked") == []


async def test_in_order_means_the_order_of_listening(start: Start) -> None:
    async with start(IN_ORDER) as site:
        providers = [await site.user(f"provider-{number}") for number in range(4)]
        for provider in providers[:3]:
            await provider.do("listen", "room/.*", "reject")
            await provider.settled()
        await providers[3].do("listen", "room/.*", "accept")
        await providers[3].settled()
        rosa = await site.user("rosa")
        await rosa.subscribe("room/1")
        await providers[3].sees("asked")
        assert [len(provider.all("asked")) for provider in providers] == [1, 1, 1, 1]


async def test_shuffled_means_that_everybody_is_first_at_times(site: Site) -> None:
    first, second, rosa = await site.user("first"), await site.user("second"), await site.user("rosa")
    for provider in (first, second):
        await provider.do("listen", "room/.*", "accept")
        await provider.settled()
    await rosa.subscribe(*(f"room/{number}" for number in range(40)))
    with trio.fail_after(5):
        while len(first.all("asked")) + len(second.all("asked")) < 40:
            await trio.sleep(0.01)
    assert first.all("asked") and second.all("asked")  # or one chance in 2**39


async def test_when_the_provider_leaves_another_is_asked(start: Start) -> None:
    async with start(IN_ORDER) as site:
        first, second, rosa = await site.user("first"), await site.user("second"), await site.user("rosa")
        for provider in (first, second):
            await provider.do("listen", "room/.*", "accept")
            await provider.settled()
        await rosa.subscribe("room/1")
        await first.sees("asked")
        await first.do("close")
        await second.sees("asked", "room/.*", "room/1")


async def test_when_the_provider_stops_listening_another_is_asked(start: Start) -> None:
    async with start(IN_ORDER) as site:
        first, second, rosa = await site.user("first"), await site.user("second"), await site.user("rosa")
        for provider in (first, second):
            await provider.do("listen", "room/.*", "accept")
            await provider.settled()
        await rosa.subscribe("room/1")
        await first.sees("asked")
        await first.do("unlisten", "room/.*")
        await second.sees("asked", "room/.*", "room/1")


async def test_who_does_not_listen_any_more_is_not_asked(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("listen", "room/.*", "accept")
    await provider.settled()
    await provider.do("unlisten", "room/.*")
    await provider.settled()
    await rosa.subscribe("room/1")
    await provider.settled()
    assert provider.all("asked") == []


async def test_a_subscriber_that_leaves_while_a_provider_is_asked_confuses_nobody(start: Start) -> None:
    async with start(IN_ORDER) as site:
        provider, rosa, egon = await site.user("provider"), await site.user("rosa"), await site.user("egon")
        await provider.do("listen", "room/.*", "accept", 100)
        await provider.settled()
        await rosa.subscribe("room/1")
        await provider.sees("asked", "room/.*", "room/1")
        await rosa.do("unsubscribe", "room/1")
        await rosa.settled()
        await trio.sleep(0.3)  # its late acceptance has come
        await egon.subscribe("room/1")
        await provider.sees("asked", "room/.*", "room/1", times=2)


async def test_a_pattern_that_is_no_regular_expression_is_refused(site: Site) -> None:
    provider = await site.user("provider")
    await provider.do("listen", "room/(", "accept")
    await provider.sees("error", "INVALID_LISTEN_REGEX", "EVENT")


async def test_rejected_by_all_it_is_offered_again_later(start: Start) -> None:
    config = CONFIG.replace("deepstream: {}", "deepstream: {listen_rematch_interval: 0.2, listen_match_cooldown: 0.1}")
    async with start(config) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("listen", "room/.*", "reject")
        await provider.settled()
        await rosa.subscribe("room/1")
        await provider.sees("asked", "room/.*", "room/1", times=3)
