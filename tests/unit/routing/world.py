"""A core with everything around it standing still, and sessions by the name of their user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from trio_router.errors import Refused
from trio_router.identity import Identity, User, new_session_id
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.permissions.decision import Ruleset
from trio_router.routing.core import Core
from trio_router.routing.door import Door
from trio_router.routing.session import Session
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules
from trio_router.testing.timers import ManualTimers


@attrs.define(eq=False)
class Member:
    session: Session
    peer: RecordingPeer

    @property
    def told(self) -> list[tuple[Any, ...]]:
        return self.peer.told

    def take(self) -> list[tuple[Any, ...]]:
        """What it was told since the last time."""
        told = list(self.peer.told)
        self.peer.told.clear()
        self.peer.events.clear()
        return told


class World:
    def __init__(self, rules: Ruleset | None = None, limits: Limits | None = None, app: str = "main") -> None:
        self.metrics = Metrics()
        self.timers = ManualTimers()
        self.limits = limits or Limits()
        self.door = Door(rules or FixedRules.everything(), self.metrics)
        self.core = Core(app, self.door, self.timers, self.limits, self.metrics)

    def join(self, user: str = "egon", peer: RecordingPeer | None = None) -> Member:
        peer = peer or RecordingPeer()
        identity = Identity(self.core.app, new_session_id(), User(user))
        return Member(self.core.attach(identity, peer), peer)

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def is_empty(self) -> bool:
        """Whether all books are back to nothing."""
        core = self.core
        return (
            not core.sessions
            and not len(core.events)
            and not len(core.rpc)
            and not len(core.presence)
            and not core.presence.watched
            and not len(core.listens)
            and not core.listens.is_busy
            and not self.timers.pending
        )


@attrs.define
class Caught:
    detail: str = ""


@contextlib.contextmanager
def refused(code: int) -> Iterator[Caught]:
    """``with refused(code) as caught:`` the block must be refused with exactly this code."""
    caught = Caught()
    with pytest.raises(Refused) as info:
        yield caught
    assert info.value.code == code
    caught.detail = info.value.detail
