"""What expressions do with values: the semantics of JavaScript over JSON values.

A value is a JSON value as the codec made it, or ``UNDEFINED``. An object has the keys it holds and no others:
``toString``, ``__proto__`` and ``__class__`` are absent keys like any other (T18, T29), so nothing here reads an
attribute of a Python object by name. Numbers are doubles, texts are sequences of UTF-16 code units, and a list or
an object is equal to itself alone.

The rule that keeps this honest: every function is total over these values, or raises :class:`ExpressionFailed`
where JavaScript raises a TypeError. Source of the semantics: ECMA-262, sections 7.1, 7.2 and 22.1.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from trio_router.errors import RouterError
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.syntax import UNDEFINED

_NAN: Final = float("nan")
_EXACT: Final = 2**53
BLANK: Final = "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
# Possessive, so it takes one pass over the text whatever it holds (T30).
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_RADIX: Final = {
    "0x": (16, re.compile("[0-9a-fA-F]++")),
    "0o": (8, re.compile("[0-7]++")),
    "0b": (2, re.compile("[01]++")),
}
_INFINITE: Final = {"Infinity": float("inf"), "+Infinity": float("inf"), "-Infinity": float("-inf")}
MAX_TEXT: Final = 64 * 1024  # characters of a text that an expression makes; T30
_LONGEST_EXACT: Final = 21  # digits in which JavaScript writes a number without an exponent


TOO_LONG: Final = f"the expression makes a text of more than {MAX_TEXT} characters"


class ExpressionFailed(RouterError):
    """The expression has no value for these values, e.g. the member of undefined."""


class MatchResult(list[Any]):
    """What ``match`` gives: the match and its groups; ``fields`` are its ``index`` (in code units), ``input`` and ``groups``."""

    __slots__ = ("fields",)

    def __init__(self, items: list[Any], fields: Mapping[str, Any]) -> None:
        super().__init__(items)
        self.fields = fields


def payload_value(payload: Payload) -> Any:
    """``data``: the payload's value, or undefined when there is none."""
    return UNDEFINED if payload is ABSENT else payload.value


def type_name(value: Any) -> str:
    """What ``typeof`` says."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "undefined" if value is UNDEFINED else "object"


def present(value: Any) -> bool:
    """Whether ``??`` and ``?.`` take ``value`` for something: all but null and undefined."""
    return value is not None and value is not UNDEFINED


def truthy(value: Any) -> bool:
    """Whether a condition takes ``value`` for true: all but false, 0, NaN, "", null and undefined."""
    if isinstance(value, int | float):
        return bool(value) and value == value
    if isinstance(value, str):
        return value != ""
    return value is not None and value is not UNDEFINED


def length(text: str) -> int:
    """How many UTF-16 code units ``text`` has."""
    if text.isascii():
        return len(text)
    return len(text) + sum(letter > "\uffff" for letter in text)


def strict_equal(left: Any, right: Any) -> bool:
    """``left === right``."""
    if isinstance(left, str):
        return isinstance(right, str) and left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float):
        return isinstance(right, int | float) and _double(left) == _double(right)
    return left is right


def loose_equal(left: Any, right: Any) -> bool:
    """``left == right``."""
    if left is None or left is UNDEFINED:
        return right is None or right is UNDEFINED
    if right is None or right is UNDEFINED:
        return False
    if type_name(left) == type_name(right):
        return strict_equal(left, right)
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    return to_number(left) == to_number(right)


def less(left: Any, right: Any) -> bool:
    """``left < right``."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _double(left) < _double(right)
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return units(left) < units(right)
    return to_number(left) < to_number(right)


def less_or_equal(left: Any, right: Any) -> bool:
    """``left <= right``."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _double(left) <= _double(right)
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return units(left) <= units(right)
    return to_number(left) <= to_number(right)


def to_number(value: Any) -> float:
    """The number a value stands for in a comparison; NaN if none."""
    if isinstance(value, int | float):
        return _double(value)
    if value is None:
        return 0.0
    if isinstance(value, str):
        return _number_of_text(value.strip(BLANK))
    return _NAN if value is UNDEFINED else _number_of_text(to_text(value).strip(BLANK))


def to_text(value: Any) -> str:
    """The text a value stands for where a text is needed."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number_text(_double(value))
    if isinstance(value, list | tuple):
        return _joined(value, MAX_TEXT)
    return "[object Object]" if isinstance(value, Mapping) else shown(value)


def _joined(items: list[Any] | tuple[Any, ...], room: int) -> str:
    """The items of a list with commas between them, at most ``room`` characters."""
    parts = []
    for item in items:
        if item is None or item is UNDEFINED:
            part = ""
        else:
            part = _joined(item, room) if isinstance(item, list | tuple) else to_text(item)
        room -= len(part) + 1
        if room < -1:
            raise ExpressionFailed(TOO_LONG)
        parts.append(part)
    return ",".join(parts)


def shown(value: Any) -> str:
    """``null`` or ``undefined``, for messages."""
    return "null" if value is None else "undefined"


def is_object(value: Any) -> bool:
    """Whether ``value`` is a list or an object, which ``+`` and comparisons turn into a text first."""
    return not isinstance(value, str | int | float) and isinstance(value, Mapping | list | tuple)


def _double(number: Any) -> float:
    """A number as JavaScript holds it: whole numbers past 2**53 lose their last digits there too."""
    if isinstance(number, float) or -_EXACT <= number <= _EXACT:
        return number  # type: ignore[no-any-return]
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _primitive(value: Any) -> Any:
    return to_text(value) if is_object(value) else value


def units(text: str) -> bytes:
    """Something that orders texts by UTF-16 code units, as JavaScript does; code points differ past U+FFFF."""
    return text.encode("utf-16-be", "surrogatepass")


def code_units(text: str) -> str:
    """``text`` with a letter for each code unit: characters past U+FFFF as their two halves."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    return "".join(map(chr, memoryview(text.encode("utf-16", "surrogatepass")).cast("H")[1:]))


def characters(text: str) -> str:
    """``text`` with two halves that stand together as the one character they are."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _number_of_text(text: str) -> float:
    if not text:
        return 0.0
    if _DECIMAL.fullmatch(text):
        return float(text)
    radix, digits = _RADIX.get(text[:2].lower(), (0, None))
    if digits is not None and digits.fullmatch(text, 2):
        return _double(int(text[2:], radix))
    return _INFINITE.get(text, _NAN)


def _number_text(number: float) -> str:
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    # Both languages choose the shortest digits that read back as this number; only the layout differs.
    mantissa, _, exponent = repr(abs(float(number))).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return ("-" if number < 0 else "") + _laid_out(digits, point)


def _laid_out(digits: str, point: int) -> str:
    """The number 0.digits * 10**point, written as ECMA-262 6.1.6.1.20 says."""
    if len(digits) <= point <= _LONGEST_EXACT:
        return digits + "0" * (point - len(digits))
    if 0 < point <= _LONGEST_EXACT:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    shown = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{shown}e{point - 1:+d}"
