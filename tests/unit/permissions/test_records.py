"""Rules that read records, the session and the number of an action; what they prove of wildcards."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.permissions.rulesets import EGON
from trio_router.clock import ManualClock
from trio_router.errors import RuleError
from trio_router.identity import Identity
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.loader import NUMBERS, load_rules
from trio_router.permissions.records import MISSING_UNLOADED, Needed
from trio_router.permissions.ruleset import CompiledRules

WHO = Identity("shop", "s1", EGON, "users", "192.0.2.1")
READ, WRITE, DELETE = Action.RECORD_READ, Action.RECORD_WRITE, Action.RECORD_DELETE
SUBSCRIBE, PUBLISH = Action.EVENT_SUBSCRIBE, Action.EVENT_PUBLISH


class Books:
    """Records of which some are at hand."""

    def __init__(self, **contents: Any) -> None:
        self.contents = contents

    def peek(self, name: str) -> Any:
        return self.contents.get(name, MISSING_UNLOADED)


def made(sections: dict[str, Any], **records: Any) -> CompiledRules:
    return load_rules(json.dumps(sections), "rules.yml", clock=ManualClock(), records=Books(**records))


def test_a_record_that_is_not_at_hand_is_asked_for() -> None:
    ruleset = made({"event": {"a": {"publish": "_('x').open"}}})
    decision = ruleset.decide(WHO, PUBLISH, "a")
    assert (decision.allowed, decision.reason, decision.records) == (False, Reason.RECORDS_NEEDED, ("x",))
    assert decision.rule is not None
    assert made({"event": {"a": {"publish": "_('x').open"}}}, x={"open": True}).decide(WHO, PUBLISH, "a").allowed
    gone = made({"event": {"a": {"publish": "_('x') === null"}}}, x=None)
    assert gone.decide(WHO, PUBLISH, "a").allowed


def test_all_records_that_a_rule_may_name_are_asked_for_at_once() -> None:
    rule = "_('x').open && _('y/' + data.n).open && _(_('z').next).open && _(data.missing.deep) && _(5) && _('no good')"
    decision = made({"event": {"a": {"publish": rule}}}, z={"next": "w"}).decide(WHO, PUBLISH, "a", Payload({"n": 7}))
    assert set(decision.records) == {"x", "y/7", "w"}
    assert decision.records[0] == "x"


def test_a_name_that_cannot_be_told_yet_keeps_no_other_from_being_asked_for() -> None:
    ruleset = made({"event": {"a": {"publish": "_(_('z').next).open && _('x').open && _('y').open"}}}, y={})
    assert ruleset.decide(WHO, PUBLISH, "a").records == ("z", "x")


def test_a_rule_for_a_wildcard_asks_for_all_its_records() -> None:
    rule = {"rule": "_('x/' + user.id).open && _('y').open", "reason": "later"}
    ruleset = made({"event": {"a/*": {"publish": rule}, "*": {"publish": True}}}, y={})
    decision = ruleset.decide_pattern(WHO, PUBLISH, "a/*")
    assert (decision.reason, decision.records) == (Reason.RECORDS_NEEDED, ("x/egon",))
    assert decision.rule is not None
    assert decision.rule.pattern == "a/*"
    both = made({"event": {"a/*": {"publish": rule}}}).decide_pattern(WHO, PUBLISH, "a/b*")
    assert both.records == ("x/egon", "y")


def test_a_missing_record_is_told_to_administrators() -> None:
    decision = made({"event": {"a": {"publish": {"rule": "_('x').open", "reason": "later"}}}}).decide(WHO, PUBLISH, "a")
    assert decision.rule is not None
    assert (decision.rule.line, decision.rule.pattern, decision.detail) == (1, "a", "")
    assert str(Needed("x")) == "a record that the rule refers to is not loaded"


def test_no_record_is_asked_for_that_the_rule_does_not_come_to() -> None:
    ruleset = made({"event": {"a": {"publish": "user.id === 'eva' && _('x').open"}}})
    assert ruleset.decide(WHO, PUBLISH, "a").reason is Reason.RULE_FALSE


@pytest.mark.parametrize(
    "name", ["5", "null", "undefined", "data.missing", "[]", "''", "'a//b'", "'a b'", "'x' + [[]]"]
)
def test_what_names_no_record_is_an_error(name: str) -> None:
    decision = made({"event": {"a": {"publish": f"!_({name})"}}}).decide(WHO, PUBLISH, "a", Payload({}))
    expected = Reason.RECORDS_NEEDED if name == "'x' + [[]]" else Reason.RULE_ERROR
    assert decision.reason is expected


@pytest.mark.parametrize(
    ("old", "rule", "allowed"),
    [
        (ABSENT, "oldData.owner === user.id", True),
        (ABSENT, "oldData === null", False),
        (Payload({"owner": "eva"}), "oldData.owner === 'eva'", True),
        (Payload(None), "oldData === null", True),
        (Payload(None), "!oldData", True),
    ],
)
@pytest.mark.parametrize("action", [READ, WRITE, DELETE])
def test_old_data_is_what_is_given_or_what_is_at_hand(action: Action, old: Payload, rule: str, allowed: bool) -> None:
    ruleset = made({"record": {"doc": {action.verb: rule}}}, doc={"owner": "egon"})
    assert ruleset.decide(WHO, action, "doc", old=old).allowed is allowed


def test_old_data_that_is_not_at_hand_is_asked_for() -> None:
    ruleset = made({"record": {"doc/*": {"write": "!oldData.value || data.value > oldData.value"}}})
    assert ruleset.decide(WHO, WRITE, "doc/1", Payload({"value": 2})).records == ("doc/1",)


@pytest.mark.parametrize("action", sorted(set(Action) - {READ, WRITE, DELETE}, key=lambda action: action.value))
def test_other_actions_have_no_old_data(action: Action) -> None:
    with pytest.raises(RuleError, match=f"there is no oldData in rules for {action.section} {action.verb}"):
        made({action.section: {"a": {action.verb: "oldData === null"}}})


def test_rules_see_the_session() -> None:
    rule = "session.id === 's1' && session.app === 'shop' && session.strategy === 'users'"
    ruleset = made({"event": {"a": {"subscribe": rule + " && session.remoteAddress.startsWith('192.0.2.')"}}})
    assert ruleset.decide(WHO, SUBSCRIBE, "a").allowed
    assert not ruleset.decide(Identity("shop", "s2", EGON, "users", "192.0.2.1"), SUBSCRIBE, "a").allowed


@pytest.mark.parametrize("action", Action)
def test_an_action_is_a_name_or_on_request_a_number(action: Action) -> None:
    section = {"a": {action.verb: "action"}}
    for option, value in [(None, f"'{action.verb}'"), ("names", f"'{action.verb}'"), ("numeric", str(NUMBERS[action]))]:
        section = {"a": {action.verb: f"action === {value} && typeof action === typeof {value}"}}
        sections: dict[str, Any] = {action.section: section} | ({"actions": option} if option else {})
        assert made(sections).decide(WHO, action, "a").allowed


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("_('open').yes", Reason.ALLOWED),
        ("_('closed').yes", Reason.RULE_FALSE),
        ("_('unknown').yes", Reason.RECORDS_NEEDED),
        ("_(name) === null", Reason.NOT_PROVABLE),
        ("_('x/' + $id) === null", Reason.NOT_PROVABLE),
        ("`${name}` !== ''", Reason.NOT_PROVABLE),
        ("[$id].length === 1", Reason.NOT_PROVABLE),
        ("/a|/.test(name)", Reason.NOT_PROVABLE),
        ("name.match(/a|/).length === 1", Reason.NOT_PROVABLE),
        ("user.data[name] === undefined", Reason.NOT_PROVABLE),
        ("user.data?.[name] === undefined", Reason.NOT_PROVABLE),
        ("(user?.data?.[$id])?.x === undefined", Reason.NOT_PROVABLE),
        ("true ? true : name", Reason.NOT_PROVABLE),
        ("true ?? name", Reason.NOT_PROVABLE),
        ("+name !== -$id", Reason.NOT_PROVABLE),
        ("name + 1 !== ''", Reason.NOT_PROVABLE),
        ("!('x' in [name])", Reason.NOT_PROVABLE),
        ("session.app === 'shop' && [1].includes(1) && `${user.id}` === 'egon'", Reason.ALLOWED),
    ],
)
def test_a_wildcard_is_proved_by_what_is_the_same_for_all_its_names(rule: str, reason: Reason) -> None:
    ruleset = made({"event": {"p/$id*": {"subscribe": rule}}}, open={"yes": True}, closed={"yes": False})
    decision = ruleset.decide_pattern(WHO, SUBSCRIBE, "p/*a*")
    covering = made(
        {"event": {"*": {"subscribe": rule.replace("$id", "name")}}}, open={"yes": True}, closed={"yes": False}
    )
    assert covering.decide_pattern(WHO, SUBSCRIBE, "p/*").reason is reason
    if reason is Reason.RECORDS_NEEDED:
        assert decision.records == ("unknown",)
    else:
        assert not decision.allowed  # a variable never covers a star


def test_a_record_for_a_pattern_that_is_in_the_way_is_asked_for() -> None:
    sections = {"event": {"*": {"subscribe": True}, "a/*": {"subscribe": "_('x').open"}}}
    assert made(sections).decide_pattern(WHO, SUBSCRIBE, "*").records == ("x",)
    assert made(sections, x={"open": True}).decide_pattern(WHO, SUBSCRIBE, "*").allowed
    assert made(sections, x={"open": False}).decide_pattern(WHO, SUBSCRIBE, "*").reason is Reason.NOT_PROVABLE
