"""Questions about trees of expressions that need no evaluation: all parts, sameness, and the text of a part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from trio_router.permissions.syntax import Node, children

_PLACES: Final = frozenset({"start", "end"})


def walk(node: Node) -> Iterator[Node]:
    """``node`` and all nodes below it, each before those below it, from left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


def same(one: Any, other: Any) -> bool:
    """Whether two trees (or None) differ in nothing but the places of their nodes in the text."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if attrs.has(type(one)):
        parts, others = _parts(one), _parts(other)
        return all(same(parts[key], others[key]) for key in parts)
    return repr(one) == repr(other)  # 0 and -0, 1 and 1.0 differ; a text is its quotes


def _parts(node: Any) -> dict[str, Any]:
    return attrs.asdict(node, recurse=False, filter=lambda field, _: field.name not in _PLACES)


def shown(node: Node, text: str, limit: int = 80) -> str:
    """What the author wrote for ``node`` in ``text``, on one line of at most ``limit`` characters."""
    part = " ".join(text[node.start : node.end].split())
    return part if len(part) <= limit else part[: limit - 3] + "..."
