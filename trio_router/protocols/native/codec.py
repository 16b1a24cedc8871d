"""The router's side of ``trio-router.v1+json``: a client's text to a neutral message, a neutral message to text.

What comes in is checked here once and completely: strict JSON (:mod:`trio_router.protocols.strictjson`), a known type, exactly
its fields, their types and bounds, names by their grammar (T25), ids by theirs (T17). A field that the message does
not have is refused, never ignored, so that nobody can slip in what only the router says (T28).

The rule that keeps this honest: bad input raises ``RemoteProtocolError`` and nothing else, in time linear to its size. Nothing
here knows what a session is; limits that a configuration sets (other than the nesting) are checked by the session layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Final, cast

import msgspec

from trio_router import names
from trio_router.errors import RemoteProtocolError
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes, messages, strictjson
from trio_router.protocols.frames import text_frame
from trio_router.protocols.native import quick
from trio_router.protocols.native.shapes import (
    MAX_CONCURRENCY,
    MAX_SEQ,
    MAX_TIMEOUT,
    REPLY_BY_CLASS,
    REQUEST_BY_VERB,
    SUBPROTOCOL,
    TAG,
    Shape,
)
from trio_router.remembered import remember

_encode: Final = msgspec.json.Encoder().encode
_SIMPLE_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}").fullmatch
_TYPE_FAULT: Final = re.compile(r"Expected `(.+?)`, got `(.+?)`(?: - at `\$\.?(.*?)`)?").fullmatch
_MISSING: Final = re.compile(r"Object missing required field `(.+?)`").fullmatch
_WORDS: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number with a fraction",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "null": "null",
}


def decode(frame: str | bytes, *, depth: int = strictjson.MAX_DEPTH) -> messages.Request:
    """The message in one WebSocket frame from a client.

    Raises:
        RemoteProtocolError: it is none (``INVALID_MESSAGE``, ``UNKNOWN_TYPE`` or ``INVALID_NAME``). The detail names the
            field and what was expected; ``request_id`` is set if the message has a valid one.
    """
    if isinstance(frame, str):
        plain = quick.decode(frame, depth)
        if plain is not None:
            return plain
    return decode_in_full(frame, depth=depth)


def decode_in_full(frame: str | bytes, *, depth: int = strictjson.MAX_DEPTH) -> messages.Request:
    """The same without the short way of ``quick``, to which this is the measure."""
    value = strictjson.decode(frame, depth=depth)
    if not isinstance(value, dict):
        raise RemoteProtocolError(codes.INVALID_MESSAGE, f"expected an object with a {TAG}")
    verb = value.pop(TAG, None)
    shape = REQUEST_BY_VERB.get(verb) if isinstance(verb, str) else None
    if shape is None:
        raise _unknown_type(verb, value)
    if not shape.names.issuperset(value):
        raise _unknown_field(shape, value)
    try:
        message = msgspec.convert(value, shape.cls, dec_hook=_payload)
        check = _CHECKS.get(shape.cls)
        if check is not None:
            check(message)
    except msgspec.ValidationError as exc:
        raise RemoteProtocolError(codes.INVALID_MESSAGE, _wording(str(exc)), request_id=_readable_id(value)) from None
    except _Bad as exc:
        raise RemoteProtocolError(exc.code, exc.detail, request_id=_readable_id(value)) from None
    return cast("messages.Request", message)


def encode(message: messages.Reply) -> bytes:
    """The JSON text of a message to a client, in UTF-8.

    Any reply can be written whose values are JSON values: what came through ``strictjson`` is, what a strategy made
    up itself (``Welcome.client_data``) has to be.
    """
    shape = REPLY_BY_CLASS[type(message)]
    out: dict[str, Any] = {TAG: shape.verb}
    if isinstance(message, messages.Hello):
        out["protocol"] = SUBPROTOCOL
    for name, default, value in zip(shape.fields, shape.defaults, msgspec.structs.astuple(message), strict=True):
        if value == default:  # a payload is equal to itself alone, so that null is not taken for absent
            continue
        out[name] = msgspec.Raw(value.json) if isinstance(value, Payload) else value
    if isinstance(message, messages.Failed):
        error = codes.error(message.code)
        out |= {"error": error.slug, "text": error.text, "temporary": error.temporary}
    elif isinstance(message, messages.Revoked):
        error = codes.error(message.code)
        out |= {"error": error.slug, "text": error.text}
    elif isinstance(message, messages.Closing):
        close = codes.CLOSES.get(message.code, codes.INTERNAL)
        out |= {"close": close.slug, "text": close.text, "advice": close.advice.value}
    return _encode(out)


def encode_event(
    channel: str,
    data: Payload = ABSENT,
    subscription: str | None = None,
    publisher: messages.Publisher | None = None,
    source: messages.Source | None = None,
    seq: int | None = None,
) -> bytes:
    """The same text as ``encode(messages.Event(...))``, written by hand because it is the busiest of all."""
    parts = [b'{"type":"event","channel":', _encode(channel)]
    if data is not ABSENT:
        parts += (b',"data":', data.json)
    if subscription is not None:
        parts += (b',"subscription":', _encode(subscription))
    if publisher is not None:
        parts += (b',"publisher":', _encode(publisher))
    if source is not None:
        parts += (b',"source":', _encode(source))
    if seq is not None:
        parts += (b',"seq":', _encode(seq))
    parts.append(b"}")
    return b"".join(parts)


def plain_event_frame(channel: str, data: Payload) -> bytes:
    """The same as ``event_frame(channel, data)``, in fewer steps. No name of a channel holds anything that JSON escapes."""
    if data is ABSENT:
        return text_frame(b'{"type":"event","channel":"%b"}' % channel.encode())
    return text_frame(b'{"type":"event","channel":"%b","data":%b}' % (channel.encode(), data.written or data.json))


def event_frame(
    channel: str,
    data: Payload = ABSENT,
    subscription: str | None = None,
    publisher: messages.Publisher | None = None,
    source: messages.Source | None = None,
    seq: int | None = None,
) -> bytes:
    """An event as one whole WebSocket frame, to be made once and shared by all who get it."""
    return text_frame(encode_event(channel, data, subscription, publisher, source, seq))


def frame(message: messages.Reply) -> bytes:
    """A message to a client as one whole WebSocket frame."""
    return text_frame(encode(message))


# ---- what a message's fields must be, beyond their types ------------------------------------------------


class _Bad(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


def _named(field: str, check: Callable[[str], None], value: str, code: int = codes.INVALID_NAME) -> None:
    try:
        check(value)
    except names.InvalidName as exc:
        raise _Bad(code, f"{field}: {exc}") from None


_check_channel: Final = names.GOOD_CHANNELS.__getitem__
_check_procedure: Final = names.GOOD_PROCEDURES.__getitem__
_check_pattern: Final = remember(4096)(lambda name: names.check_channel(name, wildcards=True))


def _id(value: str, field: str = "id") -> None:
    _named(field, names.check_request_id, value, codes.INVALID_MESSAGE)


def _bounded(field: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise _Bad(codes.INVALID_MESSAGE, f"{field}: expected an integer from 1 to {most}")


def _publish(message: messages.Publish) -> None:
    _named("channel", _check_channel, message.channel)
    if message.id is not None:
        _id(message.id)
    if message.to is not None:
        _id(message.to, "to")
    for position, session in enumerate(message.exclude):
        _id(session, f"exclude[{position}]")
    if message.seq is not None and not 0 <= message.seq <= MAX_SEQ:
        raise _Bad(codes.INVALID_MESSAGE, f"seq: expected an integer from 0 to {MAX_SEQ}")


def _subscription(message: messages.Subscribe | messages.Unsubscribe) -> None:
    _id(message.id)
    _named("channel", _check_pattern, message.channel)


def _channel(message: messages.Connect | messages.Disconnect | messages.Participants) -> None:
    _id(message.id)
    _named("channel", _check_channel, message.channel)


def _provide(message: messages.Provide) -> None:
    _id(message.id)
    _named("procedure", _check_procedure, message.procedure)
    _bounded("concurrency", message.concurrency, MAX_CONCURRENCY)


def _unprovide(message: messages.Unprovide) -> None:
    _id(message.id)
    _named("procedure", _check_procedure, message.procedure)


def _call(message: messages.Call) -> None:
    _id(message.id)
    _named("procedure", _check_procedure, message.procedure)
    _bounded("timeout", message.timeout, MAX_TIMEOUT)
    if message.provider is not None:
        _id(message.provider, "provider")


def _listen(message: messages.Listen | messages.Unlisten) -> None:
    _id(message.id)


def _asked(message: messages.ListenAccept | messages.ListenReject) -> None:
    _named("channel", _check_channel, message.channel)


def _from_provider(message: messages.ProviderResult | messages.ProviderError | messages.ProviderReject) -> None:
    _id(message.call, "call")


def _presence(message: messages.PresenceQuery | messages.PresenceSubscribe | messages.PresenceUnsubscribe) -> None:
    _id(message.id)
    for position, user in enumerate(message.users or ()):
        _named(f"users[{position}]", names.check_user_id, user)


def _with_id(message: messages.Login | messages.Answer | messages.Cancel | messages.Refresh) -> None:
    _id(message.id)


def _ping(message: messages.Ping) -> None:
    if message.id is not None:
        _id(message.id)


_CHECKS: Final[dict[type[messages.Message], Callable[[Any], None]]] = {
    messages.Login: _with_id,
    messages.Answer: _with_id,
    messages.Subscribe: _subscription,
    messages.Unsubscribe: _subscription,
    messages.Connect: _channel,
    messages.Disconnect: _channel,
    messages.Participants: _channel,
    messages.Publish: _publish,
    messages.Listen: _listen,
    messages.Unlisten: _listen,
    messages.ListenAccept: _asked,
    messages.ListenReject: _asked,
    messages.Provide: _provide,
    messages.Unprovide: _unprovide,
    messages.Call: _call,
    messages.Cancel: _with_id,
    messages.ProviderResult: _from_provider,
    messages.ProviderError: _from_provider,
    messages.ProviderReject: _from_provider,
    messages.PresenceQuery: _presence,
    messages.PresenceSubscribe: _presence,
    messages.PresenceUnsubscribe: _presence,
    messages.Refresh: _with_id,
    messages.Ping: _ping,
}


def _payload(_kind: type, value: Any) -> Any:
    """msgspec asks for a value of a type it does not know; ``Payload`` is the only one in our messages."""
    return Payload(value)


# ---- wording, for messages that were refused ------------------------------------------------------------


def _readable_id(value: dict[str, Any]) -> str | None:
    request_id = value.get("id")
    if not isinstance(request_id, str):
        return None
    try:
        names.check_request_id(request_id)
    except names.InvalidName:
        return None
    return request_id


def _suggestion(word: str, known: list[str]) -> str:
    close = get_close_matches(word.lower(), known, n=1) if _SIMPLE_WORD(word) else []
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _unknown_type(verb: object, value: dict[str, Any]) -> RemoteProtocolError:
    request_id = _readable_id(value)
    if verb is None:
        return RemoteProtocolError(codes.INVALID_MESSAGE, f"{TAG}: is missing", request_id=request_id)
    if not isinstance(verb, str):
        return RemoteProtocolError(codes.INVALID_MESSAGE, f"{TAG}: expected a string", request_id=request_id)
    detail = f"{TAG}: unknown{_suggestion(verb, sorted(REQUEST_BY_VERB))}"
    return RemoteProtocolError(codes.UNKNOWN_TYPE, detail, request_id=request_id)


def _unknown_field(shape: Shape, value: dict[str, Any]) -> RemoteProtocolError:
    name = next(key for key in value if key not in shape.names)
    shown = name if _SIMPLE_WORD(name) else "a field"
    detail = f"{shown}: {shape.verb} has no such field{_suggestion(name, list(shape.fields))}"
    return RemoteProtocolError(codes.INVALID_MESSAGE, detail, request_id=_readable_id(value))


def _wording(text: str) -> str:
    """msgspec's words in ours. Its paths hold only names of our fields, and never a value."""
    if found := _MISSING(text):
        return f"{found[1]}: is missing"
    if found := _TYPE_FAULT(text):
        expected = " or ".join(_WORDS.get(word, word) for word in found[1].split(" | "))
        return f"{found[3]}: expected {expected}, got {_WORDS.get(found[2], found[2])}"
    return "a field has a value of the wrong type"
