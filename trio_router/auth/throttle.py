"""How long somebody who failed must wait before the next attempt (T57). Sans-I/O: a clock in, seconds out.

Failures are counted for a *pair* (user, address) and for an *address*, never for a user alone: nobody can keep a user out
from somewhere else. After a few free failures each further one doubles the wait up to a bound, and an attempt made too
early is not judged and does not prolong it: whoever stops failing gets in. A success forgives the pair but not the
address, so that an attacker's own account buys no guesses at others.

An IPv6 address counts as its /64, which is what one subscriber is given. Memory is bounded: of each kind only the last
``MAX_ENTRIES`` that failed are remembered. The rule: existence of a user plays no part, so a wait tells nothing (T56).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

import attrs

from trio_router.auth.strategy import Denied
from trio_router.clock import Clock
from trio_router.networks import network_of

MAX_ENTRIES: Final = 10_000
_FIRST_DELAY: Final = 1.0  # seconds, doubled with each further failure


@attrs.frozen
class _Failures:
    count: int
    last: float


class _Counter:
    """Failures per key: ``free`` of them cost nothing, ``window`` seconds without one forget them all."""

    def __init__(self, clock: Clock, free: int, window: float, longest: float, entries: int) -> None:
        self._clock = clock
        self._free = free
        self._window = window
        self._longest = longest
        self._entries = entries
        self._failures: OrderedDict[Hashable, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def wait(self, key: Hashable) -> float:
        failures = self._current(key)
        if failures is None or failures.count < self._free:
            return 0.0
        doublings = min(failures.count - self._free, 32)
        delay = min(_FIRST_DELAY * 2.0**doublings, self._longest)
        return max(0.0, failures.last + delay - self._clock.monotonic())

    def failed(self, key: Hashable) -> None:
        failures = self._current(key)
        count = failures.count + 1 if failures else 1
        self._failures[key] = _Failures(count, self._clock.monotonic())
        self._failures.move_to_end(key)
        if len(self._failures) > self._entries:
            self._failures.popitem(last=False)

    def forgive(self, key: Hashable) -> None:
        self._failures.pop(key, None)

    def _current(self, key: Hashable) -> _Failures | None:
        failures = self._failures.get(key)
        if failures is not None and self._clock.monotonic() - failures.last >= self._window:
            del self._failures[key]
            return None
        return failures


class Throttle:
    """Failed attempts of one router, in memory.

    ``user_failures`` and ``address_failures`` are how many a pair and an address have free; ``window`` and
    ``longest_delay`` are seconds.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        user_failures: int = 5,
        address_failures: int = 20,
        window: float = 900.0,
        longest_delay: float = 60.0,
        entries: int = MAX_ENTRIES,
    ) -> None:
        self._pairs = _Counter(clock, user_failures, window, longest_delay, entries)
        self._addresses = _Counter(clock, address_failures, window, longest_delay, entries)

    def wait(self, app: str, user: str, address: str) -> float:
        """Seconds until an attempt will be judged; 0.0 means now."""
        network = network_of(address)
        return max(self._pairs.wait((app, user, network)), self._addresses.wait((app, network)))

    def failed(self, app: str, user: str, address: str) -> None:
        """An attempt was judged and failed."""
        network = network_of(address)
        self._pairs.failed((app, user, network))
        self._addresses.failed((app, network))

    def succeeded(self, app: str, user: str, address: str) -> None:
        """An attempt was judged and succeeded."""
        self._pairs.forgive((app, user, network_of(address)))

    def __len__(self) -> int:
        """How many entries are held."""
        return len(self._pairs) + len(self._addresses)


def throttled(wait: float) -> Denied:
    """What is answered to an attempt that was made too early and is not judged; the client may know how long to ``wait``."""
    return Denied("throttled", {"error": "too many failed logins", "retry_after": math.ceil(wait)})
