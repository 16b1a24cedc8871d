from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router import documents
from trio_router.clock import ManualClock
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.places import SourceMap
from trio_router.permissions.sources import RuleSources


def found(text: str, letter: str) -> tuple[int, int] | None:
    """Where the map says the first ``letter`` of the value under ``a`` stands."""
    node = documents.read(text, "f").get("a")
    assert node is not None
    return SourceMap(text).place(node, node.value.index(letter))


def truth(text: str, letter: str) -> tuple[int, int]:
    line, column = next(
        (number, line.index(letter)) for number, line in enumerate(text.split("\n"), 1) if letter in line
    )
    return line, column + 1


@pytest.mark.parametrize(
    "text",
    [
        "a: one X two",
        "# first\na:    one X",
        "a: 'one X two'",
        "a: 'it''s ''X'' two'",
        'a: "one X two"',
        'a: "say \\"X\\""',
        'a: "tab\\tnew\\nX"',
        'a: "\\u00e9\\x41\\U0001f600 X"',
        'a: "caf\u00e9 \U0001f600 X"',
        "a: one\n  two\n  X three",
        "a: one\n\n\n  two X",
        "a: 'one\n  two\n\n  it''s X'",
        'a: "one\n  two\n\n  \\"X\\""',
        'a: "one \\\n  two\\\n  X"',
        'a: "one\nX"',
        'a: "\\x20\\tX"',
        "a: |\n  one\n    two\n  X\n",
        "a: |-  # why\n  one\n\n  X",
        "a: |2\n    one\n  X",
        "a: >\n  one\n  two\n\n  three X\n",
        "a: >-\n  one\n    kept\n  X\n",
        "b: 1\r\na: >-\r\n  one\r\n  X",
        "{a: one X}",
        "a:\n  one X",
    ],
)
def test_a_character_is_found_however_the_scalar_is_written(text: str) -> None:
    assert found(text, "X") == truth(text.replace("\r", ""), "X")


@pytest.mark.parametrize(("text", "place"), [("a: one", (1, 7)), ("a: 'one'", (1, 8)), ("a: |\n  one\n", (2, 6))])
def test_the_end_of_the_text_is_a_place_too(text: str, place: tuple[int, int]) -> None:
    node = documents.read(text, "f").get("a")
    assert node is not None
    assert SourceMap(text).place(node, len(node.value.rstrip())) == place


def test_an_empty_text_stands_where_its_scalar_does() -> None:
    node = documents.read("a: ''", "f").get("a")
    assert node is not None
    assert SourceMap("a: ''").place(node, 0) == (1, 4)


def test_a_text_that_does_not_fit_its_scalar_has_no_place() -> None:
    node = documents.read("a: one", "f").get("a")
    assert node is not None
    assert SourceMap("a: two").place(node, 1) is None
    assert SourceMap("").place(documents.Node("one", 9, 1), 1) is None


RULES = """\
actions: names
event:
  "news/$x":
    publish: {rule: "user.id === $x", reason: no}
    subscribe: true
record:
  doc:
    write:
      rule: >-
        data.a === 1
        && data.b
"""


def test_where_a_rule_its_parts_and_its_pattern_stand() -> None:
    sources = RuleSources(RULES, "rules.yml")
    publish, subscribe, write = load_rules(RULES, "rules.yml", clock=ManualClock()).rules
    assert [sources.place(rule) for rule in (publish, subscribe, write)] == [(4, 21), (5, 16), (9, 13)]
    assert sources.place(publish, 0) == (4, 22)
    assert sources.place(publish, len("user.id === ")) == (4, 34)
    assert sources.place(subscribe, 3) == (5, 16)
    assert sources.place(write, len("data.a === 1 && ")) == (11, 12)
    assert [sources.pattern_place(rule) for rule in (publish, write)] == [(3, 3), (7, 3)]
    assert sources.pattern_place(publish, len("news/")) == (3, 9)
    assert sources.pattern_place(write, 1) == (7, 4)
    assert [sources.action(rule) for rule in (subscribe, write)] == [Action.EVENT_SUBSCRIBE, Action.RECORD_WRITE]
    assert sources.named(write) == 'record "doc" write'


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="ab&|='\"\\ ", min_size=1, max_size=8), min_size=1, max_size=4),
    st.sampled_from(["|", ">", "'", '"', ""]),
)
def test_a_place_is_where_the_letter_is_or_unknown(lines: list[str], style: str) -> None:
    body = [line.replace("X", "") for line in lines]
    body[-1] += "X"
    if style in ("|", ">"):
        text = f"a: {style}\n" + "".join(f"  {line}\n" for line in body)
    else:
        text = f"a: {style}" + "\n  ".join(body) + style
    try:
        node = documents.read(text, "f").get("a")
    except documents.DocumentError:
        return
    if node is None or not isinstance(node.value, str) or "X" not in node.value:
        return
    place = SourceMap(text).place(node, node.value.index("X"))
    assert place in (None, truth(text, "X"))
    if style in ("|", ""):
        assert place is not None
