"""Outboxes that are stuck follow their group: nothing is done for each of them, and nothing comes of it but that."""

from __future__ import annotations

import contextlib
import socket
import sys

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transport.test_outbox import Tap, make_outbox, taps
from trio_router.transport.cork import Cork
from trio_router.transport.group import Group
from trio_router.transport.outbox import Outbox

STUCK = (0,) * 10_000


def stuck_and_following(cork: Cork, group: Group, outbox: Outbox) -> None:
    """Two runs of one frame each, ``x`` and ``y``, after which it follows."""
    for frame in (b"x", b"y"):
        assert outbox.follows is None
        group.send(frame)
        cork.flush()
    assert outbox.follows is group


async def gone(outboxes: list[Outbox]) -> None:
    """Their writers have ended."""
    for outbox in outboxes:
        outbox.close()
    while any(outbox.writing for outbox in outboxes):
        await trio.lowlevel.checkpoint()


@pytest.mark.interpreted  # methods are replaced
@pytest.mark.threat("T12")
async def test_a_run_costs_nothing_for_those_who_are_stuck(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    cork = Cork()
    with taps((), STUCK, STUCK) as made:
        reads, *stuck = [make_outbox(tap, cork, nursery) for tap in made]
        group = Group(cork, [reads, *stuck])
        for outbox in stuck:
            outbox.put(b"-")
        cork.flush()
        group.send(b"x")
        cork.flush()
        group.send(b"y")
        cork.flush()
        asked = list[Outbox]()
        flush_now, put_run = Outbox.flush_now, Outbox.put_run
        monkeypatch.setattr(Outbox, "flush_now", lambda self: (asked.append(self), flush_now(self))[1])
        monkeypatch.setattr(Outbox, "put_run", lambda self, run: (asked.append(self), put_run(self, run))[1])
        for number in range(10):
            group.send(b"%d" % number)
            cork.flush()
        assert asked == []
        assert made[0].written == b"xy0123456789"
        assert [outbox.queued for outbox in stuck] == [13, 13]
        await gone(stuck)


async def test_a_follower_gets_all_of_it_when_it_reads_and_is_one_of_the_others_again(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps((), (1, 0)) as (one, other):
        outboxes = [make_outbox(tap, cork, nursery) for tap in (one, other)]
        group = Group(cork, outboxes)
        outboxes[1].put(b"ab")
        cork.flush()
        stuck_and_following(cork, group, outboxes[1])
        group.send(b"1")
        cork.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert outboxes[1].follows is None
        assert outboxes[1].clear
        group.send(b"2")
        cork.flush()
        assert other.written == b"abxy12"
        assert one.written == b"xy12"


@pytest.mark.threat("T13")
async def test_what_is_put_for_a_follower_comes_in_its_place(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps((), (1, 0)) as (one, other):
        outboxes = [make_outbox(tap, cork, nursery) for tap in (one, other)]
        group = Group(cork, outboxes)
        outboxes[1].put(b"ab")
        cork.flush()
        stuck_and_following(cork, group, outboxes[1])
        group.send(b"1")
        cork.flush()
        group.send(b"2")
        outboxes[1].put(b"-")
        group.send(b"3")
        cork.flush()
        assert outboxes[1].queued == len(b"bxy12-3")
        await outboxes[1].flush()
        assert other.written == b"abxy12-3"
        assert one.written == b"xy123"


async def test_who_leaves_the_group_gets_what_was_sent_before_and_nothing_after(nursery: trio.Nursery) -> None:
    """Who has unsubscribed while it was stuck; and who subscribes again is in a new group."""
    cork = Cork()
    with taps((), (1, 0)) as (one, other):
        outboxes = [make_outbox(tap, cork, nursery) for tap in (one, other)]
        group = Group(cork, outboxes)
        outboxes[1].put(b"ab")
        cork.flush()
        stuck_and_following(cork, group, outboxes[1])
        group.send(b"1")
        Group(cork, outboxes[:1]).send(b"2")
        again = Group(cork, outboxes)
        again.send(b"3")
        cork.flush()
        await outboxes[1].flush()
        assert other.written == b"abxy13"
        assert one.written == b"xy123"


async def test_who_gets_two_channels_in_turn_follows_neither(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps(STUCK) as (tap,):
        outbox = make_outbox(tap, cork, nursery)
        groups = [Group(cork, [outbox]), Group(cork, [outbox])]
        for number in range(10):
            groups[number % 2].send(b"%d" % number)
            cork.flush()
            assert outbox.follows is None
        assert outbox.queued == 10
        await gone([outbox])


@pytest.mark.threat("T12")
async def test_a_follower_past_its_bound_is_slow_with_the_run_that_passes_it(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    cork, told = Cork(), list[str]()
    with taps((), (1, 0), (1, 0)) as made:
        outboxes = [
            make_outbox(tap, cork, nursery, size=size, farewell=b"BYE")
            for tap, size in zip(made, (9, 9, 99), strict=True)
        ]
        outboxes[1].on_slow = lambda: told.append("slow")
        group = Group(cork, outboxes)
        for outbox in outboxes[1:]:
            outbox.put(b"abc")
        cork.flush()
        for frame in (b"d", b"e", b"fgh", b"ij"):
            group.send(frame)
            cork.flush()
            assert told == []
        assert [outbox.queued for outbox in outboxes] == [0, 9, 9]
        group.send(b"k")
        cork.flush()
        assert told == ["slow"]
        assert [outbox.queued for outbox in outboxes] == [0, len(b"bcBYE"), 10]
        group.send(b"l")
        cork.flush()
        for outbox in outboxes:
            await outbox.flush()
        assert [tap.written for tap in made] == [b"defghijkl", b"abcBYE", b"abcdefghijkl"]


@pytest.mark.threat("T12")
async def test_nothing_follows_the_farewell_of_a_follower(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """It passes its bound with the first of two runs of one tick."""
    cork = Cork()
    with taps((), (1, 0)) as (one, other):
        outboxes = [make_outbox(tap, cork, nursery, size=5, farewell=b"BYE") for tap in (one, other)]
        group = Group(cork, outboxes)
        outboxes[1].put(b"ab")
        cork.flush()
        stuck_and_following(cork, group, outboxes[1])
        group.send(b"123")
        outboxes[0].put(b"-")
        group.send(b"4")
        cork.flush()
        assert outboxes[1].slow
        assert outboxes[1].queued == len(b"bBYE")
        await outboxes[1].flush()
        assert other.written == b"abBYE"
        assert one.written == b"xy123-4"


@pytest.mark.threat("T12")
async def test_what_all_followers_have_got_or_lost_is_not_kept(nursery: trio.Nursery) -> None:
    cork = Cork()
    with taps(STUCK, STUCK) as made:
        outboxes = [make_outbox(tap, cork, nursery, size=10**6) for tap in made]
        group = Group(cork, outboxes)
        frame = bytes(1000)
        for _ in range(3):
            group.send(frame)
            cork.flush()
        group.send(b"last")
        outboxes[0].close()
        assert sys.getrefcount(frame) > 3
        outboxes[1].close()
        cork.flush()
        assert sys.getrefcount(frame) <= 3
        assert not group._kept
        await gone(outboxes)


class Told(Group):
    """A group in which nobody follows: each gets each run itself."""

    def found_stuck(self, outbox: Outbox) -> None:
        """As if it were not."""


@attrs.define
class Seen:
    """What one world shows after each step."""

    written: list[bytes]
    queued: list[int]
    slow: list[bool]
    ended: list[bool]


STEPS = ("said",) * 6 + (
    "all",
    "all",
    "first two",
    "put 0",
    "put 1",
    "flush",
    "tick",
    "regroup",
    "seal 0",
    "close 2",
    "later",
)
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 9)), min_size=5, max_size=40)
takes = st.builds(
    lambda none, some: [0] * none + some, st.integers(0, 30), st.lists(st.sampled_from([0, 1, 3, 12]), max_size=9)
)
scripts = st.tuples(takes, takes, takes)


class Gated(Tap):
    """A tap that is writable for one write, whenever its gate is opened: nothing depends on whose turn it is."""

    def __init__(self, *script: int | OSError) -> None:
        super().__init__(*script)
        for end in self._ends:
            end.setblocking(False)
        self._ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.shut()

    def shut(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._ends[0].send(bytes(512))

    def open(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._ends[1].recv(65_536)

    def send(self, data: bytes) -> int:
        self.shut()
        return super().send(data)


def world(kind: type[Group], script: list[tuple[str, int]], takes: tuple[list[int], ...], size: int) -> list[Seen]:
    """What happens if all this is done."""
    seen = list[Seen]()
    made = [Gated(*script) for script in takes]

    async def main() -> None:
        cork = Cork()
        async with trio.open_nursery() as nursery:
            outboxes = [make_outbox(tap, cork, nursery, size=size, timeout=6.0, farewell=b"BYE") for tap in made]
            groups = {"all": kind(cork, outboxes), "first two": kind(cork, outboxes[:2])}
            for number, (step, length) in enumerate(script):
                await one(step, bytes([65 + number]) * length, cork, outboxes, groups)
                seen.append(show(outboxes))
            cork.flush()
            for _ in range(30):
                await tick()
                seen.append(show(outboxes))
            for outbox in outboxes:
                outbox.close()
            for tap in made:
                tap.open()

    async def tick() -> None:
        for tap in made:
            tap.open()
        await trio.testing.wait_all_tasks_blocked()
        for tap in made:
            tap.shut()

    async def one(step: str, frame: bytes, cork: Cork, outboxes: list[Outbox], groups: dict[str, Group]) -> None:
        if step in groups:
            groups[step].send(frame)
        elif step == "said":
            groups["all"].send(frame)
            cork.flush()
        elif step == "flush":
            cork.flush()
        elif step == "regroup":
            groups["all"] = kind(cork, outboxes)
        elif step == "seal 0":
            outboxes[0].seal(frame)
        elif step == "close 2":
            outboxes[2].close()
        elif step.startswith("put"):
            outboxes[int(step[-1])].put(frame)
        elif step == "later":
            clock.jump(len(frame))
            await trio.testing.wait_all_tasks_blocked()
        else:
            await tick()

    def show(outboxes: list[Outbox]) -> Seen:
        return Seen(
            [tap.written for tap in made],
            [outbox.queued for outbox in outboxes],
            [outbox.slow for outbox in outboxes],
            [outbox.ended for outbox in outboxes],
        )

    clock = trio.testing.MockClock()
    trio.run(main, clock=clock)
    for tap in made:
        tap.close()
    return seen


@pytest.mark.interpreted  # it inherits from what is compiled
@pytest.mark.threat("T12")
@pytest.mark.threat("T13")
@settings(max_examples=300, deadline=None)
@given(steps, scripts, st.sampled_from([12, 30, 10**6]))
def test_it_is_as_if_each_got_each_run_itself(
    script: list[tuple[str, int]], takes: tuple[list[int], ...], size: int
) -> None:
    """The same bytes, bounds and ends at each step, whatever is put for whom, and however little the sockets take."""
    assert world(Group, script, takes, size) == world(Told, script, takes, size)
