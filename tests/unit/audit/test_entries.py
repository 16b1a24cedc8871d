"""The line of a decision: who, what and which rule; nothing of what was sent or what the login told."""

from __future__ import annotations

import json

import pytest

from trio_router.audit.entries import decision_entry
from trio_router.clock import ManualClock
from trio_router.identity import Identity, User
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.redaction import Redaction
from trio_router.routing.decisions import DecisionBook, Entry
from trio_router.routing.door import Door

RULES = """
event:
  "room/$room":
    publish: {rule: "user.data.secret.canary === data.canary", reason: "canary-reason"}
"""


def entry() -> Entry:
    entries: list[Entry] = []
    clock = ManualClock()
    book = DecisionBook(clock, keep=1, memory=100_000, sink=entries.append)
    door = Door(load_rules(RULES, "rules.yml", clock=clock), book=book)
    who = Identity("default", "session-1", User("egon", {"secret": "canary-user"}), "jwt", "203.0.113.7")
    door.authorize(who, Action.EVENT_PUBLISH, "room/a", Payload({"canary": "canary-data"}))
    return entries[0]


def test_a_line_says_who_and_what_and_which_rule() -> None:
    made = entry()
    assert decision_entry(made, Redaction()) == {
        "kind": "decision",
        "time": "2023-11-14T22:13:20.000Z",
        "id": made.id,
        "app": "default",
        "session": "session-1",
        "user": "egon",
        "action": "event.publish",
        "name": "room/a",
        "allowed": False,
        "reason": "rule_false",
        "rule": "rules.yml:4",
        "rules": made.rules_version,
    }


@pytest.mark.threat("T36")
def test_a_line_holds_nothing_else() -> None:
    assert "canary" not in json.dumps(decision_entry(entry(), Redaction()))


@pytest.mark.threat("T36")
def test_who_and_what_can_be_left_out() -> None:
    line = json.dumps(decision_entry(entry(), Redaction.of(["name", "user.id", "session.id"])))
    for hidden in ("room/a", "egon", "session-1"):
        assert hidden not in line
