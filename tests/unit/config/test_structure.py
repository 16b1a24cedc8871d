"""Plain values into attrs classes: what fits, what does not, and where the fault is said to be."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.config.references import Expanded
from trio_router.config.structure import StructureFailed, Structurer
from trio_router.secret import Secret


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Inner:
    name: str
    size: int = attrs.field(default=1, validator=attrs.validators.ge(1))


@attrs.frozen
class Options:
    text: str = ""
    number: float = 0.0
    count: int = 0
    flag: bool = False
    secret: Secret | None = None
    file: Path | None = None
    names: list[str] = attrs.field(factory=list)
    pair: tuple[str, ...] = ()
    unique: frozenset[str] = frozenset()
    table: dict[str, int] = attrs.field(factory=dict)
    view: Mapping[str, Any] | None = None
    steps: Sequence[Inner] = ()
    inner: Inner | None = None
    one_or_many: str | list[str] = ""
    either: Inner | str = ""
    level: Literal["low", "high"] = "low"
    colour: Colour = Colour.RED
    anything: Any = None
    word: str = attrs.field(default="a", validator=attrs.validators.in_(["a", "b"]))


def structured(value: Any) -> Options:
    return Structurer(Path("/base")).structure(value, Options)


def faults(value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(StructureFailed) as caught:
        structured(value)
    return [(fault.path, fault.message) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("text", "a", "a"),
        ("number", 3, 3.0),
        ("number", Expanded("2.5"), 2.5),
        ("count", Expanded("-7"), -7),
        ("flag", Expanded("false"), False),
        ("secret", "x", Secret("x")),
        ("file", "a/b", Path("/base/a/b")),
        ("file", "/a/b", Path("/a/b")),
        ("names", ["a", "b"], ["a", "b"]),
        ("pair", ["a"], ("a",)),
        ("unique", ["a", "a"], frozenset({"a"})),
        ("table", {"a": 1}, {"a": 1}),
        ("view", {"a": [1, None]}, {"a": [1, None]}),
        ("view", None, None),
        ("steps", [{"name": "n"}], (Inner("n"),)),
        ("inner", {"name": "n", "size": 2}, Inner("n", 2)),
        ("one_or_many", "a", "a"),
        ("one_or_many", ["a"], ["a"]),
        ("either", {"name": "n"}, Inner("n")),
        ("level", "high", "high"),
        ("level", Expanded("high"), "high"),
        ("colour", "blue", Colour.BLUE),
        ("anything", {"a": Expanded("x")}, {"a": "x"}),
    ],
)
def test_a_fitting_value(key: str, value: Any, expected: Any) -> None:
    result = getattr(structured({key: value}), key)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"text": 1}, ("text",), "expected text, got a number: put it in quotes"),
        ({"number": "1"}, ("number",), "expected a number, got text"),
        ({"number": True}, ("number",), "expected a number, got a boolean"),
        ({"number": 10**400}, ("number",), "the number is out of range"),
        ({"count": True}, ("count",), "expected a whole number, got a boolean"),
        ({"count": Expanded("1_0")}, ("count",), "expected a whole number, got text"),
        ({"flag": 1}, ("flag",), "expected true or false, got a number"),
        ({"flag": Expanded("yes")}, ("flag",), "expected true or false, got text"),
        ({"secret": 12}, ("secret",), "expected text, got a number: put it in quotes"),
        ({"file": ""}, ("file",), "expected the path of a file"),
        ({"file": "a\0b"}, ("file",), "expected the path of a file"),
        ({"names": "abc"}, ("names",), "expected a list, got text"),
        ({"names": ["a", 1]}, ("names", 1), "expected text, got a number: put it in quotes"),
        ({"pair": {"a": 1}}, ("pair",), "expected a list, got a mapping"),
        ({"unique": None}, ("unique",), "expected a list, got null"),
        ({"table": {"a": "b"}}, ("table", "a"), "expected a whole number, got text"),
        ({"table": []}, ("table",), "expected a mapping, got a list"),
        ({"inner": {}}, ("inner",), "the key 'name' is missing"),
        ({"inner": {"name": "n", "size": 0}}, ("inner", "size"), "'size' must be >= 1: 0"),
        ({"inner": {"name": "n", "sise": 0}}, ("inner", "sise"), "unknown key 'sise'; did you mean 'size'?"),
        (
            {"steps": [{"name": "n"}, {"name": 2}]},
            ("steps", 1, "name"),
            "expected text, got a number: put it in quotes",
        ),
        ({"one_or_many": 3}, ("one_or_many",), "fits none of str or list, got a number"),
        ({"either": {"nam": "n"}}, ("either",), "the key 'name' is missing"),
        ({"level": "hihg"}, ("level",), "expected one of low, high; did you mean 'high'?"),
        ({"level": Expanded("hihg")}, ("level",), "expected one of low, high"),
        ({"level": 3}, ("level",), "expected one of low, high, got a number"),
        ({"colour": "bleu"}, ("colour",), "expected one of red, blue; did you mean 'blue'?"),
        ([], (), "expected a mapping, got a list"),
    ],
)
def test_a_value_that_does_not_fit(value: Any, path: tuple[str | int, ...], message: str) -> None:
    assert (path, message) in faults(value)


def test_every_fault_is_reported() -> None:
    assert len(faults({"text": 1, "count": "x", "names": [1, 2], "nothing": 0})) == 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
field_names = st.sampled_from([field.name for field in attrs.fields(Options)] + ["unknown"])


@given(st.dictionaries(field_names, json_values))
@settings(deadline=None)
def test_any_value_is_taken_or_refused_and_never_anything_else(value: dict[str, Any]) -> None:
    try:
        structured(value)
    except StructureFailed as error:
        assert error.faults


@attrs.frozen
class Talkative:
    one: str
    many: list[str]

    def __attrs_post_init__(self) -> None:
        raise ValueError(f"cannot be {self.one} or {self.many}")


@pytest.mark.threat("T62")
def test_what_a_validator_says_of_an_expanded_text_is_blotted_out() -> None:
    ((_, message),) = faults({"word": Expanded("canary")})
    assert "canary" not in message
    assert "<expanded>" in message
    with pytest.raises(StructureFailed) as caught:
        Structurer(Path("/base")).structure({"one": Expanded("canary"), "many": [Expanded("canary2")]}, Talkative)
    assert [fault.message for fault in caught.value.faults] == ["cannot be <expanded> or ['<expanded>']"]


@pytest.mark.threat("T62")
@given(field_names, st.sampled_from(["alone", "list", "mapping"]))
@settings(deadline=None)
def test_no_fault_repeats_an_expanded_text(key: str, form: str) -> None:
    canary = Expanded("canary-secret-value")
    value = {"alone": canary, "list": [canary], "mapping": {"name": canary, "size": canary}}[form]
    try:
        structured({key: value})
    except StructureFailed as error:
        assert "canary" not in "".join(fault.message for fault in error.faults)
