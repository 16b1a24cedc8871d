"""The methods that expressions may call: the list of Valve and ``test``, with the semantics of JavaScript.

The closed list that the grammar checks calls against, and what they do. Positions count UTF-16 code units (ECMA-262,
sections 22.1.3 and 23.1.3).

The rule that keeps this honest: a method is found in this table or nowhere, and each takes time in proportion to its texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from trio_router.permissions import regexes
from trio_router.permissions.regexes import Regex
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.values import (
    BLANK,
    ExpressionFailed,
    MatchResult,
    characters,
    code_units,
    shown,
    strict_equal,
    to_number,
    to_text,
    type_name,
)

METHODS: Final = {
    "startsWith": (1, 2),
    "endsWith": (1, 2),
    "includes": (1, 2),
    "indexOf": (1, 2),
    "toUpperCase": (0, 0),
    "toLowerCase": (0, 0),
    "trim": (0, 0),
    "match": (1, 1),
    "test": (1, 1),
}
"""By name: the least and the greatest number of arguments."""


def starts_with(value: Any, part: Any, position: Any = UNDEFINED) -> bool:
    """``value.startsWith(part, position)``."""
    text, sought = code_units(_text(value, "startsWith")), code_units(to_text(part))
    return text.startswith(sought, _within(position, len(text), 0))


def ends_with(value: Any, part: Any, position: Any = UNDEFINED) -> bool:
    """``value.endsWith(part, position)``; what is at ``position`` and after it does not count."""
    text, sought = code_units(_text(value, "endsWith")), code_units(to_text(part))
    return text.endswith(sought, 0, _within(position, len(text), len(text)))


def includes(value: Any, part: Any, position: Any = UNDEFINED) -> bool:
    """``value.includes(part, position)``: a text in a text, or an item in a list."""
    if isinstance(value, list | tuple):
        sought = range(_from(position, len(value)), len(value))
        return any(strict_equal(value[at], part) or (_is_nan(part) and _is_nan(value[at])) for at in sought)
    text, wanted = code_units(_text(value, "includes")), code_units(to_text(part))
    return text.find(wanted, _within(position, len(text), 0)) >= 0


def index_of(value: Any, part: Any, position: Any = UNDEFINED) -> int:
    """``value.indexOf(part, position)``: where the text or item first stands, in code units or items; -1 if nowhere."""
    if isinstance(value, list | tuple):
        sought = range(_from(position, len(value)), len(value))
        return next((at for at in sought if strict_equal(value[at], part)), -1)
    text, wanted = code_units(_text(value, "indexOf")), code_units(to_text(part))
    return text.find(wanted, _within(position, len(text), 0))


def to_upper_case(value: Any) -> str:
    """``value.toUpperCase()``."""
    return _text(value, "toUpperCase").upper()


def to_lower_case(value: Any) -> str:
    """``value.toLowerCase()``."""
    return _text(value, "toLowerCase").lower()


def trim(value: Any) -> str:
    """``value.trim()``."""
    return _text(value, "trim").strip(BLANK)


def match(value: Any, regex: Regex) -> MatchResult | None:
    """``value.match(/regex/)``: the match and its groups, null if there is none."""
    text = _text(value, "match")
    spans = _search(regex, text)
    if spans is None:
        return None
    units = code_units(text)
    items = [UNDEFINED if start < 0 else characters(units[start:end]) for start, end in spans]
    groups: Any = {name: items[regex.number(name)] for name in regex.names} if regex.names else UNDEFINED
    return MatchResult(items, {"index": spans[0][0], "input": text, "groups": groups})


def test(regex: Regex, value: Any) -> bool:
    """``/regex/.test(value)``."""
    return _search(regex, to_text(value)) is not None


IMPLEMENTATIONS: Final[dict[str, Callable[..., Any]]] = {
    "startsWith": starts_with,
    "endsWith": ends_with,
    "includes": includes,
    "indexOf": index_of,
    "toUpperCase": to_upper_case,
    "toLowerCase": to_lower_case,
    "trim": trim,
    "match": match,
    "test": test,
}


def _search(regex: Regex, text: str) -> list[tuple[int, int]] | None:
    if len(text) > regexes.MAX_TEXT:
        raise ExpressionFailed(f"a regular expression searches at most {regexes.MAX_TEXT} characters")
    return regex.search(text)


def _text(value: Any, method: str) -> str:
    if isinstance(value, str):
        return value
    if value is UNDEFINED or value is None:
        raise ExpressionFailed(f"cannot read {method!r} of {shown(value)}")
    kind = "list" if isinstance(value, list | tuple) else type_name(value)
    raise ExpressionFailed(f"{method}() is not a method of this {kind}")


def _whole(position: Any) -> float:
    number = to_number(position)
    if number != number:
        return 0
    return number if math.isinf(number) else math.trunc(number)


def _within(position: Any, size: int, default: int) -> int:
    """A position in a text: before its start is at its start, behind its end at its end."""
    return default if position is UNDEFINED else int(max(0, min(_whole(position), size)))


def _from(position: Any, size: int) -> int:
    """A position in a list: negative ones count from its end."""
    whole = 0 if position is UNDEFINED else _whole(position)
    return int(max(0, min(size + whole if whole < 0 else whole, size)))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value
