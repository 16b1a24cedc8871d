"""Sessions without a socket: a link in memory and a router around it. For time that jumps, a test asks for the clock itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

import attrs
import pytest
import structlog
import trio

from trio_router.auth.chain import Chain
from trio_router.auth.strategy import Accepted, Answer, LoginRequest
from trio_router.clock import ManualClock
from trio_router.identity import User
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.protocols.codes import CloseCode
from trio_router.routing.core import Core
from trio_router.routing.door import Door
from trio_router.session.link import Lane, LinkClosed, Take, Upgrade, serve_in_turn
from trio_router.session.server import SessionServer
from trio_router.session.timers import TrioTimers
from trio_router.storage.records import RecordStore
from trio_router.testing.rules import FixedRules


class MemoryLink:
    """A link whose other end is the test: ``say`` goes in, ``told`` came out, ``hang_up`` leaves."""

    def __init__(self) -> None:
        self.upgrade = Upgrade("192.0.2.1", "/", "", (("cookie", "c=1"),), ())
        self.lane: Lane | None = None
        self.on_slow: Callable[[], None] | None = None
        self.frames: list[bytes] = []
        self.limit = 0
        self.closed: CloseCode | None = None
        self.reason = ""
        self.heard_at = trio.current_time()
        self._send, self._receive = trio.open_memory_channel[str | bytes | LinkClosed](math.inf)
        self.ended = trio.Event()
        self.answers_pings = True

    async def receive(self) -> str | bytes:
        item = await self._receive.receive()
        if isinstance(item, LinkClosed):
            raise item
        return item

    async def serve(self, take: Take) -> NoReturn:
        await serve_in_turn(self.receive, take)

    def set_message_limit(self, size: int) -> None:
        self.limit = size

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)
        if frame[0] == 0x89 and self.answers_pings:
            self.heard_at = trio.current_time()

    async def close(self, code: CloseCode, reason: str = "") -> None:
        await trio.lowlevel.checkpoint()
        if self.closed is None:
            self.closed, self.reason = code, reason
            self.ended.set()

    # the other end

    def put(self, item: str | bytes | LinkClosed) -> None:
        self.heard_at = trio.current_time()
        self._send.send_nowait(item)

    def say(self, **message: Any) -> None:
        self.put(json.dumps(message))

    def hang_up(self, code: int | None = 1001) -> None:
        self.put(LinkClosed(code))

    @property
    def told(self) -> list[dict[str, Any]]:
        """The text messages so far."""
        return [json.loads(body(frame)) for frame in self.frames if frame[0] == 0x81]

    @property
    def last(self) -> dict[str, Any]:
        return self.told[-1]

    def of(self, verb: str) -> list[dict[str, Any]]:
        return [message for message in self.told if message["type"] == verb]


def body(frame: bytes) -> bytes:
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class Scripted:
    """A strategy that gives the next answer of its script: an answer, or a function of the request that makes one."""

    name = "scripted"

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.requests: list[LoginRequest] = []

    async def start(self, request: LoginRequest) -> Answer:
        self.requests.append(request)
        step = self.script.pop(0) if self.script else Accepted(User((request.auth or {}).get("user", "guest")))
        if callable(step):
            answer: Answer = await step(request)
            return answer
        return step  # type: ignore[no-any-return]


@attrs.define
class World:
    """A router without a transport."""

    nursery: trio.Nursery
    limits: Limits = attrs.field(factory=Limits)
    strategy: Any = attrs.field(factory=Scripted)
    rules: Any = attrs.field(factory=FixedRules.everything)
    clock: ManualClock = attrs.field(factory=ManualClock)
    metrics: Metrics = attrs.field(factory=Metrics)
    core_class: type[Core] = Core
    jitter: Callable[[], float] = lambda: 0.5
    records: RecordStore | None = None
    protocols: Any = None
    core: Core = attrs.field(init=False)
    server: SessionServer = attrs.field(init=False)
    timers: TrioTimers = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        log = structlog.get_logger()
        self.timers = TrioTimers(log)
        self.core = self.core_class("default", Door(self.rules, self.metrics), self.timers, self.limits, self.metrics)
        self.server = SessionServer(
            app="default",
            core=self.core,
            chain=Chain([self.strategy], 10.0, self.metrics, log),
            limits=self.limits,
            metrics=self.metrics,
            clock=self.clock,
            timers=self.timers,
            log=log,
            jitter=self.jitter,
            records=self.records,
            protocols=self.protocols,
        )
        self.nursery.start_soon(self.timers.run)

    async def connect(self) -> MemoryLink:
        link = MemoryLink()
        self.nursery.start_soon(self.server.serve, link)
        await settle()
        return link

    async def user(self, name: str = "guest") -> MemoryLink:
        link = await self.connect()
        link.say(type="login", id="login", auth={"user": name})
        await settle()
        assert link.last["type"] == "welcome", link.last
        return link

    def closes(self, slug: str) -> float:
        return float(self.metrics.closes.labels(slug)._value.get())


async def settle() -> None:
    """Until everybody waits for something. Not for time: the clock stands still meanwhile."""
    for _ in range(30):
        await trio.lowlevel.checkpoint()


@pytest.fixture
async def make_world(nursery: trio.Nursery) -> Callable[..., World]:
    def make(**options: Any) -> World:
        return World(nursery, **options)

    return make


@pytest.fixture
def logs() -> Any:
    with structlog.testing.capture_logs() as captured:
        yield captured
