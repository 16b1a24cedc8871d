"""A client's frames: the guard, the fast lane's intake behind it, and wsproto as the measure of both (T06, T07, T08)."""

from __future__ import annotations

from typing import Final

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from tests.fuzz.target import Target
from trio_router.protocols.codes import CloseCode
from trio_router.transport.guard import FrameGuard
from trio_router.transport.intake import Intake, message_of

MESSAGE_SIZE: Final = 1000


def guard() -> FrameGuard:
    return FrameGuard(
        message_size=MESSAGE_SIZE, frames_per_message=4, fragment_timeout=10.0, control_frames_per_second=6
    )


def frames(data: bytes) -> bool:
    """The first byte says into how long pieces the rest is cut; however that is, the same messages come out."""
    cut, data = (data[0] if data else 0) + 1, data[1:]
    watch = guard()
    whole = watch.feed(data, 0.0)
    assert 0 <= whole <= len(data)
    at_once = _taken(data)
    in_pieces = _taken(*(data[at : at + cut] for at in range(0, len(data), cut)))
    assert in_pieces == at_once
    messages, passed, violation = at_once
    assert passed == whole
    assert violation is watch.violation
    theirs, ended = _by_wsproto(data[:whole])
    assert messages[: len(theirs)] == theirs
    assert ended or len(messages) == len(theirs)
    assert all(len(message) <= MESSAGE_SIZE for message in messages)
    if watch.refused:
        assert watch.feed(b"\x81\x80\0\0\0\0", 1.0) == 0, "a guard that refused goes on refusing"
    return whole > 0 and violation is None


def _taken(*pieces: bytes) -> tuple[list[str | bytes], int, CloseCode | None]:
    """The messages of unfragmented frames as the intake finds them, how many bytes were whole frames, and what was wrong."""
    watch = guard()
    intake = Intake(watch)
    messages: list[str | bytes] = []
    odd = 0
    for piece in pieces:
        intake.add(piece)
        while not intake.empty:
            messages += intake.messages(100)
            if intake.empty:
                break
            frame = intake.frame(0.0)
            if frame is None:
                break
            message = message_of(frame)
            if message is None:
                odd += len(frame)
            else:
                messages.append(message)
        if watch.refused or watch.closed:
            break
    return messages, odd + sum(map(_framed, messages)), watch.violation


def _framed(message: str | bytes) -> int:
    size = len(message.encode() if isinstance(message, str) else message)
    return size + (6 if size < 126 else 8)


def _by_wsproto(data: bytes) -> tuple[list[str | bytes], bool]:
    """The messages of unfragmented frames until the end, and whether there was one: a close frame, or a text that is none."""
    connection = Connection(ConnectionType.SERVER)
    found: list[str | bytes] = []
    fragmented = False
    connection.receive_data(data)
    for event in connection.events():
        if isinstance(event, TextMessage | BytesMessage):
            if event.message_finished and not fragmented:
                found.append(event.data if isinstance(event.data, str) else bytes(event.data))
            fragmented = not event.message_finished
        if isinstance(event, CloseConnection):
            return found, True
    return found, False


TARGETS: Final = (Target("websocket_frames", frames, max_size=3000),)
