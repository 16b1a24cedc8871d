"""Packets of the deepstream protocol, in protobuf and in JSON, and the batches of its HTTP clients (T06, T15, T16)."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from tests.fuzz.native import JSON_WORDS
from tests.fuzz.target import Target
from trio_router.errors import RemoteProtocolError
from trio_router.http import batch
from trio_router.protocols import strictjson
from trio_router.protocols.deepstream import binary, jsontext
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import ACTIONS, EventAction, Topic

_FIELDS: Final = tuple(
    f'"{field}":'
    for field in (
        "topic", "action", "name", "names", "data", "parsedData", "correlationId", "isAck", "isError", "originalAction", "version",
        "versions", "eventName", "rpcName", "recordName", "recordNames", "listName", "path", "body", "token", "authData",
    )
)  # fmt: skip
_BATCH: Final = (
    '"event"',
    '"emit"',
    '"rpc"',
    '"make"',
    '"presence"',
    '"query"',
    '"record"',
    '"list"',
    '"read"',
    '"head"',
    '"write"',
    '"notify"',
)


def payload(frame: bytes) -> bytes:
    """What is in a frame of the server."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def protobuf(data: bytes) -> bool:
    """A packet that was read is the same after it was written and read again."""
    try:
        packet = binary.decode_by_library(data)
    except RemoteProtocolError:
        with pytest.raises(RemoteProtocolError):
            binary.decode(data)
        return False
    assert binary.decode(data) == packet  # whichever way it was read
    assert binary.encode(packet) == binary.encode_by_library(packet)
    assert packet.topic in ACTIONS
    assert binary.decode(payload(binary.encode(packet))) == packet
    if packet.topic == Topic.EVENT and packet.action == EventAction.EMIT and packet.name is not None:
        event = Packet(Topic.EVENT, EventAction.EMIT, name=packet.name, data=packet.data)
        assert binary.decode(payload(binary.event_frame(packet.name, packet.data))) == event
    return True


def json_text(data: bytes) -> bool:
    """The same for JSON; what is not UTF-8 never gets here."""
    try:
        packet = jsontext.decode(data.decode())
    except (RemoteProtocolError, UnicodeDecodeError):
        return False
    assert packet.topic in ACTIONS
    assert jsontext.decode(payload(jsontext.encode(packet)).decode()) == packet
    return True


def http_batch(data: bytes) -> bool:
    """The body of a POST is read whole or refused with a text for its client; what it carries is JSON again."""
    try:
        value = strictjson.decode(data)
        batch.credentials(value, allow_auth_data=True)
        messages = batch.read(batch.items(value, 50), 2048)
    except (RemoteProtocolError, batch.Unreadable) as error:
        assert len(msgspec.json.encode(str(error))) < 2_000, error
        return False
    for message in messages:
        if isinstance(message, batch.Emit | batch.Make) and batch.data_of(message).json:
            strictjson.decode(batch.data_of(message).json)
    return True


TARGETS: Final = (
    Target("deepstream_protobuf", protobuf),
    Target("deepstream_json", json_text, (*JSON_WORDS, *_FIELDS)),
    Target("http_batch", http_batch, (*JSON_WORDS, *_FIELDS, *_BATCH)),
)
