"""A frame made here is read back by another implementation as the same text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from trio_router.protocols.frames import text_frame


def read_back(frame: bytes) -> str:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(frame)
    events = list(client.events())
    assert all(isinstance(event, TextMessage) for event in events)
    assert events[-1].message_finished
    return "".join(event.data for event in events)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_every_length_form(size: int) -> None:
    text = "x" * size
    frame = text_frame(text.encode())
    assert read_back(frame) == text
    assert frame[1] & 0x80 == 0  # unmasked, as RFC 6455 wants of a server


@given(st.text())
def test_any_text(text: str) -> None:
    assert read_back(text_frame(text.encode())) == text


def test_frames_after_each_other() -> None:
    assert read_back(text_frame(b"a") + text_frame("é".encode())) == "aé"
