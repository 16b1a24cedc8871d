"""Which words mean something in an expression, and where.

What a text may name depends on its rule's pattern and action: that is a :class:`Scope`. Words of other languages are
known by name, so that the error can say what to write instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

import attrs

from trio_router.permissions.syntax import UNDEFINED

USER_FIELDS: Final = ("id", "data", "isAuthenticated")
SESSION_FIELDS: Final = ("id", "remoteAddress", "strategy", "app")
NAMES: Final = ("name", "action", "now")

CONSTANTS: Final = {"true": True, "false": False, "null": None, "undefined": UNDEFINED}
INSTEAD: Final = {
    "=": "to compare, write ===",
    "{": "objects cannot be written in rules",
    "&": "to join two conditions, write &&",
    "|": "to join two conditions, write ||",
    "and": "write && instead of and",
    "or": "write || instead of or",
    "not": "write ! instead of not",
    "is": "write === instead of is",
    "yes": "write true instead of yes",
    "no": "write false instead of no",
    "on": "write true instead of on",
    "off": "write false instead of off",
    "**": "** is not available in rules; write a * a",
}
UNAVAILABLE: Final = frozenset({
    "++", "--", "<<", ">>", "^", "~", ";", "=>", "...",
    "instanceof", "new", "function", "delete", "void", "await", "yield", "this",
})  # fmt: skip


@attrs.frozen
class Scope:
    """What a rule may name: the variables of its pattern (without ``$``), ``data`` and ``oldData`` where there are any.

    ``action`` is the action in words, for messages.
    """

    variables: tuple[str, ...] = ()
    data: bool = False
    action: str = ""
    old_data: bool = False


def refused(word: str) -> str | None:
    """Why ``word``, which JavaScript or another language has, is not available; None for any other word."""
    return INSTEAD.get(word) or (f"{word} is not available in rules" if word in UNAVAILABLE else None)


def unknown_name(word: str, scope: Scope) -> str:
    """What to say of a name that ``scope`` does not have."""
    known = [*NAMES, "user", "session", *CONSTANTS]
    known += ["data"] * scope.data + ["oldData"] * scope.old_data
    return f"unknown name {word}{closest(word, known)}"


def closest(word: str, known: Iterable[str]) -> str:
    """``"; did you mean x?"`` for the known word most like ``word``, or nothing."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""
