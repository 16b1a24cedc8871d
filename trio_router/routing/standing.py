"""What a session has standing (subscriptions, connections, listens, offers, presence watches), and how each of it is decided again.

The one list of the kinds of standing rights, for whoever decides them again: in earnest, ahead of a reload, or to
say what would end. The channels that it provides are decided again too: that it knows them stands. Watching everybody is no right of its own: each name is decided when it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from trio_router.permissions.decision import Action, Decision, Ruleset
from trio_router.routing.door import Door
from trio_router.routing.events import is_pattern
from trio_router.routing.session import Session
from trio_router.routing.trust import CLOSED, standing_word

VERBS: Final = {
    Action.EVENT_SUBSCRIBE: "subscribe",
    Action.EVENT_PUBLISH: "connect",
    Action.EVENT_LISTEN: "listen",
    Action.RPC_PROVIDE: "provide",
    Action.PRESENCE_ALLOW: "presence_subscribe",
}
"""The request that each standing right was got by."""


@attrs.frozen
class Loss:
    """A standing right of ``session`` that ``decision`` does not allow. ``name`` is spelled as it was asked for.

    ``asked`` is the name that was decided about. ``pattern``: what it listens with, if it is the channel ``name`` that it may
    provide no longer.
    """

    session: Session
    action: Action
    name: str
    asked: str
    decision: Decision
    pattern: str | None = None

    @property
    def verb(self) -> str:
        return VERBS[self.action]


def rights(session: Session) -> Iterator[tuple[Action, str]]:
    """Every standing right as (action, name)."""
    for channel in session.subscriptions:
        yield Action.EVENT_SUBSCRIBE, channel
    for channel in session.connections:
        yield Action.EVENT_PUBLISH, channel
    for pattern in session.listens:
        yield Action.EVENT_LISTEN, pattern
    for procedure in session.offers:
        yield Action.RPC_PROVIDE, procedure
    for procedure in _answering(session) - session.offers.keys():
        yield Action.RPC_PROVIDE, procedure
    for user in session.watches:
        yield Action.PRESENCE_ALLOW, user


def _answering(session: Session) -> set[str]:
    """Procedures that it has calls of in progress: it may have withdrawn the offer since, and still answer them."""
    return {call.offer.procedure for call in session.invocations.values()}


def provided(session: Session) -> Iterator[tuple[str, str]]:
    """What ``session`` provides, as (pattern, channel)."""
    for pattern, listen in session.listens.items():
        for channel in listen.provided:
            yield pattern, channel


def stands(loss: Loss) -> bool:
    """Whether what ``loss`` is about has not ended yet."""
    if loss.pattern is not None:
        listen = loss.session.listens.get(loss.pattern)
        return listen is not None and loss.name in listen.provided
    return holds(loss.session, loss.action, loss.name)


def holds(session: Session, action: Action, name: str) -> bool:
    """Whether ``session`` has this right standing."""
    if action is Action.EVENT_SUBSCRIBE:
        return name in session.subscriptions
    if action is Action.EVENT_PUBLISH:
        return name in session.connections
    if action is Action.EVENT_LISTEN:
        return name in session.listens
    if action is Action.RPC_PROVIDE:
        return name in session.offers or name in _answering(session)
    return name in session.watches


def decide(door: Door, session: Session, action: Action, name: str, word: Decision | None = None) -> Decision:
    """Whether ``session`` may have this right, by the rules of ``door``.

    ``word`` is what a trust-token says of the name, by default of the one that opened what stands.
    """
    if action is Action.EVENT_SUBSCRIBE and is_pattern(name):
        return door.authorize_pattern(session.identity, action, name)
    if action is Action.EVENT_LISTEN:
        pattern = session.listens[name].pattern
        return door.authorize_listen(session.identity, pattern.asked, pattern.kind)
    if word is None:
        word = standing_word(session.openings, action, name)
    return door.authorize(session.identity, action, name, trust=word)


def conclude(door: Door, loss: Loss) -> Decision:
    """Count and record the decision of a loss, which ``door`` has not made itself."""
    wildcard = loss.action is Action.EVENT_SUBSCRIBE and is_pattern(loss.asked)
    return door.conclude(
        loss.session.identity,
        loss.action,
        loss.asked,
        loss.decision,
        wildcard=wildcard,
        told=loss.pattern is None,
    )


def decide_provided(door: Door, session: Session, channel: str) -> Decision:
    """Whether ``session``, which listens, may know ``channel``, by the rules of ``door``."""
    return door.authorize(session.identity, Action.EVENT_LISTEN, channel, told=False, trust=CLOSED)


def losses(door: Door, session: Session) -> list[Loss]:
    """What ``session`` has standing and may not have by the rules of ``door``."""
    lost = []
    for action, name in rights(session):
        decision = decide(door, session, action, name)
        if not decision.allowed:
            asked = session.listens[name].pattern.asked if action is Action.EVENT_LISTEN else name
            lost.append(Loss(session, action, name, asked, decision))
    for pattern, channel in provided(session):
        decision = decide_provided(door, session, channel)
        if not decision.allowed:
            lost.append(Loss(session, Action.EVENT_LISTEN, channel, channel, decision, pattern))
    return lost


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
            decisions -= 1 + len(session.subscriptions) + len(session.connections)
            decisions -= len(session.offers) + len(session.watches)
            decisions -= sum(1 + len(listen.provided) for listen in session.listens.values())
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
