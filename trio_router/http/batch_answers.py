"""What each message of a batch is answered: success, or a failure in deepstream's words and numbers.

Owns the table from the router's error codes to deepstream's, and the texts. The rule that keeps it honest: nothing of an error
goes out but its fixed text here, the name the client sent itself, and the detail that was written for clients.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trio_router.errors import Refused
from trio_router.http.batch import Emit, Make, Message, Query, Routed
from trio_router.payload import Payload
from trio_router.protocols import codes
from trio_router.protocols.deepstream.words import EventAction, PresenceAction, RpcAction

Answer = dict[str, Any]

SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
PARTIAL_SUCCESS: Final = "PARTIAL_SUCCESS"

DENIED: Final[dict[type[Routed], int | str]] = {
    Emit: "MESSAGE_DENIED",  # by name, as deepstream has it for events alone
    Make: RpcAction.MESSAGE_DENIED,
    Query: PresenceAction.MESSAGE_DENIED,
}
FAILED: Final[dict[type[Routed], int]] = {
    Emit: EventAction.MESSAGE_PERMISSION_ERROR,
    Make: RpcAction.MESSAGE_PERMISSION_ERROR,
    Query: PresenceAction.MESSAGE_PERMISSION_ERROR,
}
INVALID: Final[dict[type[Routed], int]] = {
    Emit: EventAction.INVALID_MESSAGE_DATA,
    Make: RpcAction.INVALID_MESSAGE_DATA,
    Query: PresenceAction.INVALID_PRESENCE_USERS,
}
CALLS: Final[dict[int, int]] = {
    codes.PROVIDER_ERROR: RpcAction.REQUEST_ERROR,
    codes.NO_PROVIDER: RpcAction.NO_RPC_PROVIDER,
    codes.PROVIDER_BUSY: RpcAction.NO_RPC_PROVIDER,
    codes.ACCEPT_TIMEOUT: RpcAction.ACCEPT_TIMEOUT,
    codes.CALL_TIMEOUT: RpcAction.RESPONSE_TIMEOUT,
    codes.PROVIDER_LOST: RpcAction.RESPONSE_TIMEOUT,  # it may have been carried out, as with a timeout
}
"""How calls end."""

_ACTION: Final[dict[type[Routed], str]] = {Emit: "emit", Make: "make", Query: "query"}
_DENIALS: Final = frozenset(
    {
        codes.DENIED,
        codes.RESERVED,
        codes.KEY_GRANT,
        codes.TOKEN_NEEDED,
        codes.TOKEN_REFUSED,
        codes.NOT_OPEN,
        codes.SERVER_ONLY,
    }
)


def succeeded(**fields: Any) -> Answer:
    """A success with what it brought."""
    return {"success": True, **fields}


def result_of(data: Payload) -> Answer:
    """A procedure's result; without data there is none in the answer."""
    return succeeded() if data.is_absent else succeeded(data=msgspec.Raw(data.json))


def refused(message: Routed, why: Refused) -> Answer:
    """``message`` was not granted, or could not be."""
    kind, topic = type(message), message.topic
    action = _ACTION[kind]
    more: dict[str, Any] = {"errorAction": action}
    if why.detail:
        more["errorParams"] = why.detail
    if why.decision:
        more["decision"] = why.decision
    if why.code in _DENIALS:
        return _failure(f"Message denied. Action '{action}' is not permitted.", topic, DENIED[kind], **more)
    if why.code == codes.RULE_FAILED:
        return _failure("The permission could not be decided.", topic, FAILED[kind], **more)
    if isinstance(message, Make):
        return call_failed(message, why.code, why.detail)
    return _failure(_sentence(codes.error(why.code).text), topic, INVALID[kind], **more)


def call_failed(message: Make, code: int, detail: str = "", data: Payload | None = None) -> Answer:
    """The call of ``message`` ended with ``code`` of ``protocols.codes``; ``data`` is the provider's."""
    text = _sentence(codes.error(code).text)
    more: dict[str, Any] = {"errorParams": detail} if detail else {}
    if code == codes.PROVIDER_ERROR:
        text = "An error occurred: REQUEST_ERROR."
        if data is not None and not data.is_absent:
            more["errorParams"] = msgspec.Raw(data.json)
    elif code == codes.NO_PROVIDER:
        text = f'No provider was available to handle the RPC "{message.rpcName}".'
    elif code == codes.CALL_TIMEOUT:
        text = "The RPC response timeout was exceeded by the provider."
    return _failure(text, "rpc", CALLS.get(code, INVALID[Make]), **more)


def unsupported(message: Message) -> Answer:
    """Records and lists."""
    text = "Records and lists are not supported by this server."
    return _failure(text, "record", "NOT_SUPPORTED", errorAction=message.action)


def timed_out() -> Answer:
    """Nothing was known when the request's time was over."""
    text = "Request exceeded timeout before a response was received."
    return _failure(text, "connection", "HTTP_REQUEST_TIMEOUT")


def ended(text: str) -> Answer:
    """The login ended while the request was carried out; ``text`` says why, from ``protocols.codes``."""
    return _failure(_sentence(text), "connection", "CLOSED")


def whole(found: list[Answer]) -> dict[str, Any]:
    """The answer to a batch."""
    good = sum(answer["success"] for answer in found)
    result = SUCCESS if good == len(found) else PARTIAL_SUCCESS if good else FAILURE
    return {"result": result, "body": found}


def _failure(text: str, topic: str, event: int | str, **more: Any) -> Answer:
    return {
        "success": False,
        "error": text,
        "errorTopic": topic,
        "errorEvent": event if isinstance(event, str) else int(event),
        **more,
    }


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
