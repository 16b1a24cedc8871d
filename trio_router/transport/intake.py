"""From bytes to messages: recognises the frames that nearly all traffic consists of, and hands everything else out whole.

A *simple* frame is a complete, unfragmented, masked text or binary message of less than 64 KiB in the shortest form of its length:
what is in it is a message, and no state of the connection changes. Such frames are taken here in one loop. Any other frame,
and any that is not yet complete, is shown to the guard byte by byte and comes out of :meth:`Intake.frame` untouched.

The rule that keeps it honest: a frame is taken by the short way only if the guard would let it pass and wsproto would make the
same message of it; in doubt it goes the long way. Pure: no socket, no Trio.
"""

from __future__ import annotations

import struct
from typing import Final

from trio_router.transport.guard import FrameGuard
from trio_router.transport.masking import unmask

_TEXT: Final = 0x81  # the last (and only) fragment of a text, no extension bit
_BINARY: Final = 0x82
_SHORTEST: Final = 6  # bytes of the shortest header of a client: two and the mask
_MASKED_TEXT: Final = _TEXT << 8 | 0x80  # the first two bytes, but for the seven bits of the size
_MASKED_BINARY: Final = _BINARY << 8 | 0x80
_MEDIUM: Final = 126  # in place of a size: it stands in the next two bytes
_header: Final = struct.Struct("!HH").unpack_from


class Intake:
    """What came of one connection and was not yet given on."""

    __slots__ = ("_at", "_data", "_held", "guard")

    def __init__(self, guard: FrameGuard) -> None:
        self.guard = guard
        self._data = b""
        self._at = 0
        self._held: bytearray | None = None  # what the guard has seen of a frame that is not complete

    @property
    def empty(self) -> bool:
        """Whether nothing can be had before more bytes come."""
        return self._at == len(self._data)

    def add(self, data: bytes) -> None:
        """More bytes came."""
        self._data = data if self._at == len(self._data) else self._data[self._at :] + data
        self._at = 0

    def messages(self, most: int) -> list[str | bytes]:
        """The messages of the simple frames that come next, ``most`` at most."""
        found: list[str | bytes] = []
        guard = self.guard
        if not guard.idle:
            return found
        data, at, limit = self._data, self._at, guard.message_size
        end = len(data)
        first: int
        size: int
        try:
            for _ in range(most):
                if end - at < _SHORTEST:
                    break
                first, size = _header(data, at)
                short = first & 0x7F
                is_text = first ^ short == _MASKED_TEXT
                if not is_text and first ^ short != _MASKED_BINARY:
                    break
                if short < _MEDIUM:
                    size = short
                    start = at + 6
                elif short == _MEDIUM and size >= _MEDIUM:
                    start = at + 8
                else:
                    break
                stop = start + size
                if stop > end or size > limit:
                    break
                payload = unmask(data[start:stop], data[start - 4 : start])
                found.append(payload.decode() if is_text else payload)
                at = stop
        except UnicodeDecodeError:
            pass  # it goes the long way, and is refused there
        self._at = at
        return found

    def frame(self, now: float) -> bytes | None:
        """The next whole frame that the guard lets pass, whatever it is; None if there is none: see the guard for why."""
        data = self._data[self._at :]
        held = self._held
        whole = self.guard.feed(data, now, one=True)
        if not whole:
            self._at = len(self._data)
            if data and self.guard.violation is None:
                self._held = bytearray(data) if held is None else held
                if held is not None:
                    held += data
            return None
        self._at += whole
        self._held = None
        return data[:whole] if held is None else bytes(held) + data[:whole]

    def rest(self, now: float) -> None:
        """Let the guard see what is left, and forget it."""
        self.guard.feed(self._data[self._at :], now)
        self._data, self._at, self._held = b"", 0, None


def payload_of(frame: bytes) -> bytes:
    """The payload of a whole, masked frame."""
    start = {126: 8, 127: 14}.get(frame[1] & 0x7F, 6)
    return unmask(frame[start:], frame[start - 4 : start])


def message_of(frame: bytes) -> str | bytes | None:
    """The message that a whole frame is, if it is an unfragmented one; the guard has let it pass. None: it is something else."""
    if frame[0] not in {_TEXT, _BINARY}:
        return None
    payload = payload_of(frame)
    if frame[0] == _BINARY:
        return payload
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
