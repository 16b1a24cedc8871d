"""What regular expressions of rules are refused, and where; what they find is compared with Node.js elsewhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.permissions.regexes import MAX_PROGRAM, RegexError, compile_regex


@pytest.mark.parametrize(
    ("pattern", "position", "message"),
    [
        ("a)", 1, r"this \) closes nothing"),
        ("(a", 0, r"this \( is never closed"),
        ("(?:a", 0, r"this \( is never closed"),
        ("[a", 0, r"this \[ is never closed"),
        ("a]", 1, r"to find a \], write \\\]"),
        ("a}", 1, "to find a }, write"),
        ("*", 0, r"nothing before the \*"),
        ("a**", 2, r"nothing before the \*"),
        ("a+*", 2, r"nothing before the \*"),
        ("a{2}{3}", 4, "nothing before the {"),
        ("a|+", 2, r"nothing before the \+"),
        ("(?)", 0, r"a group starts with \(, "),
        ("^*", 1, r"nothing before the \*"),
        (r"\b+", 2, r"nothing before the \+"),
        ("a{", 1, "a count is written"),
        ("a{,2}", 1, "a count is written"),
        ("a{x}", 1, "a count is written"),
        ("a{1,2,3}", 1, "a count is written"),
        ("a{1000000}", 1, "a count is written"),
        ("a{100000}", 1, "a count is written"),
        ("a{99999}", 1, "more than 1000 times"),
        ("?", 0, "nothing before the \\\\?"),
        ("[a-", 0, r"this \[ is never closed"),
        ("a{1001}", 1, "more than 1000 times"),
        ("a{1000}", 0, "too large"),
        ("a{3,2}", 1, "not greater than the second"),
        ("(?<1a>x)", 0, "name of a group"),
        ("(?<>x)", 0, "name of a group"),
        ("(?<a", 0, "name of a group"),
        ("(?<\u00e9>x)", 0, "name of a group"),
        ("(?<a>x)(?<a>y)", 7, "name of a group"),
        ("(?P<a>x)", 0, "a group starts with"),
        ("(?i)x", 0, "a group starts with"),
        ("(?=x)", 0, "look-ahead"),
        ("(?!x)", 0, "look-ahead"),
        ("(?<=x)", 0, "look-ahead"),
        ("(?<!x)", 0, "look-ahead"),
        (r"(a)\1", 3, "references back"),
        (r"\9", 0, "references back"),
        (r"\k<a>", 0, "references back"),
        (r"\q", 0, "no such escape"),
        (r"\A", 0, "no such escape"),
        (r"\pL", 0, "no such escape"),
        (r"\Q", 0, "no such escape"),
        (r"\x1", 0, "code of a character"),
        (r"\xg1", 0, "code of a character"),
        (r"\x1g", 0, "code of a character"),
        (r"\xX1", 0, "code of a character"),
        (r"ab\u123", 2, "code of a character"),
        (r"[a\x]", 2, "code of a character"),
        (r"\00", 0, "no such escape"),
        (r"\u12g4", 0, "code of a character"),
        (r"\01", 0, "no such escape"),
        ("\\", 0, "no such escape"),
        ("[\\", 1, "no such escape"),
        (r"[\q]", 1, "no such escape"),
        ("[z-a]", 1, "range ends before it starts"),
        (r"[\d-z]", 1, "a range runs from one character"),
        (r"[a-\d]", 1, "a range runs from one character"),
        ("(" * 33 + ")" * 33, 32, "nested deeper"),
        ("(a{0,30}){0,30}", 0, "too large"),
        ("((a{100}){100}){100}", 0, "not possible here"),
    ],
)  # fmt: skip
def test_what_is_no_regular_expression_is_refused_with_its_place(pattern: str, position: int, message: str) -> None:
    with pytest.raises(RegexError, match=f"(^|[^X]){message}") as caught:
        compile_regex(pattern, "")
    assert caught.value.position == position


@pytest.mark.parametrize("flags", ["g", "ii", "x", "ig", "IM"])
def test_flags_are_three(flags: str) -> None:
    with pytest.raises(RegexError, match=f"i, m and s, each once, not {flags}"):
        compile_regex("a", flags)


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "found"),
    [
        ("a{100,}", "", "a" * 100, (0, 100)),
        ("a{2}", "", "aaa", (0, 2)),
        ("a{1,2}", "", "aaa", (0, 2)),
        ("a{1,2}?", "", "aaa", (0, 1)),
        ("a{2,2}", "", "aaa", (0, 2)),
        ("[a-]", "", "-", (0, 1)),
        ("[-a]", "", "-", (0, 1)),
        ("[b-b]", "", "abc", (1, 2)),
        (r"[\]]", "", "]", (0, 1)),
        (r"[\b]", "", "\b", (0, 1)),
        (r"[\w-]+", "", "a-b", (0, 3)),
        (r"[\S]", "", "\u3000x", (1, 2)),
        (r"\S", "", "\u2028x", (1, 2)),
        (r"\W", "", "a_0-", (3, 4)),
        (r"\D", "", "5x", (1, 2)),
        (r"\0", "", "\x00", (0, 1)),
        (r"\v\f\t\r\n", "", "\v\f\t\r\n", (0, 5)),
        ("^b", "m", "a\nb", (2, 3)),
        ("a$", "m", "a\nb", (0, 1)),
        ("^b", "", "a\nb", None),
        ("a$", "", "a\n", None),
        (".", "", "\n\r\u2028\u2029x", (4, 5)),
        (".", "s", "\n", (0, 1)),
        ("K", "i", "k", (0, 1)),
        ("[^a]", "", "a^b", (1, 2)),
        ("[^ab]+c", "", "abxyc", (2, 5)),
        ("[ab]", "", "Xb", (1, 2)),
        ("[a^]+", "", "b^a", (1, 3)),
        ("x[^]y", "", "x\ny", (0, 3)),
        ("a[]|b", "", "ab", (1, 2)),
        ("x(?:ab)+y", "", "xababy", (0, 6)),
        (r"xy[\b]z", "", "xy\bz", (0, 4)),
        (r"xy[\d]z", "", "xy5z", (0, 4)),
        ("a+?b", "", "aab", (0, 3)),
        ("xa??b", "", "xab", (0, 3)),
        ("X^|$", "", "X", (1, 1)),
        (r"\Bb", "", "b ab", (3, 4)),
        (r"ab\b c", "", "ab c", (0, 4)),
        (r"ab\B.c", "", "ab cabxc", (4, 8)),
        (r"\ud83d", "", "a\U0001f600", (1, 2)),
        (r"[\ude00]", "", "a\U0001f600", (2, 3)),
        (r"\x41", "", "xA", (1, 2)),
        (r"\x4a\x4F", "", "JO", (0, 2)),
        (r"a\u0062c", "", "abc", (0, 3)),
        (r"\u00e9+x", "", "a\u00e9\u00e9x", (1, 4)),
        (r"[\x41-\x43]+z", "", "DABCz", (1, 5)),
        (r"[a\u00E9]+", "", "x\u00e9a", (1, 3)),
        (r"a\0b", "", "a\x00b", (0, 3)),
        (r"[\0a]+", "", "b\x00a", (1, 3)),
        (r"\.\*\/\-\$", "", ".*/-$", (0, 5)),
        (r"[\^\]\\]+", "", "a^]\\", (1, 4)),
        (r"a\.b", "", "axb a.b", (4, 7)),
    ],
)
def test_what_is_found_and_where(pattern: str, flags: str, text: str, found: tuple[int, int] | None) -> None:
    spans = compile_regex(pattern, flags).search(text)
    assert (spans and spans[0]) == found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"\x1", "this is not the code of a character"),
        (r"\q", "there is no such escape; a backslash itself is written twice"),
        ("a{3,2}", "the first number of a count is not greater than the second"),
        ("a{x}", "a count is written {2}, {2,} or {2,4}; to find a brace, write \\{"),
        ("(?<1>a)", "the name of a group is made of letters, digits and _, and used once"),
        ("[z-a]", "the range ends before it starts"),
        (r"[a-\d]", "a range runs from one character to another; to find a -, put it last"),
        ("[a", "this [ is never closed"),
        ("(a", "this ( is never closed"),
        (r"\1", "references back to a group are not available in rules"),
        ("(?=a)", "look-ahead and look-behind are not available in rules"),
        ("(?a)", "a group starts with (, (?: or (?<name>"),
        ("a)", "this ) closes nothing; to find a bracket, write \\)"),
        ("a**", "there is nothing before the * that could be repeated"),
        ("]", "to find a ], write \\]"),
    ],
)
def test_an_author_reads_what_is_wrong(pattern: str, message: str) -> None:
    with pytest.raises(RegexError) as caught:
        compile_regex(pattern, "")
    assert caught.value.message == message


def test_depth_is_how_many_groups_stand_in_each_other() -> None:
    assert compile_regex("(a)" * 40, "").matches("a" * 40)
    assert compile_regex("(" * 31 + "a" + ")" * 31, "").matches("a")
    for before, inside in (("(a)" * 40, 33), ("(" * 20 + "(a)", 15)):
        with pytest.raises(RegexError, match="nested deeper"):
            compile_regex(before + "(" * inside + ")" * inside + ")" * before.count("(") * (before[1] == "("), "")


def test_matching_is_anywhere_in_a_text() -> None:
    assert compile_regex("b", "").matches("abc")
    assert not compile_regex("^b", "").matches("abc")


def test_groups_have_places_and_names() -> None:
    regex = compile_regex("(?<all>(a)|(?<bee>b))", "")
    assert regex.names == ("all", "bee")
    assert (regex.number("all"), regex.number("bee")) == (1, 3)
    assert regex.search("xb") == [(1, 2), (1, 2), (-1, -1), (1, 2)]
    assert repr(compile_regex("a/", "i")) == "/a//i"


@pytest.mark.threat("T30")
@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.text("ab\\dwsS.[]^$(){}?:<>|*+-,0129kP\u00e9\U0001f600", max_size=20),
        st.lists(st.sampled_from(["a", "(", ")", "(?:", "[", "]", "[^", "*", "+?", "{2}", "{1,9}", "|", "\\d", "^", "."])).map("".join),
    ),
    st.text("ab\n\u00e9\U0001f600\ud800", max_size=10),
)  # fmt: skip
def test_any_pattern_is_refused_or_searches(pattern: str, text: str) -> None:
    try:
        regex = compile_regex(pattern, "")
    except RegexError as error:
        assert 0 <= error.position <= 2 * len(pattern)
        assert json.dumps(error.message)
        return
    assert regex._program.programsize <= MAX_PROGRAM
    spans = regex.search(text)
    assert spans is None or spans[0][0] >= 0
