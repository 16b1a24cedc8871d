"""When a rule is unreachable and when a wildcard can never be proved: the edges of both."""

from __future__ import annotations

import json

import pytest

from trio_router.permissions.lint import lint


def found(section: str, verb: str, rules: dict[str, object]) -> list[tuple[str, str]]:
    """(code, pattern) of each finding."""
    text = json.dumps({section: {pattern: {verb: rule} for pattern, rule in rules.items()}}, indent=1)
    return [
        (finding.code, finding.rule.split('"')[1]) for finding in lint(text, "rules.json") if finding.code != "R401"
    ]


@pytest.mark.parametrize(
    ("section", "verb", "patterns", "unreachable"),
    [
        ("rpc", "request", ["*", "*$x"], ["*"]),
        ("rpc", "request", ["a/*", "a/*$x"], ["a/*"]),
        ("rpc", "request", ["a*", "a*$x"], []),  # a itself
        ("rpc", "request", ["a/*b", "a/*$x"], []),
        ("rpc", "request", ["*", "$x"], []),  # a/b
        ("rpc", "request", ["a/$x", "a/$x/*"], []),
        ("rpc", "request", ["$x/*", "$x/*$y"], ["$x/*"]),
        ("event", "subscribe", ["*", "*$x"], []),  # the wildcard * is proved by * alone
        ("event", "publish", ["*", "*$x"], ["*"]),
        ("record", "read", ["*", "*$x"], ["*"]),
        ("presence", "allow", ["*", "*$x"], []),
    ],
)
def test_unreachable(section: str, verb: str, patterns: list[str], unreachable: list[str]) -> None:
    made = found(section, verb, dict.fromkeys(patterns, True))
    assert [pattern for code, pattern in made if code == "R101"] == unreachable
    assert found(section, verb, dict.fromkeys(reversed(patterns), True)) == made


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"a/*": True, "a/b": False}, [("R502", "a/*")]),
        ({"a/*": True, "a/b": True}, []),
        ({"a/*": True, "b/c": False}, []),
        ({"a/*": False, "a/b": True}, []),
        ({"a/*": True, "a/b/*": "user.isAuthenticated"}, []),
        ({"a/*": True, "a/$u": "user.id === $u"}, [("R502", "a/*")]),
        ({"a/*": "name === 'a/b'"}, [("R501", "a/*")]),
        ({"a/*": True, "a/b": False, "a/c": False}, [("R502", "a/*")]),
        ({"a/*": "name === 'a/b'", "a/b": False}, [("R501", "a/*")]),
        ({"a/$u*": True, "a/bc": False}, []),
        ({"*": True, "a/*": True, "a/b/c": False}, [("R502", "*"), ("R502", "a/*")]),
        ({"a/b": "name.endsWith(user.id)"}, []),
        ({"a/$u/*": "user.id === $u"}, []),
        ({"a/*": "now > 5 && action === user.data?.may"}, []),
        ({"a/*": True, "a/b": "now > 5 && action === user.data?.may"}, []),
        # whatever stands before them in the file
        ({"x": True, "a/*": True, "a/b": False}, [("R502", "a/*")]),
        ({"x/*": False, "a/*": True, "a/b": False}, [("R502", "a/*")]),
        ({"x/*": True, "a/*": True, "a/b": False}, [("R502", "a/*")]),
        ({"x/$u*": True, "a/*": True, "a/b": False}, [("R502", "a/*")]),
        ({"x/*": "name === 'x/y'", "a/*": True, "a/b": False}, [("R501", "x/*"), ("R502", "a/*")]),
        ({"x/*": True, "x/y": False, "a/*": True, "a/b": False}, [("R502", "x/*"), ("R502", "a/*")]),
    ],
)
def test_wildcards_that_are_never_allowed(rules: dict[str, object], expected: list[tuple[str, str]]) -> None:
    assert found("event", "subscribe", rules) == expected
    assert [code for code, _ in found("event", "publish", rules) if code in ("R501", "R502")] == []


