"""The wall around each connection: what goes wrong inside ends that connection and nothing else (T09, M1).

In Trio an exception that leaves a task cancels all its siblings, here every other connection. So nothing but
``Cancelled`` and ``KeyboardInterrupt`` (and their kind, which are no ``Exception``) may pass. These are the documented
edges where every ``Exception`` is caught: around a connection's task, and around a callback that others call.

What is logged is the types and places, never an exception's text, which may quote what a client sent (T62).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from trio_router.auth.chain import where

T = TypeVar("T")


async def contain(run: Callable[[], Awaitable[T]], log: structlog.stdlib.BoundLogger, *, event: str, otherwise: T) -> T:
    """The result of ``run``; or ``otherwise``, after logging ``event``, if an ``Exception`` or a group of them escapes it.

    From a group that also holds a ``Cancelled`` or its like, that part goes on.
    """
    try:
        return await run()
    except Exception as error:  # noqa: BLE001 - the documented edge
        log.error(event, **where(error))  # noqa: TRY400 - no text of the exception may be logged
    except BaseExceptionGroup as group:
        faults, rest = group.split(Exception)
        if faults is not None:
            log.error(event, **where(faults))  # noqa: TRY400
        if rest is not None:
            raise rest from None
    return otherwise


def shield(run: Callable[[], None], log: structlog.stdlib.BoundLogger, *, event: str) -> bool:
    """Call ``run``; False, after logging ``event``, if an ``Exception`` escapes it."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 - the documented edge
        log.error(event, **where(error))  # noqa: TRY400 - no text of the exception may be logged
        return False
    return True
