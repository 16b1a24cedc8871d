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
EVERYTHING = Scope(("userid",), data=True, action="record write", old_data=True)
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


@pytest.mark.parametrize(
    ("source", "value"), [("+1", 1), ("-3", -3), ("- 2.5", -2.5), ("+0", 0), ("-0", -0.0), ("-0.0", -0.0)]
)
def test_a_number_with_a_sign_is_a_constant_of_its_kind(source: str, value: float) -> None:
    assert repr(parse(source, SCOPE)) == repr(syntax.Constant(0, len(source), value))


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("(data?.a).b + -name.length * [1, `x${$userid}`][0]", ["(data?.a).b", "(data?.a)", "data?.a", "data", "-name.length * [1, `x${$userid}`][0]", "-name.length", "name.length", "name", "[1, `x${$userid}`][0]", "[1, `x${$userid}`]", "1", "`x${$userid}`", "$userid"]),
        ("user.id in data ? 1 : /a/i.test(name)", ["user.id in data", "user.id", "data", "1", "/a/i.test(name)", "/a/i", "name"]),
        ("(_('a') || !now) ?? (oldData)", ["_('a') || !now", "_('a')", "'a'", "!now", "now", "oldData"]),
        ("user['id'] === session?.app", ["user['id']", "session?.app"]),
        ("(user . data) [ name ] . trim ( ).length", ["(user . data) [ name ] . trim ( )", "(user . data) [ name ]", "user . data", "name"]),
        ("typeof (name) === typeof -(5)", ["typeof (name)", "name", "typeof -(5)", "-(5)", "5"]),
        ("- 5 + +(name) - +1", ["- 5 + +(name)", "- 5", "+(name)", "name", "+1"]),
        ("name.match('a b')?.[0]?.[(now)]", ["name.match('a b')?.[0]", "name.match('a b')", "name", "'a b'", "now"]),
        ("(name).startsWith((name), (1))", ["name", "name", "1"]),
        ("`a${ (name) }b${`${1}`}`", ["name", "`${1}`", "1"]),
        ("[ ( 1 ) , [] , ]", ["1", "[]"]),
        ("(name && data) && !(data || null)", ["name && data", "name", "data", "!(data || null)", "data || null", "data", "null"]),
        ("(name ? 1 : 2) ? (3) : (4 ? 5 : 6)", ["name ? 1 : 2", "name", "1", "2", "3", "4 ? 5 : 6", "4", "5", "6"]),
        ("((name) in (data)) < (1 + 2) * 3", ["(name) in (data)", "name", "data", "(1 + 2) * 3", "1 + 2", "1", "2", "3"]),
        ("_( (name) ).a", ["_( (name) )", "name"]),
        ("((1) + 2) + (3)", ["(1) + 2", "1", "2", "3"]),
        ("((data?.a))?.b", ["(data?.a)", "data?.a", "data"]),
        ("(-name) * 2", ["-name", "name", "2"]),
    ],
)  # fmt: skip
def test_every_part_stands_where_it_is_written(source: str, parts: list[str]) -> None:
    """``parts`` are those of the whole, from left to right, each before its own."""
    found: list[str] = []

    def walk(node: syntax.Node) -> None:
        found.append(source[node.start : node.end])
        for child in syntax.children(node):
            walk(child)

    walk(parse(source, EVERYTHING))
    assert found == [source, *parts]


def test_chains_of_one_operator_are_one_node() -> None:
    tree = parse(" || ".join(["name"] * 100), SCOPE)
    assert isinstance(tree, syntax.Junction)
    assert len(tree.operands) == 100
    assert value_of(" || ".join(["data"] * 250 + ["true"]), data=0) is True
    assert value_of(" && ".join(["data"] * 250 + ["true"]), data=1) is True


