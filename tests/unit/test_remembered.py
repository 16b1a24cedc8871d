"""What is remembered to save work can be forgotten at any time, and no answer is another one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from trio_router import names, networks, remembered, scope
from trio_router.clock import SystemClock
from trio_router.identity import Identity, User
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import CompiledRules
from trio_router.protocols.native import codec
from trio_router.routing import door, listen_patterns
from trio_router.routing.subscriptions import Subscription
from trio_router.routing.wildcards import WildcardIndex
from trio_router.storage.records import MemoryRecords

TABLES = (
    networks.network_of,
    scope._split,
    codec._check_pattern,
    listen_patterns._parsed,
)


def test_a_table_gives_the_same_answers_when_it_was_emptied() -> None:
    asked = list[int]()

    @remembered.remember(2)
    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    assert [double(number) for number in (1, 1, 2, 1)] == [2, 2, 4, 2]
    assert asked == [1, 2]
    remembered.forget()
    assert double(1) == 2
    assert asked == [1, 2, 1]


@pytest.mark.parametrize("table", TABLES, ids=["network_of", "_split", "_check_pattern", "_parsed"])
def test_whatever_clients_can_name_is_forgotten(table: Callable[..., object]) -> None:
    table("192.0.2.1")
    assert table.cache_info().currsize  # type: ignore[attr-defined]
    remembered.forget()
    assert not table.cache_info().currsize  # type: ignore[attr-defined]


@pytest.mark.parametrize("table", [names.GOOD_CHANNELS, names.GOOD_PROCEDURES, door._SPELLINGS[Action.EVENT_PUBLISH]])
def test_so_are_the_names_that_are_asked_about_with_every_message(table: remembered.ByName[object]) -> None:
    assert table["a/b"] is None
    assert "a/b" in table
    remembered.forget()
    assert not table


def test_a_table_by_name_asks_once_for_as_many_names_as_it_has_room_for() -> None:
    asked = list[str]()

    def find(name: str) -> str:
        asked.append(name)
        if not name:
            raise ValueError(name)
        return name.upper()

    table = remembered.ByName(find, 2)
    assert [table[name] for name in ("a", "b", "a", "b")] == ["A", "B", "A", "B"]
    assert asked == ["a", "b"]
    assert table["c"] == "C"  # it begins anew
    assert (table["a"], asked) == ("A", ["a", "b", "c", "a"])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^$"):
            table[""]
    assert asked == ["a", "b", "c", "a", "", ""]


def test_rules_forget_the_names_they_were_asked_about() -> None:
    rules = load_rules(
        'event: {"mine/$n": {publish: "true"}}', "rules.yml", clock=SystemClock(), records=MemoryRecords()
    )
    assert isinstance(rules, CompiledRules)
    who = Identity("shop", "session", User("u"))
    before = [rules.decide(who, Action.EVENT_PUBLISH, name) for name in ("mine/1", "yours/1")]
    assert sum(map(len, rules._known.values())) == 2
    rules.forget()
    assert not any(rules._known.values())
    assert [rules.decide(who, Action.EVENT_PUBLISH, name) for name in ("mine/1", "yours/1")] == before


def test_patterns_forget_the_channels_they_were_found_for() -> None:
    index, subscription = WildcardIndex(), Subscription("a/*")
    index.add(subscription)
    assert index.matching("a/b") == (subscription,)
    index.forget()
    assert not index._found
    assert index.matching("a/b") == (subscription,)
