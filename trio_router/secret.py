"""A value that never shows itself.

``Secret`` keeps passwords, keys and tokens out of logs, reprs, tracebacks and error texts by type instead
of by hope (T62). Its only ways out are :meth:`reveal` and :meth:`reveal_bytes`, which are easy to search for.
Comparison is constant-time (T53), so ``==`` between two secrets is safe and ``==`` with anything else is False.
"""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Holds a text that must not be printed. ``str()`` and ``repr()`` give ``<secret>``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself: call it at the last moment, where it is used."""
        return self._value

    def reveal_bytes(self) -> bytes:
        """The text itself in UTF-8."""
        return self._value.encode()

    def matches(self, other: str) -> bool:
        """Whether ``other`` is this secret, compared in constant time."""
        return hmac.compare_digest(self._value.encode(), other.encode("utf-8", "surrogatepass"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other.reveal())

    __hash__ = None  # type: ignore[assignment]  # a secret is never a dictionary key

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        msg = "a Secret is not serialised"
        raise TypeError(msg)
