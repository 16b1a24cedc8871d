"""A connected, non-blocking socket in the form in which the fast lane needs it: two calls that never wait.

Whoever has to wait does so with Trio on :meth:`fileno`, and calls again. It knows no frame and no task.

The rule that keeps it honest: what :meth:`send` says it took leaves in that order or the pipe fails; and nobody is left waiting
for a descriptor that was closed.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Protocol

import trio


class Pipe(Protocol):
    """One connection."""

    @property
    def direct(self) -> bool:
        """Whether what :meth:`send` takes has left at once, always."""

    @property
    def unsent(self) -> bool:
        """Whether something taken by :meth:`send` has not left."""

    @property
    def recv(self) -> Callable[[int], bytes]:
        """Read what is there, about so many bytes; empty at the end. Raises ``BlockingIOError`` if nothing is, ``OSError``."""

    @property
    def send(self) -> Callable[[bytes], int]:
        """Take bytes from the start of these, and say how many. Raises ``BlockingIOError`` if none, ``OSError``."""

    def push(self) -> None:
        """Write on what was taken. Raises ``BlockingIOError`` if some of it is left, ``OSError``."""

    def fileno(self) -> int:
        """What to wait for."""

    def finish(self) -> None:
        """Say to the peer that nothing follows, if that can be said."""

    def close(self) -> None:
        """Close it now; whoever waits for it gets ``ClosedResourceError``. Doing it again does nothing."""


class SocketPipe:
    """A pipe over a stream socket, which belongs to it from now on."""

    __slots__ = ("_socket", "recv", "send")

    direct = True
    unsent = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self.recv: Callable[[int], bytes] = sock.recv
        self.send: Callable[[bytes], int] = sock.send

    @classmethod
    def of(cls, stream: trio.SocketStream) -> SocketPipe:
        """The pipe over the socket of ``stream``, which is taken away from it: that stream is closed from now on."""
        return cls(socket.socket(fileno=stream.socket.detach()))

    def push(self) -> None:
        """There is never anything to push."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
