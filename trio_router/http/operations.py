"""What the HTTP side needs of a running router. The composition root implements it; tests implement it in memory.

Nothing here is HTTP. The rule that keeps it honest: what is for administrators (the unsafe switches by name) and what is
for everybody (up or draining) are two questions, so that neither answer can slip into the other's route.
"""

from __future__ import annotations

from typing import Protocol

import attrs


@attrs.frozen
class Health:
    """The state of one router, for its administrators. ``uptime`` is seconds, ``rules_version`` names the rules in force."""

    version: str
    rules_version: str
    uptime: float
    connections: int
    sessions: int
    draining: bool = False
    unsafe: tuple[str, ...] = ()


@attrs.frozen
class ReloadResult:
    """What a reload did: dotted config fields now in force, and those that wait for a restart."""

    rules_version: str
    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


class Operations(Protocol):
    """One running router, as operated over HTTP."""

    @property
    def draining(self) -> bool:
        """Whether it takes no new connections any more."""

    def health(self) -> Health:
        """Its state now."""

    async def reload(self) -> ReloadResult:
        """Read config and rules anew and put them in force, whole or not at all.

        Raises:
            ProblemsError: they are refused; everything is as before.
        """
