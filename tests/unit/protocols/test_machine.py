"""Every message in every state, against the rules as prose says them, and every decision."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trio_router.errors import LocalProtocolError, RemoteProtocolError
from trio_router.protocols import codes, messages
from trio_router.protocols.native.machine import DECIDED, OTHERWISE, RECEIVED, Decided, ServerMachine, State, outcome
from trio_router.protocols.native.shapes import REQUESTS

CLASSES = [shape.cls for shape in REQUESTS]


def in_state(state: State) -> ServerMachine:
    machine = ServerMachine()
    if state in {State.LOGGING_IN, State.CHALLENGED, State.LIVE}:
        machine.receive(messages.Login)
    if state is State.CHALLENGED:
        machine.challenged()
    if state is State.LIVE:
        machine.accepted()
    if state is State.CLOSING:
        machine.closing()
    assert machine.state is state
    return machine


def expected(state: State, cls: type[messages.Message]) -> State | int:
    if state is State.CLOSING:
        return codes.UNEXPECTED_MESSAGE
    if state is State.LIVE:
        if cls is messages.Login:
            return codes.ALREADY_LOGGED_IN
        return codes.UNEXPECTED_MESSAGE if cls is messages.Answer else State.LIVE
    if cls is messages.Login:
        return State.LOGGING_IN if state is State.QUARANTINE else codes.LOGIN_BUSY
    if cls is messages.Answer and state is State.CHALLENGED:
        return State.LOGGING_IN
    if cls is messages.Answer and state is State.LOGGING_IN:
        return codes.UNEXPECTED_MESSAGE
    return codes.NOT_LOGGED_IN


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_message_in_every_state(state: State, cls: type[messages.Message]) -> None:
    machine = in_state(state)
    wanted = expected(state, cls)
    if isinstance(wanted, State):
        machine.receive(cls)
        assert machine.state is wanted
        assert outcome(state, cls) is wanted
    else:
        with pytest.raises(RemoteProtocolError) as caught:
            machine.receive(cls, request_id="r1")
        assert (caught.value.code, caught.value.request_id) == (wanted, "r1")
        assert machine.state is state
        assert outcome(state, cls) == codes.error(wanted).slug


@pytest.mark.parametrize("decided", Decided, ids=lambda decided: decided.value)
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_every_decision_in_every_state(state: State, decided: Decided) -> None:
    machine = in_state(state)
    decide = {
        Decided.CHALLENGED: machine.challenged,
        Decided.ACCEPTED: machine.accepted,
        Decided.DENIED: machine.denied,
        Decided.CLOSING: machine.closing,
    }[decided]
    if decided in DECIDED[state]:
        decide()
        assert machine.state is DECIDED[state][decided]
    else:
        with pytest.raises(LocalProtocolError):
            decide()
        assert machine.state is state


def test_the_tables_are_complete() -> None:
    assert set(RECEIVED) == set(OTHERWISE) == set(DECIDED) == set(State)
    assert set(OTHERWISE.values()) <= set(codes.ERRORS)
    assert all(cls in CLASSES for table in RECEIVED.values() for cls in table)


def test_a_login_that_asks_back() -> None:
    machine = ServerMachine()
    machine.receive(messages.Login)
    machine.challenged()
    machine.receive(messages.Answer)
    with pytest.raises(RemoteProtocolError):
        machine.receive(messages.Answer)  # one answer for one question
    machine.challenged()
    machine.receive(messages.Answer)
    machine.accepted()
    assert machine.is_live


class AnySession(RuleBasedStateMachine):
    """Whatever happens in whatever order: only an accepted login leads to LIVE, and CLOSING is for good."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = ServerMachine()
        self.accepted = False
        self.closed = False

    @rule(cls=st.sampled_from(CLASSES))
    def receive(self, cls: type[messages.Message]) -> None:
        try:
            self.machine.receive(cls)
        except RemoteProtocolError:
            return
        assert not self.closed
        assert self.accepted or cls in {messages.Login, messages.Answer}

    @rule(decided=st.sampled_from(["challenged", "accepted", "denied", "closing"]))
    def decide(self, decided: str) -> None:
        try:
            getattr(self.machine, decided)()
        except LocalProtocolError:
            return
        self.accepted = self.accepted or decided == "accepted"
        self.closed = self.closed or decided == "closing"

    @invariant()
    def live_only_after_a_login(self) -> None:
        assert not self.machine.is_live or (self.accepted and not self.closed)
        assert (self.machine.state is State.CLOSING) == self.closed


TestAnySession = AnySession.TestCase
