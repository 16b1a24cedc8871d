"""The tree of patterns gives what asking every pattern would give, and does not look at all of them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trio_router.patterns import Overlap, Pattern
from trio_router.permissions import trie
from trio_router.permissions.trie import NONE, PatternTrie

NAMES = ["".join(letters) for size in range(1, 6) for letters in product("ab/", repeat=size)]
TOKENS = ["a", "b", "ab", "/", "/", "*", "$", "$"]


def pattern(text: str) -> Pattern:
    """``text`` with a name of its own for each variable."""
    names = iter("vwxyzutsrqp")
    return Pattern.parse("".join(f"${next(names)}" if letter == "$" else letter for letter in text), variables=True)


# A variable's name would swallow the letters after it, so one is followed by something else.
texts = (
    st.lists(st.sampled_from(TOKENS), min_size=1, max_size=6)
    .map("".join)
    .map(lambda text: text.replace("$a", "$-a").replace("$b", "$-b"))
)
many = st.lists(texts.map(pattern), min_size=1, max_size=12)
wildcards = st.lists(st.sampled_from(["a", "b", "/", "*", "*", "-"]), min_size=1, max_size=6).map("".join)


@pytest.mark.threat("T24", "T32")
@settings(deadline=None, max_examples=200)
@given(many, st.sampled_from([0, 64]))
@example([pattern("$/"), pattern("$")], 0)
@example([pattern("*a*a*a"), pattern("*/")], 0)
@example([pattern("$/b"), pattern("a*"), pattern("a/b")], 0)
def test_the_first_pattern_that_matches_is_found(patterns: list[Pattern], few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie, "_FEW", few)
        made = PatternTrie(patterns)
        for name in [*NAMES, "a-a", "b-a/b", "a-b/-a"]:
            matching = [rank for rank, each in enumerate(patterns) if each.matches(name)]
            assert made.find(name, name.split("/")) == min(matching, default=NONE)


@pytest.mark.threat("T21")
@settings(deadline=None, max_examples=500)
@given(many, wildcards, st.sampled_from([0, 64]))
@example([pattern("ab/$"), pattern("a"), pattern("a*")], "a*", 0)
@example([pattern("a$"), pattern("aba*"), pattern("ab$")], "ab*", 0)
@example([pattern("ab"), pattern("a")], "a", 0)
def test_every_pattern_that_overlaps_is_found_in_order(patterns: list[Pattern], wildcard: str, few: int) -> None:
    overlap = Overlap(Pattern.parse(wildcard))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trie, "_FEW", few)
        found = list(PatternTrie(patterns).overlapping(overlap))
    seen = set()
    expected = []
    for rank, each in enumerate(patterns):
        if overlap(each) and each.shape not in seen:
            seen.add(each.shape)
            expected.append(rank)
    assert found == expected


class Counting(Overlap):
    """Counts the texts it was asked for."""

    asked = 0

    def literal(self, states: int, text: str) -> int:
        self.asked += 1
        return super().literal(states, text)


@pytest.mark.parametrize(
    ("form", "wildcard", "overlapping"),
    [
        ("$x/room{}/*", "a/room77/*", 1),
        ("$x/room{}/*", "a/room77*", 11),
        ("room{}/$x", "room77/*", 1),
        ("room{}", "room12*", 11),  # itself and room120 to room129
        ("room{}", "room12*5", 1),
        ("a/room{}-$x", "a/room77-*", 1),
        ("*/room{}", "a*/room77", 1),
    ],
)
def test_a_wildcard_with_a_literal_start_asks_few_of_many_patterns(form: str, wildcard: str, overlapping: int) -> None:
    size = 1_000
    patterns = [Pattern.parse(form.format(number), variables=True) for number in reversed(range(size))]
    overlap = Counting(Pattern.parse(wildcard))
    expected = [rank for rank, each in enumerate(patterns) if Overlap(Pattern.parse(wildcard))(each)]
    found = list(PatternTrie(patterns).overlapping(overlap))
    assert found == expected
    assert len(found) == overlapping
    assert overlap.asked < size / 10 or form.startswith("*")


def test_the_first_of_many_overlapping_patterns_costs_no_more_than_itself() -> None:
    patterns = [Pattern.parse(f"$x/room{number}/*", variables=True) for number in range(1_000)]
    overlap = Counting(Pattern.parse("*"))
    assert next(PatternTrie(patterns).overlapping(overlap)) == 0
    assert overlap.asked < 10


def test_a_name_that_fits_in_many_ways_is_searched_once() -> None:
    patterns = [pattern("*a" * stars + "b") for stars in range(1, 8)] + [pattern("$-" * 10 + "$")]
    made = PatternTrie(patterns)
    assert made.find("a" * 250, ["a" * 250]) == NONE
    assert made.find("-" * 250, ["-" * 250]) == len(patterns) - 1
