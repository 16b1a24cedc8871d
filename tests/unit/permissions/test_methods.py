"""Each method on what it is for, at the edges of its positions, and on what it is not for."""

from __future__ import annotations

from typing import Any

import pytest

from trio_router.permissions import methods
from trio_router.permissions.regexes import MAX_TEXT, compile_regex
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.values import ExpressionFailed

NAN = float("nan")
ON_TEXTS = ("startsWith", "endsWith", "includes", "indexOf", "toUpperCase", "toLowerCase", "trim", "match")


def call(method: str, value: Any, *arguments: Any) -> Any:
    return methods.IMPLEMENTATIONS[method](value, *arguments)


def arguments(method: str) -> tuple[Any, ...]:
    if method == "match":
        return (compile_regex("a", ""),)
    return ("a",) * methods.METHODS[method][0]


@pytest.mark.parametrize("method", ON_TEXTS)
@pytest.mark.parametrize(("value", "word"), [(None, "null"), (UNDEFINED, "undefined")])
def test_nothing_has_no_methods(method: str, value: Any, word: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        call(method, value, *arguments(method))
    assert str(caught.value) == f"cannot read '{method}' of {word}"


@pytest.mark.parametrize("method", ON_TEXTS)
@pytest.mark.parametrize(
    ("value", "kind"), [(5, "number"), (True, "boolean"), ({}, "object"), ([], "list"), ((), "list")]
)
def test_other_values_have_not_these_methods(method: str, value: Any, kind: str) -> None:
    if kind == "list" and method in ("includes", "indexOf"):
        return
    with pytest.raises(ExpressionFailed) as caught:
        call(method, value, *arguments(method))
    assert str(caught.value) == f"{method}() is not a method of this {kind}"


@pytest.mark.parametrize(
    ("method", "part", "position", "expected"),
    [
        ("startsWith", "a", UNDEFINED, True),
        ("startsWith", "b", UNDEFINED, False),
        ("startsWith", "b", 1, True),
        ("startsWith", "b", 1.9, True),
        ("startsWith", "a", -1, True),
        ("startsWith", "a", NAN, True),
        ("startsWith", "", 99, True),
        ("startsWith", "a", None, True),
        ("endsWith", "c", UNDEFINED, True),
        ("endsWith", "b", UNDEFINED, False),
        ("endsWith", "b", 2, True),
        ("endsWith", "c", 99, True),
        ("endsWith", "", -1, True),
        ("endsWith", "a", -1, False),
        ("endsWith", "c", None, False),
        ("includes", "b", UNDEFINED, True),
        ("includes", "a", UNDEFINED, True),
        ("includes", "x", UNDEFINED, False),
        ("includes", "a", 1, False),
        ("includes", "b", 1, True),
        ("includes", "c", float("inf"), False),
        ("indexOf", "a", UNDEFINED, 0),
        ("indexOf", "c", UNDEFINED, 2),
        ("indexOf", "a", 1, -1),
        ("indexOf", "b", 1, 1),
        ("indexOf", "", 99, 3),
        ("indexOf", "", float("-inf"), 0),
    ],
)
def test_positions_in_a_text(method: str, part: str, position: Any, expected: Any) -> None:
    assert call(method, "abc", part, position) == expected
    if position is UNDEFINED:
        assert call(method, "abc", part) == expected


@pytest.mark.parametrize(
    ("value", "part", "position", "index", "included"),
    [
        ([1, 2, 1], 1, UNDEFINED, 0, True),
        ([1, 2, 1], 1, 1, 2, True),
        ([1, 2, 1], 2, 2, -1, False),
        ([1, 2, 1], 2, -2, 1, True),
        ([1, 2, 1], 2, -1, -1, False),
        ([1, 2, 1], 1, -99, 0, True),
        ([1, 2, 1], 1, 99, -1, False),
        ([1, 2, 1], 1, 2, 2, True),
        ([1, 2, 1], 1, 3, -1, False),
        ([1, 2, 1], 2, -0.5, 1, True),
        ([1, 2, 1], 2, 1.9, 1, True),
        ([NAN], NAN, UNDEFINED, -1, True),
        ([1.5], NAN, UNDEFINED, -1, False),
        ([NAN], 1.5, UNDEFINED, -1, False),
        (["1"], 1, UNDEFINED, -1, False),
        ((True,), True, UNDEFINED, 0, True),
        ([None], UNDEFINED, UNDEFINED, -1, False),
    ],
)
def test_positions_in_a_list(value: Any, part: Any, position: Any, index: int, included: bool) -> None:
    assert methods.index_of(value, part, position) == index
    assert methods.includes(value, part, position) is included


def test_letters() -> None:
    assert methods.to_upper_case("Stra\u00dfe \u00e9") == "STRASSE \u00c9"
    assert methods.to_lower_case("ABC \u00c9") == "abc \u00e9"
    assert methods.trim("\ufeff\u2028 \t a b \n\u00a0") == "a b"
    assert methods.trim("\u180ea") == "\u180ea"  # no blank any more, in JavaScript


def test_a_match_has_its_groups() -> None:
    found = methods.match("x\U0001f600ab", compile_regex("(?<first>a)(?<gone>z)?(b)", ""))
    assert found is not None
    assert list(found) == ["ab", "a", UNDEFINED, "b"]
    assert found.fields == {"index": 3, "input": "x\U0001f600ab", "groups": {"first": "a", "gone": UNDEFINED}}
    assert list(methods.match("ab", compile_regex("(a)b", "")) or []) == ["ab", "a"]
    plain = methods.match("ab", compile_regex("b", ""))
    assert plain is not None
    assert plain.fields == {"index": 1, "input": "ab", "groups": UNDEFINED}
    assert methods.match("ab", compile_regex("c", "")) is None


@pytest.mark.threat("T30")
def test_a_regular_expression_searches_so_many_characters() -> None:
    regex = compile_regex("b", "")
    assert methods.test(regex, "a" * (MAX_TEXT - 1) + "b")
    assert not methods.test(regex, "a" * MAX_TEXT)
    for search in (
        lambda: methods.test(regex, "a" * (MAX_TEXT + 1)),
        lambda: methods.match("b" * (MAX_TEXT + 1), regex),
    ):
        with pytest.raises(ExpressionFailed) as caught:
            search()
        assert str(caught.value) == f"a regular expression searches at most {MAX_TEXT} characters"
    assert methods.test(compile_regex("^nu", ""), None)  # the text of what is no text
