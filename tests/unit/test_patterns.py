from __future__ import annotations

import re
import time
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trio_router.names import InvalidName, check_user_id
from trio_router.patterns import (
    MAX_STARS,
    Overlap,
    Pattern,
    PatternError,
    covers,
    fixed_variables,
    overlaps,
    places_of_variables,
)

ALPHABET = "a-/"
NAMES = ["".join(letters) for size in range(6) for letters in product(ALPHABET, repeat=size)]


def regex_of(text: str) -> re.Pattern[str]:
    """The model: the same pattern as a regular expression, every literal escaped."""
    parts = re.split(r"(\*|\$[A-Za-z][A-Za-z0-9]*)", text)
    made = [
        "(?:.*)" if part == "*" else f"(?P<{part[1:]}>[^/]+)" if part.startswith("$") else re.escape(part)
        for part in parts
    ]
    return re.compile("".join(made), re.DOTALL)


@st.composite
def rule_patterns(draw: st.DrawFn) -> str:
    tokens = draw(st.lists(st.sampled_from(["a", "-", "/", "a", "/", "*", "$"]), min_size=1, max_size=7))
    names = iter("vwxyzuts")
    assume(tokens.count("*") <= MAX_STARS)
    text = "".join("$" + next(names) if token == "$" else token for token in tokens)
    try:
        Pattern.parse(text, variables=True)
    except PatternError:
        assume(False)
    return text


wildcards = st.lists(st.sampled_from(["a", "-", "/", "*"]), min_size=1, max_size=6).map("".join)


def rule(text: str) -> Pattern:
    return Pattern.parse(text, variables=True)


@pytest.mark.parametrize(
    ("pattern", "name", "bound"),
    [
        ("a", "a", {}),
        ("news/*", "news/", {}),
        ("news/*", "news/a/b", {}),
        ("*", "anything/at all", {}),
        ("*", "", {}),
        ("private/$user", "private/egon", {"user": "egon"}),
        ("private/$user", "private/", None),
        ("private/$user", "private/a/b", None),
        ("$a/$b", "x/y", {"a": "x", "b": "y"}),
        ("$a/$b/*", "x/y/z/q", {"a": "x", "b": "y"}),
        ("$a$b", "xyz", {"a": "xy", "b": "z"}),
        ("$a-$b", "x-y-z", {"a": "x-y", "b": "z"}),
        ("$b_c", "x_c", {"b": "x"}),
        ("*/$last", "a/b/c", {"last": "c"}),
        ("a*b*c", "abbc", {}),
        ("a*b*c", "acb", None),
    ],
)
def test_matching(pattern: str, name: str, bound: dict[str, str] | None) -> None:
    assert rule(pattern).match(name) == bound
    assert rule(pattern).matches(name) == (bound is not None)


@pytest.mark.threat("T24")
@pytest.mark.parametrize(
    ("pattern", "other"),
    [
        ("a.b", "aXb"),
        ("foo", "barfoo"),
        ("foo", "foobar"),
        ("foo", "foo\n"),
        ("foo", "\nfoo"),
        ("$x", "foo\n/bar"),
        ("a+", "aa"),
        ("a|b", "a"),
        ("[ab]", "a"),
        ("^a$x", "ab"),
        ("News", "news"),
        ("a", ""),
    ],
)
def test_a_pattern_is_compared_with_the_whole_name_and_literally(pattern: str, other: str) -> None:
    assert rule(pattern).match(other) is None


@pytest.mark.threat("T24")
@given(rule_patterns(), st.text(alphabet="a-/\n.", max_size=8))
def test_matching_binds_as_the_escaped_and_anchored_regular_expression_does(text: str, name: str) -> None:
    model = regex_of(text).fullmatch(name)
    assert rule(text).match(name) == (None if model is None else model.groupdict())


