"""From connect to login: a client can do one thing here, log in (T04).

It is greeted, and then sends one small message at a time until a strategy accepts it, the time is over, or its attempts are
used up. There is no core in here, so nothing can be published, called or stored by mistake; there is no
task of its own but while a login is being checked, when somebody must notice that the client has left.

*Denied* and *unavailable* stay different answers: an unavailable login costs no attempt, so that an outage locks nobody out,
but it is bounded by the deadline and by ``UNAVAILABLE``, after which the client is sent away to come back later.
"""

from __future__ import annotations

from typing import Final

import attrs
import trio

from trio_router.auth.chain import Chain, Outcome
from trio_router.auth.strategy import Accepted, Denied, LoginRequest, Unavailable
from trio_router.errors import RemoteProtocolError
from trio_router.identity import Identity
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes, messages
from trio_router.protocols.native.machine import ServerMachine
from trio_router.session.ending import SessionEnd
from trio_router.session.judging import judged, login_request
from trio_router.session.link import Link
from trio_router.session.turns import Turns
from trio_router.session.wire import Wire

UNAVAILABLE: Final = 10
"""Logins of one connection that may end as unavailable."""


@attrs.frozen
class Admitted:
    """A successful login: who it is, and the welcome that still has to be sent."""

    identity: Identity
    welcome: messages.Welcome


class Quarantine:
    """The first part of one session. ``machine`` says what the client may send when."""

    def __init__(
        self,
        link: Link,
        session_id: str,
        *,
        app: str,
        wire: Wire,
        chain: Chain,
        machine: ServerMachine,
        limits: Limits,
        metrics: Metrics,
        turns: Turns,
    ) -> None:
        self._link = link
        self._session_id = session_id
        self._app = app
        self._wire = wire
        self._chain = chain
        self._machine = machine
        self._limits = limits
        self._metrics = metrics
        self._turns = turns
        self._invalid = 0
        self._login_id = ""
        self._replied: trio.Event | None = None  # while a strategy's challenge waits for its answer
        self._reply = ""

    async def admit(self) -> Admitted:
        """Greet the client and wait for a login that is accepted.

        Raises:
            SessionEnd: time, attempts or patience are used up.
            LinkClosed: the client left.
        """
        limits = self._limits
        self._link.set_message_limit(limits.login_message_size)
        with trio.move_on_after(limits.login_timeout):
            self._say(
                messages.Hello(
                    session=self._session_id,
                    login_timeout=round(limits.login_timeout * 1000),
                    message_size=limits.message_size,
                    ping_interval=round(limits.ping_interval * 1000),
                )
            )
            return await self._until_accepted()
        raise SessionEnd(codes.LOGIN_TIMEOUT)

    async def _until_accepted(self) -> Admitted:
        denied = unavailable = 0
        while True:
            login = await self._next_login()
            self._login_id = login.id
            request = self._request(login)
            strategy, answer = await self._check(request)
            if isinstance(answer, Accepted):
                self._machine.accepted()
                return self._admitted(login.id, answer.identity(request, strategy), answer)
            self._machine.denied()
            if isinstance(answer, Denied):
                denied += 1
                data = ABSENT if answer.client_data is None else Payload(answer.client_data)
                self._fail(codes.LOGIN_DENIED, login.id, data=data)
            else:
                unavailable += 1
                self._unavailable(login.id, answer.retry_after)
            if denied >= self._limits.login_attempts:
                raise SessionEnd(codes.LOGIN_ATTEMPTS)
            if unavailable >= UNAVAILABLE:
                raise SessionEnd(codes.OVERLOADED)

    def _admitted(self, login_id: str, identity: Identity, answer: Accepted) -> Admitted:
        welcome = messages.Welcome(
            id=login_id,
            session=self._session_id,
            user=answer.user.id,
            client_data=answer.client_data,
            expires=answer.expires_at,
        )
        return Admitted(identity, welcome)

    # ---- reading ----------------------------------------------------------------------------------------------

    async def _next_login(self) -> messages.Login:
        while True:
            message = await self._receive()
            if isinstance(message, messages.Login):
                return message

    async def _receive(self) -> messages.Request | None:
        """The next message that is allowed now; None after one that was refused."""
        frame = await self._link.receive()
        if isinstance(frame, bytes):
            raise SessionEnd(codes.UNSUPPORTED_DATA)
        try:
            message = self._wire.decode(frame)
            if isinstance(message, messages.Answer) and message.id != self._login_id:
                raise RemoteProtocolError(codes.UNEXPECTED_MESSAGE, request_id=message.id)
            self._machine.receive(type(message), request_id=getattr(message, "id", None))
        except RemoteProtocolError as error:
            self._fail(error.code, error.request_id, error.detail)
            self._invalid += 1
            if self._invalid > self._limits.invalid_messages:
                raise SessionEnd(codes.INVALID_MESSAGES) from None
            return None
        return message

    # ---- one login --------------------------------------------------------------------------------------------

    def _request(self, login: messages.Login) -> LoginRequest:
        return login_request(self._link.upgrade, app=self._app, session_id=self._session_id, auth=login.auth)

    async def _check(self, request: LoginRequest) -> tuple[str, Accepted | Denied | Unavailable]:
        async def judge() -> Outcome:
            await self._turns.take()
            return await self._chain.login(request, self._ask)

        outcome = await judged(judge, self._listen)
        return outcome.strategy, outcome.answer

    async def _listen(self) -> None:
        """While a login is checked: take the answers to challenges."""
        message = await self._receive()
        if isinstance(message, messages.Answer) and self._replied is not None:
            self._reply = message.data
            self._replied.set()

    async def _ask(self, text: str) -> str:
        self._machine.challenged()
        self._replied = trio.Event()
        self._say(messages.Challenge(self._login_id, text))
        await self._replied.wait()
        return self._reply

    # ---- writing ----------------------------------------------------------------------------------------------

    def _say(self, message: messages.Reply) -> None:
        self._link.send(self._wire.frame(message))

    def _unavailable(self, login_id: str, retry_after: float | None) -> None:
        if retry_after is None:
            self._fail(codes.LOGIN_UNAVAILABLE, login_id)
        else:
            self._fail(codes.RATE_LIMITED, login_id, data=Payload({"retry_after": retry_after}))

    def _fail(self, code: int, request_id: str | None, detail: str = "", data: Payload = ABSENT) -> None:
        self._metrics.errors.labels(codes.error(code).slug).inc()
        self._say(messages.Failed(code, request_id, detail, data=data))
