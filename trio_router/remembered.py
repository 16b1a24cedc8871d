"""What is remembered of a question that comes again, in tables of bounded size that can be emptied at any time.

An answer depends on the question alone, so a table is one for the process. What clients name is remembered this way, which is why there
must be an end to it, and why it goes when those have gone who named it (``ebb``): a few small things here and there keep all the memory
around them from being given back.

The rule that keeps it honest: to forget changes no answer, only what it costs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

Answer = TypeVar("Answer")

_tables: Final[list[Callable[[], None]]] = []


def remember(size: int) -> Callable[[Callable[..., Answer]], functools._lru_cache_wrapper[Answer]]:
    """Decorates a function of hashable arguments, whose last ``size`` different answers are remembered."""

    def remembering(function: Callable[..., Answer]) -> functools._lru_cache_wrapper[Answer]:
        remembered: Any = functools.lru_cache(maxsize=size)(function)
        _tables.append(remembered.cache_clear)
        return remembered  # type: ignore[no-any-return]

    return remembering


class ByName(dict[str, Answer]):
    """``table[name]`` is ``find(name)``, which is asked once for each of ``size`` names; what it raises is not remembered.

    For what is asked with every message: a dictionary of which nothing is dropped one by one, so that looking something up costs no
    more than that. When it is full it begins anew.
    """

    def __init__(self, find: Callable[[str], Answer], size: int) -> None:
        super().__init__()
        self._find = find
        self._size = size
        _tables.append(self.clear)

    def __missing__(self, name: str) -> Answer:
        answer = self._find(name)
        if len(self) >= self._size:
            self.clear()
        self[name] = answer
        return answer


def forget() -> None:
    """Empty all tables."""
    for clear in _tables:
        clear()
