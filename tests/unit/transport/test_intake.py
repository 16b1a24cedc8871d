"""The intake: the same messages however the bytes are cut, and nothing taken the short way that the guard would stop."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.conftest import BINARY, CLOSE, PING, PONG, TEXT, frame
from trio_router.protocols import codes
from trio_router.transport.guard import FrameGuard
from trio_router.transport.intake import Intake, message_of

MESSAGE_SIZE = 70_000


def make_intake() -> Intake:
    return Intake(
        FrameGuard(
            message_size=MESSAGE_SIZE, frames_per_message=8, fragment_timeout=10.0, control_frames_per_second=1_000_000
        )
    )


def work_off(intake: Intake, data: bytes, most: int = 3) -> list[str | bytes]:
    """Messages as they are; whole odd frames as ``odd`` and their bytes."""
    intake.add(data)
    out: list[str | bytes] = []
    while True:
        found = intake.messages(most)
        assert len(found) <= most
        out += found
        if intake.empty:
            return out
        if len(found) == most:
            continue
        odd = intake.frame(0.0)
        if odd is None:
            return out
        message = message_of(odd) if intake.guard.idle else None
        out.append(b"odd" + odd if message is None else message)


texts = st.text(max_size=40).map(lambda text: (TEXT, text.encode()))
sizes = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, MESSAGE_SIZE])
binaries = sizes.map(lambda size: (BINARY, b"\x80" * size)) | st.binary(max_size=40).map(lambda data: (BINARY, data))
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=5))


@settings(max_examples=200)
@given(st.lists(texts | binaries | controls, max_size=6), st.lists(st.integers(0, 400), max_size=8), st.integers(1, 5))
def test_however_the_bytes_are_cut_the_same_messages_come_out(
    sent: list[tuple[int, bytes]], cuts: list[int], most: int
) -> None:
    frames = [frame(opcode, payload) for opcode, payload in sent]
    expected: list[str | bytes] = []
    for (opcode, payload), whole in zip(sent, frames, strict=True):
        expected.append(payload.decode() if opcode == TEXT else payload if opcode == BINARY else b"odd" + whole)
    intake, data, out = make_intake(), b"".join(frames), list[str | bytes]()
    for size in [*cuts, len(data)]:
        out += work_off(intake, data[:size], most)
        data = data[size:]
    assert out == expected
    assert intake.guard.idle


def test_a_stream_of_small_frames_comes_out_the_same_cut_at_every_point() -> None:
    data = frame(TEXT, b"one") + frame(PING, b"p") + frame(BINARY, b"x" * 130) + frame(TEXT, "ä".encode())
    whole = work_off(make_intake(), data)
    assert len(whole) == 4
    for cut in range(len(data) + 1):
        intake = make_intake()
        assert work_off(intake, data[:cut]) + work_off(intake, data[cut:]) == whole


@pytest.mark.threat("T06")
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(TEXT, b"x", rsv=4), codes.PROTOCOL_ERROR),
        (frame(TEXT, b"x", masked=False), codes.PROTOCOL_ERROR),
        (frame(3, b"x"), codes.PROTOCOL_ERROR),
        (b"\x81\xfe\x00\x05" + b"mask" + b"hello", codes.PROTOCOL_ERROR),
        (b"\x82\xff" + (200).to_bytes(8) + b"mask" + b"x" * 200, codes.PROTOCOL_ERROR),
        (frame(BINARY, b"x" * (MESSAGE_SIZE + 1)), codes.TOO_BIG),
        (b"\x82\xff" + (2**62).to_bytes(8), codes.TOO_BIG),
    ],
    ids=["reserved bit", "no mask", "opcode 3", "5 in two bytes", "200 in eight bytes", "too big", "far too big"],
)
def test_what_the_guard_would_stop_is_stopped_and_what_came_before_is_not(bad: bytes, code: object) -> None:
    intake = make_intake()
    assert work_off(intake, frame(TEXT, b"good") + bad + frame(TEXT, b"never")) == ["good"]
    assert intake.guard.violation is code


def test_a_message_size_that_changes_counts_for_the_next_message() -> None:
    intake = make_intake()
    intake.guard.message_size = 3
    assert work_off(intake, frame(TEXT, b"abc")) == ["abc"]
    intake.guard.message_size = 2
    assert work_off(intake, frame(TEXT, b"abc")) == []
    assert intake.guard.violation is codes.TOO_BIG


def test_fragments_and_texts_that_are_none_come_out_whole_and_untouched() -> None:
    first, last, broken = frame(TEXT, b"a", fin=False), frame(0, b"b"), frame(TEXT, b"\xff")
    intake = make_intake()
    assert work_off(intake, first + last + broken) == [b"odd" + first, b"odd" + last, b"odd" + broken]


def test_behind_a_close_frame_nothing_is_looked_at() -> None:
    intake = make_intake()
    close = frame(CLOSE, b"\x03\xe8")
    assert work_off(intake, frame(TEXT, b"a") + close + frame(TEXT, b"never")) == ["a", b"odd" + close]
    assert intake.guard.closed
