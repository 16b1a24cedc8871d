"""One request of the HTTP API inside the routing core: a session without a connection, for as long as the request lasts.

Owns the order of a batch: each message is carried out before the next one is looked at, as on one connection; calls wait for their
results together, at the end. Nobody sees such a session in presence. It knows no HTTP. The rule that keeps it honest: it is a
peer like any other, so every message passes the same door, and what ends a login ends the request (T33, T35).
"""

from __future__ import annotations

from typing import Any, Final, Literal

import trio

from trio_router.errors import RecordsNeeded, Refused
from trio_router.http import batch_answers as answers
from trio_router.http.batch import Emit, Make, Message, Query, Routed, data_of
from trio_router.http.batch_answers import Answer
from trio_router.identity import Identity
from trio_router.metrics import Metrics
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.records import MAX_ROUNDS
from trio_router.protocols import codes
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.messages import Participant, Publisher
from trio_router.routing.core import Core
from trio_router.routing.peer import Delivery
from trio_router.routing.session import Session
from trio_router.session.loading import loaded
from trio_router.storage.records import RecordStore

TURN: Final = 32
"""Messages of one request before the other tasks certainly get a turn."""

_VERBS: Final[dict[type[Routed], str]] = {Emit: "publish", Make: "call", Query: "presence_query"}


class Visit:
    """Carries out one batch of messages for ``identity``."""

    def __init__(self, identity: Identity, core: Core, metrics: Metrics, records: RecordStore | None = None) -> None:
        self._identity = identity
        self._core = core
        self._metrics = metrics
        self._records = records
        self._messages: list[Message] = []
        self._answers: list[Answer | None] = []
        self._ended: CloseCode | None = None
        self._changed = trio.Event()

    async def perform(self, messages: list[Message], seconds: float) -> list[Answer]:
        """The answers, in the order of ``messages``. What is still open after ``seconds`` is answered as timed out."""
        self._messages, self._answers = messages, [None] * len(messages)
        session = self._core.attach(self._identity, self, present=False)
        try:
            with trio.move_on_after(seconds):
                for index, message in enumerate(messages):
                    if self._ended is not None:
                        break
                    answer = await self._carry_out(session, index, message)
                    self._answers[index] = self._answers[index] if answer is None else answer
                    if index % TURN == TURN - 1 or isinstance(message, Query):  # which is a decision for each name
                        await trio.lowlevel.checkpoint()
                while self._ended is None and None in self._answers:
                    await self._changed.wait()
                    self._changed = trio.Event()
        finally:
            self._core.detach(session)
        missing = answers.timed_out() if self._ended is None else answers.ended(self._ended.text)
        return [missing if answer is None else answer for answer in self._answers]

    async def _carry_out(self, session: Session, index: int, message: Message) -> Answer | None:
        """The answer, or None where it comes later."""
        if not isinstance(message, Emit | Make | Query):
            return answers.unsupported(message)
        self._metrics.requests.labels(_VERBS[type(message)]).inc()
        try:
            return await self._with_records(session, index, message)
        except Refused as why:
            self._metrics.errors.labels(codes.error(why.code).slug).inc()
            return answers.refused(message, why)

    async def _with_records(self, session: Session, index: int, message: Routed) -> Answer | None:
        """Load what the rules need and try again, a bounded number of times. Raises ``Refused``."""
        for _ in range(MAX_ROUNDS):
            try:
                return self._route(session, index, message)
            except RecordsNeeded as needed:
                undecided = needed
            if not await loaded(self._records, undecided.names):
                break
            if self._ended is not None:
                return None
        raise undecided.given_up()

    def _route(self, session: Session, index: int, message: Routed) -> Answer | None:
        if isinstance(message, Emit):
            self._core.publish(session, message.eventName, data_of(message))
            return answers.succeeded()
        if isinstance(message, Make):
            self._core.call(
                session, str(index), message.rpcName, data_of(message), timeout=None, progress=False, disclose=False
            )
            return None
        if isinstance(message.names, list):
            users, denied = self._core.presence_query(session, message.names)
            if denied and not users:
                raise Refused(codes.DENIED, decision=next(iter(denied.values())))
            online = {user: count > 0 for user, count in users.items()}
            return answers.succeeded(users=online, **({"denied": list(denied)} if denied else {}))
        users, _ = self._core.presence_query(session, None)
        return answers.succeeded(users=[user for user in users if user != self._identity.user.id])

    # ---- what the core tells (routing.peer.Peer) --------------------------------------------------------------

    def result(self, tag: str, data: Payload, more: bool) -> None:
        if not more:
            self._answered(tag, answers.result_of(data))

    def call_failed(self, tag: str, code: int, detail: str = "", data: Payload = ABSENT) -> None:
        message = self._messages[int(tag)]
        if isinstance(message, Make):
            self._metrics.errors.labels(codes.error(code).slug).inc()
            self._answered(tag, answers.call_failed(message, code, detail, data))

    def close(self, code: CloseCode, *, retry_after: float | None = None) -> None:  # noqa: ARG002 - the interface
        self._ended = code
        self._changed.set()

    def _answered(self, tag: str, answer: Answer) -> None:
        self._answers[int(tag)] = answer
        self._changed.set()

    # It subscribes, provides, watches and listens to nothing, so of these nothing comes.

    def event(self, delivery: Delivery) -> None:
        """Nothing."""

    def invoke(
        self,
        call: str,
        procedure: str,
        data: Payload,
        timeout: float,
        progress: bool,
        caller: Publisher | None,
        caller_data: Any = None,
    ) -> None:
        """Nothing."""

    def interrupt(self, call: str, reason: Literal["cancelled", "timeout", "caller_lost"]) -> None:
        """Nothing."""

    def call_accepted(self, tag: str) -> None:
        """Nothing: the outcome follows."""

    def presence(self, user: str, change: Literal["joined", "left"], sessions: int) -> None:
        """Nothing."""

    def participant(
        self, channel: str, change: Literal["joined", "left"], participant: Participant, subscription: str | None
    ) -> None:
        """Nothing."""

    def listen_found(self, pattern: str, channel: str) -> None:
        """Nothing."""

    def listen_timeout(self, pattern: str, channel: str) -> None:
        """Nothing."""

    def listen_removed(self, pattern: str, channel: str) -> None:
        """Nothing."""

    def revoked(self, verb: str, name: str, code: int, detail: str = "", decision: str = "") -> None:
        """Nothing."""
