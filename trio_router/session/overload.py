"""Whether the router keeps up, and who goes without when it does not.

Measured is how late it does what is due, which is what every client feels. A router that is late for some time turns newcomers away;
if that does not do, those who wait for a login follow, a half of them at a time and those who came last first. Logged-in sessions are
never asked to go, and nothing they say is put off (T14).

It owns the measure and the order. The rule that keeps it honest: one long pause is no overload; only ``SAMPLES`` in a row are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

import structlog
import trio

from trio_router.limits import Limits
from trio_router.metrics import Metrics

INTERVAL: Final = 0.25
"""Seconds between two looks."""

SAMPLES: Final = 3

NORMAL: Final = 0
NEWCOMERS: Final = 1
"""New connections are refused."""
WAITING: Final = 2
"""Those who wait for a login are sent away too."""

WORSE: Final = 2.0
"""So many times as late as for the first step, the second one is taken; and as much less, it is over."""


class Overload:
    """``limits`` may be replaced at any time. ``shed`` sends some of those away who wait for a login."""

    def __init__(
        self, limits: Limits, metrics: Metrics, log: structlog.stdlib.BoundLogger, shed: Callable[[], None]
    ) -> None:
        self.limits = limits
        self._metrics = metrics
        self._log = log
        self._shed = shed
        self._delays: deque[float] = deque(maxlen=SAMPLES)
        self.level = NORMAL

    @property
    def turns_away(self) -> bool:
        """Whether newcomers are refused now."""
        return self.level >= NEWCOMERS

    async def run(self) -> NoReturn:
        """Look again and again, until cancelled."""
        while True:
            due = trio.current_time() + INTERVAL
            await trio.sleep_until(due)
            self.seen(trio.current_time() - due)

    def seen(self, delay: float) -> None:
        """What was due was done ``delay`` seconds late."""
        self._delays.append(delay)
        self._metrics.delay_seconds.set(delay)
        lasting = min(self._delays) if len(self._delays) == SAMPLES else 0.0
        level = self._level(lasting, self.limits.overload_delay)
        if level != self.level:
            self.level = level
            self._metrics.overload.set(level)
            self._log.warning("overload", level=level, delay=round(delay, 3))
        if level >= WAITING:
            self._shed()

    def _level(self, delay: float, bound: float) -> int:
        if bound <= 0:
            return NORMAL
        if delay >= bound * WORSE:
            return WAITING
        if delay >= bound:
            return NEWCOMERS
        return NEWCOMERS if self.level and delay >= bound / WORSE else NORMAL
