"""Verbs and standing rights whose rules read records: nothing is done, and nothing ends, before they are known."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.unit.routing.world import World, refused
from trio_router.clock import ManualClock
from trio_router.errors import RecordsNeeded
from trio_router.limits import Rates
from trio_router.payload import ABSENT
from trio_router.permissions.loader import load_rules
from trio_router.permissions.records import MISSING_UNLOADED
from trio_router.permissions.ruleset import CompiledRules
from trio_router.protocols import codes

RULES = """
event:
  "*":
    publish: "_('gate').open"
    subscribe: "_('gate').open"
rpc:
  "*":
    provide: "_('gate').open"
    request: "_('gate').open"
presence:
  "*":
    allow: "_('profile/' + name).public"
"""
OPEN = {"gate": {"open": True}, "profile/anna": {"public": True}, "profile/ben": None}


class Books:
    def __init__(self, contents: dict[str, Any]) -> None:
        self.contents = contents

    def peek(self, name: str) -> Any:
        return self.contents.get(name, MISSING_UNLOADED)


def rules(contents: dict[str, Any]) -> CompiledRules:
    return load_rules(RULES, "rules.yml", clock=ManualClock(), records=Books(contents))


def needed(verb: Any, *arguments: Any, **options: Any) -> set[str]:
    with pytest.raises(RecordsNeeded) as caught:
        verb(*arguments, **options)
    return set(caught.value.names)


def test_no_verb_does_anything_before_its_records_are_known() -> None:
    world = World(rules({}))
    anna = world.join("anna")
    world.join("ben")
    anna.take()
    core, session = world.core, anna.session
    assert needed(core.subscribe, session, "a") == {"gate"}
    assert needed(core.subscribe, session, "a*") == {"gate"}
    assert needed(core.publish, session, "a", ABSENT, accepted=pytest.fail) == {"gate"}
    assert needed(core.provide, session, "f") == {"gate"}
    call = {"timeout": None, "progress": False, "disclose": False}
    assert needed(core.call, session, "1", "f", ABSENT, **call) == {"gate"}
    assert needed(core.presence_query, session, ["anna", "ben"]) == {"profile/anna", "profile/ben"}
    assert needed(core.presence_subscribe, session, ["anna", "ben"]) == {"profile/anna", "profile/ben"}
    assert needed(core.presence_query, session, None) == {"profile/anna", "profile/ben"}
    assert anna.told == []
    assert not session.subscriptions
    assert not session.offers
    assert not session.watches
    world.door.replace_rules(rules(OPEN))
    core.subscribe(session, "a")
    assert core.presence_query(session, None) == ({"anna": 1}, {})


def test_who_watches_everybody_is_not_told_what_cannot_be_decided() -> None:
    world = World(rules({}))
    anna = world.join("anna")
    world.core.presence_subscribe(anna.session, None)
    world.join("ben")
    assert anna.told == []


@pytest.mark.threat("T33")
def test_a_right_is_decided_again_with_the_records_it_needs() -> None:
    world = World(rules(OPEN))
    anna = world.join("anna")
    world.core.subscribe(anna.session, "a")
    contents: dict[str, Any] = {}
    with world.core.reconsidering(rules(contents)) as reconsideration:
        while reconsideration.advance(1):
            pass
        assert reconsideration.missing() == {"gate"}
        contents.update(OPEN)
        while reconsideration.advance(1):
            pass
        assert reconsideration.missing() == frozenset()
        assert world.core.adopt(reconsideration) == 0
    assert "a" in anna.session.subscriptions


@pytest.mark.threat("T33")
def test_a_right_that_cannot_be_decided_ends() -> None:
    world = World(rules(OPEN))
    anna = world.join("anna")
    world.core.subscribe(anna.session, "a")
    with world.core.reconsidering(rules({})) as reconsideration:
        assert world.core.adopt(reconsideration) == 1
    assert not world.core.tell_losses(1)
    assert anna.told[-1][:3] == ("revoked", "subscribe", "a")
    assert codes.RULE_FAILED in anna.told[-1]
    with refused(codes.NOT_SUBSCRIBED):
        world.core.unsubscribe(anna.session, "a")


def test_what_is_asked_for_again_with_its_records_counts_once() -> None:
    world = World(rules({}))
    core, session = world.core, world.join("anna").session
    core.replace_limits(attrs.evolve(core.events.limits, rates=Rates(publishes_per_session=0.01, burst=0)))

    assert needed(core.publish, session, "a", ABSENT) == {"gate"}
    core.door.replace_rules(rules(OPEN))
    core.publish(session, "a", ABSENT)
    with refused(codes.RATE_LIMITED):
        core.publish(session, "a", ABSENT)
