"""When two expressions are the same, and how a part of one is shown."""

from __future__ import annotations

import pytest

from trio_router.permissions.grammar import Scope, parse
from trio_router.permissions.syntax import Node
from trio_router.permissions.trees import same, shown, walk


def tree(text: str) -> Node:
    return parse(text, Scope(("room",), data=True, action="event publish"))


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("data.n===1", " data.n  ===  1", True),
        ("[1, data.a]", "[ 1,data.a ]", True),
        ("data.a ? 'x' : null", 'data.a?"x":null', True),
        ("data.a", "data.b", False),
        ("data", "name", False),
        ("data.a", "data?.a", False),
        ("[1, data.a]", "[1, data.b]", False),
        ("[1]", "[1, 2]", False),
        ("[1, 2]", "[1]", False),
        ("[1]", "[2]", False),
        ("[!data.a]", "[-data.a]", False),
        ("[!data.a]", "[typeof data.a]", False),
        ("1", "'1'", False),
        ("0", "-0", False),
        ("'a'", "'b'", False),
        ("data.a && data.b", "data.a || data.b", False),
        ("data.a && data.b", "data.b && data.a", False),
    ],
)
def test_only_the_places_in_the_text_may_differ(one: str, other: str, alike: bool) -> None:
    assert same(tree(one), tree(other)) is alike


def test_nothing_is_the_same_as_nothing_alone() -> None:
    assert same(None, None)
    assert not same(None, tree("data"))
    assert not same(tree("data"), None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("data.a   ===\n  'b'", "data.a === 'b'"),
        (f"'{'x' * 78}'", f"'{'x' * 78}'"),  # 80 characters
        (f"'{'x' * 79}'", f"'{'x' * 76}..."),  # 81
    ],
)
def test_a_part_is_shown_on_one_line_of_80_characters(text: str, line: str) -> None:
    assert shown(tree(text), text) == line


def test_a_part_is_cut_out_of_its_text() -> None:
    text = "data.list.includes($room) || now > 5"
    parts = [shown(node, text) for node in walk(tree(text))]
    assert parts == [
        text, "data.list.includes($room)", "data.list", "data", "$room", "now > 5", "now", "5",
    ]  # fmt: skip
