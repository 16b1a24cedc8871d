"""Outboxes, runs and groups of the fast lane: order, one write per tick, bounds, and what a write that fails leaves behind."""

from __future__ import annotations

import contextlib
import gc
import socket
import sys
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.transport.cork import FLUSH_AT, Cork
from trio_router.transport.group import Group
from trio_router.transport.outbox import Outbox
from trio_router.transport.pipe import SocketPipe
from trio_router.transport.stream import FAREWELL_TIMEOUT


class Tap:
    """A pipe that takes as many bytes at a time as its script says, then everything; it is writable at all times."""

    direct = True
    unsent = False

    def __init__(self, *script: int | OSError) -> None:
        self.script = list(script)
        self.writes: list[bytes] = []
        self._ends = socket.socketpair()  # something that can be waited for

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def send(self, data: bytes) -> int:
        step = self.script.pop(0) if self.script else len(data)
        if isinstance(step, OSError):
            raise step
        if step == 0:
            raise BlockingIOError
        self.writes.append(data[:step])
        return len(self.writes[-1])

    def recv(self, size: int) -> bytes:
        raise BlockingIOError

    def push(self) -> None:
        """Nothing is held."""

    def fileno(self) -> int:
        return self._ends[0].fileno()

    def finish(self) -> None:
        """Nobody listens."""

    def close(self) -> None:
        for end in self._ends:
            end.close()


def make_outbox(pipe: object, cork: Cork, nursery: trio.Nursery, **changes: object) -> Outbox:
    options = {"size": 1000, "timeout": 10.0, **changes}
    return Outbox(pipe, cork, nursery, **options)  # type: ignore[arg-type]


@contextlib.contextmanager
def taps(*scripts: tuple[int | OSError, ...]) -> Iterator[list[Tap]]:
    made = [Tap(*script) for script in scripts]
    yield made
    for tap in made:
        tap.close()


async def test_what_is_put_in_one_tick_leaves_in_one_write(nursery: trio.Nursery) -> None:
    cork = Cork()
    nursery.start_soon(cork.run)
    await trio.testing.wait_all_tasks_blocked()
    with taps(()) as (tap,):
        outbox = make_outbox(tap, cork, nursery)
        for frame in (b"a", b"bc", b"d"):
            outbox.put(frame)
        assert tap.writes == []
        assert outbox.queued == 4
        await trio.testing.wait_all_tasks_blocked()
        assert tap.writes == [b"abcd"]
        outbox.put(b"e")
        await trio.testing.wait_all_tasks_blocked()
        assert tap.writes == [b"abcd", b"e"]
        assert outbox.queued == 0


