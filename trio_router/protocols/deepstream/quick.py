"""The short way through protobuf, for the packets that come and go all the time: fields put together and taken apart here.

The library makes an object for each message, another for what is inside, and a description for each field; a call of deepstream's
protocol is six such messages. Reading says yes only to a frame that the library would turn into the same packet, and None to
everything else, wrong or merely unusual, which the library then reads with all its checks.

The rule that keeps it honest: no packet comes out of here that ``binary`` would refuse or read otherwise, no frame that it would write
otherwise. A test holds the two together. It reads no further than the frame, whatever lengths are written there (T06).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.frames import binary_frame

_TEXT: Final = 0
_TEXTS: Final = 1
_FLAG: Final = 2
_NUMBER: Final = 3
_OTHER: Final = 4

_SMALL: Final = tuple([bytes((number,)) for number in range(0x80)])
"""Varints of one byte."""


class Topic:
    """What the fields of one topic look like on the wire. ``fields``: those of a packet by what protobuf calls them."""

    def __init__(self, number: int, described: Any, fields: Mapping[str, str]) -> None:
        self.number = number
        self.start = b"".join(
            (b"\x10", varint(number), b"\x1a")
        )  # of the message around: field 2, and field 3 in bytes
        self.written: list[
            tuple[Callable[[Packet], Any], int, bytes]
        ] = []  # in the order in which the library writes them
        self.read: dict[int, tuple[str, int]] = {}  # by what stands before a field, if that is one byte
        for descriptor in sorted(described.fields, key=lambda each: each.number):
            name = fields.get(descriptor.name)
            if name is None:
                continue
            kind = _kind(descriptor, name)
            tag = int(descriptor.number) << 3 | (0 if kind in (_FLAG, _NUMBER) else 2)
            self.written.append((attrgetter(name), kind, varint(tag)))
            if tag < 0x80 and kind in (_TEXT, _FLAG, _NUMBER):
                self.read[tag] = name, kind


def _kind(descriptor: Any, name: str) -> int:
    if descriptor.type == FieldDescriptor.TYPE_STRING:
        return _TEXTS if name == "names" else _TEXT
    if descriptor.type == FieldDescriptor.TYPE_BOOL:
        return _FLAG
    return _NUMBER if descriptor.type == FieldDescriptor.TYPE_INT32 else _OTHER


def varint(number: int) -> bytes:
    """A number from 0 on, as protobuf writes it."""
    if number < 0x80:
        return _SMALL[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def encode(topic: Topic, packet: Packet) -> bytes | None:
    """``packet`` as one whole binary frame; None: the library has to make it."""
    if packet.action < 0:
        return None
    parts = [b"\x08", varint(packet.action)]
    for get, kind, tag in topic.written:
        value = get(packet)
        if value is None:
            continue
        if kind == _TEXT:
            text: bytes = value.encode()
            parts.append(tag)
            parts.append(varint(len(text)))
            parts.append(text)
        elif kind == _FLAG or (kind == _NUMBER and value >= 0):
            parts.append(tag)
            parts.append(varint(value))
        elif kind == _TEXTS:
            for each in value:
                text = each.encode()
                parts.append(tag)
                parts.append(varint(len(text)))
                parts.append(text)
        else:
            return None
    return framed(topic.start, b"".join(parts))


def framed(start: bytes, message: bytes) -> bytes:
    """A topic's own message as one whole frame; ``start`` is the topic's."""
    size = varint(len(message))
    return binary_frame(b"".join((varint(len(start) + len(size) + len(message)), start, size, message)))


def decode(topics: Mapping[int, Topic], frame: bytes) -> Packet | None:
    """The packet in one binary frame, if it is a plain one; None: ask the library. Never raises."""
    size = len(frame)
    if size < 6:  # the least that there is: its length, the topic, the length of its message, and the action
        return None
    at = 1 if frame[0] < 0x80 else 2
    stop = at + (frame[0] if at == 1 else frame[0] & 0x7F | frame[1] << 7)
    if stop != size or frame[at - 1] >= 0x80 or frame[at] != 0x10 or frame[at + 2] != 0x1A:
        return None
    topic = topics.get(frame[at + 1])
    if topic is None:
        return None
    at += 3
    inner = frame[at]
    at += 1
    if inner >= 0x80:
        if at == size:
            return None
        inner = inner & 0x7F | frame[at] << 7
        at += 1
        if frame[at - 1] >= 0x80:
            return None
    if at + inner != size or inner < 2 or frame[at] != 0x08 or frame[at + 1] >= 0x80:
        return None
    action = frame[at + 1]
    at += 2
    read = topic.read
    fields: dict[str, Any] = {}
    while at < size:
        known = read.get(frame[at])
        if known is None or at + 1 == size:
            return None
        name, kind = known
        if name in fields:
            return None
        length = frame[at + 1]
        at += 2
        if kind == _TEXT:
            if length >= 0x80:
                if at == size or frame[at] >= 0x80:
                    return None
                length = length & 0x7F | frame[at] << 7
                at += 1
            end = at + length
            if end > size:
                return None
            try:
                fields[name] = frame[at:end].decode()
            except UnicodeDecodeError:
                return None
            at = end
        elif kind == _NUMBER:
            if length >= 0x80:
                return None
            fields[name] = length
        else:
            if length > 1:
                return None
            fields[name] = length == 1
    return Packet(topic.number, action, **fields)
