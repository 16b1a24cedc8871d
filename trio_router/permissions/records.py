"""Records as rules see them: a name in, a JSON value out, at once or not at all.

A rule that needs a record which is not at hand raises :class:`Needed`; whoever asked the rules loads what is named
and asks again, off the path of everybody else.

The rule that keeps this honest: nothing here waits, and what is not known is never taken for what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import attrs

from trio_router.errors import RouterError

MAX_ROUNDS: Final = 3
"""How often a question may be asked until its records are there, the first time included: a record that a rule finds by the
content of another record works, a third one behind that does not. The figure is Valve's."""


@attrs.frozen
class Unloaded:
    """What ``peek`` gives for a record that may or may not exist."""

    def __repr__(self) -> str:
        return "unloaded"


MISSING_UNLOADED: Final = Unloaded()


class Records(Protocol):
    """The records of one app, for rules to read."""

    def peek(self, name: str) -> Any:
        """The content of record ``name``, a JSON value; None if there is no such record; ``MISSING_UNLOADED`` if unknown."""


class NoRecords:
    """Implements ``Records`` where there are none."""

    def peek(self, name: str) -> Any:  # noqa: ARG002 - the interface
        return None


class Needed(RouterError):
    """A rule refers to record ``name``, which is not at hand."""

    def __init__(self, name: str) -> None:
        super().__init__("a record that the rule refers to is not loaded")
        self.name = name


@attrs.frozen
class World:
    """What rules read beside the question itself: ``now`` gives milliseconds since the epoch."""

    now: Callable[[], int]
    records: Records

    def record(self, name: str) -> Any:
        """The content of the record, None if there is none.

        Raises:
            Needed: it is not at hand.
        """
        found = self.records.peek(name)
        if found is MISSING_UNLOADED:
            raise Needed(name)
        return found