async def test_whoever_holds_the_cork_flushes_it_and_no_task_does(nursery: trio.Nursery) -> None:
    cork = Cork()
    nursery.start_soon(cork.run)
    await trio.testing.wait_all_tasks_blocked()
    with taps(()) as (tap,):
        cork.held = True
        make_outbox(tap, cork, nursery).put(b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert tap.writes == []
        cork.held = False
        cork.flush()
        assert tap.writes == [b"a"]


async def test_the_runs_of_a_group_are_joined_once_for_all_of_it(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps((), ()) as (one, other):
        outboxes = [make_outbox(tap, cork, nursery) for tap in (one, other)]
        group = Group(cork, outboxes)
        for frame in (b"a", b"b", b"c"):
            group.send(frame)
        cork.flush()
        assert one.writes == other.writes == [b"abc"]
        assert one.writes[0] is other.writes[0]
        group.send(b"d")
        cork.flush()
        assert one.written == other.written == b"abcd"


async def test_what_one_gets_besides_comes_in_its_place(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps((), ()) as (one, other):
        outboxes = [make_outbox(tap, cork, nursery) for tap in (one, other)]
        group = Group(cork, outboxes)
        group.send(b"1")
        outboxes[0].put(b"-")
        group.send(b"2")
        group.send(b"3")
        outboxes[1].put(b"+")
        group.send(b"4")
        cork.flush()
        assert one.writes == [b"1-234"]
        assert other.writes == [b"123+4"]


async def test_much_in_one_tick_leaves_before_it_ends(nursery: trio.Nursery) -> None:
    cork = Cork()
    cork.held = True
    with taps((), ()) as (one, other):
        outboxes = [make_outbox(tap, cork, nursery, size=10) for tap in (one, other)]
        Group(cork, outboxes).send(b"x" * (FLUSH_AT + 1))
        assert len(one.written) == len(other.written) == FLUSH_AT + 1
        outboxes[0].put(b"y" * (FLUSH_AT + 1))
        assert one.written.endswith(b"xy" + b"y" * FLUSH_AT)


@pytest.mark.threat("T13")
async def test_what_the_socket_does_not_take_follows_when_it_does(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps((2, 0, 3, 1)) as (tap,):
        outbox = make_outbox(tap, cork, nursery)
        for frame in (b"abc", b"def", b"ghi"):
            outbox.put(frame)
        cork.flush()
        assert tap.written == b"ab"
        assert not outbox.clear
        assert outbox.queued == 7
        outbox.put(b"jkl")
        await outbox.flush()
        assert tap.written == b"abcdefghijkl"
        assert outbox.clear
        assert outbox.queued == 0


@pytest.mark.threat("T12")
async def test_past_its_bound_a_peer_is_slow_and_told_so_behind_the_frame_that_had_begun(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cork, told = Cork(), list[str]()
    with taps((2, 0)) as (tap,):
        outbox = make_outbox(tap, cork, nursery, size=10, farewell=b"BYE")
        outbox.on_slow = lambda: told.append("slow")
        outbox.put(b"abcde")
        cork.flush()
        outbox.put(b"fghij")
        cork.flush()
        assert (told, outbox.queued) == ([], 8)
        outbox.put(b"klmno")
        cork.flush()
        assert told == ["slow"]
        assert outbox.slow
        assert outbox.sealed
        assert outbox.queued == len(b"cdeBYE")
        outbox.put(b"never")
        await outbox.flush()
        assert tap.written == b"abcdeBYE"


@pytest.mark.threat("T12")
async def test_a_run_waits_as_one_while_there_is_room_and_frame_by_frame_at_the_bound(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cork = Cork()
    with taps((2, 0), (2, 0, 0)) as (tap, other):
        outbox = make_outbox(tap, cork, nursery, size=10, farewell=b"BYE")
        roomy = make_outbox(other, cork, nursery, size=100)
        group = Group(cork, [outbox, roomy])
        for frames, queued in (((b"abcde",), 3), ((b"fg", b"hi"), 7), ((b"jkl", b"mno"), len(b"cdeBYE"))):
            assert not outbox.slow
            for frame in frames:
                group.send(frame)
            cork.flush()
            assert outbox.queued == queued
        assert outbox.slow
        assert roomy.queued == 13
        await outbox.flush()
        await roomy.flush()
        assert tap.written == b"abcdeBYE"
        assert other.written == b"abcdefghijklmno"


@pytest.mark.threat("T12")
async def test_one_frame_may_wait_whatever_its_size(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps((0,)) as (tap,):
        outbox = make_outbox(tap, cork, nursery, size=10)
        outbox.put(b"x" * 50)
        cork.flush()
        assert not outbox.slow
        await outbox.flush()
        assert tap.written == b"x" * 50


@pytest.mark.threat("T12")
@pytest.mark.parametrize("overflows", [False, True])
async def test_the_oldest_byte_may_be_so_old(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, overflows: bool
) -> None:
    """A real socket whose other end reads nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        cork, ended = Cork(), trio.Event()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        outbox = make_outbox(SocketPipe(ours), cork, nursery, size=10**9, timeout=5.0, farewell=b"BYE")
        outbox.on_broken = ended.set
        began = trio.current_time()
        outbox.put(b"x" * 1_000_000)
        cork.flush()
        assert not outbox.clear
        if overflows:
            outbox._size = 10
            outbox.put(b"y")
            cork.flush()
        await ended.wait()
        assert trio.current_time() - began == pytest.approx(FAREWELL_TIMEOUT if overflows else 5.0)
        assert outbox.slow
        assert outbox.ended
        with pytest.raises(trio.BrokenResourceError):
            await outbox.flush()


class Holding(Tap):
    """A pipe that takes everything at once and writes a little each second, like one that makes TLS records of it."""

    direct = False

    def __init__(self, clock: trio.testing.MockClock) -> None:
        super().__init__()
        self._clock = clock
        self.held = 100

    @property
    def unsent(self) -> bool:  # type: ignore[override]
        return self.held > 0

    def push(self) -> None:
        self._clock.jump(1)
        self.held -= 1
        if self.held:
            raise BlockingIOError


@pytest.mark.threat("T12")
async def test_what_a_pipe_has_taken_and_not_written_may_be_so_old_too(
    nursery: trio.Nursery, mock_clock: trio.testing.MockClock
) -> None:
    """Whoever reads a byte now and then holds nothing for longer than whoever reads none."""
    cork, tap = Cork(), Holding(mock_clock)
    outbox = make_outbox(tap, cork, nursery, timeout=5.0)
    outbox.put(b"abc")
    cork.flush()
    with pytest.raises(trio.BrokenResourceError):
        await outbox.flush()
    assert outbox.slow
    assert trio.current_time() == pytest.approx(5, abs=1)
    tap.close()


@pytest.mark.threat("T09")
@pytest.mark.parametrize("together", [True, False])
async def test_a_fault_while_one_is_written_to_is_nobody_elses(nursery: trio.Nursery, together: bool) -> None:
    cork, told = Cork(), list[Exception]()
    with taps((), (), ()) as made:
        outboxes = [make_outbox(tap, cork, nursery) for tap in made]

        def fail(data: bytes) -> int:
            raise ZeroDivisionError

        outboxes[1].write = fail
        outboxes[1].on_fault = told.append
        if together:
            Group(cork, outboxes).send(b"a")
        else:
            for outbox in outboxes:
                outbox.put(b"a")
        cork.flush()
        assert [tap.written for tap in made] == [b"a", b"", b"a"]
        assert [type(error) for error in told] == [ZeroDivisionError]
        assert outboxes[1].ended
        outboxes[1].put(b"never")
        cork.flush()
        assert len(told) == 1


@pytest.mark.threat("T12")
async def test_what_has_left_is_forgotten_without_the_collector(nursery: trio.Nursery) -> None:
    cork = Cork()
    gc.disable()
    try:
        with taps((), ()) as made:
            group = Group(cork, [make_outbox(tap, cork, nursery) for tap in made])
            frame = bytes(1000)
            before = sys.getrefcount(frame)
            for _ in range(100):
                group.send(frame)
                cork.flush()
                for tap in made:
                    tap.writes.clear()
            assert sys.getrefcount(frame) - before <= 3  # the last run
    finally:
        gc.enable()


@pytest.mark.threat("T12")
@pytest.mark.parametrize("end", ["close", "seal"])
async def test_what_nobody_of_a_group_takes_any_more_is_not_kept(nursery: trio.Nursery, end: str) -> None:
    cork = Cork()
    with taps((), ()) as made:
        outboxes = [make_outbox(tap, cork, nursery) for tap in made]
        group = Group(cork, outboxes)
        group.send(b"a")
        for outbox in outboxes:
            getattr(outbox, end)()
        cork.flush()
        frame = bytes(1000)
        before = sys.getrefcount(frame)
        for _ in range(100):
            group.send(frame)
            cork.flush()
        assert sys.getrefcount(frame) - before <= 3  # the last run


@pytest.mark.threat("T13")
async def test_after_a_write_that_failed_nothing_follows(nursery: trio.Nursery) -> None:
    cork, told = Cork(), list[str]()
    with taps((2, 0, ConnectionResetError())) as (tap,):
        outbox = make_outbox(tap, cork, nursery)
        outbox.on_broken = lambda: told.append("broken")
        outbox.put(b"abc")
        cork.flush()
        with pytest.raises(trio.BrokenResourceError):
            await outbox.flush()
        outbox.put(b"never")
        cork.flush()
        assert tap.written == b"ab"
        assert told == ["broken"]
        assert not outbox.slow


@pytest.mark.threat("T13")
async def test_after_a_write_that_was_cancelled_nothing_follows() -> None:
    cork = Cork()
    with taps((2, *[0] * 1000)) as (tap,):
        async with trio.open_nursery() as nursery:
            outbox = make_outbox(tap, cork, nursery)
            outbox.put(b"abc")
            cork.flush()
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert outbox.ended
        outbox.put(b"never")
        cork.flush()
        assert tap.written == b"ab"


async def test_sealed_with_its_last_frame_it_takes_nothing_more(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps((), ()) as (one, other):
        outboxes = [make_outbox(tap, cork, nursery) for tap in (one, other)]
        group = Group(cork, outboxes)
        group.send(b"a")
        outboxes[0].seal(b"END")
        outboxes[0].seal(b"again")
        outboxes[0].put(b"never")
        group.send(b"b")
        cork.flush()
        assert one.written == b"aEND"
        assert other.written == b"ab"


steps = st.lists(
    st.tuples(st.sampled_from(["put 0", "put 1", "group", "flush", "seal 0", "tick"]), st.integers(1, 9)), max_size=25
)
scripts = st.lists(st.integers(0, 12), max_size=12)


@pytest.mark.threat("T13")
@settings(max_examples=150, deadline=None)
@given(steps, scripts, scripts)
def test_everybody_gets_whole_frames_in_their_order(
    script: list[tuple[str, int]], first: list[int], second: list[int]
) -> None:
    """Whatever is put for one or for both, whenever it is flushed, and however little the sockets take at a time."""

    async def main() -> None:
        cork = Cork()
        with taps(tuple(first), tuple(second)) as made:
            async with trio.open_nursery() as nursery:
                outboxes = [make_outbox(tap, cork, nursery, size=10**6) for tap in made]
                group = Group(cork, outboxes)
                expected = [b"", b""]
                sealed = False
                for number, (step, size) in enumerate(script):
                    frame = bytes([65 + number]) * size
                    if step == "tick":
                        await trio.lowlevel.checkpoint()
                    elif step == "flush":
                        cork.flush()
                    elif step == "seal 0":
                        outboxes[0].seal(frame)
                        expected[0] += b"" if sealed else frame
                        sealed = True
                    elif step == "group":
                        group.send(frame)
                        expected = [expected[0] + (b"" if sealed else frame), expected[1] + frame]
                    elif step == "put 0":
                        outboxes[0].put(frame)
                        expected[0] += b"" if sealed else frame
                    else:
                        outboxes[1].put(frame)
                        expected[1] += frame
                for outbox in outboxes:
                    await outbox.flush()
                assert [tap.written for tap in made] == expected

    trio.run(main)
