"""A circuit breaker: after too many failures in a row, ask nobody for a while, then let one request try (T60).

A pure state machine over a :class:`Clock`. It does not know what is asked, nor what counts as a failure.

The rule that keeps it honest: a result counts only in the period it was begun in, so a late answer to a request from
before the breaker opened neither closes it nor opens it again.
"""

from __future__ import annotations

import attrs

from trio_router.clock import Clock


@attrs.frozen
class Permit:
    """Leave to make one request; given back with its result exactly once."""

    period: int


class Breaker:
    """Closed at first; ``failures`` in a row open it for ``seconds``; then one permit decides. 0 failures: never opens."""

    def __init__(self, clock: Clock, *, failures: int, seconds: float) -> None:
        self._clock = clock
        self._limit = failures
        self._seconds = seconds
        self._failed = 0
        self._period = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether requests are held back now (one probe may be under way)."""
        return self._open_until is not None

    def begin(self) -> Permit | None:
        """A permit for one request, or None: do not ask now."""
        if self._open_until is not None:
            if self._probing or self._clock.monotonic() < self._open_until:
                return None
            self._probing = True
        return Permit(self._period)

    def succeeded(self, permit: Permit) -> None:
        """The request was answered."""
        if permit.period != self._period:
            return
        if self._open_until is not None:
            self._open_until = None
            self._probing = False
            self._period += 1
        self._failed = 0

    def failed(self, permit: Permit) -> None:
        """The request was not answered."""
        if permit.period != self._period:
            return
        self._failed += 1
        if self._probing or self._failed == self._limit:
            self._open_until = self._clock.monotonic() + self._seconds
            self._probing = False
            self._failed = 0
            self._period += 1

    def abandoned(self, permit: Permit) -> None:
        """The request was given up from our side and says nothing; a probe's place is free again."""
        if permit.period == self._period:
            self._probing = False
