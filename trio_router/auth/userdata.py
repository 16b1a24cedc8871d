"""What may be kept as a user's ``data`` and ``client_data``: JSON that can be stored anywhere and sent to anybody.

Both come from administrators and files, where NaN, lone surrogates or a date may slip in; a user who carries one would
be refused by a database or break the message that welcomes him (T16).
"""

from __future__ import annotations

import json
from typing import Any, Final

from trio_router.errors import RouterError

MAX_SIZE: Final = 64 * 1024  # bytes of JSON, for each of the two
MAX_DEPTH: Final = 32


class InvalidData(RouterError):
    """This cannot be kept; the text says why and repeats nothing of it."""


def check_data(value: Any) -> None:
    """Returns if ``value`` can be a user's ``data``: a JSON object or None. Raises ``InvalidData``."""
    if value is not None and not isinstance(value, dict):
        raise InvalidData("must be a JSON object")
    check_client_data(value)


def check_client_data(value: Any) -> None:
    """Returns if ``value`` can be a user's ``client_data``: any JSON value. Raises ``InvalidData``."""
    _check(value, MAX_DEPTH)
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        problem = "holds half a character (a lone surrogate)"
    except ValueError:
        problem = "holds a number that JSON does not have"
    else:
        if size <= MAX_SIZE:
            return
        problem = f"is larger than {MAX_SIZE} bytes"
    raise InvalidData(problem)


def _check(value: Any, depth: int) -> None:
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise InvalidData("has a key that is not text")
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    elif value is None or isinstance(value, str | bool | int | float):
        return
    else:
        raise InvalidData("holds something that JSON does not have")
    if depth == 0:
        raise InvalidData(f"is nested deeper than {MAX_DEPTH} levels")
    for item in inner:
        _check(item, depth - 1)
