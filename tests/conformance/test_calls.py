"""Calls: official clients provide procedures and call those of others."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conformance.clients import QUIET, UNDEFINED
from tests.conformance.conftest import CONFIG, Site, Start

QUICK = CONFIG.replace("deepstream: {}", "deepstream: {rpc_accept_timeout: 0.2, rpc_response_timeout: 0.4}")


async def test_a_call_gets_its_answer(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "add", "send", 7)
    await provider.settled()
    assert await rosa.make("add", {"a": 3, "b": 4}) == (None, 7)
    assert provider.all("call") == [("call", "add", {"a": 3, "b": 4}, UNDEFINED)] or provider.all("call")[0][2] == {
        "a": 3,
        "b": 4,
    }


@pytest.mark.parametrize(
    "data", ["text", "", 0, -1.5, True, False, None, [], [1, [2]], {}, {"a": {"b": None}}, "ü\U0001f600"]
)
async def test_data_of_every_json_type_goes_there_and_back(site: Site, data: Any) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "echo", "send", "$data")
    await provider.settled()
    assert await rosa.make("echo", data) == (None, data)


async def test_a_call_without_a_provider(site: Site) -> None:
    rosa = await site.user("rosa")
    assert await rosa.make("nobody", 1) == ("NO_RPC_PROVIDER", UNDEFINED)


async def test_a_providers_error_reaches_the_caller(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "fail", "error", "not today")
    await provider.settled()
    assert (await rosa.make("fail", 1))[0] == "not today"


async def test_a_providers_error_may_be_any_json(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "fail", "error", {"code": 7})
    await provider.settled()
    assert (await rosa.make("fail", 1))[0] == {"code": 7}


async def test_who_rejects_leaves_the_call_to_another(site: Site) -> None:
    first, second, rosa = await site.user("first"), await site.user("second"), await site.user("rosa")
    await first.do("provide", "work", "reject")
    await second.do("provide", "work", "send", "done")
    await first.settled()
    await second.settled()
    for _ in range(6):  # whoever is asked first
        assert await rosa.make("work", 1) == (None, "done")
    assert first.all("call")


async def test_rejected_by_everybody_there_is_no_provider(site: Site) -> None:
    rosa = await site.user("rosa")
    providers = [await site.user(f"provider-{number}") for number in range(3)]
    for provider in providers:
        await provider.do("provide", "work", "reject")
        await provider.settled()
    assert await rosa.make("work", 1) == ("NO_RPC_PROVIDER", UNDEFINED)
    assert [len(provider.all("call")) for provider in providers] == [1, 1, 1]


async def test_a_client_may_call_itself(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("provide", "echo", "send", "$data")
    await rosa.settled()
    assert await rosa.make("echo", 5) == (None, 5)


async def test_nobody_accepts_in_time(start: Start) -> None:
    async with start(QUICK) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "slow", "nothing")
        await provider.settled()
        began = trio.current_time()
        assert await rosa.make("slow", 1) == ("ACCEPT_TIMEOUT", UNDEFINED)
        assert trio.current_time() - began >= 0.19


async def test_accepted_but_not_answered_in_time(start: Start) -> None:
    async with start(QUICK) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "slow", "accept")
        await provider.settled()
        began = trio.current_time()
        assert await rosa.make("slow", 1) == ("RESPONSE_TIMEOUT", UNDEFINED)
        assert trio.current_time() - began >= 0.39


async def test_an_answer_within_the_time_counts(start: Start) -> None:
    async with start(QUICK) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do(
            "provide", "slow", "accept", "late but there", 250
        )  # after accept_timeout, before response_timeout
        await provider.settled()
        assert await rosa.make("slow", 1) == (None, "late but there")


async def test_an_answer_after_the_time_is_told_to_be_unknown(start: Start) -> None:
    async with start(QUICK) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "slow", "accept", "too late", 600)
        await provider.settled()
        assert await rosa.make("slow", 1) == ("RESPONSE_TIMEOUT", UNDEFINED)
        # INVALID_RPC_CORRELATION_ID on the wire, which the client reports so as it has no such call of its own
        await provider.sees("error", "UNKNOWN_CORRELATION_ID", "RPC")


async def test_after_unproviding_nobody_is_asked(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "work", "send", 1)
    await provider.settled()
    await provider.do("unprovide", "work")
    await provider.settled()
    assert await rosa.make("work", 1) == ("NO_RPC_PROVIDER", UNDEFINED)


async def test_providing_again_after_unproviding(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "work", "send", 1)
    await provider.settled()
    await provider.do("unprovide", "work")
    await provider.settled()
    await provider.do("provide", "work", "send", 2)
    await provider.settled()
    assert await rosa.make("work", 1) == (None, 2)


async def test_a_provider_that_leaves_is_asked_no_more(site: Site) -> None:
    first, second, rosa = await site.user("first"), await site.user("second"), await site.user("rosa")
    await first.do("provide", "work", "send", "first")
    await second.do("provide", "work", "send", "second")
    await first.settled()
    await second.settled()
    await first.do("close")
    await first.sees("state", "CLOSED")
    await trio.sleep(QUIET)
    for _ in range(4):
        assert await rosa.make("work", 1) == (None, "second")


async def test_a_provider_that_leaves_during_a_call_ends_it(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "work", "accept")
    await provider.settled()
    outcome: list[Any] = []

    async def call() -> None:
        outcome.append(await rosa.make("work", 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await provider.sees("call", "work")
        await provider.do("close")
    assert outcome == [("RESPONSE_TIMEOUT", UNDEFINED)]


async def test_calls_are_shared_among_providers(site: Site) -> None:
    rosa = await site.user("rosa")
    providers = [await site.user(f"provider-{number}") for number in range(3)]
    for provider in providers:
        await provider.do("provide", "work", "send", provider.name)
        await provider.settled()
    answers = [(await rosa.make("work", number))[1] for number in range(30)]
    assert set(answers) == {"provider-0", "provider-1", "provider-2"}


async def test_many_calls_at_once_get_each_their_own_answer(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "echo", "send", "$data")
    await provider.settled()
    answers: dict[int, Any] = {}

    async def call(number: int) -> None:
        answers[number] = await rosa.make("echo", number)

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(call, number)
    assert answers == {number: (None, number) for number in range(100)}


async def test_two_clients_with_calls_of_the_same_number_are_not_mixed_up(site: Site) -> None:
    provider, rosa, egon = await site.user("provider"), await site.user("rosa"), await site.user("egon")
    await provider.do("provide", "echo", "accept", "$data", 50)
    await provider.settled()
    answers: dict[str, Any] = {}

    async def call(client: Any, data: str) -> None:
        answers[data] = await client.make("echo", data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, rosa, "of rosa")
        nursery.start_soon(call, egon, "of egon")
    assert answers == {"of rosa": (None, "of rosa"), "of egon": (None, "of egon")}


async def test_a_provider_is_not_told_who_calls(site: Site) -> None:
    provider, rosa = await site.user("provider"), await site.user("rosa")
    await provider.do("provide", "work", "send", 1)
    await provider.settled()
    await rosa.make("work", 1)
    requestor = provider.all("call")[0][3]
    assert "rosa" not in str(requestor)


async def test_a_provider_is_told_who_calls_where_the_config_says_so(start: Start) -> None:
    config = CONFIG.replace("deepstream: {}", "deepstream: {requestor_name: true}")
    async with start(config) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "work", "send", 1)
        await provider.settled()
        await rosa.make("work", 1)
        assert provider.all("call")[0][3]["requestorName"] == "rosa"


async def test_a_name_provided_twice_by_one_client_is_refused_by_the_client(site: Site) -> None:
    provider = await site.user("provider")
    await provider.do("provide", "work", "send", 1)
    with pytest.raises(Exception, match="already"):
        await provider.do("provide", "work", "send", 2)


async def test_many_procedures_in_one_bulk_message(site: Site) -> None:
    provider, rosa = await site.user("provider", subscriptionInterval=20), await site.user("rosa")
    for number in range(50):
        await provider.do("provide", f"work/{number}", "send", number)
    await provider.do("later", 150)
    await provider.settled()
    assert [(await rosa.make(f"work/{number}", None))[1] for number in range(50)] == list(range(50))
