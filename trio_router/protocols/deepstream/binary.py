"""Packets as protobuf in binary frames: a varint length, then ``Message`` {topic, the topic's own message as bytes}.

One message per frame. What follows the first message of a frame is passed over, as clients do it, so nobody may put several
into one.

The rule that keeps it honest: bad input raises ``RemoteProtocolError`` and nothing else, in time linear to its size. The C
parser checks lengths before it takes memory (T06) and that texts are UTF-8 (T16); what it does not know it passes over.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError, Message

from trio_router.errors import RemoteProtocolError
from trio_router.protocols.codes import INVALID_MESSAGE, UNKNOWN_TYPE
from trio_router.protocols.deepstream import deepstream_pb2 as pb
from trio_router.protocols.deepstream import quick
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import EventAction, Topic

MAX_VARINT: Final = 5
"""Bytes of the length before a message: enough for any length a frame can have."""

TOPICS: Final[dict[int, type[Message]]] = {
    Topic.PARSER: pb.Parser,
    Topic.CONNECTION: pb.Connection,
    Topic.AUTH: pb.Auth,
    Topic.EVENT: pb.Event,
    Topic.RECORD: pb.Record,
    Topic.RPC: pb.Rpc,
    Topic.PRESENCE: pb.Presence,
}

_FIELDS: Final = {
    "name": "name",
    "names": "names",
    "data": "data",
    "correlationId": "correlation_id",
    "isAck": "is_ack",
    "isError": "is_error",
    "subscription": "subscription",
    "originalAction": "original_action",
    "requestorName": "requestor_name",
    "requestorData": "requestor_data",
    "url": "url",
    "protocolVersion": "protocol_version",
    "sdkVersion": "sdk_version",
    "sdkType": "sdk_type",
    "pattern": "pattern",
    "path": "path",
    "version": "version",
    "versions": "versions",
    "isWriteAck": "is_write_ack",
}
"""Fields of protobuf by those of a packet. ``originalTOPIC`` never travels: no client writes it or reads it."""

_COMPOUND: Final = {"names": list, "versions": dict}
_DESCRIBED: Final[dict[int, Any]] = {topic: kind.DESCRIPTOR for topic, kind in TOPICS.items()}
_KNOWN: Final = {
    topic: {_FIELDS[name]: name for name in described.fields_by_name if name in _FIELDS}
    for topic, described in _DESCRIBED.items()
}
"""For each topic, the fields of a packet that it has, with what protobuf calls them."""

_READ: Final[dict[object, str]] = {
    descriptor: _FIELDS[descriptor.name]
    for described in _DESCRIBED.values()
    for descriptor in described.fields
    if descriptor.name in _FIELDS
}
"""The field of a packet for each of protobuf's."""

_QUICK: Final = {int(topic): quick.Topic(topic, described, _FIELDS) for topic, described in _DESCRIBED.items()}


def decode(frame: bytes) -> Packet:
    """The packet in one binary frame of a client.

    Raises:
        RemoteProtocolError: it is none (``INVALID_MESSAGE``), or of no topic there is (``UNKNOWN_TYPE``).
    """
    return quick.decode(_QUICK, frame) or decode_by_library(frame)


def decode_by_library(frame: bytes) -> Packet:
    """The same for any frame; it costs several times as much."""
    start, end = _extent(frame)
    try:
        outer = pb.Message.FromString(frame[start:end])
        kind = TOPICS.get(outer.topic)
        if kind is None:
            raise RemoteProtocolError(UNKNOWN_TYPE, "topic: unknown")
        inner: Any = kind.FromString(outer.message)
    except DecodeError:
        raise RemoteProtocolError(INVALID_MESSAGE, "not a protobuf message of its topic") from None
    fields: dict[str, Any] = {}
    for descriptor, value in inner.ListFields():
        field = _READ.get(descriptor)
        if field is not None:
            fields[field] = _COMPOUND[field](value) if field in _COMPOUND else value
    return Packet(outer.topic, inner.action, **fields)


def encode(packet: Packet) -> bytes:
    """``packet`` as one whole binary frame of the server."""
    return quick.encode(_QUICK[packet.topic], packet) or encode_by_library(packet)


def encode_by_library(packet: Packet) -> bytes:
    """The same for any packet; it costs several times as much."""
    values: dict[str, Any] = {"action": packet.action}
    known = _KNOWN[packet.topic]
    for field, value in msgspec.structs.asdict(packet).items():
        if value is not None and field in known:
            values[known[field]] = value
    return quick.framed(_QUICK[packet.topic].start, TOPICS[packet.topic](**values).SerializeToString())


def event_frame(channel: str, data: str | None) -> bytes:
    """An event as one whole binary frame, to be made once and shared by all who get it; ``data`` is a JSON text."""
    return encode(Packet(Topic.EVENT, EventAction.EMIT, name=channel, data=data))


def _extent(frame: bytes) -> tuple[int, int]:
    """Where the first message of ``frame`` begins and ends."""
    length = shift = 0
    for position, byte in enumerate(frame[:MAX_VARINT], 1):
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            if length > len(frame) - position:
                raise RemoteProtocolError(INVALID_MESSAGE, "the frame is shorter than the length it begins with")
            return position, position + length
        shift += 7
    raise RemoteProtocolError(INVALID_MESSAGE, "the frame does not begin with a length")