@pytest.mark.parametrize(
    ("source", "position", "message"),
    [
        ("", 0, "the expression is empty"),
        ("   ", 0, "the expression is empty"),
        ("user.id ==", 10, "the expression ends too early: expected a value"),
        ("user.id name", 8, "expected an operator such as === or &&, or the end, not name"),
        ("user.id 'x'", 8, "expected an operator such as === or &&, or the end, not the text 'x'"),
        ("(name", 5, "the expression ends too early: expected ) to close the ( at character 1"),
        ("name)", 4, "expected an operator such as === or &&, or the end, not )"),
        ("data.", 5, "the expression ends too early: expected a name after the dot"),
        ("data[", 5, "the expression ends too early: expected a value"),
        ("data[]", 5, "expected a value, not ]"),
        ("data['a'", 8, "the expression ends too early: expected ] to close the [ at character 5"),
        ("'abc", 0, "the text is not closed by its quote in the same line"),
        ("'a\nb'", 0, "the text is not closed by its quote in the same line"),
        (r"'\q'", 1, "there is no such escape; a backslash itself is written twice"),
        (r"'\01'", 1, "there is no such escape; a backslash itself is written twice"),
        (r"'\ud800'", 0, "the text holds half a character"),
        ("010", 0, "a number does not start with 0"),
        ("0x10", 0, "a number is written in decimal digits alone"),
        ("1_000", 0, "a number is written in decimal digits alone"),
        ("1e", 1, "digits must follow the e of a number"),
        ("1e999", 0, "the number is out of range"),
        ("12abc", 0, "a number is written in decimal digits alone"),
        ("name // why", 5, "comments are not allowed in an expression; write them in the file, after #"),
        ("// why", 0, "comments are not allowed in an expression; write them in the file, after #"),
        ("/* why */ name", 0, "comments are not allowed in an expression; write them in the file, after #"),
        ("name === /* why */ 1", 9, "comments are not allowed in an expression; write them in the file, after #"),
        ("name /* why */", 5, "comments are not allowed in an expression; write them in the file, after #"),
        ("`a", 0, "the template is not closed by its back-quote"),
        ("`a${name", 8, "the template is not closed by its back-quote"),
        ("`a${name}", 8, "the template is not closed by its back-quote"),
        ("`a${name name}`", 9, "expected } to close the ${ at character 3, not name"),
        ("name`x`", 4, "only methods such as .startsWith() can be called"),
        ("name # x", 5, "the character '#' has no meaning here"),
        ("caf\u00e9", 3, r"the character '\xe9' has no meaning here"),
        ("2 ** 3", 2, "** is not available in rules; write a * a"),
        ("name++", 4, "++ is not available in rules"),
        ("[1,", 3, "the expression ends too early: expected a value"),
        ("[,]", 1, "expected a value, not ,"),
        ("[1 2]", 3, "expected ] to close the [ at character 1, not 2"),
        ("name, name", 4, "expected an operator such as === or &&, or the end, not ,"),
        ("{}", 0, "objects cannot be written in rules"),
        ("'a' instanceof data", 4, "instanceof is not available in rules"),
        ("name in", 7, "the expression ends too early: expected a value"),
        ("data?.", 6, "the expression ends too early: expected a name after the dot"),
        ("name?.(1)", 6, "expected a name after the dot, not ("),
        ("name ? 1", 8, "the expression ends too early: expected : and what holds otherwise, for the ? at character 6"),
        ("name ? 1 :", 10, "the expression ends too early: expected a value"),
        ("name ?? data || name", 13, "?? beside && or || needs parentheses"),
        ("name && data ?? name", 13, "?? beside && or || needs parentheses"),
        ("name ?? data && name", 5, "?? beside && or || needs parentheses"),
        ("_", 0, "_ is no value; the content of a record is _('its name')"),
        ("_('a'", 5, "the expression ends too early: expected ) to close the ( at character 2"),
        (
            "session",
            0,
            "session is not a value; use session.id, session.remoteAddress, session.strategy or session.app",
        ),
        ("session.ip", 8, "there is no session.ip; there are id, remoteAddress, strategy, app"),
        ("oldData", 0, "there is no oldData in rules for event publish"),
        ("/a", 0, "the regular expression is not closed by a slash in the same line"),
        ("/[/]", 0, "the regular expression is not closed by a slash in the same line"),
        ("/a/", 0, "a regular expression stands before .test(...) or inside .match(...)"),
        ("/a/ === name", 0, "a regular expression stands before .test(...) or inside .match(...)"),
        ("/a/g.test(name)", 2, "the flags of a regular expression are i, m and s, each once, not g"),
        ("/a/ii.test(name)", 2, "the flags of a regular expression are i, m and s, each once, not ii"),
        ("/x(?=a)/.test(name)", 2, "look-ahead and look-behind are not available in rules"),
        ("/(?<!a)b/.test(name)", 1, "look-ahead and look-behind are not available in rules"),
        (r"/(a)\1/.test(name)", 4, "references back to a group are not available in rules"),
        (r"/(?<a>a)\k<a>/.test(name)", 8, "references back to a group are not available in rules"),
        ("name.match('(a')", 12, "this ( is never closed"),
        ("name.match(name)", 11, "match() takes a regular expression, written out: match(/x/)"),
        ("name.test('a')", 5, "test() is a method of a regular expression: /x/.test(name)"),
        ("not name", 0, "write ! instead of not"),
        ("name | name", 5, "to join two conditions, write ||"),
        ("$user === name", 0, "the pattern has no variable $user; did you mean $userid?"),
        ("Name", 0, "unknown name Name; did you mean name?"),
        ("zzzzz", 0, "unknown name zzzzz"),
        ("user.Id", 5, "there is no user.Id; did you mean id?"),
        ("user", 0, "user is not a value; use user.id, user.data or user.isAuthenticated"),
        ("user[0]", 0, "user is not a value; use user.id, user.data or user.isAuthenticated"),
        ("name.trim(1)", 5, "trim() takes no argument, not 1"),
        ("name.toUpperCase(1)", 5, "toUpperCase() takes no argument, not 1"),
        ("name.toLowerCase(1)", 5, "toLowerCase() takes no argument, not 1"),
        ("name.startsWith('a', 1, 2)", 5, "startsWith() takes one or two arguments, not 3"),
        ("name.endsWith('a', 1, 2)", 5, "endsWith() takes one or two arguments, not 3"),
        ("name.indexOf('a', 1, 2)", 5, "indexOf() takes one or two arguments, not 3"),
        ("name.endsWith()", 5, "endsWith() takes one or two arguments, not 0"),
        ("name.indexOf()", 5, "indexOf() takes one or two arguments, not 0"),
        ("name.includes()", 5, "includes() takes one or two arguments, not 0"),
        ("name.match()", 5, "match() takes one argument, not 0"),
        ("name.match(/a/, /b/)", 5, "match() takes one argument, not 2"),
        ("/a/.test()", 4, "test() takes one argument, not 0"),
        ("/a/.test(name, name)", 4, "test() takes one argument, not 2"),
        ("name.includes('a', 1, 2)", 5, "includes() takes one or two arguments, not 3"),
        ("name.includes('a'", 17, "the expression ends too early: expected ) to close the ( at character 14"),
        ("name.trim()()", 11, "only methods such as .startsWith() can be called"),
        ("data['trim']()", 12, "only methods such as .startsWith() can be called"),
        ("startsWith('a')", 0, "there is no function startsWith(); did you mean startsWith?"),
        ("'a\rb'", 0, "the text is not closed by its quote in the same line"),
        ("  'a", 2, "the text is not closed by its quote in the same line"),
        (r"'\8'", 1, "there is no such escape; a backslash itself is written twice"),
        (r"'\09'", 1, "there is no such escape; a backslash itself is written twice"),
        ("'\\", 1, "there is no such escape; a backslash itself is written twice"),
        (r"name === '\q'", 10, "there is no such escape; a backslash itself is written twice"),
        (r"`a\q`", 2, "there is no such escape; a backslash itself is written twice"),
        (r"`\ud800`", 0, "the text holds half a character"),
        (r"  '\udc00a'", 2, "the text holds half a character"),
        ("  `a", 2, "the template is not closed by its back-quote"),
        ("`a${1}b", 5, "the template is not closed by its back-quote"),
        ("`${name}${", 10, "the template is not closed by its back-quote"),
        ("`${}`", 3, "expected a value, not }"),
        ("`${name ? 1}`", 11, "expected : and what holds otherwise, for the ? at character 9, not }"),
        ("1e+", 1, "digits must follow the e of a number"),
        ("1e-x", 1, "digits must follow the e of a number"),
        (" 1.5e", 4, "digits must follow the e of a number"),
        (".5x", 0, "a number is written in decimal digits alone"),
        (" 1$", 1, "a number is written in decimal digits alone"),
        ("1.5_0", 0, "a number is written in decimal digits alone"),
        ("00", 0, "a number does not start with 0"),
        ("01.5", 0, "a number does not start with 0"),
        (" 09", 1, "a number does not start with 0"),
        (" 1e400", 1, "the number is out of range"),
        ("/a\n/", 0, "the regular expression is not closed by a slash in the same line"),
        ("  /[a", 2, "the regular expression is not closed by a slash in the same line"),
        ("/a\\", 0, "the regular expression is not closed by a slash in the same line"),
        ("  /a\u2028/", 2, "the regular expression is not closed by a slash in the same line"),
        ("name === /a/", 9, "a regular expression stands before .test(...) or inside .match(...)"),
        ("/a/.match(name)", 0, "a regular expression stands before .test(...) or inside .match(...)"),
        ("/a/.test", 0, "a regular expression stands before .test(...) or inside .match(...)"),
        ("/a/ (", 0, "a regular expression stands before .test(...) or inside .match(...)"),
        ("name.match('a', 'b')", 5, "match() takes one argument, not 2"),
        ("name.match('[')", 12, "this [ is never closed"),
        ("name.match(/a/ && /b/)", 15, "expected ) to close the ( at character 11, not &&"),
        ("/(a/.test(name)", 1, "this ( is never closed"),
        ("  /a/gg.test(name)", 4, "the flags of a regular expression are i, m and s, each once, not gg"),
        ("name \x01", 5, r"the character '\x01' has no meaning here"),
        ("} / 2", 0, "expected a value, not }"),
        ("name }", 5, "expected an operator such as === or &&, or the end, not }"),
        ("name === )", 9, "expected a value, not )"),
        ("name ? 1 , 2", 9, "expected : and what holds otherwise, for the ? at character 6, not ,"),
        ("name ? : 2", 7, "expected a value, not :"),
        ("(name ? 1)", 9, "expected : and what holds otherwise, for the ? at character 7, not )"),
        ("[1", 2, "the expression ends too early: expected ] to close the [ at character 1"),
        ("[1 , )", 5, "expected a value, not )"),
        ("name.startsWith('a' 'b')", 20, "expected ) to close the ( at character 16, not the text 'b'"),
        ("name.nope()", 5, "there is no method nope()"),
        ("name.startswith('a')", 5, "there is no method startswith(); did you mean startsWith?"),
        ("name.5", 4, "expected an operator such as === or &&, or the end, not 0.5"),
        ("name.'a'", 5, "expected a name after the dot, not the text 'a'"),
        ("name?.`a`", 6, "expected a name after the dot, not `"),
        ("name?.[0", 8, "the expression ends too early: expected ] to close the [ at character 7"),
        ("data?.[", 7, "the expression ends too early: expected a value"),
        ("data['a' name]", 9, "expected ] to close the [ at character 5, not name"),
        ("user.", 5, "the expression ends too early: expected a name after the dot"),
        ("user[name]", 0, "user is not a value; use user.id, user.data or user.isAuthenticated"),
        ("user['id'", 9, "the expression ends too early: expected ] to close the [ at character 5"),
        ("user['nope']", 5, "there is no user.nope; what the login told of a user is in user.data"),
        ("user['Id']", 5, "there is no user.Id; did you mean id?"),
        ("user?.nope", 6, "there is no user.nope; what the login told of a user is in user.data"),
        ("user['id' 'x']", 10, "expected ] to close the [ at character 5, not the text 'x'"),
        ("session.", 8, "the expression ends too early: expected a name after the dot"),
        ("session['ip']", 8, "there is no session.ip; there are id, remoteAddress, strategy, app"),
        (
            "session[name]",
            0,
            "session is not a value; use session.id, session.remoteAddress, session.strategy or session.app",
        ),
        ("session?.strategi", 9, "there is no session.strategi; did you mean strategy?"),
        ("_.a", 0, "_ is no value; the content of a record is _('its name')"),
        ("_ ('a'", 6, "the expression ends too early: expected ) to close the ( at character 3"),
        ("_('a' 'b')", 6, "expected ) to close the ( at character 2, not the text 'b'"),
        ("_()", 2, "expected a value, not )"),
        ("_('a')()", 6, "only methods such as .startsWith() can be called"),
        ("nope()", 0, "there is no function nope()"),
        ("Trim", 0, "unknown name Trim"),
        ("dat", 0, "unknown name dat; did you mean data?"),
        ("$", 0, "the pattern has no variable $"),
        ("$nope === 1", 0, "the pattern has no variable $nope"),
        ("!", 1, "the expression ends too early: expected a value"),
        ("name === 1 and true", 11, "write && instead of and"),
        ("1 && 2 || 3 ?? 4", 12, "?? beside && or || needs parentheses"),
        ("1 ?? 2 ?? 3 || 4", 12, "?? beside && or || needs parentheses"),
        ("1 ?? (2 || 3) ?? 4 && 5", 2, "?? beside && or || needs parentheses"),
        ("1 'in' data", 2, "expected an operator such as === or &&, or the end, not the text 'in'"),
        ("'a'(1)", 3, "only methods such as .startsWith() can be called"),
        ("(name)(1)", 6, "only methods such as .startsWith() can be called"),
        ("name 1.50", 5, "expected an operator such as === or &&, or the end, not 1.5"),
        ('name "it\'s"', 5, 'expected an operator such as === or &&, or the end, not the text "it\'s"'),
        ("name.a`b`", 6, "only methods such as .startsWith() can be called"),
    ],
)
def test_an_error_names_what_was_expected_and_where(source: str, position: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(source, SCOPE)
    assert (str(caught.value), caught.value.position) == (message, position)


@pytest.mark.parametrize(
    "code",
    [
        r"\x", r"\x4", r"\xg1", r"\u", r"\u00e", r"\u+041", r"\u{", r"\u{1", r"\u{12'", r"\u{}", r"\u{4g}", r"\u{ 41}", r"\u{0000041}",
        r"\u{110000}", r"\u{1234567}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("after", ["", "'"])
def test_what_is_no_code_of_a_character_is_refused_where_it_stands(code: str, after: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(f"name === 'a{code}{after}", SCOPE)
    assert (str(caught.value), caught.value.position) == ("this is not the code of a character", 11)


def test_an_expression_refers_to_sixteen_records_and_no_more() -> None:
    assert value_of(" && ".join(["!_('a')"] * 16)) is True
    source = " && ".join(["!_('a')"] * 17)
    with pytest.raises(ExpressionError) as caught:
        parse(source, SCOPE)
    assert (str(caught.value), caught.value.position) == (
        "an expression refers to at most 16 records",
        source.rindex("_"),
    )


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
@pytest.mark.parametrize(
    ("before", "inner", "after", "most", "position"),
    [
        ("!", "name", "", 63, 64),
        ("typeof ", "name", "", 63, 448),
        ("- ", "name", "", 63, 128),
        ("(", "name", ")", 63, 64),
        ("[", "1", "]", 63, 64),
        ("`${", "1", "}`", 63, 192),
        ("1 ? ", "1", " : 1", 63, 256),
        ("1 ? 1 : ", "1", "", 63, 508),
        ("name.includes(", "name", ")", 63, 896),
        ("data[", "0", "]", 63, 320),
        ("", "data", ".a", 63, 0),
        ("", " data", "?.a", 63, 1),
        ("", "name", ".trim()", 63, 0),
        ("", "data", "[name]", 63, 0),
        ("", "1", " + 1", 63, 0),
        ("(", "data?.a", ")", 63, 64),
        ("(1 && ", "1", ")", 31, 192),
    ],
)
def test_sixty_four_levels_are_the_most_however_they_are_made(
    before: str, inner: str, after: str, most: int, position: int
) -> None:
    assert parse(before * most + inner + after * most, SCOPE)
    with pytest.raises(ExpressionError) as caught:
        parse(before * (most + 1) + inner + after * (most + 1), SCOPE)
    assert (str(caught.value), caught.value.position) == ("the expression is nested deeper than 64 levels", position)


@pytest.mark.parametrize(
    "part", ["(1)", "1 ? 2 : 3", "[1]", "`${1}`", "!1", "1 + 1", "name.trim()", "data[name]", "data?.a"]
)
def test_parts_beside_each_other_are_no_levels(part: str) -> None:
    tree = parse(f"[{', '.join([part] * 100)}]", SCOPE)
    assert isinstance(tree, syntax.Array)
    assert len(tree.items) == 100


@pytest.mark.threat("T30")
@pytest.mark.parametrize("part", ["1", "1 ? 2 : 3", "1 + 1", "(1)", "name.trim()"])
def test_what_was_closed_makes_no_room_for_deeper_levels(part: str) -> None:
    def nested(levels: int) -> str:
        return f"{'(' * 20}[{f'{part}, ' * 20}{'(' * (levels - 20)}1{')' * (levels - 20)}]{')' * 20}"

    assert parse(nested(62), SCOPE)
    with pytest.raises(ExpressionError, match="nested deeper"):
        parse(nested(63), SCOPE)


@pytest.mark.threat("T30")
def test_a_text_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse("'" + "a" * (MAX_SOURCE - 1) + "'", SCOPE)
    assert (str(caught.value), caught.value.position) == ("the expression is longer than 4096 characters", 4096)


@pytest.mark.threat("T30")
def test_five_hundred_and_twelve_parts_are_the_most() -> None:
    assert parse(" && ".join(["1"] * (MAX_NODES - 1)), SCOPE)
    with pytest.raises(ExpressionError) as caught:
        parse("  " + " && ".join(["1"] * MAX_NODES), SCOPE)
    assert (str(caught.value), caught.value.position) == ("the expression has more than 512 parts", 2)


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
