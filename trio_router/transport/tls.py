"""TLS without a stream under it: records are made and opened in memory, the socket is read and written next to them.

What many frames are joined to goes through one call of OpenSSL and one write, which is what makes TLS cheap under load.
``TlsPipe`` is a pipe like any other; ``TlsStream`` is the Trio stream over it, for what is read and said before anybody knows
whether a connection is a WebSocket.

The rule that keeps it honest: records leave whole and in order, so what is taken is written before anything else is taken; and
nothing read is given out before OpenSSL has accepted it.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Final

import trio

from trio_router.transport.pipe import SocketPipe

CHUNK: Final = 64 * 1024
"""Bytes read from the socket at once; what comes out of them is about as long."""

ANSWERS: Final = 64 * 1024
"""Bytes TLS itself may answer in a connection's life: some 2,400 changes of keys, where one is good for millions of records.

Each is answered with as many bytes as it has, whether the peer reads or not, and costs 0.1 ms (measured, OpenSSL 3.0).
"""


class TlsPipe:
    """The server's side of TLS over ``inner``, which belongs to it from now on. :meth:`shake_hands` comes first."""

    __slots__ = ("_answered", "_in", "_inner", "_out", "_tls", "_unsent")

    direct = False

    def __init__(self, inner: SocketPipe, context: ssl.SSLContext) -> None:
        self._inner = inner
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._unsent = b""
        self._answered = 0  # bytes that the protocol itself had to say since the handshake

    @property
    def unsent(self) -> bool:
        return bool(self._unsent)

    async def shake_hands(self) -> None:
        """Raises ``BrokenResourceError``: the peer left, or it cannot or will not. Bound it in time."""
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    done = False
                except ssl.SSLError:
                    with contextlib.suppress(OSError):
                        self._collect()  # the alert that says why
                    raise
                await self._push_all()
                if done:
                    return
                await trio.lowlevel.wait_readable(self._inner.fileno())
                with contextlib.suppress(BlockingIOError):
                    data = self._inner.recv(CHUNK)
                    if not data:
                        raise trio.BrokenResourceError
                    self._in.write(data)
        except (OSError, trio.ClosedResourceError) as error:
            raise trio.BrokenResourceError from error

    async def _push_all(self) -> None:
        while True:
            try:
                self._collect()
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._inner.fileno())
            else:
                return

    def recv(self, size: int) -> bytes:
        """Everything that can be opened now of ``size`` bytes of records; empty at the end.

        Raises ``BlockingIOError`` if that is nothing; ``OSError``: it is no TLS, or asks for too much of it.
        """
        # What came with the end of the handshake may be in memory already, when the socket has nothing more.
        with contextlib.suppress(BlockingIOError):
            data = self._inner.recv(size)
            if data:
                self._in.write(data)
            else:
                self._in.write_eof()
        found: list[bytes] = []
        try:
            while True:
                piece = self._tls.read(CHUNK)
                if not piece:
                    break
                found.append(piece)
        except ssl.SSLWantReadError:
            self._answered += self._out.pending
            if self._answered > ANSWERS:
                raise ConnectionAbortedError("too many changes of keys") from None
            with contextlib.suppress(BlockingIOError):
                self._collect()  # what the protocol itself has to say
            if not found:
                raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass  # the end, said or not: what a WebSocket or HTTP message is complete without is no message
        return found[0] if len(found) == 1 else b"".join(found)

    def send(self, data: bytes) -> int:
        if self._unsent:
            self.push()
        taken = self._tls.write(data)
        with contextlib.suppress(BlockingIOError):
            self._collect()
        return taken

    def push(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[self._inner.send(self._unsent) :]

    def _collect(self) -> None:
        """Write the records that were made. Raises ``BlockingIOError`` if some of them are left."""
        if self._out.pending:
            self._unsent += self._out.read()
        self.push()

    def fileno(self) -> int:
        return self._inner.fileno()

    def finish(self) -> None:
        """Say goodbye in TLS's own words."""
        if self._unsent:
            return
        # It may want the peer's word now, which we do not wait for; or there is nobody to say goodbye to.
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self._collect()

    def close(self) -> None:
        if self._inner.fileno() >= 0:
            self.finish()
            self._inner.close()


class TlsStream(trio.abc.Stream):
    """A Trio stream over ``pipe``, until :meth:`detach`."""

    def __init__(self, pipe: TlsPipe) -> None:
        self._pipe: TlsPipe | None = pipe
        self._rest = b""
        self._sending = trio.Lock()

    def detach(self) -> tuple[TlsPipe, bytes]:
        """The pipe, and what was read and not given out. This stream is closed from now on."""
        pipe, rest = self._open(), self._rest
        self._pipe, self._rest = None, b""
        return pipe, rest

    def _open(self) -> TlsPipe:
        if self._pipe is None:
            raise trio.ClosedResourceError
        return self._pipe

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        pipe = self._open()
        try:
            while not self._rest:
                try:
                    self._rest = pipe.recv(CHUNK)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(pipe.fileno())
                else:
                    break
        except OSError as error:
            raise trio.BrokenResourceError from error
        size = len(self._rest) if max_bytes is None else max_bytes
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        rest = bytes(data)
        async with self._sending:
            pipe = self._open()
            try:
                while rest or pipe.unsent:
                    try:
                        pipe.push()
                        rest = rest[pipe.send(rest[:CHUNK]) :] if rest else rest
                    except BlockingIOError:
                        await trio.lowlevel.wait_writable(pipe.fileno())
            except OSError as error:
                raise trio.BrokenResourceError from error
            except BaseException:
                await trio.aclose_forcefully(self)  # cancelled in the middle: nothing may follow
                raise

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self._open().fileno())

    async def aclose(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        await trio.lowlevel.checkpoint()
