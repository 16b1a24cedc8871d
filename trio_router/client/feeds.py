"""A bounded buffer between the one task that reads the connection and the program's own loop.

The reader must never wait for a slow loop: it would stop answering pings and hold up everybody else. So a feed that is full drops
what comes, counts it, and says so: when the loop has read what was kept, it gets ``Lagged`` once, with the
number that was dropped; iterating on continues with what comes after. Nothing is lost without a word.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

import trio

from trio_router.client.errors import ClientError, Lagged

Item = TypeVar("Item")

BUFFER: Final = 1_000  # messages


class Feed(Generic[Item]):
    """An asynchronous iterator that the reader fills. Several loops may share it; each message goes to one of them."""

    def __init__(self, size: int = BUFFER) -> None:
        if size < 1:
            msg = "a buffer holds at least one message"
            raise ValueError(msg)
        self._size = size
        self._items: deque[Item] = deque()
        self._missed = 0
        self._finished = False
        self._error: ClientError | None = None
        self._wake = trio.Event()
        self.interruptions = 0
        """How often the connection was lost and made anew since; each time, messages may have been missed."""

    def __aiter__(self) -> Feed[Item]:
        return self

    async def __anext__(self) -> Item:
        """The next message.

        Raises:
            Lagged: some were dropped here; iterate again to go on.
            ClientError: there will be no more, and why; every further attempt raises it again.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self._items:
                return self._items.popleft()
            if self._missed:
                missed, self._missed = self._missed, 0
                raise Lagged(missed)
            if self._error is not None:
                raise self._error
            if self._finished:
                raise StopAsyncIteration
            if self._wake.is_set():
                self._wake = trio.Event()
            await self._wake.wait()

    def put(self, item: Item) -> bool:
        """Add an item, or drop it (False) if the feed is full or has ended."""
        if self._finished:
            return False
        if self._missed or len(self._items) >= self._size:
            self._missed += 1
            return False
        self._items.append(item)
        self._wake.set()
        return True

    def finish(self, error: ClientError | None = None) -> None:
        """Nothing comes any more: the loop ends after what is buffered, by raising ``error`` if there is one."""
        if not self._finished:
            self._finished = True
            self._error = error
            self._wake.set()
