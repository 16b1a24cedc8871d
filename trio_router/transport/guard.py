"""Reads only the headers of a client's frames, and says no before anything is stored or parsed.

It owns the questions a WebSocket library does not ask in time: is the announced length within bounds (T06), how many
fragments has this message (T07), since when is it unfinished, how many control frames came this second (T08). It knows
no socket, no Trio and no payload: bytes and a time go in, a verdict comes out.

The rule that keeps it honest: a length is compared with its limit as soon as its last byte is there, and nothing of
a refused frame is handed on. After a refusal it refuses for ever.
"""

from __future__ import annotations

from typing import Final

from trio_router.protocols.codes import FLOOD, PROTOCOL_ERROR, TOO_BIG, CloseCode

_FIN: Final = 0x80
_RESERVED: Final = 0x70  # RSV1-3: no extension is ever negotiated, so none may be set (M6)
_MASK: Final = 0x80
_CONTINUATION: Final = 0x0
_CLOSE: Final = 0x8
_DATA: Final = frozenset({0x1, 0x2})
_CONTROL: Final = frozenset({0x8, 0x9, 0xA})
_CONTROL_PAYLOAD: Final = 125


class FrameGuard:
    """Watches one direction of one connection: what the client sends.

    ``message_size`` is in bytes and may be changed at any time; it counts for frames that begin afterwards.
    ``violation`` is the close code of the first thing that was wrong, ``closed`` whether a close frame has passed.
    """

    __slots__ = (
        "_age_limit",
        "_closing",
        "_control_rate",
        "_credit",
        "_credit_at",
        "_frames",
        "_frames_limit",
        "_header",
        "_left",
        "_open_since",
        "_size",
        "closed",
        "message_size",
        "violation",
    )

    def __init__(
        self,
        *,
        message_size: int,
        frames_per_message: int,
        fragment_timeout: float,
        control_frames_per_second: int,
    ) -> None:
        self.message_size = message_size
        self.violation: CloseCode | None = None
        self.closed = False
        self._closing = False
        self._frames_limit = frames_per_message
        self._age_limit = fragment_timeout
        self._control_rate = control_frames_per_second
        self._credit = float(control_frames_per_second)
        self._credit_at = 0.0
        self._header = bytearray()  # the unfinished header, at most 13 bytes
        self._left = 0  # bytes of the current frame's payload still to come
        self._frames = 0  # data frames of the open message; 0: none is open
        self._size = 0  # payload announced by them
        self._open_since: float | None = None  # when the first byte of what is not finished came

    @property
    def refused(self) -> bool:
        """Whether something was wrong."""
        return self.violation is not None

    @property
    def idle(self) -> bool:
        """Whether the next byte begins a message: nothing is unfinished, nothing was wrong, no close frame has passed."""
        return self._open_since is None and self.violation is None and not self.closed

    @property
    def deadline(self) -> float | None:
        """When what has begun must be finished; None while nothing is unfinished."""
        return None if self._open_since is None else self._open_since + self._age_limit

    def overdue(self) -> None:
        """Say that ``deadline`` has passed."""
        self.violation = FLOOD

    def feed(self, data: bytes, now: float, *, one: bool = False) -> int:
        """Look at the next ``data``, received at ``now``; returns how much of it completes whole frames.

        What lies beyond that index belongs to an unfinished frame, or is refused: see ``violation``. After a close
        frame nothing more is taken. ``one``: stop behind the first frame, what follows was not looked at.
        """
        if self.refused or self.closed:
            return 0
        if self._open_since is None and data:
            self._open_since = now
        position = whole = 0
        end = len(data)
        while position < end:
            if self._left:
                step = min(self._left, end - position)
                self._left -= step
                position += step
            else:
                position = self._take_header(data, position, now)
                if position < 0:
                    return whole
                if self._header:
                    break  # the header itself is unfinished
            if not self._left:
                whole = position
                if self._frames == 0:
                    self._open_since = now if position < end and not one else None
                if self._closing:
                    self.closed = True
                if self._closing or one:
                    return whole
        return whole

    def _take_header(self, data: bytes, position: int, now: float) -> int:
        """Read on in the header; returns where it stopped, or -1 if the frame is refused."""
        header = self._header
        while True:
            wanted = self._header_size()
            if len(header) >= wanted:
                break
            piece = data[position : position + wanted - len(header)]
            if not piece:
                return position
            header += piece
            position += len(piece)
            if len(header) >= 2:
                self._check_first_bytes()
                if self.refused:
                    return -1
        self._judge(header[0] & _FIN != 0, header[0] & 0x0F, self._length(), now)
        header.clear()
        return -1 if self.refused else position

    def _header_size(self) -> int:
        if len(self._header) < 2:
            return 2
        short = self._header[1] & 0x7F
        return 2 + {126: 2, 127: 8}.get(short, 0) + 4

    def _check_first_bytes(self) -> None:
        first, second = self._header[0], self._header[1]
        opcode = first & 0x0F
        wrong = (
            first & _RESERVED
            or not second & _MASK
            or (opcode != _CONTINUATION and opcode not in _DATA and opcode not in _CONTROL)
            or (opcode in _CONTROL and (not first & _FIN or second & 0x7F > _CONTROL_PAYLOAD))
        )
        if wrong:
            self.violation = PROTOCOL_ERROR

    def _length(self) -> int:
        header = self._header
        short = header[1] & 0x7F
        if short < 126:
            return short
        if short == 126:
            length, least = int.from_bytes(header[2:4]), 126
        else:
            length, least = int.from_bytes(header[2:10]), 65_536
        if length < least or length >> 63:  # RFC 6455, 5.2: the shortest form, and the highest bit is 0
            self.violation = PROTOCOL_ERROR
        return length

    def _judge(self, final: bool, opcode: int, length: int, now: float) -> None:
        if self.refused:
            return
        self._left = length
        if opcode in _CONTROL:
            if opcode == _CLOSE:
                self._closing = True
            elif not self._may_control(now):
                self.violation = FLOOD
            return
        if (opcode == _CONTINUATION) != (self._frames > 0):
            self.violation = PROTOCOL_ERROR
            return
        self._frames += 1
        self._size += length
        if self._size > self.message_size:
            self.violation = TOO_BIG
        elif self._frames > self._frames_limit:
            self.violation = FLOOD
        elif final:
            self._frames = self._size = 0

    def _may_control(self, now: float) -> bool:
        self._credit = min(
            float(self._control_rate),
            self._credit + (now - self._credit_at) * self._control_rate,
        )
        self._credit_at = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True
