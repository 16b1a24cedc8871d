"""Loading the records that a rule needs, for whoever holds a request until they are there.

How often a request is tried again is the caller's. The rule that keeps it honest: a store that is away or slow holds nobody for longer
than ``RECORDS_TIMEOUT``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from trio_router.errors import StorageUnavailable
from trio_router.storage.records import RecordStore

RECORDS_TIMEOUT: Final = 5.0
"""Seconds that one load of the records a rule needs may take; then the request fails."""


async def loaded(records: RecordStore | None, names: Sequence[str]) -> bool:
    """Load the records ``names``; whether that was possible, in time. Without a store it is not."""
    if records is None:
        return False
    try:
        with trio.move_on_after(RECORDS_TIMEOUT) as scope:
            await records.load(names)
    except StorageUnavailable:
        return False
    return not scope.cancelled_caught
