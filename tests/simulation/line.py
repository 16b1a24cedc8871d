"""A connection in memory between one simulated client and the router, with a network's faults on both ways.

As ``session.link.Link`` it is what a session sees. What is sent takes a while, in order; a line may fall silent, be cut with an
unknown part of what is on its way lost, or carry more than its outbox holds, as the transport's do.
"""

from __future__ import annotations

import json
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

import trio

from trio_router.protocols import codes
from trio_router.protocols.codes import CloseCode
from trio_router.session.link import Lane, LinkClosed, Take, Upgrade, serve_in_turn

OUTBOX = 60
"""Frames on their way to a client, past which it is too slow."""


class Line:
    def __init__(self, rng: random.Random) -> None:
        self.upgrade = Upgrade("192.0.2.1", "/", "", (), ())
        self.lane: Lane | None = None
        self.on_slow: Callable[[], None] | None = None
        self.heard_at = trio.current_time()
        self.slowness = rng.choice((0.0, 0.0, 0.01, 0.5))
        self.silent = False
        self.closed: CloseCode | None = None  # by the router
        self.broken = False
        self._rng = rng
        self._up: deque[tuple[float, str | LinkClosed]] = deque()
        self._down: deque[tuple[float, bytes]] = deque()
        self._ours: CloseCode | None = None
        self._news = trio.Event()

    # ---- the router's side ------------------------------------------------------------------------------------

    async def receive(self) -> str | bytes:
        await trio.lowlevel.checkpoint()
        while True:
            if self._ours is not None:
                raise LinkClosed(None, self._ours)
            due = self._up[0][0] if self._up and not self.silent else math.inf
            if due > trio.current_time():
                with trio.move_on_at(due):
                    await self._news.wait()
                continue
            _, item = self._up.popleft()
            if isinstance(item, LinkClosed):
                raise item
            self.heard_at = trio.current_time()
            return item

    async def serve(self, take: Take) -> NoReturn:
        await serve_in_turn(self.receive, take)

    def set_message_limit(self, size: int) -> None:
        pass

    def send(self, frame: bytes) -> None:
        if self.broken or self._ours is not None or self.closed is not None:
            return
        if len(self._down) >= OUTBOX:
            self._ours = codes.SLOW
            self._wake()
            if self.on_slow is not None:
                self.on_slow()
            return
        self._down.append((self._due(self._down), frame))

    async def close(self, code: CloseCode, reason: str = "") -> None:
        self.closed = self.closed or self._ours or code
        await trio.sleep(self._rng.random() * 2)

    # ---- the client's side ------------------------------------------------------------------------------------

    def say(self, **message: Any) -> None:
        if not self.broken:
            self._up.append((self._due(self._up), json.dumps(message)))
            self._wake()

    def heard(self) -> list[bytes]:
        """What has arrived by now."""
        found = []
        while self._down and not self.silent and self._down[0][0] <= trio.current_time():
            found.append(self._down.popleft()[1])
        return found

    def answer_ping(self) -> None:
        if not self.silent:
            self.heard_at = trio.current_time()

    def leave(self) -> None:
        """After all that was said."""
        self._up.append((self._due(self._up), LinkClosed(1000)))
        self._wake()

    def cut(self) -> None:
        """Lost: an unknown part of what is on its way, from some point on, in both directions."""
        self.silent = False
        self.broken = True
        for way in (self._up, self._down):
            for _ in range(self._rng.randint(0, len(way))):
                way.pop()
        self._up.append((trio.current_time(), LinkClosed(None)))
        self._wake()

    def fall_silent(self) -> None:
        self.silent = True
        self._wake()

    def speak_again(self) -> None:
        self.silent = False
        self._wake()

    @property
    def gone(self) -> bool:
        """Whether the client knows that it is over."""
        return self.broken or (self.closed is not None and not self.silent and not self._down)

    def _due(self, way: deque[tuple[float, Any]]) -> float:
        due = trio.current_time() + self._rng.random() * self.slowness
        return max(due, way[-1][0]) if way else due

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()
