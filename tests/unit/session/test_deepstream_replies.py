"""Every refusal and every right that ends has words in deepstream's protocol, and both ways can write them."""

from __future__ import annotations

import msgspec
import pytest

from trio_router.errors import Refused
from trio_router.protocols import codes
from trio_router.protocols.deepstream import binary, jsontext
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import (
    ACTIONS,
    EventAction,
    PresenceAction,
    RecordAction,
    RpcAction,
    Topic,
)
from trio_router.routing.standing import VERBS
from trio_router.session.deepstream.replies import ERRORS, call_failure, explanation, refusal, revocation

CAUSES = {
    Topic.EVENT: (EventAction.SUBSCRIBE, EventAction.MESSAGE_DENIED, EventAction.MESSAGE_PERMISSION_ERROR),
    Topic.RPC: (RpcAction.PROVIDE, RpcAction.MESSAGE_DENIED, RpcAction.MESSAGE_PERMISSION_ERROR),
    Topic.PRESENCE: (PresenceAction.QUERY, PresenceAction.MESSAGE_DENIED, PresenceAction.MESSAGE_PERMISSION_ERROR),
    Topic.RECORD: (RecordAction.READ, RecordAction.MESSAGE_DENIED, RecordAction.MESSAGE_PERMISSION_ERROR),
}
NOT_DENIALS = {
    codes.RULE_FAILED,
    codes.INVALID_MESSAGE,
    codes.INVALID_PATTERN,
    codes.ALREADY_SUBSCRIBED,
    codes.ALREADY_PROVIDED,
    codes.ALREADY_LISTENING,
    codes.NOT_SUBSCRIBED,
    codes.NOT_PROVIDED,
    codes.NOT_LISTENING,
}
OF_CALLS = {
    codes.NO_PROVIDER: RpcAction.NO_RPC_PROVIDER,
    codes.PROVIDER_BUSY: RpcAction.NO_RPC_PROVIDER,
    codes.CALL_TIMEOUT: RpcAction.RESPONSE_TIMEOUT,
    codes.PROVIDER_LOST: RpcAction.RESPONSE_TIMEOUT,
    codes.ACCEPT_TIMEOUT: RpcAction.ACCEPT_TIMEOUT,
    codes.ALREADY_ACCEPTED: RpcAction.MULTIPLE_ACCEPT,
    codes.UNKNOWN_CALL: RpcAction.INVALID_RPC_CORRELATION_ID,
    codes.DUPLICATE_ID: RpcAction.INVALID_RPC_CORRELATION_ID,
    codes.UNEXPECTED_MESSAGE: RpcAction.INVALID_RPC_CORRELATION_ID,
}


@pytest.mark.parametrize("topic", CAUSES)
@pytest.mark.parametrize("code", codes.ERRORS)
def test_every_code_has_words_in_every_topic(topic: Topic, code: int) -> None:
    action, denied, failed = CAUSES[topic]
    cause = Packet(topic, action, name="n", correlation_id="7", is_write_ack=True)
    packet = refusal(cause, Refused(code, "why", decision="d1"), "n")
    assert (packet.topic, packet.name) == (topic, "n")
    assert packet.action in set(ACTIONS[topic])
    if topic is Topic.RPC and code in OF_CALLS:
        assert packet.action == OF_CALLS[code]
        assert packet.correlation_id == "7"
    elif code == codes.RULE_FAILED:
        assert packet.action == failed
    elif code not in NOT_DENIALS:
        assert packet.action == denied
    if packet.action in {denied, failed}:
        assert (packet.is_error, packet.original_action, packet.correlation_id) == (True, action, "7")
        assert packet.is_write_ack
        told = msgspec.json.decode(packet.data or "")
        assert told == {"error": codes.error(code).slug, "detail": "why", "decision": "d1"}
    for codec in (binary, jsontext):
        assert codec.encode(packet)


def test_a_denial_with_nothing_to_say_has_no_data() -> None:
    assert explanation(codes.DENIED, "", "") is None
    assert refusal(Packet(Topic.EVENT, EventAction.EMIT), Refused(codes.DENIED), "n").data is None


def test_topics_with_requests_have_errors() -> None:
    assert set(ERRORS) == set(CAUSES)


@pytest.mark.threat("T33")
@pytest.mark.parametrize("verb", sorted(set(VERBS.values())))
def test_every_right_that_can_end_has_words(verb: str) -> None:
    packet = revocation(verb, "n", codes.DENIED, "", "d1")
    assert packet.is_error
    assert packet.name == "n"
    assert packet.action == ERRORS[Topic(packet.topic)].denied
    assert packet.original_action in set(ACTIONS[packet.topic])


@pytest.mark.parametrize("code", [*codes.ERRORS, 9_999])
def test_a_call_ends_in_words_that_clients_wait_for(code: int) -> None:
    ends = {RpcAction.NO_RPC_PROVIDER, RpcAction.RESPONSE_TIMEOUT, RpcAction.ACCEPT_TIMEOUT}
    assert call_failure(code) in ends or code == codes.ALREADY_ACCEPTED
