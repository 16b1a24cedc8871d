"""How long to wait before the next attempt to connect: exponential, with full jitter.

Full jitter (a wait drawn evenly from nothing to the bound) spreads the clients of a router that went down over the whole
window, where a fixed wait would bring them all back in one moment (T14). What the router asks for comes on top
and is never undercut. A router that asks is there, and spreads what it asks: the first time, jitter begins small again, however
long the router was away before; asked again and again, it grows as always, for what asks may be a proxy that tells everybody the same.
Pure: the source of chance is given, nothing here sleeps.
"""

from __future__ import annotations

import random

import attrs


@attrs.define
class Backoff:
    """``base`` and ``cap`` bound the wait, in seconds: at most ``base`` first, then twice as much each time, up to ``cap``."""

    base: float = 0.5
    cap: float = 30.0
    chance: random.Random = attrs.field(factory=random.SystemRandom, repr=False)
    attempts: int = attrs.field(default=0, init=False)
    _asked: bool = attrs.field(default=False, init=False)

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait now. ``at_least`` is what the router asked for; jitter is added to it, not taken from it."""
        if at_least > 0 and not self._asked:
            self.reset()
        self._asked = at_least > 0
        bound = min(self.cap, self.base * 2 ** min(self.attempts, 30))
        self.attempts += 1
        return at_least + self.chance.uniform(0.0, bound)

    def reset(self) -> None:
        """A connection proved itself, or a router was found: begin with short waits again."""
        self.attempts = 0
