"""What a deepstream client may send before it is logged in. Tables, and the smallest object that walks them.

The rules the tables below state:

Rule 1: a connection starts in CHALLENGING. There a client says which URL it meant, and is told to go on (ACCEPTED). A message of
  another kind is an invalid connection message.
Rule 2: in AUTHENTICATING a client can do one thing, log in. A message of another topic is an invalid authentication message;
  another action of the topic, or data that is no object, ends the connection.
Rule 3: a heartbeat is passed over before the login: who has not logged in is not served.
Rule 4: a refused message leaves the state as it was.
Rule 5: after the login (LIVE) what a message means is said by its topic and action alone.

This module knows no bytes and does not know what is answered in which words.
"""

from __future__ import annotations

import enum
from typing import Final

from trio_router.protocols.deepstream.words import AuthAction, ConnectionAction, Topic


class State(enum.Enum):
    """Where a connection stands."""

    CHALLENGING = "challenging"
    AUTHENTICATING = "authenticating"
    LIVE = "live"


class Verdict(enum.Enum):
    """What a message is taken for."""

    CHALLENGE = "challenge"  # answered with an acceptance
    LOGIN = "login"
    HEARTBEAT = "heartbeat"  # passed over
    INVALID_CONNECTION = "invalid_connection"
    INVALID_AUTH = "invalid_auth"
    INVALID_AUTH_DATA = "invalid_auth_data"  # and the end


_HEARTBEAT: Final[dict[tuple[int, int], Verdict]] = {(Topic.CONNECTION, ConnectionAction.PING): Verdict.HEARTBEAT}

RECEIVED: Final[dict[State, dict[tuple[int, int], Verdict]]] = {
    State.CHALLENGING: {**_HEARTBEAT, (Topic.CONNECTION, ConnectionAction.CHALLENGE): Verdict.CHALLENGE},
    State.AUTHENTICATING: {**_HEARTBEAT, (Topic.AUTH, AuthAction.REQUEST): Verdict.LOGIN},
}

OF_TOPIC: Final[dict[State, dict[int, Verdict]]] = {
    State.CHALLENGING: {},
    State.AUTHENTICATING: {Topic.AUTH: Verdict.INVALID_AUTH_DATA},
}
"""What any other message of a topic is."""

OTHERWISE: Final[dict[State, Verdict]] = {
    State.CHALLENGING: Verdict.INVALID_CONNECTION,
    State.AUTHENTICATING: Verdict.INVALID_AUTH,
}

AFTER: Final[dict[Verdict, State]] = {Verdict.CHALLENGE: State.AUTHENTICATING}
"""Where a message leads; any other leaves the state as it was."""


class ServerMachine:
    """The router's view of one connection up to its login."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = State.CHALLENGING

    @property
    def state(self) -> State:
        return self._state

    def receive(self, topic: int, action: int) -> Verdict:
        """A message arrived before the login."""
        state = self._state
        verdict = RECEIVED[state].get((topic, action)) or OF_TOPIC[state].get(topic, OTHERWISE[state])
        self._state = AFTER.get(verdict, state)
        return verdict

    def accepted(self) -> None:
        """The login was accepted."""
        self._state = State.LIVE
