"""The program's values on their way out, the router's on their way in, and what the program gets to see of them.

A value is checked before it is sent, by the same rules the router has: what it would refuse is refused here, where the
traceback shows the line that made it. ``ABSENT`` stands for no value at all, which is not ``None``.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs
import msgspec

from trio_router.errors import RemoteProtocolError
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import messages, strictjson

_encode = msgspec.json.Encoder().encode


@attrs.frozen
class Event:
    """An event. ``publisher`` is who published, if they let it be known; ``has_data`` tells null from nothing at all.

    ``source`` is the participant it came from, on ``prs:`` and ``sys:`` channels; ``seq`` the count that the publisher gave it.
    """

    channel: str
    data: Any
    publisher: messages.Publisher | None = None
    has_data: bool = True
    source: messages.Source | None = None
    seq: int | None = None


@attrs.frozen
class Presence:
    """Sessions per user (0 for a named user who is offline); ``denied`` users were asked for and may not be seen.

    ``decisions`` has the ids by which an administrator finds why, by the name of the denied user.
    """

    users: dict[str, int]
    denied: tuple[str, ...] = ()
    decisions: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Change:
    """A session of ``user`` came or went; ``sessions`` are left."""

    user: str
    change: Literal["joined", "left"]
    sessions: int


@attrs.frozen
class ParticipantEvent:
    """Somebody came to ``channel`` or left it; ``participant`` is who, as their trust-token says."""

    channel: str
    change: Literal["joined", "left"]
    participant: messages.Participant


def outgoing(value: Any) -> Payload:
    """``value`` as a payload. Raises ``ValueError``: it is not JSON as the router understands it."""
    if isinstance(value, Payload) and value.is_absent:
        return ABSENT
    try:
        text: bytes = _encode(value)
        # One level less than a message may have: the message is around it.
        return Payload(strictjson.decode(text, depth=strictjson.MAX_DEPTH - 1), text)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        msg = f"not a JSON value: {exc}"
        raise ValueError(msg) from None
    except RemoteProtocolError as exc:
        msg = f"not a value the router takes: {exc.detail}"
        raise ValueError(msg) from None


def value_of(payload: Payload) -> Any:
    """The value in a payload; None if there is none."""
    return None if payload.is_absent else payload.value
