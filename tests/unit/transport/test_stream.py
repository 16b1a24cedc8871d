"""The outbox: order, cork, bounds in bytes and age, and what a cancelled write leaves behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.transport.stream import FAREWELL_TIMEOUT, OutboxStream


class Recorder(trio.abc.Stream):
    """An inner stream that notes each write; ``pace`` is waited before it takes one."""

    def __init__(self, pace: Callable[[], float] = lambda: 0.0) -> None:
        self.writes: list[bytes] = []
        self.closed = False
        self._pace = pace

    async def send_all(self, data: bytes) -> None:
        if self.closed:
            raise trio.ClosedResourceError
        await trio.sleep(self._pace())
        self.writes.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


def outbox(inner: trio.abc.Stream, **changes: object) -> OutboxStream:
    return OutboxStream(inner, **{"outbox_size": 1000, "write_timeout": 10.0, **changes})  # type: ignore[arg-type]


async def test_what_is_put_in_one_tick_leaves_in_one_write(nursery: trio.Nursery) -> None:
    inner = Recorder()
    stream = outbox(inner)
    nursery.start_soon(stream.run)
    await trio.testing.wait_all_tasks_blocked()
    for frame in (b"a", b"bc", b"d"):
        stream.put(frame)
    await trio.testing.wait_all_tasks_blocked()
    assert inner.writes == [b"abcd"]
    assert stream.queued == 0
    stream.put(b"e")
    await trio.testing.wait_all_tasks_blocked()
    assert inner.writes == [b"abcd", b"e"]


async def test_send_all_keeps_its_place_in_the_queue(nursery: trio.Nursery) -> None:
    inner = Recorder()
    stream = outbox(inner)
    nursery.start_soon(stream.run)
    stream.put(b"1")
    async with trio.open_nursery() as inside:
        inside.start_soon(stream.send_all, b"2")
        await trio.testing.wait_all_tasks_blocked()
    stream.put(b"3")
    await stream.flush()
    assert b"".join(inner.writes) == b"123"


async def test_bytes_that_were_read_too_early_come_first() -> None:
    one, other = trio.testing.memory_stream_pair()
    stream = outbox(one, replay=b"head")
    await other.send_all(b"tail")
    assert await stream.receive_some(2) == b"he"
    assert await stream.receive_some() == b"ad"
    assert await stream.receive_some() == b"tail"


@pytest.mark.threat("T12")
async def test_past_the_bound_the_queue_is_forgotten_and_the_peer_is_slow(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    inner = Recorder(lambda: 5.0)
    stream = outbox(inner, farewell=b"BYE")
    told: list[bool] = []
    stream.on_slow = lambda: told.append(stream.slow)
    nursery.start_soon(stream.run)
    stream.put(b"x" * 400)
    await trio.testing.wait_all_tasks_blocked(0.001)
    stream.put(b"y" * 600)
    assert not stream.slow
    assert stream.queued == 1000
    stream.put(b"z")
    assert stream.slow
    assert stream.queued == 400 + 3
    assert told == [True]
    stream.put(b"never")
    await trio.sleep(60)
    assert inner.writes == [b"x" * 400]  # what was being written is whole, and nothing came after it in time
    assert inner.closed
    assert trio.current_time() < 100


@pytest.mark.threat("T12")
async def test_a_slow_peer_that_reads_on_learns_why(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    inner = Recorder(lambda: FAREWELL_TIMEOUT / 4)
    stream = outbox(inner, farewell=b"BYE")
    nursery.start_soon(stream.run)
    stream.put(b"x" * 900)
    await trio.testing.wait_all_tasks_blocked(0.001)
    stream.put(b"y" * 200)
    await trio.sleep(10)
    assert inner.writes == [b"x" * 900, b"BYE"]
    assert inner.closed


async def test_one_frame_is_always_taken_by_an_empty_outbox(nursery: trio.Nursery) -> None:
    inner = Recorder()
    stream = outbox(inner, outbox_size=10)
    nursery.start_soon(stream.run)
    stream.put(b"x" * 50)
    await stream.flush()
    assert inner.writes == [b"x" * 50]


@pytest.mark.threat("T12")
@pytest.mark.threat("T13")
async def test_a_write_that_takes_too_long_ends_the_stream(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    inner = Recorder(lambda: 11.0)
    stream = outbox(inner, farewell=b"BYE")
    nursery.start_soon(stream.run)
    stream.put(b"first")
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"second")
    assert trio.current_time() == pytest.approx(10.0, abs=0.5)
    assert inner.writes == []
    assert inner.closed
    assert stream.slow
    stream.put(b"third")
    assert stream.queued == 0


@pytest.mark.threat("T13")
async def test_a_write_that_timed_out_half_way_is_followed_by_nothing(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    one, other = trio.testing.lockstep_stream_pair()
    stream = outbox(one)
    nursery.start_soon(stream.run)
    stream.put(b"x" * 100)
    assert await other.receive_some(10) == b"x" * 10
    await trio.sleep(6)
    stream.put(b"NEXT")  # young enough to be written after the first one has timed out
    await trio.sleep(6)
    rest = b""
    while data := await other.receive_some(100):
        rest += data
    assert set(rest) <= set(b"x")


@pytest.mark.threat("T13")
async def test_a_cancelled_writer_takes_the_connection_with_it(nursery: trio.Nursery) -> None:
    one, other = trio.testing.lockstep_stream_pair()
    stream = outbox(one)
    scope = trio.CancelScope()

    async def write() -> None:
        with scope:
            await stream.run()

    nursery.start_soon(write)
    stream.put(b"x" * 100)
    assert await other.receive_some(10) == b"x" * 10
    scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    stream.put(b"NEXT")
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"MORE")
    rest = b""
    while data := await other.receive_some(100):
        rest += data
    assert set(rest) <= set(b"x")


FRAME = st.binary(min_size=1, max_size=60).map(lambda data: len(data).to_bytes(1) + data)
ACTION = st.one_of(
    st.tuples(st.just("put"), FRAME),
    st.tuples(st.just("send"), FRAME),
    st.tuples(st.just("cancelled send"), FRAME),
    st.tuples(st.just("read"), st.integers(1, 80)),
    st.tuples(st.just("cancel writer"), st.none()),
    st.tuples(st.just("wait"), st.floats(0.1, 6.0)),
    st.tuples(st.just("tick"), st.none()),
)


@pytest.mark.threat("T13")
@settings(deadline=None, max_examples=150)
@given(st.lists(ACTION, max_size=25))
def test_the_receiver_sees_whole_frames_in_order_and_at_most_one_cut_at_the_very_end(
    actions: list[tuple[str, object]],
) -> None:
    """Whatever is cancelled whenever: what arrives is a prefix of the frames as they were queued."""
    queued: list[bytes] = []
    received = bytearray()

    async def run() -> None:
        one, other = trio.testing.lockstep_stream_pair()
        stream = outbox(one, outbox_size=300, write_timeout=5.0)
        writer = trio.CancelScope()

        async def write() -> None:
            with writer:
                await stream.run()

        async def send(frame: bytes, scope: trio.CancelScope) -> None:
            ends = (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
            with scope, contextlib.suppress(*ends):
                await stream.send_all(frame)

        async def read(size: int) -> None:
            with trio.move_on_after(0.01):
                received.extend(await other.receive_some(size))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            for action, argument in actions:
                if action == "put":
                    assert isinstance(argument, bytes)
                    queued.append(argument)
                    stream.put(argument)
                elif action in {"send", "cancelled send"}:
                    assert isinstance(argument, bytes)
                    scope = trio.CancelScope()
                    nursery.start_soon(send, argument, scope)
                    await trio.testing.wait_all_tasks_blocked()
                    queued.append(argument)
                    if action == "cancelled send":
                        scope.cancel()
                elif action == "read":
                    assert isinstance(argument, int)
                    await read(argument)
                elif action == "cancel writer":
                    writer.cancel()
                elif action == "wait":
                    assert isinstance(argument, float)
                    await trio.sleep(argument)
                else:
                    await trio.testing.wait_all_tasks_blocked()
            writer.cancel()
            await trio.testing.wait_all_tasks_blocked()
            while data := await other.receive_some(100):
                received.extend(data)
            nursery.cancel_scope.cancel()

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))
    # Frames that were refused (a busy stream, a slow peer) are missing as a whole; nothing is ever torn but the last.
    position = index = 0
    while position < len(received):
        whole = bytes(received[position : position + 1 + received[position]])
        while index < len(queued) and not queued[index].startswith(whole):
            index += 1
        assert index < len(queued), "bytes that are no frame, or out of order"
        if queued[index] != whole:
            assert position + len(whole) == len(received), "a cut frame is followed by something"
        position += len(queued[index])
        index += 1


async def test_closing_never_waits(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    one, _other = trio.testing.lockstep_stream_pair()
    stream = outbox(one)
    nursery.start_soon(stream.run)
    stream.put(b"x" * 100)
    await trio.testing.wait_all_tasks_blocked(0.001)
    began = trio.current_time()
    await stream.aclose()
    assert trio.current_time() - began < 0.1
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"late")


async def test_after_the_seal_nothing_is_taken(nursery: trio.Nursery) -> None:
    inner = Recorder()
    stream = outbox(inner)
    nursery.start_soon(stream.run)
    stream.put(b"1")
    stream.seal(b"last")
    stream.seal(b"second last")
    stream.put(b"2")
    await stream.flush()
    assert b"".join(inner.writes) == b"1last"


async def test_it_is_a_stream_as_trio_defines_it(nursery: trio.Nursery) -> None:
    async def make() -> tuple[OutboxStream, OutboxStream]:
        one, other = trio.testing.memory_stream_pair()
        ends = outbox(one, outbox_size=10**6), outbox(other, outbox_size=10**6)
        for end in ends:
            nursery.start_soon(end.run)
        return ends

    await trio.testing.check_two_way_stream(make, None)
