"""The verbs of the router, one class each, the same for every protocol.

A protocol turns wire bytes into these and back; the session layer and the routing core never see a byte. The
classes are msgspec structs, not attrs classes, because one is made for every message (0.08 against 0.48
microseconds for a frozen attrs class).

``id`` is the client's own correlation id: the router answers a request that has one exactly once (``Done``,
``Result``, ``PresenceState`` or ``Failed``; a progressive call may send several ``Result`` before the last).
``call`` is an id made by the router for one invocation of one provider.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trio_router.payload import ABSENT, Payload


class Message(msgspec.Struct, frozen=True):
    """Base of all messages."""


# ---- from a client --------------------------------------------------------------------------------------


class Login(Message, frozen=True):
    """Log in. ``auth`` is whatever the strategies of this router expect, or None."""

    id: str
    auth: dict[str, Any] | None = None


class Answer(Message, frozen=True):
    """The answer to a ``Challenge`` of the login with the same ``id``."""

    id: str
    data: str


class Subscribe(Message, frozen=True):
    """Receive the events of ``channel``, a name or a pattern with ``*``. ``token``: the trust-token that opens it."""

    id: str
    channel: str
    token: str | None = None


class Unsubscribe(Message, frozen=True):
    """Stop receiving; ``channel`` is spelled as it was subscribed."""

    id: str
    channel: str


class Connect(Message, frozen=True):
    """Publish to ``channel`` without receiving it, and be one of its participants. ``token``: the trust-token that opens it."""

    id: str
    channel: str
    token: str | None = None


class Disconnect(Message, frozen=True):
    """Undo a ``Connect``."""

    id: str
    channel: str


class Participants(Message, frozen=True):
    """Ask who is on a ``prs:`` or ``sys:`` channel that this session has subscribed."""

    id: str
    channel: str


class Publish(Message, frozen=True):
    """Publish to ``channel``. With an ``id`` it is acknowledged, before the event is delivered.

    ``echo``: whether the publisher receives it too, if subscribed. ``disclose``: whether receivers are told
    who published (the router fills that in, never the client). Server programs alone may name sessions: ``to``, the one
    that receives it if subscribed, or ``exclude``, those that do not. ``seq`` is the publisher's own count, handed on as it is.
    """

    channel: str
    data: Payload = ABSENT
    id: str | None = None
    echo: bool = True
    disclose: bool = False
    to: str | None = None
    exclude: tuple[str, ...] = ()
    seq: int | None = None


class Listen(Message, frozen=True):
    """Be asked, by ``ListenFound``, to provide the events of channels that somebody has subscribed by their name.

    ``pattern`` is a regular expression in JavaScript's notation, found anywhere in a name.
    """

    id: str
    pattern: str


class Unlisten(Message, frozen=True):
    """Stop listening; ``pattern`` is spelled as it was. What was provided by it is offered to others."""

    id: str
    pattern: str


class ListenAccept(Message, frozen=True):
    """Answer to a ``ListenFound`` with the same fields: this session provides the channel, until ``ListenRemoved``."""

    pattern: str
    channel: str


class ListenReject(Message, frozen=True):
    """Answer to a ``ListenFound`` with the same fields: somebody else may provide the channel. Also gives up one that is provided."""

    pattern: str
    channel: str


class Provide(Message, frozen=True):
    """Offer to answer calls to ``procedure``, at most ``concurrency`` at a time (None: the router's limit).

    ``direct``: only calls of server programs that name this session reach it. ``token``: the trust-token that opens it.
    """

    id: str
    procedure: str
    concurrency: int | None = None
    direct: bool = False
    token: str | None = None


class Unprovide(Message, frozen=True):
    """Withdraw the offer. Calls in progress may still be answered."""

    id: str
    procedure: str


class Call(Message, frozen=True):
    """Call ``procedure``. ``timeout`` is in milliseconds, to the final result. ``progress`` asks for partial results.

    ``provider``, for server programs alone: the session whose ``direct`` offer is called. ``token``: the trust-token that opens it.
    """

    id: str
    procedure: str
    data: Payload = ABSENT
    timeout: int | None = None
    progress: bool = False
    disclose: bool = False
    provider: str | None = None
    token: str | None = None


class Cancel(Message, frozen=True):
    """Give up the call with this ``id``; it is answered with ``call_cancelled``."""

    id: str


class ProviderResult(Message, frozen=True):
    """A provider's answer to an ``Invoke``; ``more`` means that it is a partial one."""

    call: str
    data: Payload = ABSENT
    more: bool = False


class ProviderError(Message, frozen=True):
    """A provider's failure: ``data`` goes to the caller as it is."""

    call: str
    data: Payload = ABSENT


class ProviderReject(Message, frozen=True):
    """A provider gives an ``Invoke`` back that it has not carried out: another provider gets the call, if there is one."""

    call: str


class PresenceQuery(Message, frozen=True):
    """Ask who is online: the named ``users``, or everybody the asker may see (None)."""

    id: str
    users: tuple[str, ...] | None = None


class PresenceSubscribe(Message, frozen=True):
    """Be told when the named ``users`` (None: everybody the asker may see) come and go."""

    id: str
    users: tuple[str, ...] | None = None


class PresenceUnsubscribe(Message, frozen=True):
    """Stop that; the same ``users`` as subscribed, or None for the subscription to everybody."""

    id: str
    users: tuple[str, ...] | None = None


class Refresh(Message, frozen=True):
    """Go on with a new token of the same user: ``Done`` tells its end, what it no longer allows is ``Revoked`` first."""

    id: str
    token: str


class Ping(Message, frozen=True):
    """Ask for a ``Pong`` with the same ``id``."""

    id: str | None = None


# ---- from the router ------------------------------------------------------------------------------------


class Hello(Message, frozen=True):
    """The first message: the session's id and what the client must keep to.

    ``login_timeout`` and ``ping_interval`` are milliseconds, ``message_size`` is bytes.
    """

    session: str
    login_timeout: int
    message_size: int
    ping_interval: int


class Challenge(Message, frozen=True):
    """A strategy asks back during login ``id``."""

    id: str
    data: str


class Welcome(Message, frozen=True):
    """Logged in. ``expires`` is seconds since the epoch, None if the login does not expire."""

    id: str
    session: str
    user: str
    client_data: Any = None
    expires: float | None = None


class Done(Message, frozen=True):
    """The request with this ``id`` was carried out. ``expires``, after a ``Refresh``: when the login now ends."""

    id: str
    expires: float | None = None


class Failed(Message, frozen=True):
    """A request was not carried out. ``code`` is a number of ``codes``; ``detail`` says what is wrong and where.

    ``verb`` and ``name`` repeat what was asked where it has no id. ``data`` is a provider's own error value,
    or the clientData a strategy gave with a denial, or ``{"retry_after": seconds}`` for what came too often. ``decision`` is the id of the decision that refused the request: an
    administrator finds the reason by it; ``detail`` is then the text the rule has for clients, if any.
    """

    code: int
    id: str | None = None
    detail: str = ""
    verb: str = ""
    name: str = ""
    data: Payload = ABSENT
    decision: str = ""


class Publisher(msgspec.Struct, frozen=True):
    """Who published or called, as the router knows it."""

    session: str
    user: str


class Source(msgspec.Struct, frozen=True):
    """Which participant of a ``prs:`` or ``sys:`` channel an event came from, as the router knows it."""

    session: str
    sysid: str


class Event(Message, frozen=True):
    """An event on ``channel``; ``subscription`` is the pattern it matched when that differs from the channel.

    ``source``: the participant it came from, on ``prs:`` and ``sys:`` channels. ``seq``: the count that the publisher gave it.
    """

    channel: str
    data: Payload = ABSENT
    subscription: str | None = None
    publisher: Publisher | None = None
    source: Source | None = None
    seq: int | None = None


class ListenFound(Message, frozen=True):
    """``channel`` has a subscriber and nobody who provides it: to be answered by ``ListenAccept`` or ``ListenReject``, soon."""

    pattern: str
    channel: str


class ListenTimeout(Message, frozen=True):
    """A ``ListenFound`` was not answered in time; others are asked."""

    pattern: str
    channel: str


class ListenRemoved(Message, frozen=True):
    """This session does not provide ``channel`` any more, or need not answer: nobody has it subscribed, or the rules changed."""

    pattern: str
    channel: str


class Participant(msgspec.Struct, frozen=True):
    """Somebody on a ``prs:`` or ``sys:`` channel, as its trust-token says."""

    session: str
    sysid: str
    sysinfo: dict[str, Any] = {}


class ParticipantList(Message, frozen=True):
    """Answer to ``Participants``, in the order they came."""

    id: str
    channel: str
    participants: tuple[Participant, ...] = ()


class ParticipantChange(Message, frozen=True):
    """Somebody came to ``channel`` or left it; ``subscription`` is the pattern that was subscribed when it differs from it."""

    channel: str
    change: Literal["joined", "left"]
    participant: Participant
    subscription: str | None = None


class Invoke(Message, frozen=True):
    """Asks a provider for a result; ``timeout`` is what is left, in milliseconds."""

    call: str
    procedure: str
    data: Payload = ABSENT
    timeout: int = 0
    progress: bool = False
    caller: Publisher | None = None


class Interrupt(Message, frozen=True):
    """Tells a provider that nobody waits for this call any more."""

    call: str
    reason: Literal["cancelled", "timeout", "caller_lost"]


class Result(Message, frozen=True):
    """A result of the call ``id``; the last one has ``more`` false."""

    id: str
    data: Payload = ABSENT
    more: bool = False


class PresenceState(Message, frozen=True):
    """Answer to a query: sessions per user (0 for a named user who is offline). ``denied`` names are left out of ``users``.

    ``decisions`` has the ids by which an administrator finds why, for denied names.
    """

    id: str
    users: dict[str, int]
    denied: tuple[str, ...] = ()
    decisions: dict[str, str] | None = None


class PresenceChange(Message, frozen=True):
    """A session of ``user`` came or went; ``sessions`` are left (1 after a first join, 0 after the last leave)."""

    user: str
    change: Literal["joined", "left"]
    sessions: int


class Revoked(Message, frozen=True):
    """A standing right ended: the session no longer has this subscription, connection, pattern to listen with, offer or
    presence subscription.

    ``decision`` is the id of the decision that ended it, ``detail`` the text the rule has for clients, if any.
    """

    verb: str
    name: str
    code: int
    detail: str = ""
    decision: str = ""


class Expiring(Message, frozen=True):
    """The login ends soon: ``expires`` is seconds since the epoch. A ``Refresh`` prolongs it."""

    expires: float


class Pong(Message, frozen=True):
    """Answer to ``Ping``."""

    id: str | None = None


class Closing(Message, frozen=True):
    """The last message before the router closes. ``retry_after``: milliseconds to wait before reconnecting."""

    code: int
    retry_after: int | None = None


Request = (
    Login | Answer | Subscribe | Unsubscribe | Connect | Disconnect | Participants | Publish | Listen | Unlisten
    | ListenAccept | ListenReject | Provide | Unprovide | Call | Cancel | ProviderResult | ProviderError | ProviderReject
    | PresenceQuery | PresenceSubscribe | PresenceUnsubscribe
    | Refresh | Ping
)  # fmt: skip
"""What a client may send."""

Reply = (
    Hello | Challenge | Welcome | Done | Failed | Event | Invoke | Interrupt | Result | PresenceState
    | PresenceChange | ListenFound | ListenTimeout | ListenRemoved | ParticipantList | ParticipantChange | Revoked | Expiring | Pong
    | Closing
)  # fmt: skip
"""What the router may send."""
