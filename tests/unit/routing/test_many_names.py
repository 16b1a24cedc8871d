"""What is remembered by name has room for the channels of a busy app: 10,000 that come one after another, again and again."""

from __future__ import annotations

import pytest

from trio_router import names
from trio_router.clock import SystemClock
from trio_router.identity import Identity, User
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.index import RuleIndex
from trio_router.permissions.loader import load_rules
from trio_router.protocols.native import quick
from trio_router.routing import door
from trio_router.routing.subscriptions import Subscription
from trio_router.routing.wildcards import WildcardIndex

CHANNELS = [f"rooms/{number}/news" for number in range(10_000)]
RULES = 'event: {"rooms/$room/*": {subscribe: "user.id !== \'\'", publish: "user.id !== $room"}}'


def test_their_spelling_is_checked_once() -> None:
    names.GOOD_CHANNELS.clear()
    door._SPELLINGS[Action.EVENT_PUBLISH].clear()
    asked = door.Door(load_rules(RULES, "rules.yml", clock=SystemClock()))
    for channel in CHANNELS:
        assert quick.decode(f'{{"type":"publish","channel":"{channel}","data":1}}', 8) is not None
        asked.authorize(Identity("default", "s" * 24, User("ann")), Action.EVENT_PUBLISH, channel, Payload(1))
    assert names.GOOD_CHANNELS.keys() >= set(CHANNELS)
    assert door._SPELLINGS[Action.EVENT_PUBLISH].keys() >= set(CHANNELS)


def test_the_rule_of_each_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    find = RuleIndex.find

    def counting(index: RuleIndex, name: str) -> object:
        found.append(name)
        return find(index, name)

    monkeypatch.setattr(RuleIndex, "find", counting)
    asked = door.Door(load_rules(RULES, "rules.yml", clock=SystemClock()))
    who = Identity("default", "s" * 24, User("ann"))
    for _ in range(3):
        for channel in CHANNELS:
            assert asked.authorize(who, Action.EVENT_SUBSCRIBE, channel).allowed
            assert asked.authorize(who, Action.EVENT_PUBLISH, channel, Payload(1)).allowed
    assert len(found) == 2 * len(CHANNELS)


@pytest.mark.interpreted  # a method is replaced
def test_the_patterns_that_match_each_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[str] = []
    search = WildcardIndex._search

    def counting(index: WildcardIndex, channel: str) -> list[Subscription]:
        searched.append(channel)
        return search(index, channel)

    monkeypatch.setattr(WildcardIndex, "_search", counting)
    index = WildcardIndex()
    index.add(Subscription("rooms/*"))
    for _ in range(3):
        for channel in CHANNELS:
            assert len(index.matching(channel)) == 1
    assert searched == CHANNELS
