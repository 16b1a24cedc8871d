"""A nursery for a context manager's own tasks.

Trio wraps whatever leaves a nursery into an exception group. That a client keeps a task running is its own affair, so a
program that raises inside ``async with connect(...)`` gets its own exception back, not a group around it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def own_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery whose tasks are cancelled when the block ends; a single exception leaves it as it is."""
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group.exceptions[0].__cause__
        raise
