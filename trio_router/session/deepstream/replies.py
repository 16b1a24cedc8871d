"""What a refusal of the core is in deepstream's words: code, topic and action in, a packet out. Pure.

The rule that keeps it honest: every code has words. One that no table names is a denial, for a client must never wait in vain.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import msgspec

from trio_router.errors import Refused
from trio_router.protocols import codes
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import EventAction, PresenceAction, RecordAction, RpcAction, Topic

_encode: Final = msgspec.json.Encoder().encode


@attrs.frozen
class Errors:
    """The words of one topic: refused by a rule, a rule that failed, asked for twice, data that is none."""

    denied: int
    failed: int
    multiple: int
    unknown: int
    data: int


ERRORS: Final = {
    Topic.EVENT: Errors(
        EventAction.MESSAGE_DENIED,
        EventAction.MESSAGE_PERMISSION_ERROR,
        EventAction.MULTIPLE_SUBSCRIPTIONS,
        EventAction.NOT_SUBSCRIBED,
        EventAction.INVALID_MESSAGE_DATA,
    ),
    Topic.RPC: Errors(
        RpcAction.MESSAGE_DENIED,
        RpcAction.MESSAGE_PERMISSION_ERROR,
        RpcAction.MULTIPLE_PROVIDERS,
        RpcAction.NOT_PROVIDED,
        RpcAction.INVALID_MESSAGE_DATA,
    ),
    Topic.PRESENCE: Errors(
        PresenceAction.MESSAGE_DENIED,
        PresenceAction.MESSAGE_PERMISSION_ERROR,
        PresenceAction.MULTIPLE_SUBSCRIPTIONS,
        PresenceAction.NOT_SUBSCRIBED,
        PresenceAction.INVALID_PRESENCE_USERS,
    ),
    Topic.RECORD: Errors(
        RecordAction.MESSAGE_DENIED,
        RecordAction.MESSAGE_PERMISSION_ERROR,
        RecordAction.MULTIPLE_SUBSCRIPTIONS,
        RecordAction.NOT_SUBSCRIBED,
        RecordAction.INVALID_MESSAGE_DATA,
    ),
}

_MULTIPLE: Final = frozenset({codes.ALREADY_SUBSCRIBED, codes.ALREADY_PROVIDED, codes.ALREADY_LISTENING})
_UNKNOWN: Final = frozenset({codes.NOT_SUBSCRIBED, codes.NOT_PROVIDED, codes.NOT_LISTENING})
_OF_A_CALL: Final = {
    codes.NO_PROVIDER: RpcAction.NO_RPC_PROVIDER,
    codes.PROVIDER_BUSY: RpcAction.NO_RPC_PROVIDER,
    codes.CALL_TIMEOUT: RpcAction.RESPONSE_TIMEOUT,
    # Nobody will answer any more: what deepstream finds out when its time is over.
    codes.PROVIDER_LOST: RpcAction.RESPONSE_TIMEOUT,
    codes.ACCEPT_TIMEOUT: RpcAction.ACCEPT_TIMEOUT,
    codes.ALREADY_ACCEPTED: RpcAction.MULTIPLE_ACCEPT,
}
_NO_SUCH_CALL: Final = frozenset({codes.UNKNOWN_CALL, codes.DUPLICATE_ID, codes.UNEXPECTED_MESSAGE})


def refusal(cause: Packet, refused: Refused, name: str | None) -> Packet:
    """The answer to ``cause``, of which ``name`` (None: all of it) is refused."""
    topic, code = cause.topic, refused.code
    errors = ERRORS[Topic(topic)]
    if topic == Topic.RPC and code in _OF_A_CALL:
        return Packet(topic, _OF_A_CALL[code], name=name, correlation_id=cause.correlation_id)
    if topic == Topic.RPC and code in _NO_SUCH_CALL:
        return _error(cause, RpcAction.INVALID_RPC_CORRELATION_ID, name)
    if code == codes.INVALID_PATTERN:
        return Packet(topic, EventAction.INVALID_LISTEN_REGEX, name=name)
    if code in _MULTIPLE or code in _UNKNOWN:
        action = errors.multiple if code in _MULTIPLE else errors.unknown
        return Packet(topic, action, name=name, original_action=cause.action)
    if code == codes.INVALID_MESSAGE:
        return _error(cause, errors.data, name, refused.detail)
    action = errors.failed if code == codes.RULE_FAILED else errors.denied
    packet = _error(cause, action, name)
    packet.data = explanation(code, refused.detail, refused.decision)
    packet.is_write_ack = cause.is_write_ack
    return packet


def call_failure(code: int) -> int:
    """What the end of a call is called."""
    return _OF_A_CALL.get(code, RpcAction.NO_RPC_PROVIDER)


_REVOKED: Final = {
    "subscribe": (Topic.EVENT, EventAction.SUBSCRIBE),
    "connect": (Topic.EVENT, EventAction.EMIT),
    "listen": (Topic.EVENT, EventAction.LISTEN),
    "provide": (Topic.RPC, RpcAction.PROVIDE),
    "presence_subscribe": (Topic.PRESENCE, PresenceAction.SUBSCRIBE),
}


def revocation(verb: str, name: str, code: int, detail: str, decision: str) -> Packet:
    """What a client is told that loses a right it had: the denial it would have got if it had asked now."""
    topic, action = _REVOKED[verb]
    return refusal(Packet(topic, action), Refused(code, detail, decision=decision), name)


def explanation(code: int, detail: str, decision: str) -> str | None:
    """What a client may know of a denial beyond that it is one, as JSON; None if that is nothing."""
    if not (detail or decision):
        return None
    told: dict[str, Any] = {"error": codes.error(code).slug}
    if detail:
        told["detail"] = detail
    if decision:
        told["decision"] = decision
    return _encode(told).decode()


def _error(cause: Packet, action: int, name: str | None, detail: str = "") -> Packet:
    return Packet(
        cause.topic,
        action,
        name=name,
        correlation_id=cause.correlation_id,
        is_error=True,
        original_action=cause.action,
        data=_encode(detail).decode() if detail else None,
    )
