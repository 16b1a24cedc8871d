"""The two ways a deepstream packet travels, as a session sees them: frames in, packets out, and back.

``key`` is where a delivery keeps this wire's frame, so that an event is encoded once for each of them, however many sessions
receive it.
"""

from __future__ import annotations

from typing import Protocol

from trio_router.errors import RemoteProtocolError
from trio_router.limits import Limits
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes, strictjson
from trio_router.protocols.deepstream import binary, jsontext
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import PROTOCOL, PROTOCOL_JSON


class WrongFrame(Exception):
    """Text where protobuf is spoken, or binary where JSON is."""


class Wire(Protocol):
    """One way."""

    @property
    def key(self) -> str:
        """Names it; the same for every session that uses it."""

    def decode(self, frame: str | bytes) -> Packet:
        """The packet in ``frame``. Raises ``RemoteProtocolError`` and ``WrongFrame``."""

    def frame(self, packet: Packet) -> bytes:
        """``packet`` as one whole WebSocket frame."""

    def event_frame(self, channel: str, data: Payload) -> bytes:
        """An event as one whole WebSocket frame."""


class BinaryWire:
    """Protobuf in binary frames."""

    key = PROTOCOL

    def __init__(self, limits: Limits) -> None:
        pass

    def decode(self, frame: str | bytes) -> Packet:
        if isinstance(frame, str):
            raise WrongFrame
        return binary.decode(frame)

    def frame(self, packet: Packet) -> bytes:
        return binary.encode(packet)

    def event_frame(self, channel: str, data: Payload) -> bytes:
        return binary.event_frame(channel, text_of(data))


class JsonWire:
    """JSON in text frames."""

    key = PROTOCOL_JSON

    def __init__(self, limits: Limits) -> None:
        self._depth = limits.json_depth

    def decode(self, frame: str | bytes) -> Packet:
        if isinstance(frame, bytes):
            raise WrongFrame
        return jsontext.decode(frame, depth=self._depth)

    def frame(self, packet: Packet) -> bytes:
        return jsontext.encode(packet)

    def event_frame(self, channel: str, data: Payload) -> bytes:
        return jsontext.event_frame(channel, text_of(data))


def text_of(data: Payload) -> str | None:
    """What ``data`` is in a packet."""
    return None if data is ABSENT else data.json.decode()


def payload_of(packet: Packet, depth: int) -> Payload:
    """What a packet carries, checked so that everybody can be sent it (T15, T16).

    Raises:
        RemoteProtocolError: it is not JSON as all of us read it.
    """
    if packet.data is None:
        return ABSENT
    value = strictjson.decode(packet.data, depth=depth)
    return Payload(value, packet.data.encode())


def object_of(packet: Packet, depth: int) -> dict[str, object]:
    """The JSON object in a packet's data. Raises ``RemoteProtocolError``."""
    value = strictjson.decode("null" if packet.data is None else packet.data, depth=depth)
    if not isinstance(value, dict):
        raise RemoteProtocolError(codes.INVALID_MESSAGE, "data: expected an object")
    return value
