"""Frames that are wrong, too many, too big or never finished (T06, T07, T08), and compression that never is (M6)."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import attrs
import pytest
import trio

from tests.wire.conftest import BINARY, CLOSE, PING, PONG, TEXT, Raw, Stack, frame, upgrade
from trio_router.limits import Limits
from trio_router.protocols import codes

PATIENT = attrs.evolve(Limits(), fragment_timeout=600.0)  # so that it is the number that ends it, not the age


def resident() -> int:
    """Kilobytes of memory this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


@pytest.mark.threat("T06")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(TEXT, b"x", rsv=4), codes.PROTOCOL_ERROR, id="reserved bit 1, as compression sets it"),
        pytest.param(frame(TEXT, b"x", rsv=2), codes.PROTOCOL_ERROR, id="reserved bit 2"),
        pytest.param(frame(PING, b"x", rsv=1), codes.PROTOCOL_ERROR, id="reserved bit 3 on a ping"),
        pytest.param(frame(3, b"x"), codes.PROTOCOL_ERROR, id="opcode 3"),
        pytest.param(frame(15, b"x"), codes.PROTOCOL_ERROR, id="opcode 15"),
        pytest.param(frame(TEXT, b"x", masked=False), codes.PROTOCOL_ERROR, id="no mask"),
        pytest.param(frame(PING, b"x", fin=False), codes.PROTOCOL_ERROR, id="fragmented ping"),
        pytest.param(frame(PING, b"x" * 126), codes.PROTOCOL_ERROR, id="long ping"),
        pytest.param(frame(CLOSE, b"\x03\xe8" + b"x" * 124), codes.PROTOCOL_ERROR, id="long close"),
        pytest.param(frame(0, b"x"), codes.PROTOCOL_ERROR, id="continuation of nothing"),
        pytest.param(frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), codes.PROTOCOL_ERROR, id="text in a text"),
        pytest.param(frame(CLOSE, b"x"), codes.PROTOCOL_ERROR, id="close with one byte"),
        pytest.param(frame(CLOSE, (1005).to_bytes(2)), codes.PROTOCOL_ERROR, id="close with code 1005"),
        pytest.param(frame(CLOSE, (0).to_bytes(2)), codes.PROTOCOL_ERROR, id="close with code 0"),
        pytest.param(b"\x81\xff" + (1 << 63).to_bytes(8) + b"mask", codes.PROTOCOL_ERROR, id="length 2^63"),
        pytest.param(b"\x81\xff" + ((1 << 63) - 1).to_bytes(8) + b"mask", codes.TOO_BIG, id="length 2^63-1"),
        pytest.param(b"\x81\xff" + (300_000).to_bytes(8) + b"mask", codes.TOO_BIG, id="length 300,000"),
        pytest.param(frame(TEXT, b'{"\xff\xfe"}'), codes.INVALID_DATA, id="bytes that are no UTF-8"),
        pytest.param(frame(TEXT, "é".encode()[:1]), codes.INVALID_DATA, id="half a character at the end"),
        pytest.param(frame(TEXT, b"\xed\xa0\x80"), codes.INVALID_DATA, id="a surrogate in UTF-8"),
        pytest.param(frame(CLOSE, b"\x03\xe8\xff"), codes.INVALID_DATA, id="close with bad text"),
        pytest.param(frame(BINARY, b"{}"), codes.UNSUPPORTED_DATA, id="binary"),
    ],
)
async def test_a_wrong_frame_is_answered_with_its_code(stack: Stack, data: bytes, code: codes.CloseCode) -> None:
    async with stack() as router, router.user("good") as good:
        async with router.user("bad") as bad:
            await bad.send(data)
            assert await bad.closed_with() == code.number
            if code is not codes.UNSUPPORTED_DATA:  # there the router waits for the client's close frame
                assert await bad.rest() == b""
        await router.settled(1)
        await good.say(type="ping", id="1")
        assert (await good.message())["type"] == "pong"


