"""A bad network in one process: a proxy between a client and a service that delays, throttles, splits, stalls, cuts and repeats.

It carries bytes and knows no protocol, so WebSockets, HTTP and TLS pass alike. What is done to them is a :class:`Faults` for each
direction, which may be replaced at any time; it counts for what comes from then on. TCP's promise is kept, as by any real network: bytes
arrive in order and whole up to the end, or not at all.

The rule that keeps it honest: without faults nobody notices the proxy, and no fault of one connection touches another.
"""

from __future__ import annotations

import contextlib
import fcntl
import random
import socket
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

CHUNK: Final = 64 * 1024
"""Bytes read at once."""

AHEAD: Final = 32
"""Chunks that are on the way in one direction; a sender is not read from while there are more."""

TICK: Final = 0.05
"""Seconds' worth of bytes that leave at once when there is a rate."""


@attrs.frozen(kw_only=True)
class Faults:
    """What happens to bytes on their way in one direction of each connection. Times are seconds, sizes are bytes.

    ``delay``: until a byte arrives, plus up to ``jitter``; later bytes wait for earlier ones. ``rate``: bytes a second. ``pieces``: they
    leave in pieces of exactly these sizes, of which the last repeats, with ``gap`` between two. ``cut_after``: so many bytes
    pass, then both sides see a reset. ``stalled``: nothing passes and nobody is told, not even of an end, until that is lifted.
    """

    delay: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    jitter: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    rate: float | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.gt(0)))
    pieces: tuple[int, ...] = attrs.field(
        default=(), converter=tuple, validator=attrs.validators.deep_iterable(attrs.validators.ge(1))
    )
    gap: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    cut_after: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(0)))
    stalled: bool = False


class Way:
    """One direction: the ``faults`` in force, and the ``carried`` bytes that have left, of all connections."""

    def __init__(self, seed: int) -> None:
        self.carried = 0
        self._faults = Faults()
        self._changed = trio.Event()
        self._random = random.Random(seed)  # noqa: S311 - a fault has to come again, not to be unpredictable

    @property
    def faults(self) -> Faults:
        """What happens to bytes here; replace it at any time."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        self._changed.set()
        self._changed = trio.Event()

    async def passable(self) -> Faults:
        """Wait while nothing passes; the faults in force then."""
        while self._faults.stalled:
            await self._changed.wait()
        return self._faults

    def due(self) -> float:
        """When what comes now arrives, in Trio's time."""
        return trio.current_time() + self._faults.delay + self._random.random() * self._faults.jitter


class Proxy:
    """A running proxy on ``port`` of 127.0.0.1; ``up`` is the way from clients to the service, ``down`` the other.

    ``duplicates``: so many more connections to the service are made for each client to come, and are sent the same bytes, as
    somebody would who repeats what was recorded; ``repeated`` keeps what the service answered each of them. ``connections``
    counts clients so far.
    """

    def __init__(self, service: tuple[str, int], *, seed: int = 0, receive_buffer: int | None = None) -> None:
        self.service = service
        self.port = 0
        self.up = Way(seed)
        self.down = Way(seed + 1)
        self.duplicates = 0
        self.repeated: list[bytearray] = []
        self.connections = 0
        self._open: set[_Connection] = set()
        self._receive_buffer = receive_buffer

    @property
    def open(self) -> int:
        """Connections of clients that have not ended."""
        return len(self._open)

    def both(self, faults: Faults) -> None:
        """The same on both ways."""
        self.up.faults = self.down.faults = faults

    def cut(self) -> None:
        """End every connection now; both sides see a reset."""
        for connection in list(self._open):
            connection.cut()

    async def carry(self, client: trio.SocketStream) -> None:
        """One client's connection, until it ends."""
        self.connections += 1
        with contextlib.ExitStack() as stack:
            stack.callback(client.socket.close)
            try:
                services = [await self._connect(stack) for _ in range(1 + self.duplicates)]
            except OSError:  # nobody is there: the client sees that, too
                _reset(client)
                return
            connection = _Connection(self, client, services)
            self._open.add(connection)
            try:
                await connection.run()
            finally:
                self._open.discard(connection)

    async def _connect(self, stack: contextlib.ExitStack) -> trio.SocketStream:
        sock = trio.socket.socket()
        stack.callback(sock.close)
        if self._receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        await sock.connect(self.service)
        return trio.SocketStream(sock)


