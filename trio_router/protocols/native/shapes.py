"""Which neutral message has which name and which fields on the wire of ``trio-router.v1+json``.

One table for each direction, and nothing else: the codec reads and writes by it, the AsyncAPI file is made from it,
tests walk it. A wire message is a JSON object whose ``type`` is the verb; its other fields are those of the neutral class,
under the same names. A field that has its default is left out.

What the wire adds to the neutral classes, because a client should not need our tables to understand it, is in
``ADDED``: the slug and text of a code, and the protocol's name in the greeting.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import msgspec

from trio_router.protocols import messages

SUBPROTOCOL: Final = "trio-router.v1+json"
TAG: Final = "type"

MAX_TIMEOUT: Final = 2**31 - 1  # milliseconds, 24 days: what timers everywhere can hold
MAX_SEQ: Final = 2**53 - 1  # beyond this not every JSON reader counts
MAX_CONCURRENCY: Final = 2**31 - 1


@attrs.frozen
class Shape:
    """One wire message: its verb, the neutral class, and the fields besides ``type`` in the order they are written."""

    verb: str
    cls: type[messages.Message]
    fields: tuple[str, ...] = attrs.field(init=False)
    names: frozenset[str] = attrs.field(init=False)
    defaults: tuple[Any, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        infos = msgspec.structs.fields(self.cls)
        object.__setattr__(self, "fields", tuple(info.name for info in infos))
        object.__setattr__(self, "names", frozenset(self.fields))
        object.__setattr__(self, "defaults", tuple(info.default for info in infos))

    @property
    def required(self) -> tuple[str, ...]:
        """The fields that are always there."""
        pairs = zip(self.fields, self.defaults, strict=True)
        return tuple(name for name, default in pairs if default is msgspec.NODEFAULT)


REQUESTS: Final = tuple(
    Shape(verb, cls)
    for verb, cls in (
        ("login", messages.Login),
        ("answer", messages.Answer),
        ("subscribe", messages.Subscribe),
        ("unsubscribe", messages.Unsubscribe),
        ("connect", messages.Connect),
        ("disconnect", messages.Disconnect),
        ("participants", messages.Participants),
        ("publish", messages.Publish),
        ("listen", messages.Listen),
        ("unlisten", messages.Unlisten),
        ("listen_accept", messages.ListenAccept),
        ("listen_reject", messages.ListenReject),
        ("provide", messages.Provide),
        ("unprovide", messages.Unprovide),
        ("call", messages.Call),
        ("cancel", messages.Cancel),
        ("result", messages.ProviderResult),
        ("error", messages.ProviderError),
        ("reject", messages.ProviderReject),
        ("presence_query", messages.PresenceQuery),
        ("presence_subscribe", messages.PresenceSubscribe),
        ("presence_unsubscribe", messages.PresenceUnsubscribe),
        ("refresh", messages.Refresh),
        ("ping", messages.Ping),
    )
)
"""From a client to the router."""

REPLIES: Final = tuple(
    Shape(verb, cls)
    for verb, cls in (
        ("hello", messages.Hello),
        ("challenge", messages.Challenge),
        ("welcome", messages.Welcome),
        ("done", messages.Done),
        ("error", messages.Failed),
        ("event", messages.Event),
        ("invoke", messages.Invoke),
        ("interrupt", messages.Interrupt),
        ("result", messages.Result),
        ("presence", messages.PresenceState),
        ("presence_change", messages.PresenceChange),
        ("listen_found", messages.ListenFound),
        ("listen_timeout", messages.ListenTimeout),
        ("listen_removed", messages.ListenRemoved),
        ("participants", messages.ParticipantList),
        ("participant_change", messages.ParticipantChange),
        ("revoked", messages.Revoked),
        ("expiring", messages.Expiring),
        ("pong", messages.Pong),
        ("closing", messages.Closing),
    )
)
"""From the router to a client."""

ADDED: Final[dict[type[messages.Message], dict[str, type]]] = {
    messages.Hello: {"protocol": str},
    messages.Failed: {"error": str, "text": str, "temporary": bool},
    messages.Revoked: {"error": str, "text": str},
    messages.Closing: {"close": str, "text": str, "advice": str},
}
"""Fields the router writes besides those of the neutral class."""

REQUEST_BY_VERB: Final = {shape.verb: shape for shape in REQUESTS}
REQUEST_BY_CLASS: Final = {shape.cls: shape for shape in REQUESTS}
REPLY_BY_VERB: Final = {shape.verb: shape for shape in REPLIES}
REPLY_BY_CLASS: Final = {shape.cls: shape for shape in REPLIES}
