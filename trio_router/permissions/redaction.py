"""Which values of a question are not shown, not even to an administrator: ``data.password``, ``user.data.*.ssn``.

A path hides what it leads to and everything below. In a trace it also hides whatever was made from that, be it one letter of
it: of an expression that reads a hidden value only ``true`` and ``false`` are shown, which is what the rule made of it. Paths into
``data`` hold for ``oldData`` and for records that a rule refers to as well.

The rule that keeps this honest: what is hidden is told from the tree of the expression alone, never by looking for a secret's
text among the values. Pure; knows no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from trio_router.permissions.syntax import (
    Group,
    Member,
    Name,
    Node,
    PatternVariable,
    Reference,
    SessionField,
    UserField,
    children,
)

REDACTED: Final = "<redacted>"

Path = tuple[str, ...]

_ROOTS: Final[tuple[Path, ...]] = (
    ("data",), ("name",), ("user", "data"), ("user", "id"), ("session", "id"), ("session", "remoteAddress"),
)  # fmt: skip
_SEGMENT: Final = re.compile(r"[^.\s\x00-\x1f]+")


def check_path(text: str) -> None:
    """Returns if ``text`` is a path of :class:`Redaction`. Raises ``ValueError``: it is none; the text says what one is."""
    _parse(text)


def _parse(text: str) -> Path:
    path = tuple(text.split("."))
    if not all(_SEGMENT.fullmatch(segment) for segment in path) or not any(
        path[: len(root)] == root for root in _ROOTS
    ):
        known = ", ".join(".".join(root) for root in _ROOTS)
        raise ValueError(f"a path begins with one of {known}, and its parts are joined by dots")
    return path


@attrs.frozen
class Redaction:
    """What is hidden. Make it with :meth:`of`."""

    paths: tuple[Path, ...] = ()

    @classmethod
    def of(cls, paths: Iterable[str]) -> Redaction:
        """Hides what the dotted ``paths`` lead to; a part ``*`` is any key or index. Raises ``ValueError``."""
        return cls(tuple(_parse(path) for path in paths))

    def hides(self, *path: str) -> bool:
        """Whether what stands at ``path`` is hidden."""
        return any(_leads(hidden, path) for hidden in self.paths)

    def scrubbed(self, value: Any, *path: str) -> Any:
        """``value``, which stands at ``path``, with ``<redacted>`` in place of what is hidden."""
        if not self.paths:
            return value
        if self.hides(*path):
            return REDACTED
        if not self._touches(path):
            return value
        if isinstance(value, Mapping):
            return {key: self.scrubbed(item, *path, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrubbed(item, *path, str(index)) for index, item in enumerate(value)]
        return value

    def shown(self, node: Node, value: Any) -> Any:
        """``value``, which ``node`` came out as, as far as it may be seen."""
        if not self.paths:
            return value
        path = path_of(node)
        if path is not None:
            return self.scrubbed(value, *path)
        return REDACTED if not isinstance(value, bool) and self.taints(node) else value

    def taints(self, node: Node) -> bool:
        """Whether ``node`` reads anything that is hidden."""
        path = path_of(node)
        if path is not None and self.hides(*path):
            return True
        return any(self.taints(child) or self._holds_hidden(child) for child in children(node))

    def _holds_hidden(self, node: Node) -> bool:
        path = path_of(node)
        return path is not None and self._touches(path)

    def _touches(self, path: Path) -> bool:
        return any(len(hidden) > len(path) and _leads(hidden[: len(path)], path) for hidden in self.paths)


def path_of(node: Node) -> Path | None:
    """The way to what ``node`` reads, if it is nothing but a way: ``data.a[0]``; else None."""
    match node:
        case Name(name="data" | "oldData") | Reference():
            return ("data",)
        case Name(name="name"):
            return ("name",)
        case PatternVariable():
            return ("name", node.name)
        case UserField():
            return ("user", node.name)
        case SessionField():
            return ("session", node.name)
        case Member():
            above = path_of(node.object)
            return None if above is None else (*above, str(node.key))
        case Group():
            return path_of(node.operand)
        case _:
            return None


def _leads(hidden: Path, path: Path) -> bool:
    """Whether ``path`` is at or below ``hidden``."""
    return len(path) >= len(hidden) and all(one in ("*", other) for one, other in zip(hidden, path, strict=False))
