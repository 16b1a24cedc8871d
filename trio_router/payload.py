"""What an event, a call or a result carries, opaque to the router.

A payload is a JSON value that was already checked by the codec that let it in, or nothing at all (``ABSENT``,
JavaScript's undefined, which is not null). Routing passes it on without looking; rules read :attr:`value`;
encoders use :attr:`json`, made at most once however many sessions receive it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_encode = msgspec.json.Encoder().encode


class Payload:
    """A checked JSON ``value``, which nobody may change: every receiver shares it. ``written`` is :attr:`json`, once it was made."""

    __slots__ = ("value", "written")

    def __init__(self, value: Any = None, written: bytes | None = None) -> None:
        self.value = value
        self.written = written

    @property
    def json(self) -> bytes:
        """The value as compact JSON in UTF-8."""
        written = self.written
        if written is None:
            written = self.written = _encode(self.value)
        return written

    @property
    def is_absent(self) -> bool:
        """Whether there is no value at all."""
        return self is ABSENT

    def __repr__(self) -> str:
        return "<payload>"  # user data does not belong in logs


ABSENT: Final = Payload()