class _Connection:
    """One client's connection, and those to the service that it has: the first is the one it hears."""

    def __init__(self, proxy: Proxy, client: trio.SocketStream, services: list[trio.SocketStream]) -> None:
        self._proxy = proxy
        self._client = client
        self._services = services
        self._scope = trio.CancelScope()

    def cut(self) -> None:
        for stream in (self._client, *self._services):
            _reset(stream)
        self._scope.cancel()

    async def run(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                for stream in self._services[1:]:
                    self._proxy.repeated.append(answers := bytearray())
                    nursery.start_soon(_keep, stream, answers)
                async with trio.open_nursery() as ways:
                    ways.start_soon(self._read, self._proxy.up, self._client, self._services)
                    ways.start_soon(self._read, self._proxy.down, self._services[0], [self._client])
                nursery.cancel_scope.cancel()

    async def _read(self, way: Way, source: trio.SocketStream, targets: list[trio.SocketStream]) -> None:
        put, take = trio.open_memory_channel[tuple[float, bytes]](AHEAD)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, way, take, targets)
            async with put:
                data = b"?"
                while data:
                    await way.passable()
                    try:
                        data = bytes(await source.receive_some(CHUNK))
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        self.cut()  # a reset on one side is one on the other
                        return
                    await put.send((way.due(), data))

    async def _write(
        self, way: Way, take: trio.MemoryReceiveChannel[tuple[float, bytes]], targets: list[trio.SocketStream]
    ) -> None:
        sizes = _Sizes()
        passed = 0
        async with take:
            async for due, data in take:
                await trio.sleep_until(due)
                while data:
                    faults = await way.passable()
                    size = sizes.next(faults)
                    if faults.cut_after is not None:
                        size = max(0, min(size, faults.cut_after - passed))
                    piece, data = data[:size], data[size:]
                    way.carried += len(piece)  # before it is sent: whoever has it finds it counted
                    await self._send(targets, piece)
                    passed += len(piece)
                    if faults.cut_after is not None and passed >= faults.cut_after:
                        await _arrived(targets)
                        self.cut()
                    await trio.sleep(faults.gap + (len(piece) / faults.rate if faults.rate is not None else 0))
                await way.passable()  # an end does not pass either
        for target in targets:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await target.send_eof()

    async def _send(self, targets: list[trio.SocketStream], piece: bytes) -> None:
        for target in targets:
            try:
                await target.send_all(piece)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                if target is targets[0]:  # the others are heard by nobody
                    self.cut()


class _Sizes:
    """How much leaves at once, by the faults in force."""

    def __init__(self) -> None:
        self._pieces: tuple[int, ...] = ()
        self._at = 0

    def next(self, faults: Faults) -> int:
        size = CHUNK
        if faults.pieces != self._pieces:
            self._pieces, self._at = faults.pieces, 0
        if self._pieces:
            size = self._pieces[min(self._at, len(self._pieces) - 1)]
            self._at += 1
        return size if faults.rate is None else min(size, max(1, int(faults.rate * TICK)))


async def _keep(stream: trio.SocketStream, answers: bytearray) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in stream:
            answers += data


async def _arrived(targets: list[trio.SocketStream]) -> None:
    """Wait until the kernels on the other side have what was sent: a reset would overtake it."""
    with trio.move_on_after(1):
        for target in targets:
            while int.from_bytes(fcntl.ioctl(target.socket.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder):  # noqa: ASYNC110 - the kernel tells nobody
                await trio.sleep(0.001)


def _reset(stream: trio.SocketStream) -> None:
    """Close it so that its peer sees a reset."""
    with contextlib.suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


@asynccontextmanager
async def proxy(service: tuple[str, int], *, seed: int = 0, receive_buffer: int | None = None) -> AsyncIterator[Proxy]:
    """A proxy in front of ``service`` (host, port), gone with the block; what is open then is reset.

    ``seed`` decides about jitter. ``receive_buffer`` is the size in bytes of the kernel's buffers where the proxy reads, so that a
    sender who is not read from notices soon.
    """
    (listening,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    if receive_buffer is not None:
        listening.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    running = Proxy(service, seed=seed, receive_buffer=receive_buffer)
    running.port = listening.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, running.carry, [listening])
        try:
            yield running
        finally:
            running.cut()
            nursery.cancel_scope.cancel()
