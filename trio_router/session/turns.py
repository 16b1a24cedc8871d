"""A turnstile: of many who come in one tick of the loop, a few go through in each.

Trio runs everybody who is ready before it looks at the sockets again. A thousand clients that arrive, log in or leave at once
would each cost little and together stop the loop for a tenth of a second. Whoever is about to do such a step takes a turn
first; the order is that of arrival. It knows nothing about what the steps are.
"""

from __future__ import annotations

from typing import Final

import trio

AT_ONCE: Final = 16
"""Steps per tick. They cost up to 0.2 ms each, so the loop is away from its sockets for some milliseconds at most."""


class Turns:
    """Lets at most ``at_once`` tasks through per tick of the loop."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._gate = trio.Semaphore(at_once)

    async def take(self) -> None:
        """Returns when it is our turn; the synchronous step that follows belongs to it. Always a checkpoint."""
        # acquire() ends with a checkpoint, so a place that is given back here serves somebody in the next tick.
        async with self._gate:
            pass
