"""The bad network does what it says to the byte, and nothing without being told."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio

from trio_router.testing.chaos import Faults, Proxy, proxy

DATA = bytes(range(256)) * 40

Handler = Callable[[trio.SocketStream], Awaitable[None]]


async def echo(stream: trio.SocketStream) -> None:
    async for data in stream:
        await stream.send_all(data)
    await stream.aclose()


@contextlib.asynccontextmanager
async def behind(handler: Handler = echo, **options: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a service that does ``handler``."""

    async def contained(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await handler(stream)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, contained, listeners)
            async with proxy(listeners[0].socket.getsockname()[:2], **options) as way:
                yield way
            nursery.cancel_scope.cancel()


async def client(way: Proxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", way.port)


async def everything(stream: trio.SocketStream) -> tuple[bytes, bool]:
    """What comes up to the end, and whether the end was a reset."""
    data = bytearray()
    try:
        async for piece in stream:
            data += piece
    except trio.BrokenResourceError:
        return bytes(data), True
    return bytes(data), False


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not true():
            await trio.sleep(0.002)


async def test_without_faults_nobody_notices() -> None:
    async with behind() as way, await client(way) as one, await client(way) as other:
        await one.send_all(DATA)
        await one.send_eof()
        await other.send_all(b"x")
        assert await everything(one) == (DATA, False)
        assert await other.receive_some() == b"x"
        assert (way.connections, way.up.carried, way.down.carried) == (2, len(DATA) + 1, len(DATA) + 1)
        await until(lambda: way.open == 1)


async def test_bytes_leave_in_exactly_these_pieces() -> None:
    seen: list[bytes] = []

    async def note(stream: trio.SocketStream) -> None:
        async for data in stream:
            seen.append(data)
            await stream.send_all(b"!")

    async with behind(note) as way, await client(way) as stream:
        way.up.faults = Faults(pieces=(3, 1, 2), gap=0.05)
        await stream.send_all(b"abcdefgh")
        await until(lambda: sum(map(len, seen)) == 8)
    assert seen == [b"abc", b"d", b"ef", b"gh"]


@pytest.mark.parametrize("size", [0, 1, 7, 300, len(DATA) - 1, len(DATA)])
async def test_a_cut_comes_after_exactly_so_many_bytes(size: int) -> None:
    async def send(stream: trio.SocketStream) -> None:
        await stream.send_all(DATA)
        await everything(stream)

    async with behind(send) as way:
        way.down.faults = Faults(cut_after=size)
        async with await client(way) as stream:
            assert await everything(stream) == (DATA[:size], True)
        await until(lambda: way.open == 0)
        way.down.faults = Faults()
        async with await client(way) as stream:  # the next one is as good as new
            await stream.send_eof()
            assert await everything(stream) == (DATA, False)


async def test_a_cut_is_a_reset_for_both_and_for_those_that_are_open_alone() -> None:
    ends: list[tuple[bytes, bool]] = []

    async def listen(stream: trio.SocketStream) -> None:
        ends.append(await everything(stream))

    async with behind(listen) as way, await client(way) as stream:
        await stream.send_all(b"half")
        await until(lambda: way.up.carried == 4)
        way.cut()
        assert await everything(stream) == (b"", True)
        await until(lambda: len(ends) == 1)
        assert ends == [(b"half", True)]
        async with await client(way) as later:
            await later.send_all(b"whole")
            await later.send_eof()
            assert await everything(later) == (b"", False)
    assert ends[1] == (b"whole", False)


async def test_a_reset_of_the_service_is_one_for_the_client() -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        await stream.aclose()  # with bytes unread, which makes it a reset

    async with behind(refuse) as way:
        async with await client(way) as stream:
            await stream.send_all(DATA)
            assert await everything(stream) == (b"", True)
        await until(lambda: way.open == 0)


async def test_nobody_behind_it_is_a_reset() -> None:
    async with proxy(("127.0.0.1", 1)) as way, await client(way) as stream:
        assert await everything(stream) == (b"", True)


async def test_nothing_passes_a_stall_and_everything_after_it() -> None:
    async with behind() as way, await client(way) as stream:
        way.up.faults = Faults(stalled=True)
        await stream.send_all(b"question")
        await stream.send_eof()
        with trio.move_on_after(0.2) as waiting:
            await stream.receive_some()
        assert waiting.cancelled_caught
        assert way.up.carried == 0
        assert way.open == 1  # not even the end passed
        way.up.faults = Faults()
        assert await everything(stream) == (b"question", False)


async def test_who_sends_into_a_stall_is_held_up_at_last() -> None:
    async with behind(receive_buffer=4096) as way, await client(way) as stream:
        way.both(Faults(stalled=True))
        sent = 0
        with trio.move_on_after(1) as held:
            while True:
                await stream.send_all(DATA)
                sent += len(DATA)
        assert held.cancelled_caught
        assert sent < 20_000_000


async def test_later_bytes_wait_for_earlier_ones(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock  # a service of its own would need real time; what is tried here is only the order of what is due
    way = Proxy(("127.0.0.1", 1), seed=4)
    way.up.faults = Faults(delay=1, jitter=5)
    dues = [way.up.due() for _ in range(20)]
    assert all(trio.current_time() + 1 <= due <= trio.current_time() + 6 for due in dues)
    assert len(set(dues)) > 10
    again = Proxy(("127.0.0.1", 1), seed=4)
    again.up.faults = way.up.faults
    assert [again.up.due() for _ in range(20)] == dues  # the same seed, the same network


async def test_what_is_late_arrives_in_order() -> None:
    async with behind() as way, await client(way) as stream:
        way.both(Faults(delay=0.02, jitter=0.05))
        started = trio.current_time()
        for position in range(0, len(DATA), 1000):
            await stream.send_all(DATA[position : position + 1000])
            await trio.sleep(0.002)
        await stream.send_eof()
        assert await everything(stream) == (DATA, False)
        assert trio.current_time() - started >= 0.04  # there and back: no less


async def test_a_rate_is_not_exceeded() -> None:
    async with behind() as way, await client(way) as stream:
        way.down.faults = Faults(rate=20_000)
        started = trio.current_time()
        await stream.send_all(DATA)
        await stream.send_eof()
        assert await everything(stream) == (DATA, False)
        assert trio.current_time() - started >= len(DATA) / 20_000 - 0.1


async def test_what_is_repeated_is_answered_apart() -> None:
    numbers = itertools.count()

    async def named(stream: trio.SocketStream) -> None:
        name = str(next(numbers)).encode()
        async for data in stream:
            await stream.send_all(name + b":" + data)
        await stream.aclose()

    async with behind(named) as way:
        way.duplicates = 2
        async with await client(way) as stream:
            await stream.send_all(b"pay")
            heard = await stream.receive_some()
            await until(lambda: [len(answers) for answers in way.repeated] == [5, 5])
            assert sorted([heard, *map(bytes, way.repeated)]) == [b"0:pay", b"1:pay", b"2:pay"]


@pytest.mark.parametrize(
    "wrong", [{"delay": -1}, {"rate": 0}, {"pieces": (0,)}, {"gap": -0.1}, {"cut_after": -1}, {"jitter": -1}]
)
def test_faults_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Faults(**wrong)  # type: ignore[arg-type]
