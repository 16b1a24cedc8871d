"""What the linter must not say, and that what it calls certain is certain. What it does say is in docs/reference/rules-lint.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import rules, somebody
from trio_router.errors import RuleError
from trio_router.identity import User
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.lint import lint
from trio_router.permissions.lint_codes import WARNING

ROOT = Path(__file__).parents[3]


def codes(rule: object, pattern: str = "a/$b", action: str = "publish", section: str = "event") -> list[str]:
    found = lint(json.dumps({section: {pattern: {action: rule}}}), "rules.json")
    return [finding.code for finding in found if finding.code != "R401"]


@pytest.mark.parametrize(
    "rule",
    [
        True,
        False,
        "true",
        "user.id === $b",
        "user.data.role === 'editor' && data.title.length <= 80",
        "$b >= '2020'",
        "$b > 2020",
        "data.x === data.y",
        "data.x == null",
        "typeof data.x === 'string' || data === 'x'",
        "name === 'a/x' || $b === 'y' || action === data.action",
        "!data.x || data.x === 1",
        "data && data.x === 1 || user.isAuthenticated",
        "user.data !== null && user.data.role === 'x' || $b === 'y'",
        "data === 'costs $5' || data === '$c'",
        "data.n ? $b === 'x' : false",
        "data.ok ? true : false",
        "(data.list ?? []).includes(1)",
        "!(data.a ?? false)",
    ],
)
def test_what_is_fine_is_left_alone(rule: object) -> None:
    assert codes(rule) == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("data.x === 1 || true", ["R201"]),
        ("data.x || true", ["R302"]),
        ("!user.id && false", ["R202"]),
        ("data.a === 1 || 'x' === 1", ["R204"]),
        ("data.a === 1 && !false", ["R203"]),
        ("action === 'publish' && data.x === 1", ["R203"]),
        ("action === 'subscribe' && data.x === 1", ["R206"]),
        ("null === undefined || data.x === 1", ["R203"]),
        ("$b !== 2020 && data.x === 1", ["R204"]),
        ("data.n ? data.x : null", ["R302"]),
        ("data.x ?? true", ["R302"]),
        ("data.x === 1 || data.a.b || data.c === 1", ["R302", "R303"]),
        ("data.tags.length", ["R302"]),
        ("data.a['b'].c === 1 || $b === 'x'", ["R303"]),
        ("user.data.a === '$b'", ["R403"]),
    ],
)
def test_findings_come_alone(rule: str, expected: list[str]) -> None:
    assert sorted(codes(rule)) == expected


def said(rule: str) -> list[tuple[str, str]]:
    """(code, text) of what is found, each at the place of the part it begins with."""
    text = json.dumps({"event": {"a/$b": {"publish": rule}}}, ensure_ascii=False)
    begins = text.index(json.dumps(rule)[1:-1]) + 1
    found = [one for one in lint(text, "rules.json") if one.code != "R401"]
    for one in found:
        part = re.match(r"(?:where )?`(.*?)` ", one.text)
        assert part is None or rule[one.column - begins :].startswith(part[1])
    return [(one.code, one.text) for one in found]


TYPES = "typeof gives one of string, number, boolean, object, undefined"
EXACTLY = "allows only if it is exactly true; Valve denies only what is exactly false"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # Sides that are never equal.
        ("user.id === null", [("R204", "`user.id === null` is always false: `user.id` is a text, `null` is null")]),
        ("null !== user.id", [("R204", "`null !== user.id` is always true: `user.id` is a text, `null` is null")]),
        ("undefined === now", [("R204", "`undefined === now` is always false: `now` is a number, `undefined` is undefined")]),
        ("user.isAuthenticated === 'true'", [
            ("R204", "`user.isAuthenticated === 'true'` is always false: `user.isAuthenticated` is true or false, `'true'` is a text"),
        ]),
        ("typeof data === 'list'", [("R205", f"`typeof data === 'list'` is always false: {TYPES}")]),
        ("'list' !== typeof data", [("R205", f"`'list' !== typeof data` is always true: {TYPES}")]),
        ("typeof data === 5", [("R204", "`typeof data === 5` is always false: `typeof data` is a text, `5` is a number")]),
        ("name === 'b/x'", [("R206", "`name === 'b/x'` is always false: the pattern 'a/$b' does not match 'b/x'")]),
        ("'a/x' !== name", []),
        ("$b === ''", [("R206", "`$b === ''` is always false: $b is one segment of a name")]),
        ("$b !== 'a/b'", [("R206", "`$b !== 'a/b'` is always true: $b is one segment of a name")]),
        ("$b === 'a b'", [("R206", "`$b === 'a b'` is always false: $b is one segment of a name")]),
        ("$b === 'a|b'", []),  # which ids of users may hold
        ("action === 'write'", [("R206", "`action === 'write'` is always false: action is 'publish' here")]),
        ("'x' !== action", [("R206", "`'x' !== action` is always true: action is 'publish' here")]),
        ("user.id == 5", [("R304", "`user.id == 5` converts its sides before it compares them")]),
        ("data.x != 5", [("R304", "`data.x != 5` converts its sides before it compares them")]),
        ("data.x != null", []),
        ("undefined == data.x", []),
        ("data.x > 5", []),
        # The same on both sides.
        ("data.x !== data.x", [("R207", "`data.x !== data.x` compares something with itself")]),
        ("data.x == data.x", [("R207", "`data.x == data.x` compares something with itself")]),
        ("`${$b}` === `${$b}`", [("R207", "``${$b}` === `${$b}`` compares something with itself")]),
        ("data.x >= data.x", []),
        ("data.x.trim() === data.x.trim()", []),  # which may fail
        # What does not depend on anything.
        ("true && true", [("R201", "`true && true` is always true")]),
        ("data.x ? true : true", [("R201", "`data.x ? true : true` is always true")]),
        ("!(data.x && false)", [("R201", "`!(data.x && false)` is always true")]),
        ("null == undefined", [("R201", "`null == undefined` is always true")]),
        ("data.x && null === undefined", [("R202", "`data.x && null === undefined` is never true")]),
        ("1 > 2 ? data.x === 1 : false", [("R202", "`1 > 2 ? data.x === 1 : false` is never true")]),
        ("1 < 2 ? data.x === 1 : false", [("R203", "`1 < 2` is always true")]),
        ("null.x && data.x === 1", [("R202", "`null.x && data.x === 1` is never true")]),  # it fails
        ("data.x === 1 || null.x.y === 1", [("R203", "`null.x.y === 1` is always false")]),
        ("data.x === 1 && (1 > 2 || data.y === 1)", [("R203", "`1 > 2` is always false")]),
        ("data.x === 1 && (true || data.y === 1)", [("R203", "`true || data.y === 1` is always true")]),  # and not true alone
        ("data.x ? 1 > 2 : data.y === 1", [("R203", "`1 > 2` is always false")]),
        ("data.x === 1 && (data.y ? 1 < 2 : !true)", [
            ("R203", "`1 < 2` is always true"), ("R203", "`!true` is always false"),
        ]),
        ("[data.x && false].length === 1", [("R203", "`false` is always false")]),
        ("(data.x ?? 1) === 1", []),
        ("user.id === 5 || true", [("R204", "`user.id === 5` is always false: `user.id` is a text, `5` is a number")]),
        ("user.id === 5 || 1 > 2", [("R204", "`user.id === 5` is always false: `user.id` is a text, `5` is a number")]),
        ("5 !== user.id && 1 < 2", [("R204", "`5 !== user.id` is always true: `5` is a number, `user.id` is a text")]),
        ("5 !== user.id || data.x === 1 && 1 < 2", [
            ("R204", "`5 !== user.id` is always true: `5` is a number, `user.id` is a text"),
        ]),
        ("user.id === 5 && (data.x === 1 || 1 > 2)", [
            ("R204", "`user.id === 5` is always false: `user.id` is a text, `5` is a number"),
        ]),
        ("name === 'b/x' || 1 > 2", [
            ("R206", "`name === 'b/x'` is always false: the pattern 'a/$b' does not match 'b/x'"),
        ]),
        ("'b/x' !== name && 1 < 2", [
            ("R206", "`'b/x' !== name` is always true: the pattern 'a/$b' does not match 'b/x'"),
        ]),
        ("data.y === 1 || data.x && user.id === 5", [
            ("R204", "`user.id === 5` is always false: `user.id` is a text, `5` is a number"),
        ]),
        ("data.x === 1 && (data.y === 1 || true)", [("R203", "`data.y === 1 || true` is always true")]),
        ("(data.x && 1 < 2) ? data.y === 1 : false", [("R203", "`1 < 2` is always true")]),
        ("data.x ? data.y === 1 && 1 < 2 : false", [("R203", "`1 < 2` is always true")]),
        # Results that are not true or false.
        ("data.x && 1", [("R203", "`1` is always true"), ("R301", "`1` is a number, and only true allows")]),
        ("data.x ? 'a' : 5", [
            ("R301", "`'a'` is a text, and only true allows"), ("R301", "`5` is a number, and only true allows"),
        ]),
        ("data.x ?? 'a'", [("R302", f"`data.x` {EXACTLY}"), ("R301", "`'a'` is a text, and only true allows")]),
        ("data.x && data.y", [("R302", f"`data.y` {EXACTLY}")]),
        ("data.x ? data.y : data.z", [("R302", f"`data.y` {EXACTLY}"), ("R302", f"`data.z` {EXACTLY}")]),
        ("data.x === 1 && data.y === 1 && data.z", [("R302", f"`data.z` {EXACTLY}")]),
        ("(data?.x)", [("R302", f"`data?.x` {EXACTLY}")]),
        ("now", [("R301", "`now` is a number, and only true allows")]),
        ("data.x || null", [("R302", f"`data.x` {EXACTLY}"), ("R203", "`null` is always false")]),
        # What may fail before it is its turn.
        ("user.data.a.b === 1 || $b === 'x'", [("R303", "where `user.data.a` fails, what follows || is not asked")]),
        ("user.data?.a.b === 1 || $b === 'x'", []),
        ("data.a?.b.c === 1 || $b === 'x'", []),
        ("data.a.b.c === 1 || $b === 'x'", [("R303", "where `data.a.b` fails, what follows || is not asked")]),
        ("data.a.b[0] === 1 || $b === 'x'", [("R303", "where `data.a.b` fails, what follows || is not asked")]),
        ("data.list[0].x === 1 || $b === 'x'", [("R303", "where `data.list[0]` fails, what follows || is not asked")]),
        ("data.a.trim() === 'x' || $b === 'x'", [("R303", "where `data.a.trim()` fails, what follows || is not asked")]),
        ("_('x').y === 1 || $b === 'x'", [("R303", "where `_('x').y` fails, what follows || is not asked")]),
        ("data.a && data.a.b === 1 || $b === 'x'", []),
        ("(data.a || data.b) && data.b.c === 1 || $b === 'x'", []),
        ("data.a && data.b && data.a.c === 1 || $b === 'x'", []),
        ("(data.a.b === 1 || $b === 'x') && (data.c.d === 1 || $b === 'y')", [
            ("R303", "where `data.a.b` fails, what follows || is not asked"),
            ("R303", "where `data.c.d` fails, what follows || is not asked"),
        ]),
        ("(data.a || data.b.c) && $b === 'y' || $b === 'x'", [("R303", "where `data.b.c` fails, what follows || is not asked")]),
        ("data.a.b === 1 && data.a.b === 2 || $b === 'x'", [("R303", "where `data.a.b` fails, what follows || is not asked")]),
        ("$b === 'x' || data.a.b === 1", []),  # nothing follows
        ("user.id.length === 3 || $b === 'x'", []),
        ("data.a.b === 1 || data.c.d === 1 || $b === 'x'", [("R303", "where `data.a.b` fails, what follows || is not asked")]),
        # Variables in quotes.
        ("data.x === 'x$b' || data.y === '$b$b'", [
            ("R403", "`'x$b'` is a text; it does not hold what $b stands for"),
            ("R403", "`'$b$b'` is a text; it does not hold what $b stands for"),
        ]),
        ("data.x === 'costs $'", []),
        ("data.x === `$b`", []),
    ],
)  # fmt: skip
def test_what_is_said_of_an_expression(rule: str, expected: list[tuple[str, str]]) -> None:
    assert said(rule) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("!oldData.value || data.value > oldData.value", ["R303"]),
        ("!oldData?.value || data.value > oldData.value", []),
        ("oldData === null || data.value > oldData.value", []),
        ("_('a').open === true || user.id === 'x'", ["R303"]),
        ("_('a')?.open === true || user.id === 'x'", []),
    ],
)
def test_records_may_be_missing(rule: str, expected: list[str]) -> None:
    assert codes(rule, action="write", section="record") == expected


def test_a_refused_file_is_not_linted() -> None:
    with pytest.raises(RuleError):
        lint("event: {a: {publish: dat}}", "rules.yml")


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("# lint: ignore R302", []),
        ("#lint: ignore R304, R302", []),
        ("# lint: ignore", []),
        ("# lint: ignore R304", ["R302"]),
        ("# R302", ["R302"]),
        ("# lint: ignore R302 because", ["R302"]),
    ],
)
def test_what_a_comment_silences(comment: str, left: list[str]) -> None:
    beside = f"event:\n  a:\n    publish: data.x {comment}\n    subscribe: true\n"
    above = f"event:\n  a:\n    {comment}\n    publish: data.x\n    subscribe: true\n"
    for text in (beside, above):
        assert [finding.code for finding in lint(text, "rules.yml")] == left


@pytest.mark.parametrize(
    ("comments", "left"),
    [
        (["", "", ""], [3, 4, 5]),
        (["", "# lint: ignore", ""], [4, 5]),
        (["", "# lint: ignore R302", ""], [4, 5]),
        (["", "", "# lint: ignore R302"], [3, 5]),
        (["# lint: ignore-file", "", ""], []),
        (["", "", "# lint: ignore-file R302"], [5]),
        (["# lint: ignore-file R302", "", "# lint: ignore-file R304"], []),
        (["# lint: ignore-file R304", "# lint: ignore R302", ""], [4]),
    ],
)
def test_which_lines_a_comment_silences(comments: list[str], left: list[int]) -> None:
    first, second, third = comments
    text = f"event: {first}\n  a:\n    publish: data.x {second}\n    subscribe: user.data.x {third}\n    listen: user.id == 5\n"
    assert [finding.line for finding in lint(text, "rules.yml")] == left


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("examples/*/rules.yml"), *ROOT.glob("trio_router/cli/templates/rules.yml")]), ids=str
)
def test_the_rules_files_of_the_project_have_no_warning(path: Path) -> None:
    found = lint(path.read_text(), str(path))
    assert [str(finding) for finding in found if finding.severity == WARNING] == []


PATTERNS = st.lists(st.sampled_from(["*", "$x", "a", "b", "/", "a/*", "$y", "*$z"]), min_size=1, max_size=3).map(
    "".join
)
NAMES = st.text(alphabet="ab/", min_size=1, max_size=6)


@given(
    st.lists(PATTERNS, min_size=2, max_size=4, unique=True),
    st.lists(NAMES, min_size=20, max_size=40),
    st.sampled_from([("event", "publish", Action.EVENT_PUBLISH), ("event", "subscribe", Action.EVENT_SUBSCRIBE)]),
)
@settings(max_examples=200, deadline=None)
def test_no_name_and_no_wildcard_gets_to_a_rule_that_is_called_unreachable(
    patterns: list[str], names: list[str], about: tuple[str, str, Action]
) -> None:
    section, verb, action = about
    text = json.dumps({section: {pattern: {verb: True} for pattern in patterns}}, indent=1)
    try:
        made = rules(text)
    except RuleError:
        return
    dead = {finding.line for finding in lint(text, "rules.yml") if finding.code == "R101"}
    for name in names:
        ref = made.decide(somebody(), action, name).rule
        assert ref is None or ref.line not in dead
        ref = made.decide_pattern(somebody(), action, name.replace("b", "*")).rule
        assert ref is None or ref.line not in dead or verb == "publish"


PARTS = st.recursive(
    st.sampled_from(
        [
            "data.x",
            "true",
            "false",
            "1",
            "''",
            "null",
            "user.id",
            "$b",
            "'x'",
            "typeof data",
            "action",
            "name",
            "data.x === 1",
        ]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||", "===", "!==", "=="]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        inner.map(lambda part: f"!{part}"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
    ),
    max_leaves=5,
)


@given(PARTS, st.lists(st.sampled_from([0, 1, "x", "", None, True, {}, []]), min_size=4))
@settings(max_examples=300, deadline=None)
def test_what_is_called_always_true_or_never_true_is(expression: str, values: list[object]) -> None:
    text = json.dumps({"event": {"a/$b": {"publish": expression}}})
    found = {finding.code for finding in lint(text, "rules.yml")}
    made = rules(text)
    for value in values:
        who = somebody(User("x"))
        allowed = made.decide(who, Action.EVENT_PUBLISH, "a/x", Payload({"x": value})).allowed
        assert not (allowed and "R202" in found)
        assert allowed or "R201" not in found
