"""What a deepstream client may send before its login: every topic and action in every state, against the rules in words."""

from __future__ import annotations

import pytest

from trio_router.protocols.deepstream.machine import AFTER, OTHERWISE, RECEIVED, ServerMachine, State, Verdict
from trio_router.protocols.deepstream.words import ACTIONS, AuthAction, ConnectionAction, Topic

EVERYTHING = [(topic, int(action)) for topic, actions in ACTIONS.items() for action in actions] + [(2, 999), (3, 999)]


def authenticating() -> ServerMachine:
    machine = ServerMachine()
    assert machine.receive(Topic.CONNECTION, ConnectionAction.CHALLENGE) is Verdict.CHALLENGE
    return machine


@pytest.mark.parametrize(("topic", "action"), EVERYTHING)
def test_while_challenging_only_a_challenge_leads_on(topic: int, action: int) -> None:
    machine = ServerMachine()
    verdict = machine.receive(topic, action)
    if (topic, action) == (Topic.CONNECTION, ConnectionAction.CHALLENGE):
        assert (verdict, machine.state) == (Verdict.CHALLENGE, State.AUTHENTICATING)
    else:
        heartbeat = (topic, action) == (Topic.CONNECTION, ConnectionAction.PING)
        assert verdict is (Verdict.HEARTBEAT if heartbeat else Verdict.INVALID_CONNECTION)
        assert machine.state is State.CHALLENGING


@pytest.mark.parametrize(("topic", "action"), EVERYTHING)
def test_while_authenticating_only_a_login_is_one(topic: int, action: int) -> None:
    machine = authenticating()
    verdict = machine.receive(topic, action)
    if (topic, action) == (Topic.CONNECTION, ConnectionAction.PING):
        assert verdict is Verdict.HEARTBEAT
    elif topic == Topic.AUTH:
        assert verdict is (Verdict.LOGIN if action == AuthAction.REQUEST else Verdict.INVALID_AUTH_DATA)
    else:
        assert verdict is Verdict.INVALID_AUTH
    assert machine.state is State.AUTHENTICATING


def test_only_an_accepted_login_makes_it_live() -> None:
    machine = authenticating()
    machine.accepted()
    assert machine.state is State.LIVE


def test_the_tables_know_every_state_before_the_login() -> None:
    assert set(RECEIVED) == set(OTHERWISE) == set(State) - {State.LIVE}
    assert State.LIVE not in AFTER.values()
