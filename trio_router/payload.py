"""What an event, a call or a result carries, opaque to the router.

A payload is a JSON value that was already checked by the codec that let it in, or nothing at all (``ABSENT``,
JavaScript's undefined, which is not null). Routing passes it on without looking; rules read :attr:`value`;
encoders use :attr:`json`, made at most once however many sessions receive it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

_encode = msgspec.json.Encoder().encode


class Payload:
    """A JSON value in the two forms it is needed in, each made on first use."""

    __slots__ = ("_decode", "_json", "_value")

    def __init__(
        self,
        value: Any = None,
        *,
        json: bytes | None = None,
        decode: Callable[[bytes], Any] | None = None,
    ) -> None:
        """A payload of a checked ``value``; or of ``json`` text, which ``decode`` turns into a value if asked."""
        self._value = value
        self._json = json
        self._decode = decode

    @property
    def value(self) -> Any:
        """The JSON value. Do not change it: every receiver shares it."""
        if self._decode is not None:
            assert self._json is not None  # noqa: S101 - set together in __init__
            self._value = self._decode(self._json)
            self._decode = None
        return self._value

    @property
    def json(self) -> bytes:
        """The value as compact JSON in UTF-8."""
        if self._json is None:
            self._json = _encode(self._value)
        return self._json

    @property
    def is_absent(self) -> bool:
        """Whether there is no value at all."""
        return self is ABSENT

    def __repr__(self) -> str:
        return "<payload>"  # user data does not belong in logs


ABSENT: Final = Payload()
