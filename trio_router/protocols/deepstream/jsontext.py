"""Packets as JSON in text frames: one flat object, the fields of a packet under the protocol's names, topic and action as numbers.

For traffic that people can read. ``data`` is a JSON text inside the JSON, as in protobuf. The official client leaves it out where the
data is empty text, 0, false or null, and sends ``parsedData``, the value itself, beside; then that is the data. Other fields that only
clients need are passed over, never obeyed. What comes in is strict JSON (T15, T16).

The rule that keeps it honest: bad input raises ``RemoteProtocolError`` and nothing else, in time linear to its size.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trio_router.errors import RemoteProtocolError
from trio_router.protocols import strictjson
from trio_router.protocols.codes import INVALID_MESSAGE, UNKNOWN_TYPE
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import ACTIONS, EventAction, Topic
from trio_router.protocols.frames import text_frame

PARSED_DATA: Final = "parsedData"

_encode: Final = msgspec.json.Encoder().encode


def decode(frame: str, *, depth: int = strictjson.MAX_DEPTH) -> Packet:
    """The packet in one text frame of a client.

    Raises:
        RemoteProtocolError: it is none (``INVALID_MESSAGE``), or of no topic there is (``UNKNOWN_TYPE``).
    """
    value = strictjson.decode(frame, depth=depth)
    try:
        packet = msgspec.convert(value, Packet)
    except msgspec.ValidationError:
        raise RemoteProtocolError(INVALID_MESSAGE, "expected an object with topic and action") from None
    if packet.topic not in ACTIONS:
        raise RemoteProtocolError(UNKNOWN_TYPE, "topic: unknown")
    if packet.data is None and isinstance(value, dict) and PARSED_DATA in value:
        packet.data = _encode(value[PARSED_DATA]).decode()
    return packet


def encode(packet: Packet) -> bytes:
    """``packet`` as one whole text frame of the server."""
    return text_frame(_encode(packet))


def event_frame(channel: str, data: str | None) -> bytes:
    """An event as one whole text frame, to be made once and shared by all who get it; ``data`` is a JSON text."""
    return encode(Packet(Topic.EVENT, EventAction.EMIT, name=channel, data=data))
