from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import one_rule, somebody, value_of
from trio_router.errors import RuleError
from trio_router.payload import Payload
from trio_router.permissions import syntax
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.grammar import MAX_DEPTH, MAX_NODES, Scope, parse
from trio_router.permissions.lexer import MAX_SOURCE, ExpressionError

SCOPE = Scope(("userid",), data=True, action="event publish")
ESCAPES = [
    line
    for line in (Path(__file__).parent / "escapes.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def test_precedence_and_places() -> None:
    tree = parse("!user.id === $userid && data.a < 1 || name", SCOPE)
    assert tree == syntax.Junction(
        0,
        42,
        "||",
        (
            syntax.Junction(
                0,
                34,
                "&&",
                (
                    syntax.Compare(
                        0,
                        20,
                        "===",
                        syntax.Not(0, 8, syntax.UserField(1, 8, "id")),
                        syntax.PatternVariable(13, 20, "userid"),
                    ),
                    syntax.Compare(
                        24,
                        34,
                        "<",
                        syntax.Member(24, 30, syntax.Name(24, 28, "data"), "a"),
                        syntax.Constant(33, 34, 1),
                    ),
                ),
            ),
            syntax.Name(38, 42, "name"),
        ),
    )


def test_a_key_that_is_written_out_is_a_member() -> None:
    data = syntax.Name(0, 4, "data")
    assert parse("data['a']", SCOPE) == syntax.Member(0, 9, data, "a")
    assert parse("data[0]", SCOPE) == syntax.Member(0, 7, data, 0)
    assert parse("data?.[0]", SCOPE) == syntax.Member(0, 9, data, 0, optional=True)
    assert parse("data[-1]", SCOPE) == syntax.Index(0, 8, data, syntax.Constant(5, 7, -1))
    assert parse("(data)[(0)]", SCOPE) == syntax.Member(0, 11, syntax.Name(1, 5, "data"), 0)


def test_every_part_stands_where_it_is_written() -> None:
    source = "(data?.a).b + -name.length * [1, `x${$userid}`][0] > (user.id in data ? 1 : /a/.test(name)) ?? (_('a') || !now)"
    todo = [parse(source, SCOPE)]
    texts = set()
    while todo:
        node = todo.pop()
        texts.add(source[node.start : node.end])
        todo += syntax.children(node)
    assert texts >= {
        source, "(data?.a).b", "(data?.a)", "data?.a", "-name.length", "name.length", "[1, `x${$userid}`]", "`x${$userid}`", "$userid",
        "user.id in data ? 1 : /a/.test(name)", "/a/.test(name)", "/a/", "_('a') || !now", "_('a')", "!now",
        "-name.length * [1, `x${$userid}`][0]",
    }  # fmt: skip


def test_chains_of_one_operator_are_one_node() -> None:
    tree = parse(" || ".join(["name"] * 100), SCOPE)
    assert isinstance(tree, syntax.Junction)
    assert len(tree.operands) == 100
    assert value_of(" || ".join(["data"] * 250 + ["true"]), data=0) is True
    assert value_of(" && ".join(["data"] * 250 + ["true"]), data=1) is True


@pytest.mark.parametrize(
    ("source", "position", "message"),
    [
        ("", 0, "empty"),
        ("   ", 0, "empty"),
        ("user.id ==", 10, "ends too early: expected a value"),
        ("user.id name", 8, "expected an operator such as === or &&, or the end, not name"),
        ("user.id 'x'", 8, "not the text 'x'"),
        ("(name", 5, r"expected \) to close the \( at character 1"),
        ("name)", 4, r"not \)"),
        ("data.", 5, "a name after the dot"),
        ("data[", 5, "ends too early: expected a value"),
        ("data[]", 5, r"expected a value, not \]"),
        ("data['a'", 8, r"expected \] to close the \[ at character 5"),
        ("'abc", 0, "not closed"),
        ("'a\nb'", 0, "not closed"),
        (r"'\q'", 1, "no such escape"),
        (r"'\01'", 1, "no such escape"),
        (r"'\u12'", 1, "not the code of a character"),
        (r"'\u{110000}'", 1, "not the code of a character"),
        (r"'\ud800'", 0, "half a character"),
        ("010", 0, "does not start with 0"),
        ("0x10", 0, "decimal digits"),
        ("1_000", 0, "decimal digits"),
        ("1e", 1, "digits must follow"),
        ("1e999", 0, "out of range"),
        ("12abc", 0, "decimal digits"),
        ("name // why", 5, "comments"),
        ("// why", 0, "comments"),
        ("/* why */ name", 0, "comments"),
        ("name === /* why */ 1", 9, "comments"),
        ("name /* why */", 5, "comments"),
        ("`a", 0, "template is not closed"),
        ("`a${name", 8, "template is not closed"),
        ("`a${name}", 8, "template is not closed"),
        ("`a${name name}`", 9, r"expected } to close the \${ at character 3, not name"),
        ("name`x`", 4, "only methods"),
        ("name # x", 5, "no meaning"),
        ("caf\u00e9", 3, r"'\\xe9' has no meaning"),
        ("2 ** 3", 2, r"write a \* a"),
        ("name++", 4, r"\+\+ is not available"),
        ("[1,", 3, "ends too early: expected a value"),
        ("[,]", 1, "expected a value, not ,"),
        ("[1 2]", 3, r"expected \] to close the \[ at character 1, not 2"),
        ("name, name", 4, "not ,"),
        ("{}", 0, "objects cannot be written"),
        ("'a' instanceof data", 4, "instanceof is not available"),
        ("name in", 7, "ends too early"),
        ("data?.", 6, "a name after the dot"),
        ("name?.(1)", 6, "a name after the dot"),
        ("name ? 1", 8, "ends too early: expected : and what holds otherwise, for the . at character 6"),
        ("name ? 1 :", 10, "ends too early: expected a value"),
        ("name ?? data || name", 13, "needs parentheses"),
        ("name && data ?? name", 13, "needs parentheses"),
        ("name ?? data && name", 5, "needs parentheses"),
        ("_", 0, "the content of a record is"),
        ("_('a'", 5, r"expected \) to close the \( at character 2"),
        ("session", 0, "session is not a value; use session.id, session.remoteAddress"),
        ("session.ip", 8, "there is no session.ip; there are id, remoteAddress, strategy, app"),
        ("oldData", 0, "there is no oldData in rules for event publish"),
        ("/a", 0, "not closed by a slash"),
        ("/[/]", 0, "not closed by a slash"),
        ("/a/", 0, "stands before .test"),
        ("/a/ === name", 0, "stands before .test"),
        ("/a/g.test(name)", 2, "flags of a regular expression are i, m and s, each once, not g"),
        ("/a/ii.test(name)", 2, "each once, not ii"),
        ("/x(?=a)/.test(name)", 2, "look-ahead and look-behind are not available in rules"),
        ("/(?<!a)b/.test(name)", 1, "look-ahead and look-behind are not available in rules"),
        (r"/(a)\1/.test(name)", 4, "references back to a group are not available in rules"),
        (r"/(?<a>a)\k<a>/.test(name)", 8, "references back to a group are not available in rules"),
        ("name.match('(a')", 12, "never closed"),
        ("name.match(name)", 11, "takes a regular expression, written out"),
        ("name.test('a')", 5, "a method of a regular expression"),
        ("not name", 0, "write ! instead of not"),
        ("name | name", 5, r"write \|\|"),
        ("$user === name", 0, r"no variable \$user; did you mean \$userid\?"),
        ("Name", 0, r"unknown name Name; did you mean name\?"),
        ("zzzzz", 0, "unknown name zzzzz$"),
        ("user.Id", 5, r"no user.Id; did you mean id\?"),
        ("user", 0, "user is not a value"),
        ("user[0]", 0, "user is not a value"),
        ("name.trim(1)", 5, "takes no argument, not 1"),
        ("name.toUpperCase(1)", 5, "takes no argument, not 1"),
        ("name.toLowerCase(1)", 5, "takes no argument, not 1"),
        ("name.startsWith('a', 1, 2)", 5, "takes one or two arguments, not 3"),
        ("name.endsWith('a', 1, 2)", 5, "takes one or two arguments, not 3"),
        ("name.indexOf('a', 1, 2)", 5, "takes one or two arguments, not 3"),
        ("name.endsWith()", 5, "takes one or two arguments, not 0"),
        ("name.indexOf()", 5, "takes one or two arguments, not 0"),
        ("name.includes()", 5, "takes one or two arguments, not 0"),
        ("name.match()", 5, "takes one argument, not 0"),
        ("name.match(/a/, /b/)", 5, "takes one argument, not 2"),
        ("/a/.test()", 4, "takes one argument, not 0"),
        ("/a/.test(name, name)", 4, "takes one argument, not 2"),
        ("name.includes('a', 1, 2)", 5, "takes one or two arguments, not 3"),
        ("name.includes('a'", 17, r"expected \) to close"),
        ("name.trim()()", 11, "only methods"),
        ("data['trim']()", 12, "only methods"),
        ("startsWith('a')", 0, r"no function startsWith\(\); did you mean startsWith\?"),
    ],
)
def test_an_error_names_what_was_expected_and_where(source: str, position: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as caught:
        parse(source, SCOPE)
    assert caught.value.position == position


def test_an_expression_refers_to_sixteen_records_and_no_more() -> None:
    assert value_of(" && ".join(["!_('a')"] * 16)) is True
    with pytest.raises(ExpressionError, match="at most 16 records"):
        parse(" && ".join(["!_('a')"] * 17), SCOPE)


def test_data_is_known_only_where_there_is_some() -> None:
    with pytest.raises(ExpressionError, match="there is no data in rules for event subscribe"):
        parse("data.x", Scope(action="event subscribe"))


@pytest.mark.threat("T29")
@pytest.mark.parametrize("source", ESCAPES)
def test_what_escaped_from_other_sandboxes_does_not_even_parse(source: str) -> None:
    with pytest.raises(ExpressionError):
        parse(source, SCOPE)


@pytest.mark.threat("T29")
def test_a_compiled_rule_has_no_builtins_and_no_names_but_its_own() -> None:
    ruleset = one_rule("news", "publish", "user.data.x && data.y.includes(name) || typeof now === 'number'")
    _, evaluate, _, _ = ruleset._find(Action.EVENT_PUBLISH, "news")
    assert evaluate is not None
    code = evaluate.__code__
    assert evaluate.__globals__["__builtins__"] == {}
    ours = {"payload_value", "member", "truthy", "method_includes", "type_name"}
    assert set(code.co_names) <= ours | {"user", "data", "now"}


@pytest.mark.threat("T30")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(" * 100 + "true" + ")" * 100, "nested deeper"),
        ("!" * 100 + "true", "nested deeper"),
        ("typeof " * 100 + "name", "nested deeper"),
        ("data" + ".a" * 100, "nested deeper"),
        ("name" + ".trim()" * 100, "nested deeper"),
        ("1" + " === 1" * 100, "nested deeper"),
        ("name.includes(" * 100 + "name" + ")" * 100, "nested deeper"),
        ("[" * 100, "nested deeper"),
        ("true ? " * 100, "nested deeper"),
        ("-" * 1 + " -" * 100 + "name", "nested deeper"),
        ("name + " * 100 + "name", "nested deeper"),
        ("`${" * 100, "not closed"),
        ("`${" * 100 + "name" + "}`" * 100, "nested deeper"),
        ("data?.a" + "?.a" * 100, "nested deeper"),
        ("data[" * 100, "nested deeper"),
        ("_(" * 17 + "'a'" + ")" * 17, "at most 16 records"),
        ("/" + "(" * 100 + ")" * 100 + "/.test(name)", "nested deeper"),
        ("/(a{0,30}){0,30}/.test(name)", "too large"),
        ("data || " * 505 + "(1 === 1) || 1 === 1 || 1 === 1", "more than 512 parts"),
        ("(" * 4096, "nested deeper"),
        ("'" + "a" * 4095 + "'", "longer than 4096"),
        ("(" * 1_000_000, "longer than 4096"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_too_big_is_refused_at_once(source: str, message: str) -> None:
    started = time.thread_time()
    with pytest.raises(ExpressionError, match=message):
        parse(source, SCOPE)
    assert time.thread_time() - started < 1


@pytest.mark.threat("T30")
def test_the_largest_expressions_allowed_compile_and_run() -> None:
    assert value_of("!" * (MAX_DEPTH - 2) + "true") is True
    assert value_of("(" * (MAX_DEPTH - 1) + "true" + ")" * (MAX_DEPTH - 1)) is True
    nested = "true"
    for _ in range(MAX_DEPTH // 2 - 2):
        nested = f"(data && {nested})"
    assert value_of(nested, data=1) is True
    assert value_of(" && ".join(["1"] * (MAX_NODES - 1))) == 1
    assert value_of("'" + "a" * (MAX_SOURCE - 2) + "'") == "a" * (MAX_SOURCE - 2)


@pytest.mark.threat("T30")
def test_hostile_data_costs_no_more_than_its_size() -> None:
    many = "a" * 100_000
    started = time.thread_time()
    for source, data in [
        ("data.includes('" + "a" * 1000 + "b')", many),
        ("data == 1", "1" * 100_000 + "x"),
        ("data < 1", "0x" + "f" * 100_000),
        ("data == ''", [[[["x"]]]] * 1000),
        ("data.trim().length", " " * 100_000),
    ]:
        value_of(source, data=data)
    assert time.thread_time() - started < 2


WORDS = """
`${ } ` ?. ?? % / /a+/i.test( .match(/(x)/) in [ ] oldData session.id _( * ${name} ? : + - .indexOf('a',1) 'length'
user user.id user.data data name action now $userid $x true null undefined typeof === !== == < >= && || ! ( ) [ ] . , ' "
'a' 1 0.5 - + ? : .startsWith( .includes( .length .trim() .__class__ ['x'] [0] match _( oldData \\ \u00e9
"""
words = st.sampled_from([*WORDS.split(), "\n", ""])


@pytest.mark.threat("T29")
@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=40), st.lists(words, max_size=14).map(" ".join), st.lists(words, max_size=14).map("".join)
    ),
    st.sampled_from([None, 0, 1.5, "text", "\U0001f600", [], ["a", None], {"x": {"y": 1}}, float("nan"), 10**30]),
)
def test_any_text_is_refused_or_decides(source: str, data: object) -> None:
    try:
        ruleset = one_rule("private/$userid", "publish", source)
    except RuleError as error:
        assert error.problems
        return
    decision = ruleset.decide(somebody(), Action.EVENT_PUBLISH, "private/egon", Payload(data))
    assert decision.allowed == (decision.reason is Reason.ALLOWED)
    again = ruleset.decide(somebody(), Action.EVENT_PUBLISH, "private/egon", Payload(data))
    assert again == decision
    assert json.dumps(decision.detail)