@pytest.mark.threat("T06")
async def test_mutated_frames_end_connections_with_three_codes_and_disturb_nobody(stack: Stack) -> None:
    seed = random.Random(20)
    valid = [
        frame(TEXT, b'{"type":"publish","channel":"a","data":[1,2,3]}'),
        frame(TEXT, b'{"type":"ping"}'),
        frame(PING, b"x"),
        frame(PONG),
        frame(TEXT, b'{"type":', fin=False) + frame(0, b'"ping"}'),
        frame(TEXT, b"x" * 300),
    ]
    limits = attrs.evolve(Limits(), control_frames_per_second=10**6, invalid_messages=10**6, fragment_timeout=2.0)
    seen: set[int | None] = set()
    async with stack(limits=limits) as router, router.user("good") as good:

        async def attack() -> None:
            for _ in range(40):
                async with router.user() as bad:
                    data = bytearray(b"".join(seed.choices(valid, k=20)))
                    for _ in range(seed.randint(1, 12)):
                        data[seed.randrange(len(data))] = seed.randrange(256)
                    with contextlib.suppress(trio.BrokenResourceError):
                        await bad.send(bytes(data) + frame(CLOSE, (1000).to_bytes(2)))
                        await bad.stream.send_eof()  # type: ignore[attr-defined]
                    seen.add(await bad.closed_with())

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(attack)
        await router.settled(1)
        await good.say(type="ping", id="1")
        assert (await good.message())["type"] == "pong"
    assert seen <= {None, 1000, 1002, 1003, 1007, 1008, 1009}
    assert {1002, 1007, 1009} & seen


@pytest.mark.threat("T07")
async def test_a_million_empty_continuations_are_stopped_early_and_cost_nothing(stack: Stack) -> None:
    async with stack(limits=PATIENT) as router, router.user() as raw:
        before = resident()
        written = 0
        batch = frame(0, fin=False) * 10_000
        with contextlib.suppress(trio.BrokenResourceError):
            await raw.send(frame(TEXT, b"x", fin=False))
            for _ in range(100):
                await raw.send(batch)
                written += 10_000
        assert await raw.closed_with() in {codes.FLOOD.number, None}
        assert resident() - before < 8_000
        await raw.stream.aclose()
        await router.settled(0)


@pytest.mark.threat("T07")
async def test_sixty_five_fragments_are_one_too_many(stack: Stack) -> None:
    async with stack(limits=PATIENT) as router, router.user() as raw:
        bound = router.server.limits.frames_per_message
        await raw.send(frame(TEXT, b'{"type":"ping"', fin=False) + frame(0, fin=False) * (bound - 2) + frame(0, b"}"))
        assert (await raw.message())["type"] == "pong"
        await raw.send(frame(TEXT, b"{", fin=False) + frame(0, fin=False) * bound)
        assert await raw.closed_with() == codes.FLOOD.number


@pytest.mark.threat("T07")
@pytest.mark.parametrize(
    "begun",
    [frame(TEXT, b"{", fin=False), frame(TEXT, b"{}" * 40)[:20], b"\x81"],
    ids=["fragment", "half a frame", "half a header"],
)
async def test_a_message_that_is_never_finished_ends_the_connection(stack: Stack, begun: bytes) -> None:
    async with stack(limits=attrs.evolve(Limits(), fragment_timeout=0.3)) as router, router.user() as raw:
        await raw.send(begun)
        assert await raw.closed_with() == codes.FLOOD.number


@pytest.mark.threat("T08")
@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_flood_of_control_frames_is_cut_and_starts_no_task(stack: Stack, opcode: int) -> None:
    async with stack() as router, router.user("good") as good:
        async with router.user("bad") as bad:
            tasks = trio.lowlevel.current_statistics().tasks_living
            most = 0

            async def flood() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    for _ in range(100):
                        await bad.send(frame(opcode, b"x" * 8) * 1000)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood)
                for number in range(20):
                    await good.say(type="ping", id=str(number))
                    assert (await good.message())["id"] == str(number)
                    most = max(most, trio.lowlevel.current_statistics().tasks_living)
            assert most <= tasks + 1  # the flooder of this test
            assert await bad.closed_with() in {codes.FLOOD.number, None}
        await router.settled(1)


@pytest.mark.threat("T08")
async def test_a_pong_nobody_asked_for_is_passed_over(stack: Stack) -> None:
    async with stack() as router, router.user() as raw:
        await raw.send(frame(PONG, b"unsolicited"))
        await raw.say(type="ping", id="1")
        assert (await raw.message())["type"] == "pong"


async def offer(raw: Raw, *lines: str) -> dict[str, str]:
    await raw.send(upgrade(*lines))
    status, headers = await raw.response()
    assert status == 101
    return headers


@pytest.mark.threat("T05")
@pytest.mark.parametrize(
    "extension",
    ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame, permessage-deflate"],
)
async def test_compression_is_offered_and_not_taken(stack: Stack, extension: str) -> None:
    async with stack() as router, router.connect() as raw:
        headers = await offer(raw, f"Sec-WebSocket-Extensions: {extension}")
        assert "sec-websocket-extensions" not in headers
        await raw.message()
        await raw.send(frame(TEXT, b"\x00" * 10, rsv=4))
        assert await raw.closed_with() == codes.PROTOCOL_ERROR.number
