"""Records that rules read: what is at hand at once, the rest when it is loaded.

Owns the interface of record stores and the store in memory, which keeps what it is given and knows at once only what was
asked for before, like a store that has to fetch.

The rule that keeps it honest: what a store remembers of names that clients chose is bounded, and a record's content is JSON
that nobody changes: it is replaced.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import trio

from trio_router.permissions.records import MISSING_UNLOADED, Records

REMEMBERED: Final = 8_192
"""Names that the memory store keeps at hand."""


class RecordStore(Records, Protocol):
    """The records of one app."""

    async def load(self, names: Iterable[str]) -> None:
        """Get these records, so that ``peek`` knows them for a while, those that do not exist too.

        Raises:
            StorageUnavailable: the store does not answer.
        """


class MemoryRecords:
    """A :class:`RecordStore` of what :meth:`put` was told; ``contents`` is what it starts with."""

    def __init__(self, contents: Mapping[str, Any] | None = None, *, remembered: int = REMEMBERED) -> None:
        self._contents = dict(contents or {})
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._remembered = remembered

    def peek(self, name: str) -> Any:
        """The content, None if there is no such record, ``MISSING_UNLOADED`` if it was not loaded."""
        return self._contents.get(name) if name in self._loaded else MISSING_UNLOADED

    async def load(self, names: Iterable[str]) -> None:
        """See :class:`RecordStore`; the names asked for longest ago are forgotten."""
        await trio.lowlevel.checkpoint()
        for name in names:
            self._loaded[name] = None
            self._loaded.move_to_end(name)
        while len(self._loaded) > self._remembered:
            self._loaded.popitem(last=False)

    def put(self, name: str, content: Any) -> None:
        """Create or replace a record; ``content`` is a JSON value that is not changed any more."""
        self._contents[name] = content

    def remove(self, name: str) -> None:
        """Delete a record, if there is one."""
        self._contents.pop(name, None)
