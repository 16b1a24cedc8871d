"""A whole Valve file, as it is, decides what its author meant. Read it beside ``valve_seed.yml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trio_router.clock import ManualClock
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Decision, Reason
from trio_router.permissions.loader import SECTIONS, load_rules
from trio_router.permissions.records import MISSING_UNLOADED
from trio_router.permissions.ruleset import CompiledRules

FILE = Path(__file__).parent / "valve_seed.yml"
STOCK = {"item/tea": {"stock": 4}, "item/cup": {"stock": 0}, "item/pot": None}
ALLOWED, FALSE, ERROR = Reason.ALLOWED, Reason.RULE_FALSE, Reason.RULE_ERROR


class Stock:
    def peek(self, name: str) -> Any:
        return STOCK.get(name, MISSING_UNLOADED)


@pytest.fixture(scope="module")
def rules() -> CompiledRules:
    return load_rules(FILE.read_text(), "valve_seed.yml", clock=ManualClock(), records=Stock())


def asked(rules: CompiledRules, user: str, what: str, name: str, data: Any = ABSENT, old: Any = ABSENT) -> Decision:
    section, verb = what.split()
    who = Identity("default", "session", User(user))
    sent = data if data is ABSENT else Payload(data)
    return rules.decide(who, SECTIONS[section][verb], name, sent, old=old if old is ABSENT else Payload(old))


@pytest.mark.parametrize(
    ("user", "what", "name", "data", "expected"),
    [
        # Anybody may listen, publish and subscribe, where nothing more specific stands
        ("anybody", "event listen", "anything", ABSENT, ALLOWED),
        ("anybody", "event publish", "anything/at/all", {"x": 1}, ALLOWED),
        ("anybody", "event subscribe", "open/door", ABSENT, ALLOWED),
        ("anybody", "event publish", "open/door", ABSENT, ALLOWED),
        # Nobody may publish or subscribe below forbidden/, but listening falls through to "*"
        ("anybody", "event publish", "forbidden/fruit", ABSENT, FALSE),
        ("anybody", "event subscribe", "forbidden/fruit", ABSENT, FALSE),
        ("anybody", "event listen", "forbidden/fruit", ABSENT, ALLOWED),
        # One user publishes, another one subscribes
        ("client-a", "event publish", "a-to-b/x", ABSENT, ALLOWED),
        ("client-b", "event publish", "a-to-b/x", ABSENT, FALSE),
        ("client-b", "event subscribe", "a-to-b/x", ABSENT, ALLOWED),
        ("client-a", "event subscribe", "a-to-b/x", ABSENT, FALSE),
        # A variable of the path
        ("anybody", "event publish", "news/tea-cup-pigs", ABSENT, ALLOWED),
        ("anybody", "event publish", "news/politics", ABSENT, FALSE),
        ("anybody", "event publish", "news/tea-cup-pigs/today", ABSENT, ALLOWED),  # $topic is one segment: "*" decides
        # The type and size of what is published
        ("anybody", "event publish", "number", 11, ALLOWED),
        ("anybody", "event publish", "number", 10, FALSE),
        ("anybody", "event publish", "number", "11", FALSE),
        ("anybody", "event publish", "number", ABSENT, FALSE),
        # A part of the data against a part of the name, whatever the case
        ("anybody", "event publish", "place/Berlin", {"address": {"city": "BERLIN"}}, ALLOWED),
        ("anybody", "event publish", "place/Berlin", {"address": {"city": "Paris"}}, FALSE),
        ("anybody", "event publish", "place/Berlin", {"address": {}}, ERROR),
        ("anybody", "event publish", "place/Berlin", {}, ERROR),
    ],
)
def test_events(rules: CompiledRules, user: str, what: str, name: str, data: Any, expected: Reason) -> None:
    assert asked(rules, user, what, name, data).reason is expected


@pytest.mark.parametrize(
    ("user", "what", "name", "data", "expected"),
    [
        ("anybody", "rpc provide", "anything", ABSENT, ALLOWED),
        ("anybody", "rpc request", "anything", [1, 2], ALLOWED),
        ("client-a", "rpc provide", "a-provides-b-requests", ABSENT, ALLOWED),
        ("client-b", "rpc provide", "a-provides-b-requests", ABSENT, FALSE),
        ("client-b", "rpc request", "a-provides-b-requests", {}, ALLOWED),
        ("client-a", "rpc request", "a-provides-b-requests", {}, FALSE),
        ("anybody", "rpc request", "only-full-user-data", {"firstname": "Egon", "lastname": "Miller"}, ALLOWED),
        ("anybody", "rpc request", "only-full-user-data", {"firstname": "Egon"}, FALSE),
        ("anybody", "rpc request", "only-full-user-data", {"firstname": "Egon", "lastname": 5}, FALSE),
        ("anybody", "rpc request", "only-full-user-data", ABSENT, ERROR),
        ("anybody", "rpc provide", "only-full-user-data", ABSENT, ALLOWED),
    ],
)
def test_calls(rules: CompiledRules, user: str, what: str, name: str, data: Any, expected: Reason) -> None:
    assert asked(rules, user, what, name, data).reason is expected


@pytest.mark.parametrize(
    ("user", "what", "name", "data", "old", "expected"),
    [
        # Anybody may do anything, where nothing more specific stands
        ("anybody", "record create", "anything", ABSENT, None, ALLOWED),
        ("anybody", "record delete", "anything", ABSENT, {}, ALLOWED),
        ("anybody", "record write", "anything", {"x": 1}, {}, ALLOWED),
        ("anybody", "record read", "anything", ABSENT, {}, ALLOWED),
        ("anybody", "record listen", "anything", ABSENT, ABSENT, ALLOWED),
        # A profile is read by all and written by the one it is about
        ("eva", "record read", "public-profile/egon", ABSENT, {}, ALLOWED),
        ("egon", "record create", "public-profile/egon", ABSENT, None, ALLOWED),
        ("eva", "record create", "public-profile/egon", ABSENT, None, FALSE),
        ("egon", "record write", "public-profile/egon", {"age": 5}, {}, ALLOWED),
        ("eva", "record write", "public-profile/egon", {"age": 5}, {}, FALSE),
        # A counter only grows
        ("anybody", "record write", "counter/1", {"value": 1}, {}, ALLOWED),
        ("anybody", "record write", "counter/1", {"value": 6}, {"value": 5}, ALLOWED),
        ("anybody", "record write", "counter/1", {"value": 5}, {"value": 5}, FALSE),
        ("anybody", "record write", "counter/1", {"value": 5}, None, ERROR),  # not created: oldData is null
        # Only Egon Miller can be deleted
        ("anybody", "record delete", "person/Egon/MILLER", ABSENT, {}, ALLOWED),
        ("anybody", "record delete", "person/Egon/Meier", ABSENT, {}, FALSE),
        ("anybody", "record write", "person/Egon/Meier", {}, {}, ALLOWED),
        # An order needs an item in stock
        ("anybody", "record create", "order/1", ABSENT, None, ALLOWED),
        ("anybody", "record write", "order/1", {"itemId": "tea"}, {}, ALLOWED),
        ("anybody", "record write", "order/1", {"itemId": "cup"}, {}, FALSE),
        ("anybody", "record write", "order/1", {"itemId": "pot"}, {}, ERROR),  # there is no such item
        ("anybody", "record write", "order/1", {"itemId": "rug"}, {}, Reason.RECORDS_NEEDED),  # ask again once loaded
    ],
)
def test_records(rules: CompiledRules, user: str, what: str, name: str, data: Any, old: Any, expected: Reason) -> None:
    decision = asked(rules, user, what, name, data, old)
    assert decision.reason is expected
    assert decision.records == (("item/rug",) if expected is Reason.RECORDS_NEEDED else ())
