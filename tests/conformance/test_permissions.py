"""Rules for official clients: every action is denied or allowed by name, and a denial has deepstream's words."""

from __future__ import annotations

import pytest
import trio

from tests.conformance.clients import QUIET, UNDEFINED
from tests.conformance.conftest import Site, Start

RULES = """
event:
  "*": {subscribe: true, publish: true, listen: true}
  "locked": {subscribe: false, publish: false, listen: false}
  "own/$user": {subscribe: "user.id === $user", publish: "user.id === $user"}
  "number": {subscribe: true, publish: "typeof data === 'number' && data < 10"}
  "broken": {subscribe: "user.data.nothing.more === 1", publish: "user.data.nothing.more === 1"}
  "truthy": {subscribe: "1", publish: "'yes'"}
rpc:
  "*": {provide: true, request: true}
  "locked": {provide: false, request: false}
  "workers/$user": {provide: "user.id === $user", request: true}
  "number": {provide: true, request: "data === 7"}
  "broken": {provide: "user.data.nothing.more === 1", request: "user.data.nothing.more === 1"}
presence:
  "*": {allow: true}
  "boss": {allow: false}
"""


async def test_a_subscription_that_is_denied(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa = await site.user("rosa")
        await rosa.subscribe("locked")
        await rosa.sees("error", "MESSAGE_DENIED", "EVENT")
        assert await rosa.do("eventNames") == []  # the client forgets it, so it is not asked for again


async def test_one_name_of_a_bulk_message_is_denied_and_the_others_are_not(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa, egon = await site.user("rosa", subscriptionInterval=20), await site.user("egon")
        for name in ("news", "locked", "sport"):
            await rosa.do("subscribe", name)
        await rosa.do("later", 150)
        await rosa.settled()
        assert rosa.errors() == [("MESSAGE_DENIED", "EVENT")]
        for name in ("news", "sport"):
            await egon.do("emit", name, 1)
            await rosa.sees("event", name, 1)


async def test_an_event_that_is_denied_reaches_nobody(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa, egon = await site.user("rosa"), await site.user("egon")
        await rosa.subscribe("own/rosa")
        await egon.do("emit", "own/rosa", 1)
        await egon.sees("error", "MESSAGE_DENIED", "EVENT")
        await trio.sleep(QUIET)
        assert rosa.events("own/rosa") == []


async def test_a_denied_event_does_not_end_the_connection(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa, egon = await site.user("rosa"), await site.user("egon")
        await rosa.subscribe("news")
        await egon.do("emit", "locked", 1)
        await egon.do("emit", "news", 2)
        await rosa.sees("event", "news", 2)
        assert await egon.do("state") == "OPEN"


@pytest.mark.parametrize(("data", "allowed"), [(5, True), (10, False), ("5", False), (None, False), ([5], False)])
async def test_rules_read_the_data_of_an_event(start: Start, data: object, allowed: bool) -> None:
    async with start(rules=RULES) as site:
        rosa, egon = await site.user("rosa"), await site.user("egon")
        await rosa.subscribe("number")
        await egon.do("emit", "number", data)
        await egon.settled()
        await rosa.settled()
        assert rosa.events("number") == ([data] if allowed else [])


async def test_rules_read_who_subscribes(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa = await site.user("rosa")
        await rosa.subscribe("own/rosa")
        assert rosa.errors() == []
        await rosa.subscribe("own/egon")
        assert rosa.errors() == [("MESSAGE_DENIED", "EVENT")]


async def test_a_rule_that_fails_lets_nothing_through(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa, egon = await site.user("rosa"), await site.user("egon")
        await egon.do("emit", "broken", 1)
        await rosa.do("subscribe", "broken")
        await rosa.settled()
        await egon.settled()
        await egon.do("emit", "broken", 2)
        await egon.settled()
        await rosa.settled()
        assert rosa.events("broken") == []
        assert egon.all("error") and rosa.all("error")


async def test_only_true_allows(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa, egon = await site.user("rosa"), await site.user("egon")
        await rosa.do("subscribe", "truthy")
        await rosa.settled()
        await egon.do("emit", "truthy", 1)
        await egon.sees("error")
        await rosa.sees("error")
        assert rosa.events("truthy") == []


async def test_a_call_that_is_denied(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa = await site.user("rosa")
        assert await rosa.make("locked", 1) == ("MESSAGE_DENIED", UNDEFINED)


async def test_rules_read_the_data_of_a_call(start: Start) -> None:
    async with start(rules=RULES) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "number", "send", "done")
        await provider.settled()
        assert await rosa.make("number", 7) == (None, "done")
        assert await rosa.make("number", 8) == ("MESSAGE_DENIED", UNDEFINED)
        assert len(provider.all("call")) == 1


async def test_a_call_whose_rule_fails(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa = await site.user("rosa")
        assert (await rosa.make("broken", 1))[0] == "MESSAGE_PERMISSION_ERROR"


async def test_a_procedure_that_may_not_be_provided(start: Start) -> None:
    async with start(rules=RULES) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "workers/rosa", "send", 1)
        await provider.sees("error", "MESSAGE_DENIED", "RPC")
        assert await rosa.make("workers/rosa", 1) == ("NO_RPC_PROVIDER", UNDEFINED)
        assert await provider.do("providerNames") == []


async def test_one_procedure_of_a_bulk_message_is_denied_and_the_others_are_not(start: Start) -> None:
    async with start(rules=RULES) as site:
        provider, rosa = await site.user("provider", subscriptionInterval=20), await site.user("rosa")
        for name in ("one", "locked", "two"):
            await provider.do("provide", name, "send", name)
        await provider.do("later", 150)
        await provider.settled()
        assert provider.errors() == [("MESSAGE_DENIED", "RPC")]
        assert await rosa.make("one", 1) == (None, "one")
        assert await rosa.make("two", 1) == (None, "two")


async def test_listening_that_is_denied(start: Start) -> None:
    async with start(rules=RULES.replace("listen: true}", "listen: false}", 1)) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("listen", "room/.*", "accept")
        await provider.sees("error", "MESSAGE_DENIED", "EVENT")
        await rosa.subscribe("room/1")
        await provider.settled()
        assert provider.all("asked") == []


async def test_who_listens_learns_no_name_that_it_may_not_listen_to(start: Start) -> None:
    async with start(rules=RULES.replace('"locked": {subscribe: false', '"locked": {subscribe: true')) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("listen", ".*", "accept")
        await provider.settled()
        await rosa.subscribe("locked", "news")
        await provider.sees("asked", ".*", "news")
        assert provider.all("asked", ".*", "locked") == []


async def test_a_user_who_may_not_be_watched(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa = await site.user("rosa")
        await rosa.do("watch", "boss")
        await rosa.sees("error", "MESSAGE_DENIED", "PRESENCE")
        await site.user("boss")
        await rosa.settled()
        assert rosa.all("presence") == []


@pytest.mark.parametrize("name", ["chat:room", "with space", "Grüße", "a*b", "x" * 256, "a\nb", "trio-router/session"])
async def test_a_name_that_cannot_be_is_denied_by_itself(site: Site, name: str) -> None:
    rosa, egon = await site.user("rosa", subscriptionInterval=20), await site.user("egon")
    await rosa.do("subscribe", "news")
    await rosa.do("provide", name, "send", 1)
    await rosa.do("provide", "fine", "send", 1)
    await rosa.do("later", 150)
    await rosa.settled()
    assert ("MESSAGE_DENIED", "RPC") in rosa.errors()
    assert await egon.make("fine", 1) == (None, 1)


async def test_a_reload_ends_subscriptions_that_are_not_allowed_any_more(start: Start) -> None:
    async with start(rules=RULES) as site:
        rosa, egon = await site.user("rosa"), await site.user("egon")
        await rosa.subscribe("news", "sport")
        await site.reload(RULES.replace('"locked"', '"news"', 1))
        await rosa.sees("error", "MESSAGE_DENIED", "EVENT")
        assert await rosa.do("eventNames") == ["sport"]
        await egon.do("emit", "sport", 1)
        await rosa.sees("event", "sport", 1)


async def test_a_reload_ends_offers_that_are_not_allowed_any_more(start: Start) -> None:
    async with start(rules=RULES) as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "work", "send", 1)
        await provider.settled()
        assert await rosa.make("work", 1) == (None, 1)
        await site.reload(RULES.replace("rpc:\n", 'rpc:\n  "work": {provide: false, request: true}\n'))
        await provider.sees("error", "MESSAGE_DENIED", "RPC")
        assert await rosa.make("work", 1) == ("NO_RPC_PROVIDER", UNDEFINED)


async def test_an_old_rules_file_reads_the_action_as_a_number(start: Start) -> None:
    rules = RULES.replace('"own/$user"', '"old": {publish: "action === 2", subscribe: "action === 3"}\n  "own/$user"')
    async with start(rules="actions: numeric\n" + rules) as site:
        rosa, egon = await site.user("rosa"), await site.user("egon")
        await rosa.subscribe("old")
        await egon.do("emit", "old", 1)
        await rosa.sees("event", "old", 1)
