"""The frame guard: what it lets through, what it refuses, and when it says so."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from trio_router.protocols.codes import FLOOD, PROTOCOL_ERROR, TOO_BIG
from trio_router.transport.guard import FrameGuard

MASK = b"\x01\x02\x03\x04"


def guard(**changes: float) -> FrameGuard:
    bounds = {"message_size": 1000, "frames_per_message": 8, "fragment_timeout": 10.0, "control_frames_per_second": 5}
    return FrameGuard(**{**bounds, **changes})  # type: ignore[arg-type]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def test_whole_frames_pass_and_unfinished_ones_wait() -> None:
    watch = guard()
    text = frame(1, b"hello")
    assert watch.feed(text, 0) == len(text)
    assert watch.deadline is None
    assert watch.feed(text + text[:3], 0) == len(text)
    assert watch.deadline == 10.0
    assert watch.feed(text[3:], 5) == len(text) - 3
    assert watch.deadline is None
    assert watch.violation is None


@pytest.mark.threat("T06")
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("reserved bit 1", frame(1, b"x", rsv=4)),
        ("reserved bit 2", frame(1, b"x", rsv=2)),
        ("reserved bit 3", frame(1, b"x", rsv=1)),
        ("unknown data opcode", frame(3)),
        ("unknown control opcode", frame(11)),
        ("unmasked", frame(1, b"x", masked=False)),
        ("fragmented ping", frame(9, fin=False)),
        ("long ping", frame(9, b"x" * 126)),
        ("continuation of nothing", frame(0, b"x")),
        ("text inside a message", frame(1, b"x", fin=False) + frame(1, b"y")),
        ("16 bits for a short length", b"\x81\xfe\x00\x7d" + MASK),
        ("64 bits for a short length", b"\x81\xff" + (65535).to_bytes(8) + MASK),
        ("highest bit of a length", b"\x81\xff" + (1 << 63).to_bytes(8) + MASK),
    ],
)
def test_what_the_protocol_forbids_is_a_protocol_error(name: str, data: bytes) -> None:
    watch = guard()
    watch.feed(data, 0)
    assert watch.violation is PROTOCOL_ERROR, name
    assert watch.feed(frame(1, b"fine"), 0) == 0


@pytest.mark.threat("T06")
def test_a_length_is_refused_before_a_byte_of_its_payload_came() -> None:
    for length in (1001, 65536, 2**32, 2**62):
        watch = guard()
        head = b"\x81\xfe" + length.to_bytes(2) if length < 65536 else b"\x81\xff" + length.to_bytes(8)
        assert watch.feed(head + MASK, 0) == 0
        assert watch.violation is TOO_BIG
    watch = guard()
    watch.feed(frame(1, b"x" * 1000), 0)
    assert watch.violation is None


@pytest.mark.threat("T06")
def test_fragments_count_together() -> None:
    watch = guard()
    watch.feed(frame(1, b"x" * 600, fin=False) + frame(0, b"x" * 401), 0)
    assert watch.violation is TOO_BIG


@pytest.mark.threat("T07")
def test_empty_continuations_are_counted() -> None:
    watch = guard(frames_per_message=8)
    passed = watch.feed(frame(1, b"x", fin=False) + frame(0, fin=False) * 7, 0)
    assert passed == len(frame(1, b"x")) + 7 * len(frame(0))
    assert watch.violation is None
    assert watch.feed(frame(0, fin=False) * 1000, 0) == 0
    assert watch.violation is FLOOD


@pytest.mark.threat("T07")
def test_the_age_of_a_message_counts_from_its_first_byte_however_it_is_kept_alive() -> None:
    watch = guard()
    watch.feed(frame(1, b"x", fin=False), 3.0)
    watch.feed(frame(9), 9.0)
    watch.feed(frame(0, b"y", fin=False), 12.0)
    assert watch.deadline == 13.0
    watch.feed(frame(0, b"z"), 12.5)
    assert watch.deadline is None


@pytest.mark.threat("T08")
@pytest.mark.parametrize("opcode", [9, 10])
def test_control_frames_have_a_rate(opcode: int) -> None:
    watch = guard(control_frames_per_second=5)
    one = frame(opcode)
    assert watch.feed(one * 5, 100.0) == 5 * len(one)
    assert watch.feed(one, 100.1) == 0
    assert watch.violation is FLOOD
    patient = guard(control_frames_per_second=5)
    for tick in range(100):
        patient.feed(one, 100.0 + tick / 5)
    assert patient.violation is None


def test_nothing_is_taken_after_a_close_frame() -> None:
    watch = guard()
    close = frame(8, b"\x03\xe8bye")
    assert watch.feed(close[:5], 0) == 0
    assert not watch.closed
    assert watch.feed(close[5:] + frame(1, b"x"), 0) == len(close) - 5
    assert watch.closed
    assert watch.feed(frame(1, b"x"), 0) == 0


FRAMES = st.lists(
    st.builds(
        frame,
        st.sampled_from([0, 1, 2, 8, 9, 10, 3, 12]),
        st.binary(max_size=150),
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 4]),
        masked=st.sampled_from([True, True, True, True, True, False]),
    ),
    max_size=8,
).map(b"".join)


@pytest.mark.threat("T06")
@settings(deadline=None)
@given(FRAMES | st.binary(max_size=40), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_however_the_bytes_arrive_the_verdict_is_the_same(data: bytes, steps: list[int]) -> None:
    at_once, in_steps = guard(), guard()
    passed = at_once.feed(data, 0)
    position = index = whole = 0
    while position < len(data):
        step = steps[index % len(steps)]
        found = in_steps.feed(data[position : position + step], 0)
        if found:
            whole = position + found
        position += step
        index += 1
    assert in_steps.violation is at_once.violation
    assert in_steps.closed == at_once.closed
    assert whole == passed


@pytest.mark.threat("T06")
@settings(deadline=None)
@given(FRAMES)
def test_what_passes_is_what_a_whole_parser_accepts(data: bytes) -> None:
    """Everything the guard lets through is understood by wsproto, but for what needs the payload to be judged."""
    watch = guard(message_size=10**6, frames_per_message=10**6, control_frames_per_second=10**6)
    passed = data[: watch.feed(data, 0)]
    parser = Connection(ConnectionType.SERVER)
    parser.receive_data(passed)
    for event in parser.events():
        assert isinstance(event, TextMessage | BytesMessage | Ping | Pong | CloseConnection)
        if isinstance(event, CloseConnection) and event.code in {1002, 1007}:
            text = str(event.reason)
            assert "utf-8" in text or "CLOSE" in text, text
