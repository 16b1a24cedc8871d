"""Values as JavaScript has them: what is true, equal, less, and how numbers and lists are written."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trio_router.permissions import arithmetic, values
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.values import MAX_TEXT, TOO_LONG, ExpressionFailed, to_number, to_text, truthy

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("value", [False, 0, 0.0, -0.0, NAN, "", None, UNDEFINED])
def test_what_a_condition_takes_for_false(value: Any) -> None:
    assert truthy(value) is False


@pytest.mark.parametrize("value", [True, 1, -1, 0.5, INFINITY, "a", "0", "XXXX", " ", [], {}, ()])
def test_what_a_condition_takes_for_true(value: Any) -> None:
    assert truthy(value) is True


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (UNDEFINED, "undefined"),
        ({}, "[object Object]"),
        (0, "0"),
        (-0.0, "0"),
        (NAN, "NaN"),
        (INFINITY, "Infinity"),
        (-INFINITY, "-Infinity"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (7, "7"),
        (-7, "-7"),
        (10, "10"),
        (100.0, "100"),
        (1.5, "1.5"),
        (-1.25, "-1.25"),
        (10.5, "10.5"),
        (0.1, "0.1"),
        (0.05, "0.05"),
        (1e-6, "0.000001"),
        (1.2e-6, "0.0000012"),
        (1e-7, "1e-7"),
        (1.2e-7, "1.2e-7"),
        (1.25e-7, "1.25e-7"),
        (123456789.125, "123456789.125"),
        (1e20, "100000000000000000000"),
        (123e18, "123000000000000000000"),
        (1e21, "1e+21"),
        (1.5e21, "1.5e+21"),
        (1e22, "1e+22"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (2**53 + 1, "9007199254740992"),
        (123456789012345680000.0, "123456789012345680000"),
        (12345678901234567890.5, "12345678901234567000"),
        (0.30000000000000004, "0.30000000000000004"),
        ([], ""),
        ([1, "a", None, UNDEFINED, True], "1,a,,,true"),
        ([[1, [2, 3]], [[]], 4], "1,2,3,,4"),
        ((1, 2), "1,2"),
    ],
)
def test_the_text_of_a_value(value: Any, text: str) -> None:
    assert to_text(value) == text


def test_a_list_is_written_up_to_a_length() -> None:
    half = "x" * (MAX_TEXT // 2)
    rest = MAX_TEXT - len(half) - 1
    assert len(to_text([half, "y" * rest])) == MAX_TEXT
    assert len(to_text([half, ["y" * rest]])) == MAX_TEXT
    assert len(to_text([half, "y" * (rest - 2), "", ""])) == MAX_TEXT
    for long in (
        [half, "y" * (rest + 1)],
        [half, ["y" * (rest + 1)]],
        [half, "y" * rest, ""],
        [[half, "y" * rest], ""],
    ):
        with pytest.raises(ExpressionFailed) as caught:
            to_text(long)
        assert str(caught.value) == TOO_LONG


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("", 0), (" \n", 0), ("12", 12), (" 1.5 ", 1.5), ("-.5", -0.5), ("5.", 5), ("1e3", 1000), ("+7", 7),
        ("0x1F", 31), ("0b101", 5), ("0o17", 15), ("0X1f", 31), ("Infinity", INFINITY), ("-Infinity", -INFINITY),
        (None, 0), (True, 1), (False, 0), ([], 0), (["5"], 5), ([[2]], 2), (2**53 + 1, 2**53),
    ],
)  # fmt: skip
def test_the_number_of_a_value(value: Any, number: float) -> None:
    assert to_number(value) == number


def test_blanks_around_a_number_are_those_of_javascript() -> None:
    assert to_number("\ufeff\u2028\u00a0 1 \v\f\n") == 1
    assert to_number(["\ufeff1"]) == 1
    for text in ("\x1c1", "1\x1f", "\x851"):  # which are blanks in Python
        assert math.isnan(to_number(text))
        assert math.isnan(to_number([text]))


@pytest.mark.parametrize(
    "value", ["a", "1a", "0x", "0xg", "-0x1", "1_0", "infinity", "1e", ".", "--1", UNDEFINED, {}, [1, 2], ["a"]]
)
def test_what_is_no_number(value: Any) -> None:
    number = to_number(value)
    assert number != number


@pytest.mark.parametrize(
    ("left", "right", "less", "less_or_equal"),
    [
        (1, 2, True, True), (2, 2, False, True), (2, 1, False, False), ("10", "9", True, True), ("a", "a", False, True),
        ("10", 9, False, False), (9, "10", True, True), ("b", "a", False, False), (NAN, 1, False, False), ("x", 1, False, False),
        (None, 1, True, True), (None, 0, False, True), (UNDEFINED, 1, False, False), ([2], 10, True, True), ([2], "10", False, False),
        (["a"], "b", True, True), ("\U0001f600", "\uff5e", True, True), ("\uff5e", "\U0001f600", False, False),
        (2**53, 2**53 + 1, False, True), (True, 2, True, True), ({}, 1, False, False),
    ],
)  # fmt: skip
def test_order(left: Any, right: Any, less: bool, less_or_equal: bool) -> None:
    assert values.less(left, right) is less
    assert values.less_or_equal(left, right) is less_or_equal


@pytest.mark.parametrize(
    ("left", "right", "strict", "loose"),
    [
        (1, 1.0, True, True), (1, "1", False, True), ("1", 1, False, True), ("a", "a", True, True), ("a", "b", False, False),
        (True, 1, False, True), (True, True, True, True), (True, False, False, False), (1, True, False, True), ("1", True, False, True),
        (None, None, True, True), (None, UNDEFINED, False, True), (UNDEFINED, None, False, True), (None, 0, False, False),
        (UNDEFINED, 0, False, False), (0, None, False, False), ("", UNDEFINED, False, False), (NAN, NAN, False, False),
        ("", 0, False, True), ("a", 0, False, False), ([1], "1", False, True), ([1], 1, False, True), ([], "", False, True),
        ([1, 2], "1,2", False, True), ({}, "[object Object]", False, True), ([], [], False, False), (2**53, 2**53 + 1, True, True),
        (0, -0.0, True, True), ({}, 1, False, False),
    ],
)  # fmt: skip
def test_equality(left: Any, right: Any, strict: bool, loose: bool) -> None:
    assert values.strict_equal(left, right) is strict
    assert values.loose_equal(left, right) is loose


@pytest.mark.parametrize(("left", "right"), [("1", [1]), (1, [1]), ("", []), ("[object Object]", {}), (True, [1])])
def test_a_list_or_object_is_compared_by_its_text(left: Any, right: Any) -> None:
    assert values.loose_equal(left, right)
    assert values.loose_equal(right, left)
    assert not values.strict_equal(left, right)


def test_a_text_is_as_long_as_its_code_units() -> None:
    assert [values.length(text) for text in ("", "ab", "\u00e9", "\uffff", "\U00010000", "a\U0001f600b")] == [
        0,
        2,
        1,
        1,
        2,
        4,
    ]
    halves = "a\ud83d\ude00"
    assert values.characters(halves) == "a\U0001f600"
    assert values.characters("\ud83d!") == "\ud83d!"
    assert values.code_units("a\U0001f600") == halves


def test_halves_of_letters_have_an_order() -> None:
    assert values.less("\ud800", "\udc00")
    assert not values.less("\ud800", "a")
    assert values.less_or_equal("\ud800", "\ud800")


def test_a_value_is_itself() -> None:
    whole: Any
    for whole in ([], {}, (1,)):
        assert values.strict_equal(whole, whole)
        assert values.loose_equal(whole, whole)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a", "string"),
        (True, "boolean"),
        (1, "number"),
        (0.5, "number"),
        (UNDEFINED, "undefined"),
        (None, "object"),
        ([], "object"),
    ],
)
def test_the_type_of_a_value(value: Any, name: str) -> None:
    assert values.type_name(value) == name


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([], 1, "1"), (1, [], "1"), ([], [], ""), ([1, 2], 3, "1,23"), ({}, 1, "[object Object]1"), (1, {}, "1[object Object]"),
        (None, 1, 1), (True, True, 2), ("a", 1, "a1"), (1, "a", "1a"), ("a", None, "anull"), ("a", UNDEFINED, "aundefined"),
        (0.1, 0.2, 0.30000000000000004), (1, 2, 3),
    ],
)  # fmt: skip
def test_sums(left: Any, right: Any, expected: Any) -> None:
    made = arithmetic.add(left, right)
    assert (made, type(made)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("left", "right", "quotient", "remainder"),
    [
        (7, 2, 3.5, 1), (-7, 2, -3.5, -1), (7, -2, -3.5, 1), (6, 3, 2, 0), (1, 0, INFINITY, NAN), (-1, 0, -INFINITY, NAN),
        (1, -0.0, -INFINITY, NAN), (-1, -0.0, INFINITY, NAN), (0, 0, NAN, NAN), (NAN, 0, NAN, NAN), (0, 5, 0, 0),
        (INFINITY, 2, INFINITY, NAN), (2, INFINITY, 0, 2), (NAN, 2, NAN, NAN), (2, NAN, NAN, NAN), ("7", "2", 3.5, 1),
        (UNDEFINED, 1, NAN, NAN), (1, UNDEFINED, NAN, NAN), (5.5, 2, 2.75, 1.5),
    ],
)  # fmt: skip
def test_quotients(left: Any, right: Any, quotient: float, remainder: float) -> None:
    for made, expected in ((arithmetic.divide(left, right), quotient), (arithmetic.remainder(left, right), remainder)):
        assert (math.isnan(made) and math.isnan(expected)) or made == expected
        assert type(made) is type(expected)


@pytest.mark.parametrize(
    ("value", "negated"),
    [(1, -1), (-1, 1), (0, -0.0), (-0.0, 0), ("2", -2), (True, -1), (0.5, -0.5), (2**53, -(2**53))],
)
def test_signs(value: Any, negated: float) -> None:
    made = arithmetic.negative(value)
    assert (made, type(made), math.copysign(1, made)) == (negated, type(negated), math.copysign(1, negated))
    plain = arithmetic.positive(value)
    assert plain == to_number(value)
    assert math.copysign(1, plain) == math.copysign(1, to_number(value))


def test_whole_numbers_stay_whole_as_far_as_they_are_exact() -> None:
    assert type(arithmetic.positive(2.0**53)) is int
    assert type(arithmetic.negative(2.0**53)) is int
    assert type(arithmetic.positive(2.0**53 + 2)) is float
    assert type(arithmetic.negative(2.0**53 + 2)) is float
    assert (arithmetic.subtract(5, 3), arithmetic.multiply(2, 3), arithmetic.subtract("5", True)) == (2, 6, 4)
