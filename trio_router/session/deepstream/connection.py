"""A logged-in deepstream session: what it sends goes to the core, what the core tells it goes to the client.

It owns the table of topics and actions and the way one message takes through it; what they mean is in ``events``, ``calls``,
``presence`` and ``records``. As ``routing.peer.Peer`` it hands on what it is told.

The rule that keeps it honest: a callback of the core never raises (see ``voice``), and a message that nobody knows changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Final, Literal

import structlog
import trio

from trio_router.errors import RemoteProtocolError
from trio_router.identity import Identity
from trio_router.limits import Limits
from trio_router.metrics import Metrics, Tally
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import ConnectionAction, ParserAction, Topic
from trio_router.protocols.messages import Participant, Publisher
from trio_router.routing.core import Core
from trio_router.routing.peer import Delivery, Peer
from trio_router.session.deepstream.calls import Calls
from trio_router.session.deepstream.events import Events
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.deepstream.presence import Presence
from trio_router.session.deepstream.records import Records
from trio_router.session.deepstream.replies import revocation
from trio_router.session.deepstream.tokens import Tokens
from trio_router.session.deepstream.voice import Voice, Work
from trio_router.session.deepstream.wire import Wire, WrongFrame
from trio_router.session.ending import Ending, SessionEnd
from trio_router.session.link import Link
from trio_router.session.loading import loaded
from trio_router.session.together import tell_together
from trio_router.storage.records import RecordStore

SILENT: Final = frozenset({Topic.EVENT})
"""Topics of which an unknown action is not answered, as in deepstream."""


def request_counters(metrics: Metrics) -> dict[str, Tally]:
    """What counts the requests of all sessions, by what they ask for."""
    return {verb: metrics.requests.labels(verb) for verb, _ in ACTIONS.values()}


class Connection:
    """One logged-in session. :meth:`run` is its life; everything else is called by the core. ``counters`` count what it asks for."""

    def __init__(
        self,
        link: Link,
        identity: Identity,
        *,
        core: Core,
        wire: Wire,
        ending: Ending,
        limits: Limits,
        options: DeepstreamOptions,
        metrics: Metrics,
        counters: Mapping[str, Tally],
        log: structlog.stdlib.BoundLogger,
        records: RecordStore | None = None,
    ) -> None:
        self._link = link
        self._identity = identity
        self._core = core
        self._wire = wire
        self._ending = ending
        self._limits = limits
        self._metrics = metrics
        self._counters = counters
        self._records = records
        self._invalid = 0
        voice = self._voice = Voice(
            link, core=core, wire=wire, ending=ending, limits=limits, options=options, metrics=metrics, log=log
        )
        tokens = Tokens(core)
        self._events = Events(voice, tokens)
        self._calls = Calls(voice, tokens)
        self._presence = Presence(voice)
        self._topics: dict[int, object] = {
            Topic.CONNECTION: self,
            Topic.EVENT: self._events,
            Topic.RPC: self._calls,
            Topic.PRESENCE: self._presence,
            Topic.RECORD: Records(voice),
        }

    @property
    def link(self) -> Link:
        """Where its frames go."""
        return self._link

    def fault(self, error: Exception) -> None:
        """Something of ours went wrong: this session ends."""
        self._voice.fault(error)

    async def run(self, welcome: Packet, client_data: Any) -> None:
        """Take part in the core until the link or the session ends. ``client_data`` is what the login handed out.

        Raises:
            SessionEnd: the client sent what it must not.
            LinkClosed: the connection is gone.
        """
        self._link.set_message_limit(self._limits.message_size)
        self._voice.say(welcome)
        session = self._voice.session = self._core.attach(self._identity, self, client_data=client_data)
        try:
            await self._link.serve(self._take)
        finally:
            self._core.detach(session)
            self._voice.forget()  # it holds this connection, and nobody asks for it any more

    # ---- what the client sends --------------------------------------------------------------------------------

    def _take(self, frame: str | bytes) -> Awaitable[None] | None:
        """One message of the client. What it asks for is done when this returns, or when what it returns has been awaited."""
        if self._ending.code is not None:
            return self._go_on()
        try:
            packet = self._wire.decode(frame)
        except WrongFrame:
            raise SessionEnd(codes.UNSUPPORTED_DATA) from None
        except RemoteProtocolError as error:
            self._misunderstood(error.code, Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC))
            return None
        found = ACTIONS.get((packet.topic, packet.action))
        if found is None:
            self._unknown(packet)
            return None
        verb, do = found
        self._counters[verb].inc()
        work = do(self._topics[packet.topic], packet)
        if work is None:
            return None
        try:
            needed = next(work)
        except StopIteration:
            return None
        return self._with_records(work, needed)

    async def _go_on(self) -> None:
        """Returns unless the session was ended meanwhile: it may be out of the core already."""
        while self._ending.code is not None:
            await trio.lowlevel.checkpoint()

    async def _with_records(self, work: Work, needed: Sequence[str]) -> None:
        """Load what ``work`` needs, and go on with it. What this client sends meanwhile waits behind."""
        while True:
            there = await loaded(self._records, needed)
            await self._go_on()
            try:
                needed = work.send(there)
            except StopIteration:
                return

    def ping(self, _: Packet) -> None:
        """The heartbeat."""
        self._voice.say(Packet(Topic.CONNECTION, ConnectionAction.PONG))

    def _unknown(self, packet: Packet) -> None:
        topic = packet.topic
        if topic == Topic.CONNECTION:
            answer = Packet(Topic.CONNECTION, ConnectionAction.INVALID_MESSAGE)
        elif topic in {Topic.EVENT, Topic.RPC, Topic.PRESENCE, Topic.RECORD}:
            answer = Packet(Topic.PARSER, ParserAction.UNKNOWN_ACTION, original_action=packet.action)
        else:
            answer = Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC)
        answer.original_topic = topic
        self._misunderstood(codes.UNKNOWN_TYPE, None if topic in SILENT else answer)

    def _misunderstood(self, code: int, answer: Packet | None) -> None:
        """A message that is none; a client that sends too many of them has to go."""
        self._metrics.errors.labels(codes.error(code).slug).inc()
        if answer is not None:
            self._voice.say(answer)
        self._invalid += 1
        if self._invalid > self._limits.invalid_messages:
            raise SessionEnd(codes.INVALID_MESSAGES)

    # ---- what the core tells (routing.peer.Peer) --------------------------------------------------------------

    def event(self, delivery: Delivery) -> None:
        frame = delivery.frames.get(self._wire.key)
        if frame is None:
            try:
                frame = self._wire.event_frame(delivery.channel, delivery.data)
            except Exception as error:  # noqa: BLE001 - the edge of a session: it happens in another's turn
                self._voice.fault(error)
                return
            delivery.frames[self._wire.key] = frame
        self._link.send(frame)

    @property
    def crowd(self) -> Hashable | None:
        """Those whose events are the same bytes on the same lane."""
        return None if self._link.lane is None else (self._link.lane, self._wire.key)

    def together(self, peers: Sequence[Peer]) -> Callable[[Delivery], None]:
        members = [peer for peer in peers if isinstance(peer, Connection)]
        wire = self._wire
        return tell_together(
            members, key=wire.key, encode=lambda delivery: wire.event_frame(delivery.channel, delivery.data)
        )

    def invoke(
        self,
        call: str,
        procedure: str,
        data: Payload,
        timeout: float,  # noqa: ARG002 - there is no word for it
        progress: bool,  # noqa: ARG002 - nor for this
        caller: Publisher | None,
        caller_data: Any = None,
    ) -> None:
        try:
            self._calls.invoke(call, procedure, data, caller, caller_data)
        except Exception as error:  # noqa: BLE001 - the edge of a session: it happens in another's turn
            self._voice.fault(error)

    def interrupt(self, call: str, reason: Literal["cancelled", "timeout", "caller_lost"]) -> None:
        """There are no words for it: a late answer is told that its call is unknown."""

    def call_accepted(self, tag: str) -> None:
        self._calls.accepted(tag)

    def result(self, tag: str, data: Payload, more: bool) -> None:
        if not more:  # partial results are not asked for
            self._calls.result(tag, data)

    def call_failed(self, tag: str, code: int, detail: str = "", data: Payload = ABSENT) -> None:  # noqa: ARG002
        self._calls.failed(tag, code, data)

    def presence(self, user: str, change: Literal["joined", "left"], sessions: int) -> None:
        self._presence.changed(user, change, sessions)

    def participant(
        self, channel: str, change: Literal["joined", "left"], participant: Participant, subscription: str | None
    ) -> None:
        """There are no words for it."""

    def listen_found(self, pattern: str, channel: str) -> None:
        self._events.found(pattern, channel)

    def listen_timeout(self, pattern: str, channel: str) -> None:
        self._events.timed_out(pattern, channel)

    def listen_removed(self, pattern: str, channel: str) -> None:
        self._events.removed(pattern, channel)

    def revoked(self, verb: str, name: str, code: int, detail: str = "", decision: str = "") -> None:
        self._voice.say(revocation(verb, name, code, detail, decision))

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        self._ending.end(code, retry_after=retry_after)


ACTIONS: Final[dict[tuple[int, int], tuple[str, Callable[[Any, Packet], Work | None]]]] = {
    (topic, action): entry
    for topic, actions in (
        (Topic.CONNECTION, {ConnectionAction.PING: ("ping", Connection.ping)}),
        (Topic.EVENT, Events.actions()),
        (Topic.RPC, Calls.actions()),
        (Topic.PRESENCE, Presence.actions()),
        (Topic.RECORD, Records.actions()),
    )
    for action, entry in actions.items()
}
"""Everything a client may ask for after its login: the name of the request, and what carries it out."""
