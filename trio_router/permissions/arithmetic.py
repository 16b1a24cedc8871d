"""What expressions make out of values: numbers and texts.

Numbers are doubles (ECMA-262, sections 6.1.6.1 and 13.15.3): nothing overflows, division by zero has a result. A text that is made
has a greatest length (T30).

The rule that keeps this honest: whatever is added up, a rule's memory is bounded by its size times that length.
"""

from __future__ import annotations

import math
from typing import Any, Final

from trio_router.permissions.values import (
    MAX_TEXT,
    TOO_LONG,
    ExpressionFailed,
    characters,
    is_object,
    to_number,
    to_text,
)

_WHOLE: Final = 2.0**53
_NAN: Final = float("nan")


def add(left: Any, right: Any) -> Any:
    """``left + right``: texts joined, or numbers added."""
    left = to_text(left) if is_object(left) else left
    right = to_text(right) if is_object(right) else right
    if isinstance(left, str) or isinstance(right, str):
        return join(left, right)
    return _number(float(to_number(left)) + float(to_number(right)))


def subtract(left: Any, right: Any) -> float:
    """``left - right``."""
    return _number(float(to_number(left)) - float(to_number(right)))


def multiply(left: Any, right: Any) -> float:
    """``left * right``."""
    return _number(float(to_number(left)) * float(to_number(right)))


def divide(left: Any, right: Any) -> float:
    """``left / right``."""
    dividend, divisor = float(to_number(left)), float(to_number(right))
    if divisor != 0:
        return _number(dividend / divisor)
    if dividend == 0 or dividend != dividend:
        return _NAN
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def remainder(left: Any, right: Any) -> float:
    """``left % right``; it has the sign of ``left``."""
    dividend, divisor = float(to_number(left)), float(to_number(right))
    if divisor == 0 or math.isinf(dividend) or dividend != dividend or divisor != divisor:
        return _NAN
    return _number(math.fmod(dividend, divisor))


def negative(value: Any) -> float:
    """``-value``."""
    return _number(-float(to_number(value)))


def positive(value: Any) -> float:
    """``+value``."""
    return _number(float(to_number(value)))


def join(*parts: Any) -> str:
    """The texts of ``parts`` one after the other, as a template or ``+`` makes it.

    Raises:
        ExpressionFailed: that would be more than ``MAX_TEXT`` characters.
    """
    texts = [to_text(part) for part in parts]
    if sum(map(len, texts)) > MAX_TEXT:
        raise ExpressionFailed(TOO_LONG)
    return characters("".join(texts))


def _number(value: float) -> float:
    """Whole numbers are ints here as they are in JSON, but for -0."""
    if -_WHOLE <= value <= _WHOLE and value == int(value) and (value or math.copysign(1.0, value) > 0):
        return int(value)
    return value
