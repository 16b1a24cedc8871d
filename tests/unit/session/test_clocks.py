"""Timers, ends that follow the wall clock, and peers that went silent; all in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.unit.session.conftest import MemoryLink, settle
from trio_router.clock import ManualClock
from trio_router.session.expiry import RECHECK, Expiry
from trio_router.session.keepalive import PING_FRAME, Keepalive
from trio_router.session.timers import TrioTimers
from trio_router.testing.timers import ManualTimers


def fail() -> None:
    raise ArithmeticError


@pytest.fixture
async def timers(nursery: trio.Nursery) -> TrioTimers:
    made = TrioTimers(structlog.get_logger())
    nursery.start_soon(made.run)
    return made


# ---- timers -------------------------------------------------------------------------------------------------


async def test_timers_fire_in_order_and_once(timers: TrioTimers, autojump_clock: MockClock) -> None:
    fired: list[tuple[str, float]] = []
    began = trio.current_time()
    for name, seconds in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 3.0), ("now", 0.0), ("past", -5.0)):
        timers.after(seconds, lambda name=name: fired.append((name, round(trio.current_time() - began, 3))))  # type: ignore[misc]
    assert fired == []  # never from inside
    await trio.sleep(10)
    assert fired == [("now", 0.0), ("past", 0.0), ("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 3.0)]
    assert len(timers) == 0


async def test_work_that_goes_on_in_its_timer_lets_other_tasks_in_between(timers: TrioTimers) -> None:
    log: list[str] = []

    def piece() -> None:
        log.append("piece")
        if log.count("piece") < 20:
            timers.after(0.0, piece)

    timers.after(0.0, piece)
    with trio.fail_after(10):
        while log.count("piece") < 20:
            log.append("other")
            await trio.lowlevel.checkpoint()
    # Trio runs the tasks of a round in any order: two pieces in a row may be the end of one and the begin of the next.
    assert ("piece",) * 3 not in set(zip(log, log[1:], log[2:], strict=False))


async def test_a_cancelled_timer_is_silent_and_forgotten(timers: TrioTimers, autojump_clock: MockClock) -> None:
    fired: list[int] = []
    armed = [timers.after(10, lambda n=n: fired.append(n)) for n in range(1000)]  # type: ignore[misc]
    for timer in armed[1:]:
        timer.cancel()
        timer.cancel()
    assert len(timers) == 1
    assert len(timers._heap) < 300
    await trio.sleep(11)
    assert fired == [0]
    armed[0].cancel()
    assert len(timers) == 0


async def test_few_that_were_cancelled_go_when_it_is_tidied(timers: TrioTimers) -> None:
    armed, cancelled = timers.after(60, lambda: None), timers.after(1, lambda: None)
    cancelled.cancel()
    assert len(timers._heap) == 2
    timers.tidy()
    assert [entry[2] for entry in timers._heap] == [armed]
    assert len(timers) == 1


@pytest.mark.threat("T09")
async def test_a_callback_that_fails_is_logged_and_stops_no_other(
    timers: TrioTimers, autojump_clock: MockClock, logs: Any
) -> None:
    fired: list[str] = []
    timers.after(1, lambda: fired.append("before"))
    timers.after(1, fail)
    timers.after(1, lambda: fired.append("after"))
    await trio.sleep(2)
    assert fired == ["before", "after"]
    assert [entry["event"] for entry in logs] == ["timer_failed"]


async def test_a_callback_may_arm_and_cancel(timers: TrioTimers, autojump_clock: MockClock) -> None:
    fired: list[str] = []
    doomed = timers.after(1.0, lambda: fired.append("doomed"))

    def first() -> None:
        doomed.cancel()
        timers.after(0, lambda: fired.append("second"))

    timers.after(0.5, first)
    await trio.sleep(2)
    assert fired == ["second"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["arm", "cancel", "wait"]), st.floats(0, 10)), max_size=30))
def test_timers_behave_as_the_manual_ones(steps: list[tuple[str, float]]) -> None:
    async def run() -> None:
        real, model = TrioTimers(structlog.get_logger()), ManualTimers()
        fired: tuple[list[int], list[int]] = ([], [])
        armed: list[tuple[Any, Any]] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(real.run)
            for number, (step, amount) in enumerate(steps):
                if step == "arm":
                    armed.append(
                        (
                            real.after(amount, lambda n=number: fired[0].append(n)),  # type: ignore[misc]
                            model.after(amount, lambda n=number: fired[1].append(n)),  # type: ignore[misc]
                        )
                    )
                elif step == "cancel" and armed:
                    for timer in armed.pop(int(amount) % len(armed)):
                        timer.cancel()
                elif step == "wait":
                    await trio.sleep(amount + 1e-6)
                    model.advance(amount + 1e-6)
            await trio.sleep(20)
            model.advance(20)
            nursery.cancel_scope.cancel()
        assert fired[0] == fired[1]

    trio.run(run, clock=MockClock(autojump_threshold=0))


# ---- expiry -------------------------------------------------------------------------------------------------


@pytest.mark.threat("T48")
def test_ends_come_when_the_wall_clock_says_so() -> None:
    timers, clock, ended = ManualTimers(), ManualClock(wall=1000.0), []
    expiry = Expiry(timers, clock)

    def advance(seconds: float) -> None:
        clock.advance(seconds)
        timers.advance(seconds)

    expiry.at(1060.0, lambda: ended.append("b"))
    expiry.at(1010.0, lambda: ended.append("a"))
    gone = expiry.at(1005.0, lambda: ended.append("never"))
    gone.cancel()
    for _ in range(9):
        advance(1)
    assert ended == []
    advance(1)
    advance(0.001)
    assert ended == ["a"]
    for _ in range(49):
        advance(1)
    assert ended == ["a"]
    advance(1)
    advance(0.001)
    assert ended == ["a", "b"]
    assert timers.pending == 0  # nothing looks any more when nothing expires


@pytest.mark.threat("T48")
def test_a_jump_forward_ends_sessions_soon_and_a_jump_back_ends_none_early() -> None:
    timers, clock, ended = ManualTimers(), ManualClock(wall=10_000.0), []
    expiry = Expiry(timers, clock)
    expiry.at(13_600.0, lambda: ended.append("a"))
    clock.jump_wall(3_600)
    for _ in range(2):
        clock.advance(RECHECK)
        timers.advance(RECHECK)
    assert ended == ["a"]
    expiry.at(clock.wall() + 10, lambda: ended.append("b"))
    clock.jump_wall(-3_600)
    for _ in range(100):
        clock.advance(10)
        timers.advance(10)
    assert ended == ["a"]
    for _ in range(300):
        clock.advance(10)
        timers.advance(10)
    assert ended == ["a", "b"]


def test_one_end_that_fails_stops_no_other() -> None:
    timers, clock, ended = ManualTimers(), ManualClock(wall=0.0), []
    expiry = Expiry(timers, clock)
    expiry.at(1.0, fail)
    expiry.at(1.0, lambda: ended.append("b"))
    clock.advance(2)
    with pytest.raises(ArithmeticError):
        timers.advance(2)  # these timers let it through; those of the router do not
    timers.advance(1)
    assert ended == ["b"]


# ---- keepalive ----------------------------------------------------------------------------------------------


def watch(link: MemoryLink, timers: TrioTimers, dead: list[float]) -> Keepalive:
    link.answers_pings = False
    keepalive = Keepalive(
        link, timers, ping_interval=25.0, pong_timeout=10.0, dead=lambda: dead.append(trio.current_time())
    )
    keepalive.start()
    return keepalive


async def test_a_silent_peer_is_pinged_and_then_dead(timers: TrioTimers, autojump_clock: MockClock) -> None:
    link, dead = MemoryLink(), list[float]()
    began = trio.current_time()
    watch(link, timers, dead)
    await trio.sleep(24.9)
    assert link.frames == []
    await trio.sleep(0.2)
    assert link.frames == [PING_FRAME]
    await trio.sleep(100)
    assert [round(time - began, 1) for time in dead] == [35.0]
    assert link.frames == [PING_FRAME]


async def test_whatever_is_heard_is_life(timers: TrioTimers, autojump_clock: MockClock) -> None:
    link, dead = MemoryLink(), list[float]()
    watch(link, timers, dead)
    for _ in range(10):
        await trio.sleep(20)
        link.put("anything")
    assert link.frames == []  # a peer that talks is not pinged
    for _ in range(5):
        await trio.sleep(25.1)
        assert link.frames
        link.put("pong, or anything else")
        link.frames.clear()
    assert dead == []


async def test_after_the_stop_nothing_comes(timers: TrioTimers, autojump_clock: MockClock) -> None:
    link, dead = MemoryLink(), list[float]()
    keepalive = watch(link, timers, dead)
    await trio.sleep(26)
    keepalive.stop()
    keepalive.stop()
    await trio.sleep(100)
    assert dead == []
    assert len(timers) == 0
    await settle()
