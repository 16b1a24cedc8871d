"""A logged-in session: what it sends goes to the core, what the core tells it goes to the client.

It owns a table from message class to verb; it decides nothing itself. The link gives it one message at a time. As ``routing.peer.Peer`` it
encodes what it is told and queues it, without waiting.

The rule that keeps it honest: a callback of the core never raises. What goes wrong while something is encoded for this
session ends this session, not the one in whose turn it happened (T09).
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Final, Literal

import structlog
import trio

from trio_router.auth.chain import where
from trio_router.errors import RecordsNeeded, Refused, RemoteProtocolError
from trio_router.identity import Identity
from trio_router.limits import Limits
from trio_router.metrics import Metrics, Tally
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.records import MAX_ROUNDS
from trio_router.protocols import codes, messages
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.native.machine import ServerMachine
from trio_router.routing.core import Core
from trio_router.routing.peer import Delivery, Peer
from trio_router.session.ending import Ending, SessionEnd
from trio_router.session.link import Link
from trio_router.session.loading import loaded
from trio_router.session.renewal import Renewal
from trio_router.session.together import tell_together
from trio_router.session.wire import Wire
from trio_router.storage.records import RecordStore

_Known = tuple[Tally, Callable[..., None]]
"""Where such a message is counted, and what carries it out."""


def _nothing(_: Any) -> str:
    return ""


class Connection:
    """One logged-in session. :meth:`run` is its life; everything else is called by the core."""

    def __init__(
        self,
        link: Link,
        identity: Identity,
        *,
        core: Core,
        wire: Wire,
        machine: ServerMachine,
        ending: Ending,
        renewal: Renewal,
        limits: Limits,
        metrics: Metrics,
        log: structlog.stdlib.BoundLogger,
        records: RecordStore | None = None,
    ) -> None:
        self._link = link
        self._identity = identity
        self._core = core
        self._wire = wire
        self._machine = machine
        self._ending = ending
        self._renewal = renewal
        self._limits = limits
        self._metrics = metrics
        self._known = metrics.requests.kept
        self._log = log
        self._records = records
        self._invalid = 0
        self._refused_tokens = 0

    __deletable__ = ["_session"]  # what a compiled class must be told: see run

    @property
    def link(self) -> Link:
        """Where its frames go."""
        return self._link

    async def run(self, welcome: messages.Welcome) -> None:
        """Take part in the core until the link or the session ends.

        Raises:
            SessionEnd: the client sent what it must not.
            LinkClosed: the connection is gone.
        """
        self._link.set_message_limit(self._limits.message_size)
        self._link.send(self._wire.frame(welcome))
        self._session = self._core.attach(self._identity, self, client_data=welcome.client_data)
        try:
            self._renewal.watch(self._identity.expires_at)
            await self._link.serve(self._take)
        finally:
            self._core.detach(self._session)
            del self._session  # it holds this connection, and nobody asks for it any more

    def _take(self, frame: str | bytes) -> Awaitable[None] | None:
        """One message of the client. What it asks for is done when this returns, or when what it returns has been awaited."""
        if self._ending.code is not None:
            return self._go_on()
        if isinstance(frame, bytes):
            raise SessionEnd(codes.UNSUPPORTED_DATA)
        try:
            message = self._wire.decode(frame)
            known: _Known | None = self._known.get(type(message))
            if known is None:
                known = self._get_to_know(message)
                if known is None:
                    return self._take_other(message)
        except RemoteProtocolError as error:
            self._fail(error.code, error.request_id, error.detail)
            self._invalid += 1
            if self._invalid > self._limits.invalid_messages:
                raise SessionEnd(codes.INVALID_MESSAGES) from None
            return None
        tally, perform = known
        tally.count += 1
        try:
            perform(self, message)
        except RecordsNeeded as needed:
            return self._perform_with_records(message, needed)
        except Refused as refused:
            self._refuse(message, refused)
        return None

    def _get_to_know(self, message: messages.Message) -> _Known | None:
        """What carries out such a message, and where it is counted; remembered. None: it is no verb."""
        found = VERBS.get(type(message))
        if found is None:
            return None
        known = self._known[type(message)] = (self._metrics.requests.labels(found[0]), found[1])
        return known

    def _take_other(self, message: messages.Message) -> Awaitable[None] | None:
        """A message that is no verb: ``Refresh``, or one that must not come now (``RemoteProtocolError``)."""
        self._machine.receive(type(message), request_id=getattr(message, "id", None))
        return self._refresh(message) if isinstance(message, messages.Refresh) else None

    async def _go_on(self) -> None:
        """Returns unless the session was ended meanwhile: it may be out of the core already."""
        while self._ending.code is not None:
            await trio.lowlevel.checkpoint()

    def warn(self, expires: float) -> None:
        """The login ends soon."""
        self._tell(messages.Expiring(expires))

    async def _refresh(self, message: messages.Refresh) -> None:
        """Go on with a new token. It is judged in this session's turn, so what it sends next is decided by the new rights."""
        self._metrics.requests.labels("refresh").inc()
        try:
            identity = await self._renewal.judge(self._session.identity, message.token)
        except Refused as refused:
            data = ABSENT if refused.retry_after is None else Payload({"retry_after": refused.retry_after})
            self._fail(refused.code, message.id, refused.detail, data=data)
            self._refused_tokens += refused.code == codes.REFRESH_DENIED
            if self._refused_tokens >= self._limits.login_attempts:
                raise SessionEnd(codes.LOGIN_ATTEMPTS) from None
            return
        await self._go_on()
        # From here to the answer nothing waits: the old rights, or the new ones.
        self._refused_tokens = 0
        self._core.replace_identity(self._session, identity)
        self._renewal.watch(identity.expires_at)
        self._tell(messages.Done(message.id, identity.expires_at))

    def _perform(self, message: messages.Message) -> RecordsNeeded | None:
        """Carry out ``message``, or say what must be loaded before."""
        try:
            VERBS[type(message)][1](self, message)
        except RecordsNeeded as needed:
            return needed
        except Refused as refused:
            self._refuse(message, refused)
        return None

    async def _perform_with_records(self, message: messages.Message, needed: RecordsNeeded) -> None:
        """Load and try again, a bounded number of times. What this client sends meanwhile waits behind ``message``."""
        for _ in range(MAX_ROUNDS - 1):
            if not await loaded(self._records, needed.names):
                break
            await self._go_on()
            again = self._perform(message)
            if again is None:
                return
            needed = again
        self._refuse(message, needed.given_up())

    def _refuse(self, message: messages.Message, refused: Refused) -> None:
        verb, _, name = VERBS[type(message)]
        request_id = getattr(message, "id", None)
        data = ABSENT if refused.retry_after is None else Payload({"retry_after": refused.retry_after})
        if request_id is None:  # nothing to match the error by: say what it is about
            self._fail(
                refused.code,
                None,
                refused.detail,
                verb=verb,
                name=name(message),
                data=data,
                decision=refused.decision,
            )
        else:
            self._fail(refused.code, request_id, refused.detail, data=data, decision=refused.decision)

    # ---- verbs ------------------------------------------------------------------------------------------------

    def _subscribe(self, message: messages.Subscribe) -> None:
        self._core.subscribe(self._session, message.channel, message.token)
        self._done(message.id)

    def _unsubscribe(self, message: messages.Unsubscribe) -> None:
        self._core.unsubscribe(self._session, message.channel)
        self._done(message.id)

    def _connect(self, message: messages.Connect) -> None:
        self._core.connect(self._session, message.channel, message.token)
        self._done(message.id)

    def _disconnect(self, message: messages.Disconnect) -> None:
        self._core.disconnect(self._session, message.channel)
        self._done(message.id)

    def _participants(self, message: messages.Participants) -> None:
        found = self._core.participants_of(self._session, message.channel)
        self._tell(messages.ParticipantList(message.id, message.channel, found))

    def _publish(self, message: messages.Publish) -> None:
        request_id = message.id
        self._core.publish(
            self._session,
            message.channel,
            message.data,
            message.echo,
            message.disclose,
            None if request_id is None else functools.partial(self._done, request_id),
            message.to,
            message.exclude,
            message.seq,
        )

    def _listen(self, message: messages.Listen) -> None:
        self._core.listen(self._session, message.pattern, accepted=lambda: self._done(message.id))

    def _unlisten(self, message: messages.Unlisten) -> None:
        self._core.unlisten(self._session, message.pattern)
        self._done(message.id)

    def _listen_accept(self, message: messages.ListenAccept) -> None:
        self._core.listen_accept(self._session, message.pattern, message.channel)

    def _listen_reject(self, message: messages.ListenReject) -> None:
        self._core.listen_reject(self._session, message.pattern, message.channel)

    def _provide(self, message: messages.Provide) -> None:
        self._core.provide(
            self._session, message.procedure, message.concurrency, direct=message.direct, token=message.token
        )
        self._done(message.id)

    def _unprovide(self, message: messages.Unprovide) -> None:
        self._core.unprovide(self._session, message.procedure)
        self._done(message.id)

    def _call(self, message: messages.Call) -> None:
        timeout = message.timeout
        self._core.call(
            self._session,
            message.id,
            message.procedure,
            message.data,
            None if timeout is None else timeout / 1000,
            message.progress,
            message.disclose,
            message.provider,
            message.token,
        )

    def _cancel(self, message: messages.Cancel) -> None:
        self._core.cancel(self._session, message.id)

    def _provider_result(self, message: messages.ProviderResult) -> None:
        self._core.result(self._session, message.call, message.data, message.more)

    def _provider_error(self, message: messages.ProviderError) -> None:
        self._core.error(self._session, message.call, message.data)

    def _provider_reject(self, message: messages.ProviderReject) -> None:
        self._core.reject(self._session, message.call)

    def _presence_query(self, message: messages.PresenceQuery) -> None:
        users, denied = self._core.presence_query(self._session, message.users)
        self._tell(_presence_state(message.id, users, denied))

    def _presence_subscribe(self, message: messages.PresenceSubscribe) -> None:
        denied = self._core.presence_subscribe(self._session, message.users)
        if denied:
            self._tell(_presence_state(message.id, {}, denied))
        else:
            self._done(message.id)

    def _presence_unsubscribe(self, message: messages.PresenceUnsubscribe) -> None:
        self._core.presence_unsubscribe(self._session, message.users)
        self._done(message.id)

    def _ping(self, message: messages.Ping) -> None:
        self._tell(messages.Pong(message.id))

    # ---- what the core tells (routing.peer.Peer) --------------------------------------------------------------

    @property
    def crowd(self) -> Hashable | None:
        """Those whose events are the same bytes on the same lane."""
        return None if self._link.lane is None else (self._link.lane, self._wire.key)

    def together(self, peers: Sequence[Peer]) -> Callable[[Delivery], None]:
        members = [peer for peer in peers if isinstance(peer, Connection)]
        return tell_together(members, key=self._wire.key, encode=self._wire.event_frame)

    def event(self, delivery: Delivery) -> None:
        frame = delivery.frames.get(self._wire.key)
        if frame is None:
            try:
                frame = self._wire.event_frame(delivery)
            except Exception as error:  # noqa: BLE001 - the edge of a session: it happens in another's turn
                self.fault(error)
                return
            delivery.frames[self._wire.key] = frame
        self._link.send(frame)

    def invoke(
        self,
        call: str,
        procedure: str,
        data: Payload,
        timeout: float,
        progress: bool,
        caller: messages.Publisher | None,
        caller_data: Any = None,  # noqa: ARG002 - this protocol tells who calls, and nothing else of them
    ) -> None:
        milliseconds = max(1, round(timeout * 1000))
        try:
            frame = self._wire.invoke_frame(call, procedure, data, milliseconds, progress, caller)
        except Exception as error:  # noqa: BLE001 - the edge of a session: it happens in another's turn
            self.fault(error)
            return
        self._link.send(frame)

    def interrupt(self, call: str, reason: Literal["cancelled", "timeout", "caller_lost"]) -> None:
        self._tell(messages.Interrupt(call, reason))

    def call_accepted(self, tag: str) -> None:
        """This protocol tells its callers the outcome alone."""

    def result(self, tag: str, data: Payload, more: bool) -> None:
        try:
            frame = self._wire.result_frame(tag, data, more)
        except Exception as error:  # noqa: BLE001 - the edge of a session: it happens in another's turn
            self.fault(error)
            return
        self._link.send(frame)

    def call_failed(self, tag: str, code: int, detail: str = "", data: Payload = ABSENT) -> None:
        self._fail(code, tag, detail, data=data)

    def presence(self, user: str, change: Literal["joined", "left"], sessions: int) -> None:
        self._tell(messages.PresenceChange(user, change, sessions))

    def participant(
        self,
        channel: str,
        change: Literal["joined", "left"],
        participant: messages.Participant,
        subscription: str | None,
    ) -> None:
        self._tell(messages.ParticipantChange(channel, change, participant, subscription))

    def listen_found(self, pattern: str, channel: str) -> None:
        self._tell(messages.ListenFound(pattern, channel))

    def listen_timeout(self, pattern: str, channel: str) -> None:
        self._tell(messages.ListenTimeout(pattern, channel))

    def listen_removed(self, pattern: str, channel: str) -> None:
        self._tell(messages.ListenRemoved(pattern, channel))

    def revoked(self, verb: str, name: str, code: int, detail: str = "", decision: str = "") -> None:
        self._tell(messages.Revoked(verb, name, code, detail, decision))

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:
        self._ending.end(code, retry_after=retry_after)

    # ---- writing ----------------------------------------------------------------------------------------------

    def _tell(self, message: messages.Reply) -> None:
        try:
            frame = self._wire.frame(message)
        except Exception as error:  # noqa: BLE001 - the edge of a session: it may happen in another's turn
            self.fault(error)
            return
        self._link.send(frame)

    def _done(self, request_id: str) -> None:
        try:
            frame = self._wire.done_frame(request_id)
        except Exception as error:  # noqa: BLE001 - the edge of a session
            self.fault(error)
            return
        self._link.send(frame)

    def _fail(
        self,
        code: int,
        request_id: str | None,
        detail: str = "",
        *,
        verb: str = "",
        name: str = "",
        data: Payload = ABSENT,
        decision: str = "",
    ) -> None:
        self._metrics.errors.labels(codes.error(code).slug).inc()
        self._tell(messages.Failed(code, request_id, detail, verb, name, data, decision))

    def fault(self, error: Exception) -> None:
        """Something of ours went wrong: this session ends."""
        self._log.error("session_failed", **where(error))
        self._ending.end(codes.INTERNAL)

    @classmethod
    def verbs(cls) -> Mapping[type[messages.Message], tuple[str, Callable[..., None], Callable[[Any], str]]]:
        """By message class: the verb (for metrics and errors), what carries it out, and the name it is about."""
        return {
            messages.Subscribe: ("subscribe", cls._subscribe, _nothing),
            messages.Unsubscribe: ("unsubscribe", cls._unsubscribe, _nothing),
            messages.Connect: ("connect", cls._connect, _nothing),
            messages.Disconnect: ("disconnect", cls._disconnect, _nothing),
            messages.Participants: ("participants", cls._participants, _nothing),
            messages.Publish: ("publish", cls._publish, lambda message: message.channel),
            messages.Listen: ("listen", cls._listen, _nothing),
            messages.Unlisten: ("unlisten", cls._unlisten, _nothing),
            messages.ListenAccept: ("listen_accept", cls._listen_accept, lambda message: message.channel),
            messages.ListenReject: ("listen_reject", cls._listen_reject, lambda message: message.channel),
            messages.Provide: ("provide", cls._provide, _nothing),
            messages.Unprovide: ("unprovide", cls._unprovide, _nothing),
            messages.Call: ("call", cls._call, _nothing),
            messages.Cancel: ("cancel", cls._cancel, _nothing),
            messages.ProviderResult: ("result", cls._provider_result, lambda message: message.call),
            messages.ProviderError: ("error", cls._provider_error, lambda message: message.call),
            messages.ProviderReject: ("reject", cls._provider_reject, lambda message: message.call),
            messages.PresenceQuery: ("presence_query", cls._presence_query, _nothing),
            messages.PresenceSubscribe: ("presence_subscribe", cls._presence_subscribe, _nothing),
            messages.PresenceUnsubscribe: ("presence_unsubscribe", cls._presence_unsubscribe, _nothing),
            messages.Ping: ("ping", cls._ping, _nothing),
        }


def _presence_state(request_id: str, users: Mapping[str, int], denied: Mapping[str, str]) -> messages.PresenceState:
    decisions = {user: decision for user, decision in denied.items() if decision}
    return messages.PresenceState(request_id, dict(users), tuple(denied), decisions or None)


VERBS: Final = Connection.verbs()
