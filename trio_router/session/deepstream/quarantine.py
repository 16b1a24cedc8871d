"""From connect to login in deepstream's words: a challenge, then attempts to log in (T04).

What quarantine is for all protocols (see ``session.quarantine``) it is here: no core, one small message at a time, a deadline,
attempts that are counted, a caller who is told apart *denied* from *unavailable*.

deepstream's own deadline (``auth_timeout``) ends with the first answered attempt, since whoever tries is somebody at a login form
who may try again. Ours does not: from connect, a login has to succeed within the longer of ``auth_timeout`` and
``limits.login_timeout``, whatever was tried meanwhile.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import msgspec
import trio

from trio_router.auth.chain import Chain
from trio_router.auth.strategy import Accepted, Denied, LoginRequest, Unavailable
from trio_router.errors import RemoteProtocolError
from trio_router.identity import Identity
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.protocols import codes
from trio_router.protocols.deepstream.machine import ServerMachine, Verdict
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import AuthAction, ConnectionAction, ParserAction, Topic
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.deepstream.wire import Wire, WrongFrame, object_of
from trio_router.session.ending import SessionEnd
from trio_router.session.judging import judged, login_request
from trio_router.session.link import Link
from trio_router.session.quarantine import UNAVAILABLE
from trio_router.session.turns import Turns

PAUSE: Final = 0.01
"""Seconds between the last words to somebody with too many attempts and the close, as in deepstream."""

_encode: Final = msgspec.json.Encoder().encode


class _Asked(Exception):
    """A strategy asks back, which the protocol has no words for."""


class Quarantine:
    """The first part of one session."""

    def __init__(
        self,
        link: Link,
        session_id: str,
        *,
        app: str,
        wire: Wire,
        chain: Chain,
        limits: Limits,
        options: DeepstreamOptions,
        metrics: Metrics,
        turns: Turns,
    ) -> None:
        self._link = link
        self._session_id = session_id
        self._app = app
        self._wire = wire
        self._chain = chain
        self._machine = ServerMachine()
        self._limits = limits
        self._attempts = options.auth_attempts or limits.login_attempts
        self._auth_timeout = options.auth_timeout or limits.login_timeout
        self._metrics = metrics
        self._turns = turns
        self._waiting: deque[Packet] = deque()  # attempts that came while another one was judged
        self._invalid = 0

    async def admit(self) -> tuple[Identity, Any]:
        """Wait for a login that is accepted: who it is, and the clientData that is to be sent.

        Raises:
            SessionEnd: time, attempts or patience are used up, or an attempt is none.
            LinkClosed: the client left.
        """
        self._link.set_message_limit(self._limits.login_message_size)
        began = trio.current_time()
        with trio.CancelScope(deadline=began + self._auth_timeout) as scope:
            return await self._until_accepted(scope, began + max(self._auth_timeout, self._limits.login_timeout))
        self._say(Packet(Topic.CONNECTION, ConnectionAction.AUTHENTICATION_TIMEOUT))
        raise SessionEnd(codes.LOGIN_TIMEOUT)

    async def _until_accepted(self, scope: trio.CancelScope, latest: float) -> tuple[Identity, Any]:
        denied = unavailable = 0
        while True:
            request = self._request(await self._next_login())
            strategy, answer = await self._check(request)
            if isinstance(answer, Accepted):
                self._machine.accepted()
                return answer.identity(request, strategy), answer.client_data
            scope.deadline = latest
            if isinstance(answer, Denied):
                denied += 1
                self._fail(codes.LOGIN_DENIED, answer.client_data)
            else:
                unavailable += 1
                code = codes.LOGIN_UNAVAILABLE if answer.retry_after is None else codes.RATE_LIMITED
                self._fail(code, unavailable_data(code, answer.retry_after))
            if denied >= self._attempts:
                self._say(Packet(Topic.AUTH, AuthAction.TOO_MANY_AUTH_ATTEMPTS))
                await trio.sleep(PAUSE)
                raise SessionEnd(codes.LOGIN_ATTEMPTS)
            if unavailable >= UNAVAILABLE:
                raise SessionEnd(codes.OVERLOADED)

    # ---- reading ----------------------------------------------------------------------------------------------

    async def _next_login(self) -> Packet:
        while not self._waiting:
            await self._receive()
        return self._waiting.popleft()

    async def _receive(self) -> None:
        """Take one message: answer it, or put it to the attempts that wait to be judged."""
        frame = await self._link.receive()
        try:
            packet = self._wire.decode(frame)
        except WrongFrame:
            raise SessionEnd(codes.UNSUPPORTED_DATA) from None
        except RemoteProtocolError as error:
            self._refuse(error.code, Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC))
            return
        verdict = self._machine.receive(packet.topic, packet.action)
        if verdict is Verdict.CHALLENGE:
            self._say(Packet(Topic.CONNECTION, ConnectionAction.ACCEPT))
        elif verdict is Verdict.LOGIN and len(self._waiting) < self._attempts:
            self._waiting.append(packet)
        elif verdict is Verdict.INVALID_CONNECTION:
            self._refuse(codes.NOT_LOGGED_IN, _invalid(Topic.CONNECTION, ConnectionAction.INVALID_MESSAGE, packet))
        elif verdict is Verdict.INVALID_AUTH_DATA:
            raise self._no_login()
        elif verdict is not Verdict.HEARTBEAT:
            self._refuse(codes.NOT_LOGGED_IN, _invalid(Topic.AUTH, AuthAction.INVALID_MESSAGE, packet))

    # ---- one login --------------------------------------------------------------------------------------------

    def _request(self, login: Packet) -> LoginRequest:
        try:
            auth = object_of(login, self._limits.json_depth)
        except RemoteProtocolError:
            raise self._no_login() from None
        return login_request(self._link.upgrade, app=self._app, session_id=self._session_id, auth=auth)

    async def _check(self, request: LoginRequest) -> tuple[str, Accepted | Denied | Unavailable]:
        async def judge() -> tuple[str, Accepted | Denied | Unavailable]:
            await self._turns.take()
            return await self._login(request)

        return await judged(judge, self._receive)

    async def _login(self, request: LoginRequest) -> tuple[str, Accepted | Denied | Unavailable]:
        try:
            outcome = await self._chain.login(request, _ask)
        except _Asked:
            return "", Denied("asks_back")
        return outcome.strategy, outcome.answer

    # ---- writing ----------------------------------------------------------------------------------------------

    def _say(self, packet: Packet) -> None:
        self._link.send(self._wire.frame(packet))

    def _fail(self, code: int, data: Any) -> None:
        self._metrics.errors.labels(codes.error(code).slug).inc()
        text = None if data is None else _encode(data).decode()
        self._say(Packet(Topic.AUTH, AuthAction.AUTH_UNSUCCESSFUL, data=text))

    def _refuse(self, code: int, packet: Packet) -> None:
        """Answer a message that is none, or not now; a client that sends too many of them has to go."""
        self._metrics.errors.labels(codes.error(code).slug).inc()
        self._say(packet)
        self._invalid += 1
        if self._invalid > self._limits.invalid_messages:
            raise SessionEnd(codes.INVALID_MESSAGES)

    def _no_login(self) -> SessionEnd:
        self._metrics.errors.labels(codes.error(codes.INVALID_MESSAGE).slug).inc()
        self._say(Packet(Topic.AUTH, AuthAction.INVALID_MESSAGE_DATA))
        return SessionEnd(codes.INVALID_MESSAGES)


def unavailable_data(code: int = codes.LOGIN_UNAVAILABLE, retry_after: float | None = None) -> dict[str, Any]:
    """What tells a client that its login was not refused but could not be judged; ``retry_after`` is in seconds."""
    error = codes.error(code)
    told: dict[str, Any] = {"error": error.slug, "text": error.text, "temporary": error.temporary}
    if retry_after is not None:
        told["retry_after"] = retry_after
    return told


async def _ask(_: str) -> str:
    raise _Asked


def _invalid(topic: Topic, action: int, cause: Packet) -> Packet:
    return Packet(topic, action, original_topic=cause.topic, original_action=cause.action)
