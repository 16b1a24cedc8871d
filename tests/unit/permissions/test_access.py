"""What expressions read out of values: what is there, what is undefined, and what cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.permissions.rulesets import value_of
from trio_router.permissions.access import element, has, item, member, record
from trio_router.permissions.records import MISSING_UNLOADED, NoRecords, World
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.values import ExpressionFailed


@pytest.mark.parametrize(
    ("value", "index", "expected"),
    [
        ("abc", 0, "a"),
        ("abc", 1, "b"),
        ("abc", 2, "c"),
        ("abcdefgh", 2, "c"),
        ("abc", 3, UNDEFINED),
        ("", 0, UNDEFINED),
        ("\U0001f600", 1, "\ude00"),  # half of a letter, as in JavaScript
        ("\U0001f600", 2, UNDEFINED),
        ([1, 2], 1, 2),
        ([1, 2], 2, UNDEFINED),
        ({"1": "x"}, 1, "x"),
        ({"1": "x"}, 0, UNDEFINED),
        (5, 0, UNDEFINED),
        (True, 0, UNDEFINED),
    ],
)
def test_an_element_is_there_or_undefined(value: Any, index: int, expected: Any) -> None:
    assert element(value, index) == expected
    assert item(value, index) == expected
    assert item(value, float(index)) == expected
    assert member(value, str(index)) == expected


@pytest.mark.parametrize("value", [None, UNDEFINED])
def test_nothing_is_read_of_nothing(value: Any) -> None:
    word = "null" if value is None else "undefined"
    for read in (
        lambda: element(value, 0),
        lambda: item(value, 0),
        lambda: item(value, "0"),
        lambda: member(value, "0"),
    ):
        with pytest.raises(ExpressionFailed) as caught:
            read()
        assert str(caught.value) == f"cannot read '0' of {word}"


@pytest.mark.parametrize(
    ("key", "spelled"),
    [(-1, "-1"), (0.5, "0.5"), (1e21, "1e+21"), (2.0**53, "9007199254740992"), (True, "true"), (None, "null")],
)
def test_a_key_is_its_text(key: Any, spelled: str) -> None:
    assert item({spelled: "found"}, key) == "found"
    assert item({"other": 1}, key) is UNDEFINED
    assert has(key, {spelled: 1})
    assert not has(key, {"other": 1})


@pytest.mark.parametrize("key", ["00", "01", "+1", "1.0", "\u0661", " 1", ""])
def test_a_position_has_one_spelling(key: str) -> None:
    assert member([1, 2], key) is UNDEFINED
    assert not has(key, [1, 2])


def test_what_a_list_has() -> None:
    assert has(0, ["a"])
    assert not has(1, ["a"])
    assert has("length", [])
    assert not has("size", [])
    assert member(["a", "b"], "length") == 2
    assert member("a\U0001f600", "length") == 3
    assert member("ab", "size") is UNDEFINED


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "null"), (UNDEFINED, "undefined"), ("ab", "a string"), (1, "a number"), (True, "a boolean")],
)
def test_in_says_what_it_looks_into(value: Any, shown: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        has("a", value)
    assert str(caught.value) == f"in looks into objects and lists, not into {shown}"


def test_what_a_match_has() -> None:
    matched = value_of("data.match(/b(.)/)", data="abc")
    assert (member(matched, "0"), member(matched, "1"), member(matched, "index"), member(matched, "length")) == (
        "bc", "c", 1, 2,
    )  # fmt: skip
    assert has("index", matched)
    assert has("input", matched)
    assert not has("nothing", matched)
    assert member(matched, "nothing") is UNDEFINED


@pytest.mark.parametrize(
    ("name", "shown"),
    [(None, "null"), (UNDEFINED, "undefined"), (5, "a number"), ([], "an object"), (False, "a boolean")],
)
def test_a_record_is_asked_for_by_a_text(name: Any, shown: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        record(World(lambda: 0, NoRecords()), name)
    assert str(caught.value) == f"_() takes the name of a record, not {shown}"


def test_a_record_that_is_not_loaded_shows_itself() -> None:
    assert repr(MISSING_UNLOADED) == "unloaded"