def test_variables_are_found_at_their_place() -> None:
    text = 'event:\n  "a/$name/$b_c/$d1":\n    publish: "$d1 === \'x\'"\n    subscribe: "$b === \'y\'"\n'
    assert [(finding.code, finding.line, finding.column) for finding in lint(text, "rules.yml")] == [
        ("R402", 2, 6),
        ("R404", 2, 12),
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("$x", [("R401", 0, "no rule here reads $x")]),
        ("$a/$ab", [("R401", 0, "no rule here reads $a"), ("R401", 3, "no rule here reads $ab")]),
        ("a/$ab/$a", [("R401", 2, "no rule here reads $ab"), ("R401", 6, "no rule here reads $a")]),
        ("$user1/$user", [("R401", 0, "no rule here reads $user1"),
                          ("R402", 7, "$user is a part of the name, user is something else")]),
        ("$read", []),
        ("$read/$now", [("R402", 6, "$now is a part of the name, now is something else")]),
        ("$read_id", [("R404", 0, "this is the variable $read and then '_id'")]),
        ("a$read_id/b_c", [("R404", 1, "this is the variable $read and then '_id'")]),
        ("$read/_id", []),
        ("$read*_id", []),
        ("$x_id/$read", [("R401", 0, "no rule here reads $x"), ("R404", 0, "this is the variable $x and then '_id'")]),
    ],
)  # fmt: skip
def test_what_is_said_of_variables(pattern: str, expected: list[tuple[str, int, str]]) -> None:
    """With its place in the pattern."""
    text = f'event:\n  "{pattern}":\n    publish: "{"$read === user.id" if "$read" in pattern else "now > 5"}"\n    subscribe: true\n'
    found = [each for each in lint(text, "rules.yml") if each.code.startswith("R4")]
    assert [(each.code, each.column - 4, each.text) for each in found] == expected
    assert {(each.line, each.rule) for each in found} <= {(2, f'event "{pattern}"')}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("a*$x/*", "a*/*$x"),
        ("ab*$x*/*", "a*b*/*$x"),  # with the same letters, though not together
    ],
)
def test_of_two_that_are_equally_specific_the_earlier_one_may_be_unreachable(earlier: str, later: str) -> None:
    assert told("rpc", "request", {earlier: True, later: True})[0][:2] == ("R101", 4)
    assert [each for each in told("rpc", "request", {later: True, earlier: True}) if each[0] == "R101"] == []


def test_a_variable_is_read_by_the_rules_of_its_own_pattern() -> None:
    text = "event:\n  a/$x: {publish: true, subscribe: true}\n  b/$x: {publish: true, subscribe: user.id === $x}\n"
    assert [(each.code, each.rule) for each in lint(text, "rules.yml")] == [("R401", 'event "a/$x"')]


def test_what_is_said_of_a_rule_no_name_gets_to() -> None:
    made = told("rpc", "request", dict.fromkeys(["*", "*$x", "a/*", "a/*$x"], True))
    assert made == [
        ("R101", 4, "every name it matches goes to '*$x' in line 7"),
        ("R101", 10, "every name it matches goes to 'a/*$x' in line 13"),
    ]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"a/*": "name === 'x'"}, "it reads name, so a wildcard that reaches it is denied"),
        ({"a/$b*": "name === $b"}, "it reads name, so a wildcard that reaches it is denied"),
        ({"a/*": True, "a/b": False}, "the rule of 'a/b' in line 7 has some of its names and is false"),
        ({"a/*": True, "a/$u": "user.id === $u"}, "the rule of 'a/$u' in line 7 has some of its names and reads $u"),
        ({"a/*": True, "a/$u/$v": "name === $v || $u === 'x'"},
         "the rule of 'a/$u/$v' in line 7 has some of its names and reads $u"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_wildcard_that_is_never_allowed(rules: dict[str, object], text: str) -> None:
    assert [each[2] for each in told("event", "subscribe", rules) if each[0] in ("R501", "R502")] == [text]


def told(section: str, verb: str, rules: dict[str, object]) -> list[tuple[str, int, str]]:
    text = json.dumps({section: {pattern: {verb: rule} for pattern, rule in rules.items()}}, indent=1)
    return [(each.code, each.line, each.text) for each in lint(text, "rules.json") if each.code != "R401"]
