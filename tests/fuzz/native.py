"""Strict JSON, the native protocol's requests as the router reads them, its replies as the client does (T15, T16, T43)."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from tests.fuzz.target import Target
from trio_router.errors import RemoteProtocolError
from trio_router.names import check_request_id
from trio_router.protocols import strictjson
from trio_router.protocols.codes import ERRORS
from trio_router.protocols.native import client_codec, codec
from trio_router.protocols.native.shapes import REPLIES, REPLY_BY_CLASS, REQUESTS

JSON_WORDS: Final = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "false",
    '""',
    "\\u0041",
    "\\ud83d\\ude00",
    "\\ud800",
    "1e5",
    "-0.0",
)
BIGGEST: Final = 2**53 - 1


def strict_json(data: bytes) -> bool:
    """What is accepted is exactly what the rules of :mod:`strictjson` say, as Python's own parser sees them."""
    try:
        value = strictjson.decode(data)
    except RemoteProtocolError as error:
        assert error.detail.startswith("JSON: "), error.detail
        assert not _obeys(data), f"refused without a reason: {error.detail}"
        return False
    assert _obeys(data), "accepted against the rules"
    assert value == json.loads(data.decode())
    written = msgspec.json.encode(value)
    assert strictjson.decode(written) == value
    return True


def _obeys(data: bytes) -> bool:
    try:
        text = data.decode()
        if _depth(text) > strictjson.MAX_DEPTH:
            return False
        value = json.loads(
            text, object_pairs_hook=_members, parse_int=_integer, parse_constant=_refuse, parse_float=_float
        )
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _depth(text: str) -> int:
    deepest = depth = 0
    quoted = escaped = False
    for letter in text:
        if quoted:
            quoted = escaped or letter != '"'
            escaped = not escaped and letter == "\\"
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)


def _integer(text: str) -> int:
    if len(text) > 40 or abs(int(text)) > BIGGEST:
        raise ValueError
    return int(text)


def _float(text: str) -> float:
    if float(text) in (float("inf"), float("-inf")):
        raise ValueError
    return float(text)


def _refuse(_: str) -> Any:
    raise ValueError


def request(data: bytes) -> bool:
    """A text is read by the short way and in full alike, and what was read can be written and read again."""
    in_full = _request(data, full=True)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        assert isinstance(in_full, tuple)
        return False
    assert _request(text, full=False) == in_full
    assert _request(text, full=True) == in_full
    if isinstance(in_full, tuple):
        code, request_id = in_full
        assert code in ERRORS
        if request_id is not None:
            check_request_id(request_id)
        return False
    assert _request(in_full.decode(), full=False) == in_full
    return True


def _request(frame: str | bytes, *, full: bool) -> bytes | tuple[int, str | None]:
    """The message written again, or the code and id of the refusal."""
    try:
        message = (codec.decode_in_full if full else codec.decode)(frame)
    except RemoteProtocolError as error:
        assert error.detail
        assert error.detail.isprintable(), error.detail
        return error.code, error.request_id
    return client_codec.encode_request(message)


def reply(data: bytes) -> bool:
    """What a client takes for a reply, the router could have said."""
    try:
        message = client_codec.decode_reply(data)
    except RemoteProtocolError:
        return False
    if type(message) in REPLY_BY_CLASS:
        written = codec.encode(message)
        assert codec.encode(client_codec.decode_reply(written, depth=strictjson.MAX_DEPTH + 1)) == written
    return True


_FIELDS: Final = sorted({f'"{field}":' for shape in (*REQUESTS, *REPLIES) for field in shape.fields})

TARGETS: Final = (
    Target("strict_json", strict_json, JSON_WORDS),
    Target("native_request", request, (*JSON_WORDS, *_FIELDS, *(f'"{shape.verb}"' for shape in REQUESTS), '"type":')),
    Target("native_reply", reply, (*JSON_WORDS, *_FIELDS, *(f'"{shape.verb}"' for shape in REPLIES), '"type":')),
)
