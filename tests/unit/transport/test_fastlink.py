"""Links of the fast lane alone, over socket pairs: pauses, faults, fairness, and what a cancelled wait must not lose."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import attrs
import pytest
import structlog
import trio
import trio.testing

from tests.wire.conftest import PING, TEXT, frame
from trio_router.limits import Limits
from trio_router.protocols import codes
from trio_router.protocols.frames import text_frame
from trio_router.session.link import Link, LinkClosed, Upgrade
from trio_router.session.timers import TrioTimers
from trio_router.transport.detour import Detour
from trio_router.transport.fastlink import TURN, TURN_TIME, FastLink
from trio_router.transport.guard import FrameGuard
from trio_router.transport.handshake import Handshake
from trio_router.transport.intake import Intake
from trio_router.transport.lane import Lane
from trio_router.transport.outbox import Outbox
from trio_router.transport.pipe import SocketPipe

LIMITS = attrs.evolve(Limits(), login_message_size=100_000, fragment_timeout=0.3)
Open = Callable[[], AbstractAsyncContextManager[tuple[Link, trio.SocketStream]]]


@pytest.fixture(params=[True, False], ids=["pump", "no pump"])
async def open_lane(request: pytest.FixtureRequest, nursery: trio.Nursery) -> AsyncIterator[Lane]:
    timers = TrioTimers(structlog.get_logger())
    lane = Lane(timers, pumped=request.param)
    nursery.start_soon(timers.run)
    nursery.start_soon(lane.run)
    yield lane
    nursery.cancel_scope.cancel()


@pytest.fixture
async def open_link(open_lane: Lane) -> Open:
    lane = open_lane

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Link, trio.SocketStream]]:
        ours, theirs = socket.socketpair()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        upgrade = Upgrade("192.0.2.1", "/", "", (), ())
        links, done = list[Link](), trio.Event()

        async def keep(link: Link) -> None:
            links.append(link)
            await done.wait()

        async with trio.open_nursery() as connections:
            handshake = Handshake(upgrade, "MDEyMzQ1Njc4OWFiY2RlZg==")
            connections.start_soon(lambda: lane.serve(SocketPipe(ours), handshake, limits=LIMITS, handler=keep))
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
            yield links[0], stream
            await stream.aclose()
            done.set()

    return opened


async def until(true: Callable[[], object]) -> None:
    with trio.fail_after(10):
        while not true():
            await trio.sleep(0.001)


def texts(*words: str) -> bytes:
    return b"".join(frame(TEXT, word.encode()) for word in words)


async def test_what_take_returns_holds_up_that_link_alone(open_link: Open) -> None:
    free, taken = trio.Event(), list[str | bytes]()

    def take(message: str | bytes) -> Awaitable[None] | None:
        taken.append(message)
        return free.wait() if message == "wait" else None

    async with open_link() as (one, client), open_link() as (other, neighbour), trio.open_nursery() as nursery:
        nursery.start_soon(one.serve, take)
        nursery.start_soon(other.serve, take)
        await client.send_all(texts("a", "wait", "b", "c"))
        await until(lambda: "wait" in taken)
        await neighbour.send_all(texts("neighbour"))
        await until(lambda: "neighbour" in taken)
        await client.send_all(texts("d"))
        assert taken == ["a", "wait", "neighbour"]
        free.set()
        await until(lambda: "d" in taken)
        assert taken == ["a", "wait", "neighbour", "b", "c", "d"]
        nursery.cancel_scope.cancel()


@pytest.mark.threat("T09")
@pytest.mark.parametrize("later", [False, True], ids=["at once", "in what it returned"])
async def test_what_take_raises_ends_that_session_alone(open_link: Open, later: bool) -> None:
    taken, raised = list[str | bytes](), list[Exception]()

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    def take(message: str | bytes) -> Awaitable[None] | None:
        if message != "bad":
            taken.append(message)
            return None
        if later:
            return fail()
        raise ZeroDivisionError

    async def serve(link: Link) -> None:
        try:
            await link.serve(take)
        except ZeroDivisionError as error:
            raised.append(error)

    async with open_link() as (one, client), open_link() as (other, neighbour), trio.open_nursery() as nursery:
        nursery.start_soon(serve, one)
        nursery.start_soon(serve, other)
        await client.send_all(texts("a", "bad", "never"))
        await until(lambda: raised)
        await neighbour.send_all(texts("b"))
        await until(lambda: "b" in taken)
        assert taken == ["a", "b"]
        nursery.cancel_scope.cancel()


async def test_whoever_sends_much_gets_a_turn_and_then_the_others_do(open_link: Open) -> None:
    taken = list[str | bytes]()
    async with open_link() as (one, client), open_link() as (other, neighbour), trio.open_nursery() as nursery:
        await client.send_all(texts(*["flood"] * (TURN * 5)))
        await neighbour.send_all(texts("neighbour"))
        nursery.start_soon(one.serve, taken.append)
        nursery.start_soon(other.serve, taken.append)
        await until(lambda: len(taken) == TURN * 5 + 1)
        assert taken.index("neighbour") <= TURN * 2
        nursery.cancel_scope.cancel()


async def test_who_asks_for_much_work_gets_a_turn_and_then_the_others_do(open_link: Open) -> None:
    taken = list[str | bytes]()

    def take(message: str | bytes) -> None:
        taken.append(message)
        time.sleep(TURN_TIME / 2)  # what many decisions take

    async with open_link() as (one, client), open_link() as (other, neighbour), trio.open_nursery() as nursery:
        await client.send_all(texts(*["work"] * 50))
        await neighbour.send_all(texts("neighbour"))
        nursery.start_soon(one.serve, take)
        nursery.start_soon(other.serve, take)
        await until(lambda: len(taken) == 51)
        assert taken.index("neighbour") <= 10
        nursery.cancel_scope.cancel()


@pytest.mark.threat("T07")
@pytest.mark.parametrize("begun", [frame(TEXT, b"a", fin=False), texts("abc")[:5]], ids=["fragment", "half a frame"])
@pytest.mark.parametrize("before", [True, False], ids=["before serve", "during serve"])
async def test_what_is_begun_must_be_finished_in_time(open_link: Open, begun: bytes, before: bool) -> None:
    async with open_link() as (link, client), trio.open_nursery() as nursery:
        if before:
            await client.send_all(begun)
        else:
            nursery.start_soon(client.send_all, begun)
        with trio.fail_after(5), pytest.raises(LinkClosed) as ended:
            await link.serve(lambda _: None)
        assert ended.value.ours is codes.FLOOD


async def test_what_is_finished_in_time_may_take_its_time(open_link: Open) -> None:
    taken = list[str | bytes]()
    async with open_link() as (link, client), trio.open_nursery() as nursery:
        nursery.start_soon(link.serve, taken.append)
        for _ in range(4):  # together longer than any one of them may take
            whole = texts("abc")
            await client.send_all(whole[:5])
            await trio.sleep(0.15)
            await client.send_all(whole[5:])
        await until(lambda: len(taken) == 4)
        nursery.cancel_scope.cancel()


async def test_a_wait_that_is_cancelled_loses_nothing(open_link: Open) -> None:
    """As at the end of a login, when nobody listens for a moment: at each point of a message that takes the detour."""
    for patience in range(12):
        async with open_link() as (link, client):
            await client.send_all(frame(TEXT, b"a", fin=False) + frame(PING, b"") + frame(0, b"b") + texts("c"))
            found: list[str | bytes] = []
            with trio.CancelScope() as scope:

                async def impatient(scope: trio.CancelScope = scope, patience: int = patience) -> None:
                    for _ in range(patience):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(impatient)
                    found.append(await link.receive())
            with trio.fail_after(5):
                while len(found) < 2:
                    found.append(await link.receive())
            assert found == ["ab", "c"]


async def test_messages_before_the_end_are_taken_and_the_end_is_told(open_link: Open) -> None:
    taken = list[str | bytes]()

    async def serve(link: Link) -> NoReturn:
        await link.serve(taken.append)

    async with open_link() as (link, client):
        await client.send_all(texts("a", "b"))
        await client.send_eof()
        with trio.fail_after(5), pytest.raises(LinkClosed) as ended:
            await serve(link)
        assert taken == ["a", "b"]
        assert (ended.value.code, ended.value.ours) == (None, None)


@pytest.mark.threat("T09")
async def test_a_pump_that_cannot_watch_one_more_goes_on(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers = TrioTimers(structlog.get_logger())
    taken, refused = list[str | bytes](), list[Exception]()
    lane = Lane(timers)
    nursery.start_soon(lane.run)
    upgrade = Upgrade("192.0.2.1", "/", "", (), ())

    async def one(*, deaf: bool) -> trio.SocketStream:
        ours, theirs = socket.socketpair()

        async def serve(link: Link) -> None:
            if deaf:
                monkeypatch.setattr(SocketPipe, "fileno", lambda _: 9_999)  # as when the system has no room left for it
            try:
                await link.serve(taken.append)
            except (OSError, LinkClosed) as error:
                refused.append(error)
            finally:
                monkeypatch.undo()

        handshake = Handshake(upgrade, "MDEyMzQ1Njc4OWFiY2RlZg==")
        nursery.start_soon(lambda: lane.serve(SocketPipe(ours), handshake, limits=LIMITS, handler=serve))
        return trio.SocketStream(trio.socket.from_stdlib_socket(theirs))

    good = await one(deaf=False)
    await trio.testing.wait_all_tasks_blocked()
    bad = await one(deaf=True)
    await until(lambda: refused)
    assert isinstance(refused[0], OSError)
    await good.send_all(texts("a"))
    await until(lambda: taken == ["a"])
    await bad.aclose()
    await good.aclose()
    nursery.cancel_scope.cancel()


@pytest.mark.threat("T07")
async def test_nothing_is_held_of_a_connection_that_ended_in_the_middle_of_a_message(nursery: trio.Nursery) -> None:
    timers = TrioTimers(structlog.get_logger())
    lane = Lane(timers)
    nursery.start_soon(lane.run)
    ours, theirs = socket.socketpair()
    client = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))

    async def serve(link: Link) -> None:
        with contextlib.suppress(LinkClosed):
            await link.serve(lambda _: None)

    async with trio.open_nursery() as connections:
        handshake = Handshake(Upgrade("192.0.2.1", "/", "", (), ()), "MDEyMzQ1Njc4OWFiY2RlZg==")
        connections.start_soon(lambda: lane.serve(SocketPipe(ours), handshake, limits=LIMITS, handler=serve))
        await client.receive_some()
        await trio.testing.wait_all_tasks_blocked()
        await client.send_all(texts("half of it")[:9])
        await until(lambda: len(timers) == 1)
        await client.aclose()
    assert len(timers) == 0
    nursery.cancel_scope.cancel()


FAULTS = [
    *((FastLink, name) for name in ("_read", "_work", "_step", "_take_detour", "_drain")),
    *((Intake, name) for name in ("add", "messages", "frame")),
    *((Detour, name) for name in ("feed", "receive_some", "worked_off", "send_all")),
    (FrameGuard, "feed"),
    *((Outbox, name) for name in ("flush_now", "block", "_append", "_write_on", "flush")),
]


@pytest.mark.interpreted  # methods are replaced
@pytest.mark.threat("T09")
@pytest.mark.parametrize("open_lane", [True], indirect=True, ids=["pump"])
@pytest.mark.parametrize(("owner", "name"), FAULTS, ids=[f"{owner.__name__}.{name}" for owner, name in FAULTS])
async def test_a_fault_at_any_place_ends_that_connection_alone(
    open_lane: Lane, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    """The peer sends of everything, and does not read what comes back; a neighbour is answered before and after."""
    plain, faults = getattr(owner, name), 0
    armed = False

    def fails(self: object, *args: object, **options: object) -> object:
        nonlocal faults
        if armed:
            faults += 1
            raise ZeroDivisionError
        return plain(self, *args, **options)

    monkeypatch.setattr(owner, name, fails)

    async def one(size: int) -> tuple[trio.SocketStream, trio.Event]:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        ended = trio.Event()

        async def serve(link: Link) -> None:
            await link.serve(lambda message: link.send(text_frame(str(message).encode() * size)))

        async def contained() -> None:
            handshake = Handshake(Upgrade("192.0.2.1", "/", "", (), ()), "MDEyMzQ1Njc4OWFiY2RlZg==")
            try:
                await open_lane.serve(SocketPipe(ours), handshake, limits=LIMITS, handler=serve)
            except (LinkClosed, ZeroDivisionError, ExceptionGroup):
                ended.set()

        tasks.start_soon(contained)
        client = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        assert (await client.receive_some()).startswith(b"HTTP/1.1 101 ")
        return client, ended

    async with trio.open_nursery() as tasks:
        neighbour, _ = await one(1)
        victim, ended = await one(10_000)
        await trio.testing.wait_all_tasks_blocked()
        armed = True
        everything = [
            texts("abc"),
            frame(PING, b""),
            frame(TEXT, b"a", fin=False),
            frame(0, b"b"),
            texts("d" * 50)[:20],
        ]
        for piece in everything:
            with contextlib.suppress(trio.BrokenResourceError):
                await victim.send_all(piece)
            await trio.testing.wait_all_tasks_blocked(0.001)
        await victim.aclose()
        await trio.testing.wait_all_tasks_blocked(0.001)
        armed = False
        with trio.fail_after(10):
            await ended.wait()
            await neighbour.send_all(texts("still here"))
            assert await neighbour.receive_some() == text_frame(b"still here")
        assert faults or name == "_drain"
        tasks.cancel_scope.cancel()
        await neighbour.aclose()
