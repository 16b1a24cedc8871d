"""What expressions come out as. Every expected value is what Node.js gives for the same expression and values."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import pytest

from tests.unit.permissions.rulesets import EGON, value_of
from trio_router.identity import User
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.values import MAX_TEXT, ExpressionFailed, MatchResult, to_number, to_text, truthy


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("undefined", UNDEFINED),
        ("12", 12),
        ("-3", -3),
        ("1.5e3", 1500),
        ("1e+2", 100),
        (r"'\0'", "\x00"),
        (r"'\0a'", "\x00a"),
        ("25E-1", 2.5),
        (".5", 0.5),
        ("5.", 5),
        ("'its'", "its"),
        (r"'it\'s'", "it's"),
        (r'"a\"b\\c\n\x41\u0042\u{1F600}\ud83d\ude00"', 'a"b\\c\nAB\U0001f600\U0001f600'),
        ("user.id", "egon"),
        ("user['id']", "egon"),
        ("user.isAuthenticated", True),
        ("user.data.role", "admin"),
        ('user.data["role"]', "admin"),
        ("user.data.tags[1]", "b"),
        ("user.data.tags[2]", UNDEFINED),
        ("user.data.tags['0']", "a"),
        ("user.data.tags['00']", UNDEFINED),
        ("user.data.missing", UNDEFINED),
        ("name", "news"),
        ("action", "publish"),
        ("now", 1_700_000_000_000),
        ("(((true)))", True),
    ],
)
def test_values(source: str, value: Any) -> None:
    assert value_of(source) == value
    assert type(value_of(source)) in (type(value), int, float)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 === 1.0", True),
        ("1 === true", False),
        ("data.one === true", False),
        ("data.yes === true", True),
        ("data.yes === 1", False),
        ("data.text === '1'", True),
        ("data.text === 1", False),
        ("data.text == 1", True),
        ("data.text == data.one", True),
        ("null == undefined", True),
        ("null === undefined", False),
        ("data.none === null", True),
        ("data.missing === undefined", True),
        ("data.missing == null", True),
        ("data.none !== undefined", True),
        ("0 == ''", True),
        ("0 == null", False),
        ("'0' == false", True),
        ("data.list == '1,2'", True),
        ("data.list === data.list", True),
        ("data.list === data.same", False),
        ("data.list == data.list", True),
        ("data.list == data.same", False),
        ("data.list == data.object", False),
        ("data.object == '[object Object]'", True),
        ("data.nan_text == data.nan_text", True),
        ("9007199254740993 === 9007199254740992", True),
        ("data.big === 9007199254740992", True),
        ("'a' === true", False),
        ("1 !== null", True),
        ("name !== 'news'", False),
        ("user.id != name", True),
        ("name != 'news'", False),
        ("name == 'news'", True),
        ("name == 'olds'", False),
        ("data.text != 1", False),
        ("data.text != 2", True),
    ],
)
def test_equality(source: str, value: bool) -> None:
    data = {
        "one": 1, "yes": True, "text": "1", "none": None, "list": [1, 2], "same": [1, 2], "object": {}, "nan_text": "NaN",
        "big": 9007199254740993,
    }  # fmt: skip
    assert value_of(source, data=data) is value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 < 2", True),
        ("2 <= 2", True),
        ("'10' < '9'", True),
        ("'10' <= '9'", True),
        ("'b' <= 'a'", False),
        ("'b' >= 'b'", True),
        ("'10' < 9", False),
        ("10 > '9'", True),
        ("'a' < 1", False),
        ("'a' >= 1", False),
        ("null >= 0", True),
        ("undefined >= 0", False),
        ("true > false", True),
        ("data > 3", True),
        ("data >= '0x5'", True),
        ("data < ' 6 '", True),
        ("now > 1600000000000", True),
        ("'\\uff5e' > '\\u{1F600}'", True),
        ("9007199254740993 > 9007199254740992", False),
        ("1 < 2 === true", True),
        ("3 > 2 > 1", False),
    ],
)
def test_order(source: str, value: bool) -> None:
    assert value_of(source, data=5) is value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("true && 'x'", "x"),
        ("0 || 'x'", "x"),
        ("'' || 0", 0),
        ("data.list && 1", 1),
        ("data.empty && 1", 1),
        ("data.object || 1", {}),
        ("data.zero && data.missing.deep", 0),
        ("data.missing || data.zero || null", None),
        ("data.one && data.empty && data.zero && 1", 0),
        ("data.one || data.missing.deep", 1),
        ("data.zero || data.one && data.empty", []),
        ("!data.empty", False),
        ("!data.missing", True),
        ("!!'false'", True),
        ("!1 || true", True),
        ("true || false && false", True),
        ("(true || false) && false", False),
    ],
)
def test_junctions_give_an_operand(source: str, value: Any) -> None:
    data = {"list": [1], "empty": [], "object": {}, "zero": 0, "one": 1}
    assert value_of(source, data=data) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("typeof data", "object"),
        ("typeof data.missing", "undefined"),
        ("typeof data.none", "object"),
        ("typeof data.list", "object"),
        ("typeof data.text", "string"),
        ("typeof data.yes", "boolean"),
        ("typeof (data.one)", "number"),
        ("typeof data.one === 'number'", True),
        ("typeof !data", "boolean"),
    ],
)
def test_typeof(source: str, value: Any) -> None:
    assert value_of(source, data={"none": None, "list": [], "text": "", "yes": True, "one": 1.5}) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("'abc'.startsWith('ab')", True),
        ("'abc'.endsWith('ab')", False),
        ("'abc'.includes('b')", True),
        ("'abc'.indexOf('c')", 2),
        ("'abc'.indexOf('x')", -1),
        ("'a\\u{1F600}b'.indexOf('b')", 3),
        ("'a\\u{1F600}'.length", 3),
        ("data.emoji.length", 2),
        ("data.emoji[0] === data.emoji", False),
        ("'\\u00e9'.length", 1),
        ("'Stra\\u00dfe'.toUpperCase()", "STRASSE"),
        ("'ABC'.toLowerCase()", "abc"),
        ("'\\ufeff\\u00a0 a b\\n'.trim()", "a b"),
        ("'\\x1fa\\x85'.trim().length", 3),
        ("'a1'.includes(1)", True),
        ("'undefined'.startsWith(undefined)", True),
        ("'x1.5'.endsWith(1.5)", True),
        ("user.data.tags.includes('a')", True),
        ("user.data.tags.includes('A')", False),
        ("user.data.tags.indexOf('b')", 1),
        ("user.data.tags.indexOf('z')", -1),
        ("data.mixed.includes('1')", False),
        ("data.mixed.includes(true)", False),
        ("data.mixed.includes(1)", True),
        ("user.data.tags.length === 2", True),
        ("user.data.role.toUpperCase().startsWith('AD')", True),
    ],
)
def test_methods(source: str, value: Any) -> None:
    assert value_of(source, data={"emoji": "\U0001f600", "mixed": [1, "a"]}) == value


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("data.a.b", "cannot read 'b' of undefined"),
        ("data.none.b", "cannot read 'b' of null"),
        ("data.a[0]", "cannot read '0' of undefined"),
        ("data.a.length", "cannot read 'length' of undefined"),
        ("data.a.startsWith('x')", "cannot read 'startsWith' of undefined"),
        ("data.none.trim()", "cannot read 'trim' of null"),
        ("data.one.trim()", "not a method of this number"),
        ("data.includes('x')", "not a method of this object"),
        ("data.list.startsWith('x')", "not a method of this list"),
    ],
)
def test_what_has_no_value_fails(source: str, message: str) -> None:
    with pytest.raises(ExpressionFailed, match=message):
        value_of(source, data={"none": None, "one": 1, "list": []})


def test_no_data_is_undefined_and_user_data_of_nobody_is_null() -> None:
    assert value_of("data") is UNDEFINED
    assert value_of("data", data=None) is None
    assert value_of("user.data", user=User("eva")) is None
    with pytest.raises(ExpressionFailed, match="'role' of null"):
        value_of("user.data.role", user=User("eva"))


@pytest.mark.threat("T18")
@pytest.mark.parametrize(
    "key",
    ["toString", "__proto__", "constructor", "__class__", "__init__", "prototype", "hasOwnProperty", "get", "keys"],
)
def test_only_keys_of_the_object_itself_exist(key: str) -> None:
    assert value_of(f"user.data.{key}") is UNDEFINED
    assert value_of(f"data['{key}']", data=[]) is UNDEFINED
    assert value_of(f"data.{key}", data="text") is UNDEFINED
    assert value_of(f"data.{key}", data=5) is UNDEFINED
    assert value_of(f"data.{key} === 'mine'", data={key: "mine"}) is True


def test_variables_stand_for_their_texts() -> None:
    assert value_of("$a === 'x' && $b !== $a", variables={"a": "x", "b": "y"}) is True
    assert value_of("user.id === $userid", variables={"userid": "egon"}) is True


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (123456.789, "123456.789"), (1e21, "1e+21"),
        (123456789012345680000.0, "123456789012345680000"), (1e-6, "0.000001"), (1.25e-7, "1.25e-7"), (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"), (float("nan"), "NaN"), (float("-inf"), "-Infinity"),
        (2**53 + 1, "9007199254740992"), (10**400, "Infinity"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_javascript_writes_them(number: float, text: str) -> None:
    assert to_text(number) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("", 0), ("  ", 0), ("12", 12), ("-.5e1", -5), ("0x1F", 31), ("0b101", 5), ("0o17", 15), ("Infinity", math.inf),
        (None, 0), (True, 1), ([], 0), (["7"], 7),
    ],
)  # fmt: skip
def test_numbers_are_read_as_javascript_reads_them(value: Any, number: float) -> None:
    assert to_number(value) == number


@pytest.mark.parametrize("value", ["1_000", "1e", "nan", "inf", "-0x1", "0x", "1 2", "\u0661", {}, [1, 2], UNDEFINED])
def test_everything_else_is_not_a_number(value: Any) -> None:
    assert math.isnan(to_number(value))


def test_nan_and_undefined_are_not_true() -> None:
    assert not truthy(float("nan"))
    assert not truthy(UNDEFINED)
    assert not UNDEFINED
    assert repr(UNDEFINED) == "undefined"


def test_lists_are_written_with_commas() -> None:
    assert to_text([1, [None, "a"], {}, True, UNDEFINED]) == "1,,a,[object Object],true,"


def test_compiling_warns_of_nothing() -> None:
    """Python has opinions on ``is`` beside a literal; a rule may compare what it likes."""
    operands = ("1", "-1", "'a'", "null", "undefined", "true", "user.id", "data", "now", "action", "!'a'", "('a' && 1)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for left in operands:
            for right in operands:
                for operator in ("===", "!==", "==", "<"):
                    assert value_of(f"{left} {operator} {right}", data=1, user=EGON) in (True, False)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("true ? 1 : 2", 1),
        ("0 ? 1 : '' ? 2 : 3", 3),
        ("data.none ?? 'else'", "else"),
        ("data.zero ?? 'else'", 0),
        ("data.missing ?? data.none ?? false", False),
        ("data?.5:1", 0.5),
        ("data?.a?.b", UNDEFINED),
        ("data.none?.a.b.c", UNDEFINED),
        ("data.none?.[data.none.a]", UNDEFINED),
        ("data.none?.trim().length", UNDEFINED),
        ("data.text?.trim().length", 3),
        ("name?.length", 4),
        ("1 + 2 * 3", 7),
        ("'1' + 2", "12"),
        ("'a' + null + undefined + true + [1, [2]] + data.object", "anullundefinedtrue1,2[object Object]"),
        ("'3' - 1", 2),
        ("7 / 2", 3.5),
        ("-7 % 4", -3),
        ("-'2'", -2),
        ("+'0x10'", 16),
        ("+data.text", math.nan),
        ("1 / 0", math.inf),
        ("-1 / 0", -math.inf),
        ("0 / 0", math.nan),
        ("1 / -0", -math.inf),
        ("1e308 * 10", math.inf),
        ("5 % (1 / 0)", 5),
        ("(1 / 0) % 5", math.nan),
        ("2 % 0", math.nan),
        ("9007199254740993 + 0", 2**53),
        ("0.1 + 0.2", 0.30000000000000004),
        ("[1, 'a', [null]]", [1, "a", [None]]),
        ("[1, 2,].length", 2),
        ("data.list[data.zero]", 1),
        ("data.list['0']", 1),
        ("data.list[-1]", UNDEFINED),
        ("data.list[0.5]", UNDEFINED),
        ("data.list[1e300]", UNDEFINED),
        ("data[name]", UNDEFINED),
        ("data['te' + 'xt']", "abc"),
        ("data[null]", UNDEFINED),
        ("'abc'[1]", "b"),
        ("'text' in data", True),
        ("'nothing' in data", False),
        ("0 in data.list", True),
        ("'2' in data.list", False),
        ("'02' in data.list", False),
        ("'length' in data.list", True),
        ("'index' in data.text.match(/b/)", True),
        ("`a${1}b${`c${2}`}`", "a1bc2"),
        ("``", ""),
        (r"`\`\${}$\\`", r"`${}$" + "\\"),
        ("`a\r\nb`", "a\nb"),
        ("`${data.none}`", "null"),
        ("/b/.test(data.text)", True),
        ("/^b/.test(data.text)", False),
        ("/B/i.test(data.text)", True),
        ("data.text.match(/b/)", ["b"]),
        ("data.text.match(/b/).index", 1),
        ("data.text.match(/b/).input", "abc"),
        ("data.text.match(/b/).groups", UNDEFINED),
        ("data.text.match(/(x)?(b)/)", ["b", UNDEFINED, "b"]),
        ("data.text.match(/(?<first>.)(?<rest>.*)/).groups.rest", "bc"),
        ("data.text.match(/x/)", None),
        ("data.text.match('c$')[0]", "c"),
        ("8 / 2 / 2", 2),
        ("`10` / 2 / 5", 1),
        ("(8) / 2 / 2", 2),
        ("data.list.length / 2 / 1", 1),
        ("'a\\u{1F600}b'.match(/b/).index", 3),
        ("/^..$/.test('\\u{1F600}')", True),
        ("'\\u{1F600}'[0] + '\\u{1F600}'[1] === '\\u{1F600}'", True),
        ("'a\\u{1F600}b'.indexOf('b', 4)", -1),
        ("'a\\u{1F600}b'.startsWith('b', 3)", True),
        ("'abc'.endsWith('b', 2)", True),
        ("'abc'.endsWith('c', undefined)", True),
        ("'abc'.endsWith('c', null)", False),
        ("'abc'.includes('a', 1)", False),
        ("'abc'.indexOf('', 9)", 3),
        ("'abc'.indexOf('a', -1 / 0)", 0),
        ("'abc'.indexOf('a', 'x')", 0),
        ("[1, 2, 1].indexOf(1, 1)", 2),
        ("[1, 2, 1].indexOf(2, -1)", -1),
        ("[1, 2, 1].includes(2, -2)", True),
        ("[0 / 0].includes(0 / 0)", True),
        ("[0 / 0].indexOf(0 / 0)", -1),
        ("session.app + session.id", "shopsession"),
        ("typeof session.remoteAddress", "string"),
        ("_('nothing')", None),
    ],
)
def test_the_rest_of_the_language(source: str, value: Any) -> None:
    data = {"none": None, "zero": 0, "text": "abc", "list": [1, 2], "object": {}}
    found = value_of(source, data=data)
    if isinstance(value, float) and math.isnan(value):
        assert math.isnan(found)
    else:
        assert found == value
        assert type(found) is type(value) or isinstance(found, MatchResult)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(data.none?.a).b", "cannot read 'b' of undefined"),
        ("data.none?.a.b + data.none.b", "cannot read 'b' of null"),
        ("data.none[name]", "cannot read 'news' of null"),
        ("'a' in 'abc'", "not into a string"),
        ("'a' in data.none", "not into null"),
        ("'a' in data.missing", "not into undefined"),
        ("'a' in 5", "not into a number"),
        ("_(5)", "the name of a record, not a number"),
        ("_(data.none)", "the name of a record, not null"),
        ("_(data.missing)", "the name of a record, not undefined"),
        ("data.none.match(/a/)", "cannot read 'match' of null"),
        ("data.one.match(/a/)", "match\\(\\) is not a method of this number"),
    ],
)
def test_what_else_has_no_value_fails(source: str, message: str) -> None:
    with pytest.raises(ExpressionFailed, match=message):
        value_of(source, data={"none": None, "one": 1})


@pytest.mark.threat("T30")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("data.text + data.text", "makes a text of more than 65536 characters"),
        ("`${data.text}${data.text}`", "makes a text of more than 65536 characters"),
        ("`${data.text}`.length + `${data.text}-${data.text}`", "makes a text of more than 65536 characters"),
        ("[data.text, data.text] + ''", "makes a text of more than 65536 characters"),
        ("[data.text, [data.text]] == 'x'", "makes a text of more than 65536 characters"),
        ("data[[data.text, data.text]]", "makes a text of more than 65536 characters"),
        ("data.list == 1", "makes a text of more than 65536 characters"),
        ("/a/.test(data.text)", "searches at most 16384 characters"),
        ("data.text.match(/a/)", "searches at most 16384 characters"),
    ],
)
def test_no_text_grows_without_end(source: str, message: str) -> None:
    with pytest.raises(ExpressionFailed, match=message):
        value_of(source, data={"text": "a" * 40_000, "list": ["a" * 1000] * 66})


@pytest.mark.threat("T30")
def test_the_longest_text_that_can_be_made() -> None:
    assert len(value_of("data + 'b'", data="a" * (MAX_TEXT - 1))) == MAX_TEXT
    assert len(value_of("[data, 'b'] + ''", data="a" * (MAX_TEXT - 2))) == MAX_TEXT
    with pytest.raises(ExpressionFailed):
        value_of("[data, 'bb'] + ''", data="a" * (MAX_TEXT - 2))
    assert value_of("/b$/.test(data)", data="a" * 16_383 + "b") is True


@pytest.mark.threat("T30")
@pytest.mark.parametrize(
    "regex",
    ["(a+)+$", "(a|a)*$", "(.*a){20}$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", "(a?){30}a{30}$", "([^b]*a)*c"],
)
def test_no_regular_expression_searches_for_long(regex: str) -> None:
    """Each of them would keep a searcher that goes back busy for years."""
    started = time.thread_time()
    value_of(f"/{regex}/.test(data) || data.match(/{regex}/)", data="a" * 16_000 + "!")
    assert time.thread_time() - started < 1
