"""How many connections there may be: in total, and from one address. Counted from accept, before a byte is read (T04).

It owns two numbers and knows no socket. The rule that keeps it honest: who was admitted is released exactly once.
"""

from __future__ import annotations

from trio_router.limits import Limits
from trio_router.transport.addresses import counting_key


class Admission:
    """Counts open connections. ``limits`` may be replaced at any time; it counts for those who come after."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._total = 0
        self._per_host: dict[str, int] = {}

    @property
    def total(self) -> int:
        return self._total

    def enter(self) -> bool:
        """Count one connection; False, and not counted, if there are too many."""
        if self._total >= self.limits.connections:
            return False
        self._total += 1
        return True

    def leave(self) -> None:
        """One connection less."""
        self._total -= 1

    def enter_host(self, host: str) -> str | None:
        """Count one connection of ``host``: the ticket to give back, or None, and not counted, if it has too many."""
        key = counting_key(host)
        count = self._per_host.get(key, 0)
        if count >= self.limits.connections_per_ip:
            return None
        self._per_host[key] = count + 1
        return key

    def leave_host(self, ticket: str) -> None:
        """Give a ticket back."""
        count = self._per_host[ticket] - 1
        if count:
            self._per_host[ticket] = count
        else:
            del self._per_host[ticket]
