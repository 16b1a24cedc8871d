"""What expressions read out of values: members, items, keys and records.

The rule that keeps this honest: an object has the keys it holds, a list its items and its length, a text its code units
and its length, and nothing has anything else. No attribute of a Python object is ever read by a name out of a rule or
out of data (T18, T29).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trio_router.names import check_channel
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.records import World
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.values import ExpressionFailed, MatchResult, length, shown, to_text, type_name, units

_LONGEST_INDEX: Final = 16  # digits; no list is that long


def member(value: Any, key: str) -> Any:
    """``value.key`` or ``value["key"]``: undefined when there is no such key.

    Raises:
        ExpressionFailed: the value is undefined or null.
    """
    if type(value) is dict or isinstance(value, Mapping):
        return value.get(key, UNDEFINED)
    if value is UNDEFINED or value is None:
        raise ExpressionFailed(f"cannot read {key!r} of {shown(value)}")
    if isinstance(value, str | list | tuple):
        if key == "length":
            return length(value) if isinstance(value, str) else len(value)
        if isinstance(value, MatchResult) and key in value.fields:
            return value.fields[key]
        index = _index(key)
        if index is not None:
            return element(value, index)
    return UNDEFINED


def element(value: Any, index: int) -> Any:
    """``value[index]``: undefined when there is no such item, character or key.

    Raises:
        ExpressionFailed: the value is undefined or null.
    """
    if isinstance(value, list | tuple):
        return value[index] if index < len(value) else UNDEFINED
    if isinstance(value, str):
        unit = units(value)[2 * index : 2 * index + 2]
        return unit.decode("utf-16-be", "surrogatepass") if unit else UNDEFINED
    if isinstance(value, Mapping) or value is None or value is UNDEFINED:
        return member(value, str(index))
    return UNDEFINED


def item(value: Any, key: Any) -> Any:
    """``value[key]`` with a key of any kind.

    Raises:
        ExpressionFailed: the value is undefined or null.
    """
    if isinstance(key, bool) or not isinstance(key, int | float):
        return member(value, to_text(key))
    if 0 <= key < 2**53 and key == int(key):
        return element(value, int(key))
    return member(value, to_text(key))


def has(key: Any, value: Any) -> bool:
    """``key in value``: whether the object or list has this key.

    Raises:
        ExpressionFailed: the value is neither an object nor a list.
    """
    if isinstance(value, Mapping):
        return to_text(key) in value
    if isinstance(value, list | tuple):
        text = to_text(key)
        index = _index(text)
        if index is not None:
            return index < len(value)
        return text == "length" or (isinstance(value, MatchResult) and text in value.fields)
    raise ExpressionFailed(f"in looks into objects and lists, not into {_described(value)}")


def _index(key: str) -> int | None:
    """The position that ``key`` spells, as JavaScript writes positions; None if it spells none."""
    if key.isascii() and key.isdigit() and (key == "0" or key[0] != "0") and len(key) < _LONGEST_INDEX:
        return int(key)
    return None


def _described(value: Any) -> str:
    if value is None or value is UNDEFINED:
        return shown(value)
    kind = type_name(value)
    return f"an {kind}" if kind == "object" else f"a {kind}"


def record(world: World, name: Any) -> Any:
    """``_(name)``: the content of the record, null if there is none.

    Raises:
        ExpressionFailed: the name is not a text.
        InvalidName: no record has this name.
        Needed: the record is not at hand.
    """
    if not isinstance(name, str):
        raise ExpressionFailed(f"_() takes the name of a record, not {_described(name)}")
    check_channel(name)
    return world.record(name)


def old_value(old: Payload, world: World, name: str) -> Any:
    """``oldData``: the record as it is, null if there is none. Raises ``Needed``."""
    return world.record(name) if old is ABSENT else old.value
