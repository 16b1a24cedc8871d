"""What a scope permits and reaches; the matcher against a plain regular expression, and wildcards against their names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.patterns import Pattern
from trio_router.scope import MAX_RESTRICTIONS, Scope, covers, matches

SEGMENT = st.sampled_from(["a", "b", "ab", "foo", "foobar", "a.b"])
SEPARATOR = st.sampled_from([":", "/"])


@st.composite
def joined(draw: st.DrawFn, segment: st.SearchStrategy[str], most: int = 4) -> str:
    text = draw(segment)
    for _ in range(draw(st.integers(0, most - 1))):
        text += draw(SEPARATOR) + draw(segment)
    return text


NAMES = joined(SEGMENT)
PATTERNS = joined(SEGMENT | st.just("*") | st.just("foo*"))
WILDCARDS = joined(SEGMENT | st.just("*") | st.sampled_from(["a*", "*b"]))


def as_regex(pattern: str) -> str:
    parts = re.split(r"([:/])", pattern)
    out = []
    for place, part in enumerate(parts):
        if part == ":":
            out.append("[:/]")
        elif part == "*":
            out.append(r"[^:/]+(?:[:/][^:/]+)*" if place == len(parts) - 1 else "[^:/]+")
        else:
            out.append(re.escape(part))
    return "".join(out)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "news", True),
        ("*", "pvt:deep/er", True),
        ("news:*", "news/eu", True),
        ("news:*", "news/eu/fr", True),
        ("news:*", "news", False),
        ("news:*:fr", "news/eu/fr", True),
        ("news:*:fr", "news/eu/x/fr", False),
        ("pvt:room:*", "pvt:room/12", True),
        ("pvt:room/*", "pvt:room/12", True),
        ("pvt/room/*", "pvt:room/12", False),
        ("foo*", "foo*", True),
        ("foo*", "foobar", False),
        ("news", "News", False),
        ("*:eu", "sys:eu", True),
    ],
)
def test_restrictions(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@given(PATTERNS, NAMES)
@settings(deadline=None)
def test_it_matches_as_the_regular_expression_of_its_description(pattern: str, name: str) -> None:
    assert matches(pattern, name) is (re.fullmatch(as_regex(pattern), name) is not None)


@given(PATTERNS, WILDCARDS, NAMES)
@settings(deadline=None, max_examples=400)
@pytest.mark.threat("T50")
def test_a_wildcard_in_reach_matches_no_name_out_of_reach(pattern: str, wildcard: str, name: str) -> None:
    if covers(pattern, wildcard) and Pattern.parse(wildcard).matches(name):
        assert matches(pattern, name)


@given(PATTERNS)
@settings(deadline=None)
def test_what_is_in_reach_by_itself(pattern: str) -> None:
    name = pattern.replace("foo*", "foo").replace("*", "x")
    assert matches(pattern.replace("foo*", "foo"), name)


def test_covering_is_more_than_nothing() -> None:
    assert covers("news:*", "news/*")
    assert covers("news:*", "news/a*")
    assert covers("*", "*")
    assert covers("news:*:*", "news/eu/*")
    assert not covers("news:*", "news*")
    assert not covers("news:*:x", "news/*/x")
    assert not covers("news", "*")


def test_permissions() -> None:
    assert Scope.of(["publish"], None).permits("publish")
    assert not Scope.of(["publish"], None).permits("subscribe")
    assert Scope.of(["*"], None).permits("subscribe")
    assert not Scope.of([], None).permits("subscribe")
    assert not Scope.of(["*"], []).reaches("news")
    assert not Scope.of(["*"], []).reaches_all("*")


@pytest.mark.parametrize(
    ("permissions", "restrictions", "text"),
    [
        (["write"], None, "permissions: entry 1 "),
        (["publish", 3], None, "permissions: entry 2 "),
        ([], ["a", 1], "restrictions: entry 2 is not a text"),
        ([], ["a::b"], "empty segment"),
        ([], [""], "1 to 255"),
        ([], ["a" * 256], "1 to 255"),
        ([], ["ä"], "character"),
        ([], ["a"] * (MAX_RESTRICTIONS + 1), "too many"),
    ],
)
def test_bad_scopes_are_refused(permissions: list[object], restrictions: list[object] | None, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Scope.of(permissions, restrictions)
