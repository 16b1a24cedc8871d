"""TLS in memory next to a socket: what a peer can make it hold."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest

from trio_router.transport.pipe import SocketPipe
from trio_router.transport.tls import ANSWERS, TlsPipe


class _KeysChange:
    """OpenSSL's side where each read finds a request for new keys, which it answers with a record of 27 bytes."""

    def __init__(self, out: ssl.MemoryBIO) -> None:
        self._out = out

    def read(self, size: int) -> bytes:
        self._out.write(bytes(27))
        raise ssl.SSLWantReadError


@pytest.mark.threat("T12")
def test_a_peer_that_has_its_keys_changed_and_does_not_read_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        pipe = TlsPipe(SocketPipe(ours), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        pipe._tls = _KeysChange(pipe._out)  # type: ignore[assignment] # what no client in Python can be made to ask for
        asked = 0
        with pytest.raises(ConnectionAbortedError):
            while asked < ANSWERS:
                theirs.send(b"x" * 27)
                asked += 1
                with contextlib.suppress(BlockingIOError):
                    pipe.recv(1024)
        assert asked * 27 == pytest.approx(ANSWERS, abs=54)
        ours.close()
