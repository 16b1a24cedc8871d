"""The long way of what the fast lane does not take: fragments, closes and whatever is wrong go through trio-websocket.

It is opened for the first such frame and stays open. It is fed one whole frame at a time, which the guard has let pass, and the
next one only when that was worked off; so what comes out is in order with what went the short way.

The rule that keeps it honest: it never reads from the socket, and what it writes goes through the same outbox as everything else.
"""

from __future__ import annotations

from typing import Final

import trio

from trio_router.transport.handshake import Handshake
from trio_router.transport.outbox import Outbox
from trio_router.transport.websocket import Answering, answer_websocket

_CLOSE_OPCODE: Final = 0x88


class Detour(trio.abc.Stream):
    """What trio-websocket takes for the connection. Open it with :meth:`open`."""

    def __init__(self, outbox: Outbox, request: bytes) -> None:
        self._outbox: Outbox | None = outbox
        self._data = request
        self._fed = trio.Event()
        self._worked_off = trio.Event()  # set when what was fed is done with, or when nothing more will be taken
        self._answered = False
        self._left = False
        self._connection: Answering | None = None

    @classmethod
    async def open(cls, nursery: trio.Nursery, outbox: Outbox, handshake: Handshake, max_message_size: int) -> Detour:
        """A handshake that was answered long ago is shown to trio-websocket; its answer goes nowhere."""
        detour = cls(outbox, handshake.request())
        detour._connection = await answer_websocket(
            nursery, detour, handshake.upgrade.subprotocol, max_message_size=max_message_size
        )
        return detour

    def feed(self, frame: bytes) -> None:
        """Give it one whole frame; the one before has been worked off."""
        self._worked_off = trio.Event()
        self._data = frame
        self._fed.set()
        if self._left:
            self._worked_off.set()

    async def worked_off(self) -> bool:
        """Wait until that is done; False if the connection has ended, then :meth:`message` says why."""
        await self._worked_off.wait()
        return not self._left

    async def message(self) -> str | bytes:
        """The message that the last frame has completed. Raises ``WebSocketEnded``."""
        assert self._connection is not None  # noqa: S101 - set by open
        return await self._connection.message()

    # ---- trio.abc.Stream, for trio-websocket ------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        del max_bytes  # it takes whatever comes
        await trio.lowlevel.checkpoint()
        if not self._data:
            self._worked_off.set()
        while not self._data:
            self._fed = trio.Event()
            await self._fed.wait()
        data, self._data = self._data, b""
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Put what trio-websocket has to say and wait until it left: who does not read its answers is not read."""
        await trio.lowlevel.checkpoint()
        outbox = self._open()
        if not self._answered:
            self._answered = True
        elif not outbox.sealed:
            if data[0] == _CLOSE_OPCODE:
                outbox.seal(bytes(data))
            else:
                outbox.put(bytes(data))
            await outbox.flush()

    async def wait_send_all_might_not_block(self) -> None:
        await self._open().flush()

    def _open(self) -> Outbox:
        if self._outbox is None:
            raise trio.ClosedResourceError
        return self._outbox

    def drop(self) -> None:
        """The connection has ended. Trio-websocket's objects hold each other, and this, until the collector comes by: nothing of ours besides."""
        self._outbox = None

    async def aclose(self) -> None:
        """Trio-websocket is done. The link closes the connection, after its own last frame has left."""
        self._left = True
        self._worked_off.set()
        await trio.lowlevel.checkpoint()
