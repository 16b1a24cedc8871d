"""A line that carries bytes: the router's own WebSocket transport at one end, with its guard and outbox, frames by hand at the other.

What the client says is cut into pieces anywhere, each with its own delay; a line that is cut may end in the middle of a frame.
"""

from __future__ import annotations

import json
import math
import random
from collections import deque
from typing import Any

import trio

from tests.simulation.line import Line
from tests.wire.conftest import CLOSE, KEY, PONG, TEXT, frame
from trio_router.limits import Limits
from trio_router.session.server import SessionServer
from trio_router.transport.handshake import Handshake
from trio_router.transport.websocket import serve_websocket

WINDOW = 4096
"""Bytes on their way to a client before the router has to wait."""


class _Stream(trio.abc.Stream):
    """The router's end of a line."""

    def __init__(self, line: ByteLine) -> None:
        self._line = line

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return await self._line.next_piece()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        await self._line.carry(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._line.end()
        await trio.lowlevel.checkpoint()


class ByteLine(Line):
    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._pieces: deque[tuple[float, bytes]] = deque()  # to the router; an empty one is the end
        self._parts: deque[tuple[float, bytes]] = deque()  # to the client
        self._read = bytearray()
        self._answered = False  # the handshake
        self._ended = False  # by the router
        self._over = False  # a close frame has come

    async def serve_by(self, server: SessionServer, limits: Limits) -> None:
        """The router's whole side of it."""
        handshake = Handshake(self.upgrade, KEY)
        deadline = trio.current_time() + limits.request_head_timeout
        await serve_websocket(_Stream(self), handshake, limits=limits, deadline=deadline, handler=server.serve)

    # ---- the router's side ------------------------------------------------------------------------------------

    async def next_piece(self) -> bytes:
        while True:
            if self._ended:
                raise trio.ClosedResourceError
            due = self._pieces[0][0] if self._pieces and not self.silent else math.inf
            if due > trio.current_time():
                with trio.move_on_at(due):
                    await self._news.wait()
                continue
            piece = self._pieces[0][1]
            if piece:
                self._pieces.popleft()
            elif self.broken:
                raise trio.BrokenResourceError
            return piece

    async def carry(self, data: bytes) -> None:
        while sum(len(part) for _, part in self._parts) > WINDOW and not (self.broken or self._ended):
            await self._news.wait()
        if self._ended:
            raise trio.ClosedResourceError
        if self.broken:
            raise trio.BrokenResourceError
        self._parts.append((self._due(self._parts), data))

    def end(self) -> None:
        self._ended = True
        self._wake()

    # ---- the client's side ------------------------------------------------------------------------------------

    def say(self, **message: Any) -> None:
        self._put(frame(TEXT, json.dumps(message).encode()))

    def _put(self, data: bytes) -> None:
        if self.broken or self._over:
            return
        while data:
            size = self._rng.choice((1, 2, 7, len(data), len(data)))
            self._pieces.append((self._due(self._pieces), data[:size]))
            data = data[size:]
        self._wake()

    def heard(self) -> list[bytes]:
        while self._parts and not self.silent and self._parts[0][0] <= trio.current_time():
            self._read += self._parts.popleft()[1]
        self._wake()
        if not self._answered:
            head, end, rest = bytes(self._read).partition(b"\r\n\r\n")
            if not end:
                return []
            assert head.startswith(b"HTTP/1.1 101 ")
            self._answered, self._read = True, bytearray(rest)
        found = []
        while (whole := self._whole()) is not None:
            if whole[0] & 0x0F == CLOSE:
                self._put(frame(CLOSE, whole[2:4]))
                self._over = True
            else:
                found.append(whole)
        return found

    def _whole(self) -> bytes | None:
        """The next frame, if it is there to its end."""
        data = self._read
        if len(data) < 2:
            return None
        start, size = 2, data[1]
        if size == 126:
            start, size = 4, int.from_bytes(data[2:4])
        elif size == 127:
            start, size = 10, int.from_bytes(data[2:10])
        if len(data) < start + size:
            return None
        whole = bytes(data[: start + size])
        del data[: start + size]
        return whole

    def answer_ping(self) -> None:
        self._put(frame(PONG))

    def leave(self) -> None:
        self._put(frame(CLOSE, (1000).to_bytes(2)))
        self._pieces.append((self._due(self._pieces), b""))
        self._wake()

    def cut(self) -> None:
        self.silent = False
        self.broken = True
        for way in (self._pieces, self._parts):
            for _ in range(self._rng.randint(0, len(way))):
                way.pop()
        self._pieces.append((trio.current_time(), b""))
        self._wake()

    @property
    def gone(self) -> bool:
        return self.broken or ((self._over or self._ended) and not self.silent and not self._parts)
