"""One router follows another in the same place without a moment in which nobody answers.

The router there is starts the next one with its listening sockets, and goes on as before. The next one reads its files, opens its
stores and says that it is *prepared*; what fails until then changes nothing. Now the first one accepts no more, ends all its
sessions in one step, and says *go*; the next one accepts. So there is never more than one router in which events are routed, and what was
acknowledged has reached everybody whose session stood: those who connect meanwhile wait, unanswered, in the sockets' queue.

It owns this conversation and knows no sessions. The rule that keeps it honest: a next router that ends or hesitates before it is
prepared is put away, and the one there is does not notice.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import trio

from trio_router.errors import RouterError
from trio_router.inheritance import VARIABLE, Place, handed_over

PREPARED: Final = b"P"
GO: Final = b"G"

PATIENCE: Final = 60.0
"""Seconds the next router has until it is prepared."""


class HandoverFailed(RouterError):
    """There is no next router; the text says why."""


class Successor:
    """The router to come. ``pid`` is its process."""

    def __init__(self, process: trio.Process, channel: trio.SocketStream) -> None:
        self._process = process
        self._channel = channel
        self.pid = process.pid

    @classmethod
    async def start(cls, places: Mapping[str, Place], command: Sequence[str] | None = None) -> Successor:
        """Start it with the sockets of ``places`` and wait until it is prepared. ``command``: the one this process was started with.

        Raises:
            HandoverFailed: it could not be started, ended, or did not get ready in time.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            channel = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
            fds = [theirs.fileno(), *(one.fileno() for place in places.values() for one in place.sockets)]
            environ = {**os.environ, VARIABLE: handed_over(places, theirs)}
            words = list(command or [sys.executable, *sys.orig_argv[1:]])
            try:
                process = await trio.lowlevel.open_process(words, env=environ, pass_fds=fds)
            except OSError as error:
                await channel.aclose()
                raise HandoverFailed(f"it cannot be started: {error.strerror}") from None
        successor = cls(process, channel)
        prepared = False
        try:
            with trio.move_on_after(PATIENCE):
                prepared = await successor.heard() == PREPARED
        finally:
            if not prepared:
                await successor.put_away()
        if not prepared:
            raise HandoverFailed(f"it ended with status {process.returncode} or took too long before it was prepared")
        return successor

    async def heard(self) -> bytes:
        """Its next word, or nothing if it has ended."""
        try:
            return bytes(await self._channel.receive_some(1))
        except trio.BrokenResourceError:
            return b""

    async def go(self) -> None:
        """It is its turn."""
        with suppress(trio.BrokenResourceError):
            await self._channel.send_all(GO)
        await self._channel.aclose()

    async def put_away(self) -> None:
        """It is not to begin."""
        with trio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            await self._channel.aclose()


async def wait_for_go(channel: socket.socket) -> None:
    """Say that this router is prepared, and wait until the one before leaves the place to it.

    If that one dies without a word its place is free: this router begins. (If it changes its mind, it kills this process.)
    """
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(channel))
    try:
        await stream.send_all(PREPARED)
        await stream.receive_some(1)
    except trio.BrokenResourceError:
        pass
    finally:
        await trio.aclose_forcefully(stream)