@pytest.mark.threat("T23")
@given(st.text(alphabet="ab*$/.:|@#+", max_size=8), st.text(alphabet="ab*$/.:|@#+", max_size=8))
def test_no_user_id_can_act_as_a_pattern_in_a_name(user: str, other: str) -> None:
    for user_id in (user, other):
        try:
            check_user_id(user_id)
        except InvalidName:
            return
    bound = rule("private/$user").match(f"private/{other}")
    assert bound == {"user": other}
    assert (bound["user"] == user) == (user == other)
    assert Pattern.parse(f"private/{user}").is_literal


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "empty"),
        ("a/$", 2, "letter must follow"),
        ("$1", 0, "letter must follow"),
        ("a$$b", 1, "letter must follow"),
        ("$x/$x", 3, "twice"),
        ("*a" * 9, 16, "more than 8 stars"),
        ("".join(f"$v{n}/" for n in range(17)), 70, "more than 16 variables"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_position(text: str, position: int, message: str) -> None:
    with pytest.raises(PatternError, match=message) as caught:
        rule(text)
    assert caught.value.position == position


def test_a_subscription_has_no_variables() -> None:
    with pytest.raises(PatternError, match="variables") as caught:
        Pattern.parse("news/$x")
    assert caught.value.position == 5


def test_properties_of_a_pattern() -> None:
    pattern = rule("pvt:a/$x/b*")
    assert pattern.variables == ("x",)
    assert pattern.stars == 1
    assert pattern.literal_length == len("pvt:a/" + "/b")
    assert pattern.prefix == "pvt:a/"
    assert not pattern.is_literal
    assert rule("a/b").is_literal
    assert rule("*").prefix == ""
    assert rule("a/$x").shape == rule("a/$other").shape != rule("a/*").shape
    assert rule("a**").shape == rule("a*").shape


@pytest.mark.threat("T30")
def test_the_worst_pattern_on_the_longest_name_takes_no_time_to_speak_of() -> None:
    hostile = rule("*a*a*a*a*a*a*a*b")
    variables = rule("*" + "-".join(f"$v{n}" for n in range(16)) + "-b")
    name = "a" * 255
    segments = "a-" * 127
    wildcard = Pattern.parse("*a*a*a*a*a*a*a*" + "a" * 200)
    started = time.thread_time()
    for _ in range(50):
        assert not hostile.matches(name)
        assert not variables.matches(segments)
        assert not covers(hostile, wildcard)
        assert not overlaps(hostile, wildcard)
    assert time.thread_time() - started < 5  # milliseconds each; a backtracking matcher would not come back


@pytest.mark.threat("T21")
@settings(deadline=None)
@given(rule_patterns(), wildcards)
def test_a_pattern_that_covers_a_wildcard_matches_all_its_names(pattern: str, wildcard: str) -> None:
    parsed = Pattern.parse(wildcard)
    if covers(rule(pattern), parsed):
        theirs, mine = regex_of(wildcard), regex_of(pattern)
        assert [name for name in NAMES if theirs.fullmatch(name) and not mine.fullmatch(name)] == []


FILLINGS = ("", "#", "/", "#/#", "/#", "#/")


@settings(deadline=None)
@given(rule_patterns(), st.lists(st.sampled_from(["a", "-", "/", "*"]), min_size=1, max_size=5).map("".join))
def test_a_pattern_that_does_not_cover_a_wildcard_misses_one_of_its_names(pattern: str, wildcard: str) -> None:
    parsed = Pattern.parse(wildcard)
    assume(parsed.stars <= 3)
    pieces = re.split(r"\*+", wildcard)
    names = [
        "".join(a + b for a, b in zip(pieces, [*filling, ""], strict=True))
        for filling in product(FILLINGS, repeat=len(pieces) - 1)
    ]
    assert covers(rule(pattern), parsed) == all(regex_of(pattern).fullmatch(name) for name in names)


@pytest.mark.threat("T21")
@settings(deadline=None)
@given(rule_patterns(), wildcards)
def test_overlap_is_found_whenever_a_name_matches_both(pattern: str, wildcard: str) -> None:
    mine, theirs = regex_of(pattern), regex_of(wildcard)
    shared = any(mine.fullmatch(name) and theirs.fullmatch(name) for name in NAMES)
    if shared:
        assert overlaps(rule(pattern), Pattern.parse(wildcard))


@settings(deadline=None)
@given(rule_patterns(), rule_patterns())
def test_overlap_of_two_patterns_with_variables_is_found_whenever_a_name_matches_both(one: str, other: str) -> None:
    mine, theirs = regex_of(one), regex_of(other)
    shared = any(mine.fullmatch(name) and theirs.fullmatch(name) for name in NAMES)
    assert Overlap(rule(other))(rule(one)) or not shared


@pytest.mark.parametrize(
    ("pattern", "wildcard", "expected"),
    [
        ("a/*", "a/b*", True),
        ("a/$x", "a/*", True),
        ("a/$x", "a/*/", False),
        ("a/$x/c", "*/b/c", True),
        ("a/b", "a*c", False),
        ("b*", "a*", False),
        ("*a", "*b", False),
        ("$x", "*/*", False),
        ("$x", "/*", False),
        ("a/b", "*", True),
        ("*b*", "a*", True),
    ],
)
def test_overlap(pattern: str, wildcard: str, expected: bool) -> None:
    assert overlaps(rule(pattern), Pattern.parse(wildcard)) is expected


def test_one_overlap_answers_for_many_patterns() -> None:
    overlap = Overlap(Pattern.parse("news/*"))
    assert [text for text in ("news/$x", "old", "*", "news/", "n") if overlap(rule(text))] == ["news/$x", "*", "news/"]


@pytest.mark.threat("T21")
@settings(deadline=None)
@given(rule_patterns(), wildcards)
def test_a_fixed_variable_is_the_same_in_every_name_of_the_wildcard(pattern: str, wildcard: str) -> None:
    parsed = rule(pattern)
    fixed = fixed_variables(parsed, Pattern.parse(wildcard))
    theirs = regex_of(wildcard)
    for name in NAMES:
        bound = parsed.match(name) if theirs.fullmatch(name) else None
        if bound is not None:
            assert {key: bound[key] for key in fixed} == fixed


@pytest.mark.parametrize(
    ("pattern", "wildcard", "fixed"),
    [
        ("$a/*", "x/*", {"a": "x"}),
        ("$a/*", "x*", {}),
        ("private/$u/$v", "private/egon/*", {"u": "egon"}),
        ("*/$u", "private/egon", {}),
        ("p$u/*", "pegon/*", {}),
        ("$a/$b", "*/x", {}),
    ],
)
def test_fixed_variables(pattern: str, wildcard: str, fixed: dict[str, str]) -> None:
    assert fixed_variables(rule(pattern), Pattern.parse(wildcard)) == fixed


@settings(deadline=None, max_examples=300)
@given(rule_patterns(), st.text(alphabet="ab/", min_size=1, max_size=9))
def test_the_place_of_a_variable_is_what_matching_binds(text: str, name: str) -> None:
    pattern = rule(text)
    places = places_of_variables(pattern)
    bound = pattern.match(name)
    if places is not None and bound is not None:
        assert [name.split("/")[number][start:stop] for number, start, stop in places] == list(bound.values())


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        ("a", ()),
        ("a/*", ()),
        ("a/$x", ((1, 0, None),)),
        ("$x/b/$y/*", ((0, 0, None), (2, 0, None))),
        ("$x/b-$y", ((0, 0, None), (1, 2, None))),
        ("$x-a/b", ((0, 0, -2),)),
        ("a/b-$long-c", ((1, 2, -2),)),
        ("*/$x", ((-1, 0, None),)),
        ("$x/*/b/$y", ((0, 0, None), (-1, 0, None))),
        ("$x/a*/$y-b/c", ((0, 0, None), (-2, 0, -2))),
        ("$x$y/b", None),
        ("$x-$y", None),
        ("$x*", None),
        ("a/*-$x", None),
        ("*/$x/*", None),
    ],
)
def test_the_places_of_variables(pattern: str, places: tuple[tuple[int, int, int | None], ...] | None) -> None:
    assert places_of_variables(rule(pattern)) == places
