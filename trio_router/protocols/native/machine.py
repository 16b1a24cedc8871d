"""What a session of ``trio-router.v1+json`` may do when. Tables, and the smallest object that walks them.

The rules the tables below state:

Rule 1: a session starts in QUARANTINE. There a client can do one thing, log in; everything else is refused with
  "log in first", a ping included: who has not logged in is not served.
Rule 2: a login takes the session to LOGGING_IN until the router has decided. A second login meanwhile is refused as
  busy, so that a session has never more than one login in progress.
Rule 3: a strategy may ask back: CHALLENGED. Then exactly one answer is taken, which leads to LOGGING_IN again. An answer that
  nobody asked for is unexpected.
Rule 4: denied or unavailable leads back to QUARANTINE (how often, is counted elsewhere); accepted leads to LIVE.
Rule 5: in LIVE every request is allowed except another login and answers.
Rule 6: the router may start to close in any state. In CLOSING nothing is taken any more, and there is no way out.
Rule 7: a refused message leaves the state as it was.

The client's messages go through ``RECEIVED``: a message that a state does not list has the state's ``OTHERWISE`` error. What the
router decides goes through ``DECIDED``: a decision a state does not list is a bug of ours. The protocol reference's
diagram is drawn from these tables. This module knows no bytes.
"""

from __future__ import annotations

import enum
from typing import Final

from trio_router.errors import LocalProtocolError, RemoteProtocolError
from trio_router.protocols import messages
from trio_router.protocols.codes import (
    ALREADY_LOGGED_IN,
    LOGIN_BUSY,
    NOT_LOGGED_IN,
    UNEXPECTED_MESSAGE,
    error,
)


class State(enum.Enum):
    """Where a session stands."""

    QUARANTINE = "quarantine"
    LOGGING_IN = "logging_in"
    CHALLENGED = "challenged"
    LIVE = "live"
    CLOSING = "closing"


class Decided(enum.Enum):
    """What the router decides about a session."""

    CHALLENGED = "challenged"
    ACCEPTED = "accepted"
    DENIED = "denied"
    CLOSING = "closing"


MessageClass = type[messages.Message]

REQUESTS: Final[tuple[MessageClass, ...]] = (
    messages.Subscribe, messages.Unsubscribe, messages.Connect, messages.Disconnect, messages.Participants, messages.Publish,
    messages.Listen, messages.Unlisten, messages.ListenAccept, messages.ListenReject, messages.Provide, messages.Unprovide, messages.Call,
    messages.Cancel, messages.ProviderResult, messages.ProviderError, messages.ProviderReject, messages.PresenceQuery, messages.PresenceSubscribe,
    messages.PresenceUnsubscribe, messages.Refresh, messages.Ping,
)  # fmt: skip
"""What only a logged-in session may send."""

RECEIVED: Final[dict[State, dict[MessageClass, State | int]]] = {
    State.QUARANTINE: {messages.Login: State.LOGGING_IN},
    State.LOGGING_IN: {messages.Login: LOGIN_BUSY, messages.Answer: UNEXPECTED_MESSAGE},
    State.CHALLENGED: {messages.Login: LOGIN_BUSY, messages.Answer: State.LOGGING_IN},
    State.LIVE: {messages.Login: ALREADY_LOGGED_IN} | dict.fromkeys(REQUESTS, State.LIVE),
    State.CLOSING: {},
}

OTHERWISE: Final[dict[State, int]] = {
    State.QUARANTINE: NOT_LOGGED_IN,
    State.LOGGING_IN: NOT_LOGGED_IN,
    State.CHALLENGED: NOT_LOGGED_IN,
    State.LIVE: UNEXPECTED_MESSAGE,
    State.CLOSING: UNEXPECTED_MESSAGE,
}

DECIDED: Final[dict[State, dict[Decided, State]]] = {
    State.QUARANTINE: {Decided.CLOSING: State.CLOSING},
    State.LOGGING_IN: {
        Decided.CHALLENGED: State.CHALLENGED,
        Decided.ACCEPTED: State.LIVE,
        Decided.DENIED: State.QUARANTINE,
        Decided.CLOSING: State.CLOSING,
    },
    State.CHALLENGED: {Decided.DENIED: State.QUARANTINE, Decided.CLOSING: State.CLOSING},
    State.LIVE: {Decided.CLOSING: State.CLOSING},
    State.CLOSING: {Decided.CLOSING: State.CLOSING},
}


class ServerMachine:
    """The router's view of one session: where it stands and what it may send next."""

    __slots__ = ("_received", "_state")

    def __init__(self) -> None:
        self._state = State.QUARANTINE
        self._received = RECEIVED[State.QUARANTINE]

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_live(self) -> bool:
        return self._state is State.LIVE

    def receive(self, message_class: MessageClass, *, request_id: str | None = None) -> None:
        """A message of this class arrived; ``request_id`` is put into the error, if it comes to that.

        Raises:
            RemoteProtocolError: it must not be sent in this state (``NOT_LOGGED_IN``, ``ALREADY_LOGGED_IN``,
                ``LOGIN_BUSY`` or ``UNEXPECTED_MESSAGE``); the state stays as it was.
        """
        found = self._received.get(message_class)
        if found is self._state:
            return
        if isinstance(found, State):
            self._enter(found)
            return
        code = OTHERWISE[self._state] if found is None else found
        raise RemoteProtocolError(code, request_id=request_id)

    def challenged(self) -> None:
        """A strategy asks back. Raises ``LocalProtocolError`` outside a login."""
        self._decide(Decided.CHALLENGED)

    def accepted(self) -> None:
        """The login was accepted. Raises ``LocalProtocolError`` outside a login."""
        self._decide(Decided.ACCEPTED)

    def denied(self) -> None:
        """The login ended without a user: denied or unavailable. Raises ``LocalProtocolError`` outside a login."""
        self._decide(Decided.DENIED)

    def closing(self) -> None:
        """The router closes the session; allowed in every state."""
        self._decide(Decided.CLOSING)

    def _decide(self, what: Decided) -> None:
        after = DECIDED[self._state].get(what)
        if after is None:
            msg = f"{what.value} in state {self._state.value}"
            raise LocalProtocolError(msg)
        self._enter(after)

    def _enter(self, state: State) -> None:
        self._state = state
        self._received = RECEIVED[state]


def outcome(state: State, message_class: MessageClass) -> State | str:
    """The next state for a message in ``state``, or the slug of the error it gets; for the documentation."""
    found = RECEIVED[state].get(message_class, OTHERWISE[state])
    return found if isinstance(found, State) else error(found).slug
