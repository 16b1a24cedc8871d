"""The client's side of ``trio-router.v1+json``: a request to text, the router's text to a reply.

A client is strict about what it sends, because it uses the neutral classes, and lenient about what it is told: fields it does
not know are passed over, and codes it does not know keep the slug, the text and the advice that the router sent along. So
an older client understands a newer router. What a field that it does know must look like is still checked.

The rule that keeps this honest: whatever the router sends, ``decode_reply`` gives a reply or ``RemoteProtocolError``.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from trio_router.errors import RemoteProtocolError
from trio_router.payload import Payload
from trio_router.protocols import codes, messages, strictjson
from trio_router.protocols.native.shapes import REPLY_BY_VERB, REQUEST_BY_CLASS, TAG

_encode: Final = msgspec.json.Encoder().encode


class ToldFailed(messages.Failed, frozen=True):
    """``Failed`` with what the router wrote about the code: its slug, its text, whether the same may succeed later."""

    error: str = ""
    text: str = ""
    temporary: bool = False


class ToldRevoked(messages.Revoked, frozen=True):
    """``Revoked`` with the slug and the text of its code."""

    error: str = ""
    text: str = ""


class ToldClosing(messages.Closing, frozen=True):
    """``Closing`` with the slug, the text and the advice of its code (an unknown advice is read as "stop")."""

    close: str = ""
    text: str = ""
    advice: str = codes.Advice.STOP.value


_READ_AS: Final[dict[type[messages.Message], type[messages.Message]]] = {
    messages.Failed: ToldFailed,
    messages.Revoked: ToldRevoked,
    messages.Closing: ToldClosing,
}


def encode_request(message: messages.Request) -> bytes:
    """The JSON text of a request, in UTF-8."""
    shape = REQUEST_BY_CLASS[type(message)]
    out: dict[str, Any] = {TAG: shape.verb}
    for name, default, value in zip(shape.fields, shape.defaults, msgspec.structs.astuple(message), strict=True):
        if value == default:
            continue
        out[name] = msgspec.Raw(value.json) if isinstance(value, Payload) else value
    return _encode(out)


def decode_reply(text: str | bytes, *, depth: int = strictjson.MAX_DEPTH + 1) -> messages.Reply:
    """What the router said. ``depth`` allows for the object around data that was nested as deep as is allowed.

    Raises:
        RemoteProtocolError: it is not a reply (``INVALID_MESSAGE``), or of a type this client does not know
            (``UNKNOWN_TYPE``), which a client should pass over.
    """
    value = strictjson.decode(text, depth=depth)
    if not isinstance(value, dict):
        raise RemoteProtocolError(codes.INVALID_MESSAGE, "expected an object")
    verb = value.get(TAG)
    shape = REPLY_BY_VERB.get(verb) if isinstance(verb, str) else None
    if shape is None:
        raise RemoteProtocolError(codes.UNKNOWN_TYPE, f"{TAG}: unknown")
    try:
        message = msgspec.convert(value, _READ_AS.get(shape.cls, shape.cls), dec_hook=_payload)
    except msgspec.ValidationError as exc:
        raise RemoteProtocolError(codes.INVALID_MESSAGE, f"{shape.verb}: {exc}") from None
    return cast("messages.Reply", message)


def _payload(_kind: type, value: Any) -> Any:
    return Payload(value)
