"""What is said of words that an expression does not know."""

from __future__ import annotations

import pytest

from trio_router.permissions.vocabulary import Scope, closest, refused, unknown_name

EVENT = Scope(data=True)
RECORD = Scope(data=True, old_data=True)


@pytest.mark.parametrize(
    ("word", "scope", "hint"),
    [
        ("usr", Scope(), "; did you mean user?"),
        ("Session", Scope(), "; did you mean session?"),
        ("nme", Scope(), "; did you mean name?"),
        ("tru", Scope(), "; did you mean true?"),
        ("dta", EVENT, "; did you mean data?"),
        ("DATA", EVENT, "; did you mean data?"),
        ("dta", Scope(), ""),  # a rule that has none
        ("olddata", RECORD, "; did you mean oldData?"),
        ("olddata", EVENT, "; did you mean data?"),
        ("zebra", RECORD, ""),
    ],
)
def test_the_name_that_was_meant_is_guessed_among_those_there_are(word: str, scope: Scope, hint: str) -> None:
    assert unknown_name(word, scope) == f"unknown name {word}{hint}"


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("abcdef", ["abcxyz", "abcdxx"], "; did you mean abcdxx?"),
        ("abcde", ["abcxy"], "; did you mean abcxy?"),  # three of five letters
        ("abcdef", ["abcxyz"], ""),  # three of six
        ("ABCDE", ["abcdE"], "; did you mean abcdE?"),
        ("a", [], ""),
    ],
)
def test_a_word_is_guessed_if_most_of_it_is_right(word: str, known: list[str], hint: str) -> None:
    assert closest(word, known) == hint


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("and", "write && instead of and"),
        ("=", "to compare, write ==="),
        ("new", "new is not available in rules"),
        ("++", "++ is not available in rules"),
        ("data", None),
        ("&&", None),
    ],
)
def test_words_of_other_languages_are_refused_with_what_to_write_instead(word: str, why: str | None) -> None:
    assert refused(word) == why
