"""Both lanes make the same of the same bytes: what a client is told, and how its connection ends.

The same stream of frames, good and bad, is sent to a router in the fast lane, to one without a pump and to one where trio-websocket does
everything, cut at arbitrary points.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.conftest import CLOSE, PING, PONG, TEXT, Router, frame, start
from trio_router.limits import Limits

LANES = ("fast", "unpumped", "off")
LIMITS = attrs.evolve(Limits(), control_frames_per_second=10**6, fragment_timeout=60.0, frames_per_message=6)
GOODBYE = frame(CLOSE, (1000).to_bytes(2))


def text(**message: object) -> bytes:
    return json.dumps(message).encode()


@attrs.frozen
class Told:
    """What a client was told: its text messages, the payloads of pongs, and the close code (None: without one)."""

    texts: list[bytes]
    pongs: list[bytes]
    code: int | None


async def transcript(router: Router, pieces: list[bytes]) -> Told:
    """Log in, send the pieces, then a close frame; everything that is heard until the end."""
    texts, pongs, code = list[bytes](), list[bytes](), None
    async with router.user() as raw:
        await raw.say(type="subscribe", id="s", channel="a")
        await raw.message()

        async def send() -> None:
            with contextlib.suppress(trio.BrokenResourceError):
                for piece in [*pieces, GOODBYE]:
                    await raw.send(piece)
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with contextlib.suppress(EOFError):
                while True:
                    opcode, payload = await raw.frame()
                    if opcode == TEXT:
                        texts.append(payload)
                    elif opcode == PONG:
                        pongs.append(payload)
                    elif opcode == CLOSE:
                        code = int.from_bytes(payload[:2])
    return Told(texts, pongs, code)


def hold_together(told: list[Told]) -> None:
    first = told[0]
    assert {each.code for each in told} == {first.code}
    if first.code == 1000:
        assert all(each == first for each in told)
        return
    # Cut short by what was wrong: how much was answered before depends on who was quicker, what was answered does not.
    for answers in ([each.texts for each in told], [each.pongs for each in told]):
        longest = max(answers, key=len)
        assert all(longest[: len(each)] == each for each in answers)


async def on_every_lane(work: Callable[[Router], Awaitable[Told]]) -> list[Told]:
    told = []
    for lane in LANES:
        async with start(lane=lane, limits=LIMITS) as router:
            told.append(await work(router))
    return told


messages = st.sampled_from(
    [
        text(type="ping", id="1"),
        text(type="publish", channel="a", data="ä" * 70),
        text(type="publish", id="p", channel="a", data={"b": [1, 2]}),
        text(type="publish", channel="a", data="x" * 66_000),
        text(type="nonsense"),
        b"no JSON",
        b"",
    ]
)


def fragments(message: bytes, cut: int, between: bytes) -> bytes:
    cut = min(cut, len(message))
    return frame(TEXT, message[:cut], fin=False) + between + frame(0, message[cut:])


good = (
    messages.map(lambda message: frame(TEXT, message))
    | st.binary(max_size=125).map(lambda payload: frame(PING, payload))
    | st.just(frame(PONG, b"unasked"))
    | st.builds(fragments, messages, st.integers(0, 50), st.sampled_from([b"", frame(PING, b"between")]))
)
bad = st.sampled_from(
    [
        frame(TEXT, b"\xff"),
        frame(TEXT, b"\xc3", fin=False) + frame(0, b"("),
        frame(TEXT, b"x", rsv=4),
        frame(TEXT, b"x", masked=False),
        frame(0, b"x"),
        frame(TEXT, b"x", fin=False) * 2,
        frame(TEXT, b"", fin=False) + frame(0, b"", fin=False) * 6,
        frame(TEXT, b"x" * 300_000),
        frame(CLOSE, b"x"),
        frame(CLOSE, (4711).to_bytes(2) + b"own"),
        frame(CLOSE),
    ]
)


@pytest.mark.threat("T06")
@pytest.mark.threat("T07")
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(good, max_size=8), st.none() | bad, st.lists(st.integers(1, 300), max_size=6))
def test_whatever_is_sent_and_however_it_is_cut_all_lanes_answer_alike(
    frames: list[bytes], wrong: bytes | None, cuts: list[int]
) -> None:
    data = b"".join([*frames, wrong or b""])
    pieces = []
    for size in cuts:
        pieces.append(data[:size])
        data = data[size:]

    async def main() -> None:
        hold_together(
            await on_every_lane(lambda router: transcript(router, [piece for piece in [*pieces, data] if piece]))
        )

    trio.run(main)


async def test_cut_at_every_point_a_stream_means_the_same() -> None:
    data = (
        frame(TEXT, text(type="ping", id="1"))
        + frame(PING, b"p")
        + fragments(text(type="ping", id="2"), 5, frame(PING, b"q"))
        + frame(TEXT, text(type="ping"))
    )
    expected = Told([b'{"type":"pong","id":"1"}', b'{"type":"pong","id":"2"}', b'{"type":"pong"}'], [b"p", b"q"], 1000)
    for lane in LANES:
        async with start(lane=lane, limits=LIMITS) as router:
            for cut in range(len(data)):
                assert await transcript(router, [data[:cut], data[cut:]]) == expected
