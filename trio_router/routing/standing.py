"""What a session has standing (subscriptions, connections, offers, presence watches), and how each of it is decided again.

The one list of the kinds of standing rights, for whoever decides them again: in earnest, ahead of a reload, or to
say what would end. Watching everybody is no right of its own: each name is decided when it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from trio_router.permissions.decision import Action, Decision, Ruleset
from trio_router.routing.door import Door
from trio_router.routing.events import is_pattern
from trio_router.routing.session import Session
from trio_router.routing.trust import standing_word

VERBS: Final = {
    Action.EVENT_SUBSCRIBE: "subscribe",
    Action.EVENT_PUBLISH: "connect",
    Action.RPC_PROVIDE: "provide",
    Action.PRESENCE_ALLOW: "presence_subscribe",
}
"""The request that each standing right was got by."""


@attrs.frozen
class Loss:
    """A standing right of ``session`` that ``decision`` does not allow. ``name`` is spelled as it was asked for."""

    session: Session
    action: Action
    name: str
    decision: Decision

    @property
    def verb(self) -> str:
        return VERBS[self.action]


def rights(session: Session) -> Iterator[tuple[Action, str]]:
    """Every standing right as (action, name)."""
    for channel in session.subscriptions:
        yield Action.EVENT_SUBSCRIBE, channel
    for channel in session.connections:
        yield Action.EVENT_PUBLISH, channel
    for procedure in session.offers:
        yield Action.RPC_PROVIDE, procedure
    for user in session.watches:
        yield Action.PRESENCE_ALLOW, user


def holds(session: Session, action: Action, name: str) -> bool:
    """Whether ``session`` has this right standing."""
    if action is Action.EVENT_SUBSCRIBE:
        return name in session.subscriptions
    if action is Action.EVENT_PUBLISH:
        return name in session.connections
    return name in (session.offers if action is Action.RPC_PROVIDE else session.watches)


def decide(door: Door, session: Session, action: Action, name: str, word: Decision | None = None) -> Decision:
    """Whether ``session`` may have this right, by the rules of ``door``.

    ``word`` is what a trust-token says of the name, by default of the one that opened what stands.
    """
    if action is Action.EVENT_SUBSCRIBE and is_pattern(name):
        return door.authorize_pattern(session.identity, action, name)
    if word is None:
        word = standing_word(session.openings, action, name)
    return door.authorize(session.identity, action, name, trust=word)


def losses(door: Door, session: Session) -> list[Loss]:
    """What ``session`` has standing and may not have by the rules of ``door``."""
    decisions = ((action, name, decide(door, session, action, name)) for action, name in rights(session))
    return [Loss(session, action, name, decision) for action, name, decision in decisions if not decision.allowed]


class Reconsideration:
    """Decides the standing rights of many sessions by rules that are not in force yet, a slice at a time.

    What it says of a right is the decision of the moment it was asked in. Sessions that get new rights meanwhile are
    handed to :meth:`again`. Nothing is told, counted or recorded, and nothing ends.
    """

    def __init__(self, rules: Ruleset, sessions: Iterable[Session]) -> None:
        self.rules = rules
        self._door = Door(rules)
        self._pending = dict.fromkeys(sessions)
        self._found: dict[Session, list[Loss]] = {}

    def advance(self, decisions: int) -> bool:
        """Make about so many decisions (a session is finished once begun); False when none is left to make."""
        while self._pending and decisions > 0:
            session, _ = self._pending.popitem()
            self._found.pop(session, None)
            found = losses(self._door, session)
            if found:
                self._found[session] = found
            decisions -= (
                1 + len(session.subscriptions) + len(session.connections) + len(session.offers) + len(session.watches)
            )
        return bool(self._pending)

    def again(self, session: Session) -> None:
        """``session`` has a right that it may not have had when it was looked at."""
        self._pending[session] = None

    def forget(self, session: Session) -> None:
        """``session`` has gone."""
        self._pending.pop(session, None)
        self._found.pop(session, None)

    def missing(self) -> frozenset[str]:
        """The records without which some of the decisions made so far are none; those are made again.

        To be asked between slices. What cannot be decided at the end, ends.
        """
        names: set[str] = set()
        for session, found in self._found.items():
            needed = [name for loss in found for name in loss.decision.records]
            if needed:
                self._pending[session] = None
                names.update(needed)
        return frozenset(names)

    def finish(self) -> list[list[Loss]]:
        """Make the decisions that are left, and give what would end, session by session."""
        while self.advance(1_000_000):
            pass
        return list(self._found.values())
