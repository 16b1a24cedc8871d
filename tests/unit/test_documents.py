from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router import documents
from trio_router.documents import MAX_DEPTH, DocumentError, read


def plain(text: str) -> object:
    return read(text, "f").plain()


def refusal(text: str) -> str:
    with pytest.raises(DocumentError) as caught:
        read(text, "f.yml")
    assert len(caught.value.problems) == 1
    return str(caught.value)


@pytest.mark.threat("T20")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: *x", "f.yml:1:4: anchors are not allowed; write the value out"),
        ("a: 1\nb: *x", "f.yml:2:4: aliases are not allowed; write the value out"),
        ("*x : 1", "f.yml:1:1: aliases are not allowed; write the value out"),
        ("a: {<<: {b: 1}}", "f.yml:1:5: merge keys are not allowed; write the values out"),
        ("!!python/object/apply:os.system ['id']", "f.yml:1:1: tags are not allowed"),
        ("a: !!python/name:os.system", "f.yml:1:4: tags are not allowed"),
        ("a: !!binary aGk=", "f.yml:1:4: tags are not allowed"),
        ("a: !secret x", "f.yml:1:4: tags are not allowed"),
        ("a: !!str 1", "f.yml:1:4: tags are not allowed"),
        ("a: !!set {x}", "f.yml:1:4: tags are not allowed"),
        ("%TAG ! tag:yaml.org,2002:python/\n---\na: !object/new:os.system [id]", "f.yml:3:4: tags are not allowed"),
        ("a: 1\n---\nb: 2", "f.yml:2:1: only one document"),
        ("a: 1\na: 2", "f.yml:2:1: the key 'a' is already there, in line 1"),
        ('a: 1\n"a": 2', "f.yml:2:1: the key 'a' is already there, in line 1"),
        ("{a: 1, b: {c: 1, c: 2}}", "f.yml:1:18: the key 'c' is already there"),
        ("1: a", "f.yml:1:1: a key must be text, not a number: put it in quotes"),
        ("true: a", "f.yml:1:1: a key must be text, not a boolean: put it in quotes"),
        ("~: a", "f.yml:1:1: a key must be text, not a null: put it in quotes"),
        ("? [a]\n: b", "f.yml:1:3: a key must be text"),
        ("? {a: 1}\n: b", "f.yml:1:3: a key must be text"),
        ("a: 1e999", "f.yml:1:4: the number is out of range"),
        ("a: -1e999", "f.yml:1:4: the number is out of range"),
        ("a: \x00", "f.yml:1:4: holds a character that YAML does not allow"),
        ("a: 1\nb: \x1b[31m", "f.yml:2:4: holds a character that YAML does not allow"),
        ("a: \ud800", "f.yml: holds a character that YAML does not allow"),
        ("*: 1", "f.yml:1:2: a text that starts with * needs quotes"),
        ("a: 'x", "f.yml:1:4: the quote is never closed"),
        ('a:\n  "x\n', "f.yml:2:3: the quote is never closed"),
        ("a:\n\tb: 1", "f.yml:2:1: a tab cannot indent; use spaces"),
        ('a: "\\ud83d\\ude00"', "f.yml:1:7: this is the escape of half a character; write the character itself"),
        ('a: "\\q"', "f.yml:1:5: found unknown escape character"),
        ("a: @x", "f.yml:1:4: a text that starts with @ needs quotes"),
        ("a: `x`", "f.yml:1:4: a text that starts with ` needs quotes"),
        ("a: b: c", "f.yml:1:5: mapping values are not allowed"),
        ("a: [1, 2", "f.yml:"),
        ("- a\nb: c", "f.yml:2:1: "),
    ],
)
def test_what_could_mean_something_else_is_refused_with_its_place(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


@pytest.mark.threat("T20")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("NO", "NO"), ("True", "True"), ("FALSE", "FALSE"),
        ("Null", "Null"), ("true", True), ("false", False), ("null", None), ("~", None),
        ("0", 0), ("-12", -12), ("+3", 3), ("010", "010"), ("0o7", "0o7"), ("0x1F", "0x1F"), ("1_000", "1_000"), ("12:30:45", "12:30:45"),
        ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), (".inf", ".inf"), (".nan", ".nan"), ("1.2.3", "1.2.3"),
        ("2001-12-14", "2001-12-14"), ("=", "="), ("'true'", "true"), ('"1"', "1"), ("'null'", "null"), ("''", ""),
        ("9" * 40, int("9" * 40)), ("9" * 41, "9" * 41),
    ],
)  # fmt: skip
def test_a_scalar_means_what_it_looks_like(text: str, value: object) -> None:
    assert plain(f"a: {text}") == {"a": value}
    assert type(plain(f"- {text}")[0]) is type(value)  # type: ignore[index]


@pytest.mark.threat("T20")
def test_nesting_is_bounded_and_refused_fast() -> None:
    assert plain("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert f"nested deeper than {MAX_DEPTH} levels" in refusal("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    started = time.thread_time()
    assert "nested deeper" in refusal("[" * 200_000)
    assert "nested deeper" in refusal("{a: " * 200_000)
    assert "nested deeper" in refusal("- " * 5_000)
    assert time.thread_time() - started < 5


@pytest.mark.threat("T20")
def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_SIZE", 10)
    assert refusal("a: 12345678") == "f.yml: the file is larger than 10 bytes"
    assert plain("a: 1234567") == {"a": 1234567}


@pytest.mark.threat("T20")
def test_a_bomb_of_aliases_does_not_go_off() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    assert "anchors are not allowed" in refusal(bomb)


def test_positions() -> None:
    root = read("# head\na: 1\nb:\n  - x\n  - {c: 'd'}\n", "f")
    assert (root.kind, root.line, root.column) == ("mapping", 2, 1)
    entries = {key: (node.line, node.column, value.line, value.column) for key, node, value in root.entries()}
    assert entries == {"a": (2, 1, 2, 4), "b": (3, 1, 4, 3)}
    listed = root.get("b")
    assert listed is not None
    assert listed.kind == "list"
    assert [(item.kind, item.line, item.column) for item in listed.value] == [("text", 4, 5), ("mapping", 5, 5)]
    inner = listed.value[1].get("c")
    assert (inner.line, inner.column, inner.quoted, inner.kind) == (5, 9, True, "text")
    assert root.get("nothing") is None


def test_kinds() -> None:
    root = read("{a: x, b: 1, c: 1.5, d: true, e: null, f: [], g: {}}", "f")
    assert [value.kind for _, _, value in root.entries()] == [
        "text",
        "number",
        "number",
        "boolean",
        "null",
        "list",
        "mapping",
    ]


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "---", "\ufeff"])
def test_an_empty_text_is_null(text: str) -> None:
    assert read(text, "f").value is None


def test_blocks_are_text_whatever_they_look_like() -> None:
    assert plain("a: |-\n  1\nb: >-\n  true\n") == {"a": "1", "b": "true"}


texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_json_reads_the_same(value: object) -> None:
    assert plain(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.threat("T20")
@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="ab: -?[]{},'\"|>&*!%#\n\t<0.e+~\\", max_size=30))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        tree = read(text, "f")
    except DocumentError as error:
        assert all(problem.message for problem in error.problems)
        return
    # What is accepted means the same to an ordinary reader that knows no types.
    theirs = yaml.load(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    assert shape(tree.plain()) == shape(theirs)


def shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "scalar"
