"""The messages of the HTTP API: their shapes, and from a request's body to a list of them.

The shapes are deepstream's JSON interface format, as its HTTP clients send it. Records and lists are read, so that a mistake in
them is found, and answered as not supported. It knows no session and nothing of HTTP. The rule that keeps it honest: a batch
is read whole or not at all, so nothing of a request with a mistake in it is carried out.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trio_router.payload import ABSENT, Payload

Name = Annotated[str, Meta(min_length=1)]
MAX_REASON: Final = 300
"""Characters of a reason: it may quote the name of a field, which the client chose."""


class Unreadable(Exception):
    """A request that cannot be read; the text is for its client."""


class Emit(msgspec.Struct, forbid_unknown_fields=True):
    """Publishes an event to the channel ``eventName``."""

    topic: Literal["event"]
    action: Literal["emit"]
    eventName: Name  # noqa: N815 - as it stands on the wire, here as below
    data: Any = UNSET


class Make(msgspec.Struct, forbid_unknown_fields=True):
    """Calls the procedure ``rpcName`` and waits for its result."""

    topic: Literal["rpc"]
    action: Literal["make"]
    rpcName: Name  # noqa: N815
    data: Any = UNSET


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """Asks who is online: of ``names``, or of everybody."""

    topic: Literal["presence"]
    action: Literal["query"]
    names: list[Name] | UnsetType = UNSET


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """Reads a record, its version, or deletes it. Not supported yet."""

    topic: Literal["record"]
    action: Literal["read", "head", "delete"]
    recordName: Name  # noqa: N815


class RecordWrite(msgspec.Struct, forbid_unknown_fields=True):
    """Writes a record, or the part of it at ``path``. Not supported yet."""

    topic: Literal["record"]
    action: Literal["write"]
    recordName: Name  # noqa: N815
    data: Any
    version: int | UnsetType = UNSET
    path: str | UnsetType = UNSET


class RecordNotify(msgspec.Struct, forbid_unknown_fields=True):
    """Says that records have changed elsewhere. Not supported yet."""

    topic: Literal["record"]
    action: Literal["notify"]
    recordNames: list[Name]  # noqa: N815


class List(msgspec.Struct, forbid_unknown_fields=True):
    """Reads or deletes a list. Not supported yet."""

    topic: Literal["list"]
    action: Literal["read", "delete"]
    listName: Name  # noqa: N815


class ListWrite(msgspec.Struct, forbid_unknown_fields=True):
    """Writes a list. Not supported yet."""

    topic: Literal["list"]
    action: Literal["write"]
    listName: Name  # noqa: N815
    data: list[str]
    version: int | UnsetType = UNSET


Routed = Emit | Make | Query
Unsupported = Record | RecordWrite | RecordNotify | List | ListWrite
Message = Routed | Unsupported

SHAPES: Final[tuple[type[Message], ...]] = (Emit, Make, Query, Record, RecordWrite, RecordNotify, List, ListWrite)
_SHAPES: Final = {
    (topic, action): shape
    for shape in SHAPES
    for topic in get_args(get_type_hints(shape)["topic"])
    for action in get_args(get_type_hints(shape)["action"])
}
_TOPICS: Final = frozenset(topic for topic, _ in _SHAPES)


def credentials(request: Any, *, allow_auth_data: bool) -> dict[str, Any] | None:
    """What the body of a request says about who asks, as a login message would; None if nothing. Raises ``Unreadable``."""
    if not isinstance(request, dict):
        raise Unreadable("Invalid message: the request must be a JSON object.")
    if "authData" in request:
        if not allow_auth_data:
            raise Unreadable("Authentication using authData is disabled. Try using a token instead.")
        auth_data = request["authData"]
        if not isinstance(auth_data, dict):
            raise Unreadable('Invalid message: the "authData" parameter must be an object')
        return auth_data
    if "token" in request:
        token = request["token"]
        if not isinstance(token, str) or not token:
            raise Unreadable('Invalid message: the "token" parameter must be a non-empty string')
        return {"token": token}
    return None


def items(request: dict[str, Any], most: int) -> list[Any]:
    """The messages of a request's body, unread. Raises ``Unreadable``: there are none, or more than ``most``."""
    if "body" not in request:
        raise Unreadable('Invalid message: the "body" parameter must exist.')
    found = request["body"]
    if not isinstance(found, list) or not found:
        raise Unreadable('Invalid message: the "body" parameter must be a non-empty array of Objects.')
    if len(found) > most:
        raise Unreadable(f'Invalid message: the "body" parameter holds more than {most} messages.')
    return found


def read(found: list[Any], size: int) -> list[Message]:
    """The messages of a batch; ``size`` is how many bytes the data of one may have. Raises ``Unreadable``, naming the index."""
    return [_one(index, item, size) for index, item in enumerate(found)]


def data_of(message: Emit | Make) -> Payload:
    """What the message carries."""
    return ABSENT if message.data is UNSET else Payload(message.data)


def _one(index: int, item: Any, size: int) -> Message:
    if not isinstance(item, dict):
        raise _unreadable(index, "a message must be an object")
    topic, action = item.get("topic"), item.get("action")
    if not isinstance(topic, str) or topic not in _TOPICS:
        raise _unreadable(index, f"property 'topic' must be one of {', '.join(sorted(_TOPICS))}")
    shape = _SHAPES.get((topic, action)) if isinstance(action, str) else None
    if shape is None:
        actions = ", ".join(known for of, known in _SHAPES if of == topic)
        raise _unreadable(index, f"property 'action' must be one of {actions} for topic '{topic}'")
    try:
        message: Message = msgspec.convert(item, shape)
    except msgspec.ValidationError as error:
        raise _unreadable(index, str(error)) from None  # names fields and types, never values
    if isinstance(message, Emit | Make) and len(data_of(message).json) > size:
        raise _unreadable(index, f"property 'data' has more than {size} bytes")
    return message


def _unreadable(index: int, reason: str) -> Unreadable:
    return Unreadable(f"Failed to parse JIF object at index {index}. Reason: {reason[:MAX_REASON]}")
