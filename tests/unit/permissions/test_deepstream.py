"""Permissions files of deepstream: what is written, what is refused, and when the two languages differ."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import rules, somebody
from trio_router.errors import RuleError
from trio_router.permissions import deepstream
from trio_router.permissions.decision import Action
from trio_router.permissions.deepstream import import_permissions

WHOLE = {
    "presence": {"*": {"allow": True}},
    "record": {"*": {"create": True, "write": True, "read": True, "delete": True, "notify": True}},
    "event": {"*": {"publish": True, "subscribe": True}},
    "rpc": {"*": {"provide": True, "request": True}},
}


def codes(section: str, path: str, actions: dict[str, object]) -> list[str]:
    """The codes of one more rule in a file that is otherwise the same in both."""
    file = {**WHOLE, section: {**WHOLE[section], path: actions}}
    found = import_permissions(json.dumps(file), "permissions.json").differences
    return [difference.code for difference in found if difference.code != "D106"]


def test_json_becomes_yaml() -> None:
    made = import_permissions(json.dumps(WHOLE), "permissions.json")
    assert made.text.startswith('event:\n  "*":\n    publish: true\n    subscribe: true\n\nrpc:\n')
    assert rules(made.text).decide(somebody(), Action.EVENT_PUBLISH, "x").allowed
    assert [difference.code for difference in made.differences] == ["D106"]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("user.id === 'a'", []),
        ("!oldData || data.n > oldData.n", []),
        ("typeof data === 'string' && data.startsWith('x')", []),
        ("_('item/' + data.id).stock > 0", []),
        ("data.x ? data.y === 1 : false", []),
        ("!data.x && data.y === 1", []),
        ("data.x", ["D101"]),
        ("data.x || data.y === 1", ["D101"]),
        ("data.x ? data.y : true", ["D101"]),
        ("data.x && true", ["D113"]),
        ("(data.x || data.y) && data.z === 1", ["D113", "D113"]),
        ("data.x === '${HOME}'", ["D111"]),
        ("_('a').x === oldData", ["D109"]),
        ("_(_('a').b).c === 1", ["D110"]),
        ("_(_('a')).b === 1", ["D110"]),
        ("oldData.x === oldData ", ["D109"]),
        ("oldData === data.x", []),
        ("data.x === '$HOME' || data.x === '{x}'", []),
        ("data.x ?? data.y === 1", ["D101"]),
        ("user.isAuthenticated && (data.x ? data.y : true) && true", ["D112", "D113"]),
        ("user.isAuthenticated", ["D112"]),
    ],
)
def test_which_rules_differ(rule: str, found: list[str]) -> None:
    assert codes("record", "a/b", {"write": rule}) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a/$b", []),
        ("a/$b/*", []),
        ("a.b/$c", ["D102"]),
        ("a/$b_c", ["D105"]),
        ("a/$bC1_d", ["D105"]),
        ("$aVeryLongName/*", []),
        ("a/$b/_c", []),
    ],
)
def test_which_paths_differ(path: str, found: list[str]) -> None:
    assert codes("event", path, {"publish": True}) == found


def told(file: str) -> list[str]:
    """What differs, without the sections that are missing."""
    found = import_permissions(file, "permissions.yml").differences
    return [f"{one.line}:{one.column} {one}" for one in found if one.code != "D107"]


@pytest.mark.parametrize(
    ("rule", "hints"),
    [
        ("action === 2", [False]),
        ("action === data.x", [False]),
        ("action === 'publish'", [True]),
        ("'publish' === action", [True]),
        ("data.x === 'publish' && action > 2", [False]),
        ("action === 2 || 'publish' !== action", [False, True]),
    ],
)
def test_a_comparison_of_the_action_with_its_name_is_told(rule: str, hints: list[bool]) -> None:
    found = [line for line in told(json.dumps({"event": {"a": {"publish": rule}}})) if " D104 " in line]
    assert [line.endswith("; a comparison with a name is true neither there nor here") for line in found] == hints


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["a/b", "a/$long"], [("a/b", "a/$long")]),
        (["a/$long", "a/b"], [("a/b", "a/$long")]),
        (["a/b", "a/*"], [("a/b", "a/*")]),  # the later one of two that are as long
        (["a/*", "a/b"], []),
        (["a/b", "b/$long"], []),  # no name matches both
        (["a$x", "aa*"], []),
        (["a/b", "a/$l", "a/$longer"], []),
    ],
)
def test_the_path_that_applies_here_is_told(paths: list[str], found: list[tuple[str, str]]) -> None:
    file = "event:\n" + "".join(f'  "{path}": {{publish: true}}\n' for path in paths)
    try:
        lines = told(file)
    except RuleError:
        lines = []
    assert lines == [
        f'{paths.index(there) + 2}:3 D103 event "{there}" publish: {here!r} applies to the names it shares with '
        f"{there!r}, which applies there: the longer path wins there, the more specific one here"
        for here, there in found
    ]


def test_paths_are_compared_for_the_same_action_only_and_not_if_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert told("event: {a/b: {publish: true}, a/$long: {subscribe: true}}") == []
    file = "event: {a/b: {publish: true, subscribe: true}, a/$long: {publish: true}}"
    monkeypatch.setattr(deepstream, "MAX_PAIRED", 2)
    assert len(told(file)) == 1
    monkeypatch.setattr(deepstream, "MAX_PAIRED", 1)
    assert told(file) == []


def test_each_missing_section_and_each_way_of_listening_is_told_where_it_stands() -> None:
    made = import_permissions("\nevent:\n  a:\n    listen: true\n  b: {publish: true, listen: false}\n", "x.yml")
    assert [(one.line, one.column, one.code, one.rule) for one in made.differences] == [
        (2, 1, "D107", "presence"),
        (2, 1, "D107", "record"),
        (2, 1, "D107", "rpc"),
        (4, 5, "D108", 'event "a" listen'),
        (5, 22, "D108", 'event "b" listen'),
    ]


def test_a_rule_that_compares_action_keeps_its_number() -> None:
    text = json.dumps({**WHOLE, "event": {"*": {"publish": "action === 2", "subscribe": "action === 'subscribe'"}}})
    made = import_permissions(text, "permissions.json")
    assert made.text.startswith("actions: numeric\n\nevent:\n")
    found = [str(difference) for difference in made.differences if difference.code == "D104"]
    assert len(found) == 2
    assert found[1].endswith("a comparison with a name is true neither there nor here")
    assert rules(made.text).decide(somebody(), Action.EVENT_PUBLISH, "x").allowed
    assert not rules(made.text).decide(somebody(), Action.EVENT_SUBSCRIBE, "x").allowed


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("event: {'a b': {publish: true}}", "permissions.yml:1:11: event \"a b\": the character ' ' stands in no name"),
        (
            "event: {a: {subscribe: 'data === 1'}}",
            'permissions.yml:1:25: event "a" subscribe: there is no data in rules for event subscribe',
        ),
        (
            "event: {a/$b: {publish: true}, a/$cc: {subscribe: true, publish: false}}",
            (
                "permissions.yml:1:57: event \"a/$cc\" publish: 'a/$b' matches the same names; "
                "deepstream uses 'a/$cc' alone, so remove the other"
            ),
        ),
        (
            "event: {a/$bb: {publish: true}, a/$c: {publish: true}}",
            (
                "permissions.yml:1:40: event \"a/$c\" publish: 'a/$bb' matches the same names; "
                "deepstream uses 'a/$bb' alone, so remove the other"
            ),
        ),
        (
            "event: {a/$b1/x: {publish: true}, a/$cD/x: {publish: true}}",
            (
                "permissions.yml:1:45: event \"a/$cD/x\" publish: 'a/$b1/x' matches the same names; "
                "deepstream uses 'a/$cD/x' alone, so remove the other"
            ),
        ),
        ("event: 7", "permissions.yml:1:8: event: a section maps name patterns to actions, but here is a number"),
        (
            "event: {a: 7}",
            'permissions.yml:1:12: event "a": a pattern maps actions (publish, subscribe, listen) to rules, but here is a number',
        ),
        ("event: *all", "permissions.yml:1:8: aliases are not allowed; write the value out"),
        ("7", "permissions.yml:1:1: the file must hold sections event, rpc, presence, record, but here is a number"),
    ],
)
def test_what_does_not_exist_here_is_refused_with_its_path(file: str, problem: str) -> None:
    with pytest.raises(RuleError) as caught:
        import_permissions(file, "permissions.yml")
    assert [str(one) for one in caught.value.problems] == [problem]


def there(paths: list[str], name: str) -> str | None:
    """Which path deepstream uses for a name."""

    def matches(path: str) -> bool:
        return re.fullmatch(re.sub(r"\$[a-z]+", "([^/]+)", path.replace("*", ".*")), name) is not None

    found = [(len(path), number, path) for number, path in enumerate(paths) if matches(path)]
    return max(found)[2] if found else None


PATHS = st.lists(st.sampled_from(["*", "$x", "$yyy", "a", "bb", "/", "/"]), min_size=1, max_size=4).map("".join)


@given(
    st.lists(PATHS, min_size=2, max_size=4, unique=True),
    st.lists(st.text(alphabet="ab/", min_size=1, max_size=6), min_size=30),
)
@settings(max_examples=200, deadline=None)
def test_where_another_path_applies_it_is_told(paths: list[str], names: list[str]) -> None:
    try:
        made = import_permissions(
            json.dumps({"event": {path: {"publish": True} for path in paths}}), "permissions.json"
        )
    except RuleError:
        return
    told = {one.text for one in made.differences if one.code == "D103"}
    ruleset = rules(made.text)
    for name in names:
        ref = ruleset.decide(somebody(), Action.EVENT_PUBLISH, name).rule
        winner = there(paths, name)
        if ref is not None and ref.pattern != winner:
            assert any(
                text.startswith(f"{ref.pattern!r} applies to") and f" {winner!r}, which" in text for text in told
            )
