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
