"""One session with a router: from an open stream to a login, then requests and their answers until the connection ends.

A session is never reused: after a loss the client makes another. It matches answers to requests by id and hands everything
that is not an answer to its receiver; what that means (subscriptions, offers) is none of its business.

The rule that keeps this honest: every request that was begun ends, with its answer or with the reason the session ended.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol

import msgspec
import trio

from trio_router.client.errors import ClientError, ConnectFailed, ConnectionLost, RequestRefused, login_refused, refused
from trio_router.client.key_auth import KeyAuth
from trio_router.client.options import Options
from trio_router.client.websocket import Disconnected, Target, WebSocket, open_stream
from trio_router.errors import RemoteProtocolError
from trio_router.protocols import messages
from trio_router.protocols.codes import CLOSES, MESSAGE_TOO_BIG, UNKNOWN_TYPE, Advice
from trio_router.protocols.native.client_codec import ToldClosing, decode_reply, encode_request
from trio_router.protocols.native.shapes import SUBPROTOCOL

PROTOCOL_ERROR = 1002

goes_first: Final[ContextVar[bool]] = ContextVar("goes_first", default=False)
"""Set in a task whose messages must be sent while a session is on hold, and in all that it starts."""


class Lost(Exception):
    """A session ended. ``advice`` is what to do next, ``retry_after`` seconds the router asks to wait before."""

    def __init__(
        self, text: str, advice: Advice, *, code: int | None = None, slug: str = "", retry_after: float = 0.0
    ) -> None:
        super().__init__(text)
        self.text = text
        self.advice = advice
        self.code = code
        self.slug = slug
        self.retry_after = retry_after


class Waiter(Protocol):
    """Whoever made a request."""

    def answered(self, reply: messages.Reply) -> bool:
        """An answer; returns whether it was the last one."""

    def failed(self, error: ClientError) -> None:
        """There will be no answer (or it is a refusal)."""


class Single:
    """Waits for the one answer of a request."""

    def __init__(self) -> None:
        self._done = trio.Event()
        self._reply: messages.Reply | None = None
        self._error: ClientError | None = None

    def answered(self, reply: messages.Reply) -> bool:
        if isinstance(reply, messages.Result) and reply.more:
            return False  # a part that nobody asked for
        self._reply = reply
        self._done.set()
        return True

    def failed(self, error: ClientError) -> None:
        self._error = error
        self._done.set()

    async def wait(self) -> messages.Reply | None:
        """The answer. Raises ``ClientError``."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._reply


class Session:
    """A logged-in connection. :meth:`run` drives it; requests may be made from any task meanwhile."""

    def __init__(self, ws: WebSocket, hello: messages.Hello, welcome: messages.Welcome, options: Options) -> None:
        self.hello = hello
        self.welcome = welcome
        self._ws = ws
        self._options = options
        self._waiting: dict[str, Waiter] = {}
        self._last_id = 0
        self._lost: ClientError | None = None
        self._ended = trio.Event()
        self._silence = hello.ping_interval / 1000 + options.silence if hello.ping_interval else math.inf

    # ---- until the login ------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, target: Target, options: Options) -> Session:
        """Connect and log in, within ``connect_timeout``. Raises ``ConnectFailed`` or ``LoginRefused``."""
        with trio.move_on_after(options.connect_timeout):
            stream = await (options.open_stream() if options.open_stream else open_stream(target, options.tls))
            ws = WebSocket(stream, max_message=options.max_message)
            try:
                await ws.handshake(target, SUBPROTOCOL, options.headers)
                return await cls._log_in(ws, options)
            except BaseException as exc:
                with trio.CancelScope(shield=True):
                    await ws.drop()
                if isinstance(exc, Disconnected):
                    exc = _why(exc, None)
                if isinstance(exc, Lost):
                    msg = f"{target.authority} ended the connection before the login: {exc.text}"
                    permanent = exc.advice is Advice.STOP
                    raise ConnectFailed(msg, permanent=permanent, retry_after=exc.retry_after) from None
                if isinstance(exc, RemoteProtocolError):
                    msg = f"{target.authority} does not keep to the protocol: {exc.detail}"
                    raise ConnectFailed(msg, permanent=True) from None
                raise
        msg = f"{target.authority} did not let us in within {options.connect_timeout:g} s"
        raise ConnectFailed(msg)

    @classmethod
    async def _log_in(cls, ws: WebSocket, options: Options) -> Session:
        hello = decode_reply(await ws.receive())
        if isinstance(hello, messages.Closing):
            raise _why(Disconnected(), hello)
        if not isinstance(hello, messages.Hello):
            raise RemoteProtocolError(UNKNOWN_TYPE, "expected a greeting")
        login = options.login
        if isinstance(login, KeyAuth):
            auth: Any = login.prove(hello.session)
        else:
            auth = await _awaited(login()) if callable(login) else login
        ws.queue(encode_request(messages.Login("login", None if auth is None else dict(auth))))
        while True:
            await ws.flush()
            reply = decode_reply(await ws.receive())
            if isinstance(reply, messages.Welcome):
                return cls(ws, hello, reply, options)
            if isinstance(reply, messages.Failed):
                raise login_refused(reply)
            if isinstance(reply, messages.Closing):
                raise _why(Disconnected(), reply)
            if isinstance(reply, messages.Challenge):
                if options.answer is None:
                    msg = "the router asks back during the login, and there is no answer= to ask"
                    raise ConnectFailed(msg, permanent=True)
                ws.queue(encode_request(messages.Answer(reply.id, await _awaited(options.answer(reply.data)))))

    # ---- after it -------------------------------------------------------------------------------------------

    async def run(self, receive: Callable[[messages.Reply], None]) -> Lost:
        """Read until the session ends, and return why. ``receive`` gets what is not an answer, and must not raise."""
        closing: messages.Closing | None = None
        lost: Lost
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump)
                while True:
                    try:
                        message = self._read(await self._ws.receive(silence=self._silence))
                    except Disconnected as exc:
                        lost = _why(exc, closing)
                        break
                    except RemoteProtocolError as exc:
                        self._ws.close(PROTOCOL_ERROR)
                        lost = Lost(f"the router does not keep to the protocol: {exc.detail}", Advice.RECONNECT)
                        break
                    if isinstance(message, messages.Closing):
                        closing = message
                    elif message is not None:
                        receive(message)
                with trio.move_on_after(self._options.close_timeout):
                    await self._ws.flushed()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._ws.drop()
            self._end(ConnectionLost("the connection ended"))
        return lost

    async def _pump(self) -> None:
        try:
            await self._ws.pump()
        except Disconnected:
            # The reader notices by itself; this only makes sure that it does.
            await self._ws.drop()

    def _read(self, text: str) -> messages.Reply | None:
        """A message for the receiver; answers go to whoever waits for them. None: there is nothing to hand on."""
        try:
            reply = decode_reply(text)
        except RemoteProtocolError as exc:
            if exc.code == UNKNOWN_TYPE:
                return None  # of a newer router
            raise
        if isinstance(reply, messages.Failed) and reply.id is not None:
            waiter = self._waiting.pop(reply.id, None)
            if waiter is not None:
                waiter.failed(refused(reply))
            return None
        if isinstance(
            reply, (messages.Done, messages.Result, messages.PresenceState, messages.ParticipantList, messages.Pong)
        ):
            waiter = self._waiting.get(reply.id or "")
            if waiter is not None and waiter.answered(reply):
                del self._waiting[reply.id or ""]
            return None
        return reply

    def _end(self, error: ClientError) -> None:
        if self._lost is None:
            self._lost = error
            waiting, self._waiting = self._waiting, {}
            for waiter in waiting.values():
                waiter.failed(error)
            self._ended.set()

    @property
    def is_over(self) -> bool:
        """Whether there will be no more answers."""
        return self._lost is not None

    async def ended(self) -> None:
        """Wait until the session has ended."""
        await self._ended.wait()

    def renewed(self, expires: float | None) -> None:
        """The login now ends at ``expires``."""
        self.welcome = msgspec.structs.replace(self.welcome, expires=expires)

    async def close(self) -> None:
        """Say goodbye and wait briefly for the router's; :meth:`run` then returns."""
        self._ws.close()
        with trio.move_on_after(self._options.close_timeout, shield=True):
            await self._ended.wait()

    async def wait_ended(self) -> None:
        """Wait until the session has ended."""
        await self._ended.wait()

    def new_id(self) -> str:
        """An id no other request of this session has."""
        self._last_id += 1
        return str(self._last_id)

    def hold(self) -> None:
        """Until :meth:`release`, send only what goes first (``goes_first``), and keep the rest in its order."""
        self._ws.hold()

    def release(self) -> None:
        """Send what was kept."""
        self._ws.release()

    def forget(self, request_id: str) -> None:
        """Nobody waits for this answer any more."""
        self._waiting.pop(request_id, None)

    def post(self, message: messages.Request) -> None:
        """Queue a message that is small and must not wait. Raises ``ConnectionLost``."""
        text = encode_request(message)
        if len(text) > self.hello.message_size:
            raise RequestRefused(MESSAGE_TOO_BIG, detail=f"the router takes {self.hello.message_size} bytes")
        if self._lost is not None:
            raise self._lost
        try:
            self._ws.queue(text, first=goes_first.get())
        except Disconnected:
            msg = "the connection is closing"
            raise ConnectionLost(msg) from None

    async def send(self, message: messages.Request) -> None:
        """Send a message, waiting while too much is queued. Raises ``ConnectionLost``."""
        await trio.lowlevel.checkpoint()
        await self._ws.room(first=goes_first.get())
        self.post(message)

    async def ask(self, request_id: str, message: messages.Request, waiter: Waiter) -> None:
        """Send a request whose answers go to ``waiter``. Raises ``ConnectionLost``."""
        self._waiting[request_id] = waiter
        try:
            await self.send(message)
        except BaseException:
            self.forget(request_id)
            raise

    async def request(
        self, make: Callable[[str], messages.Request], sent: Callable[[], None] | None = None
    ) -> messages.Reply | None:
        """Send what ``make`` makes of a new id, and wait for its one answer. ``sent`` is called between the two.

        Raises:
            RequestRefused: the router said no.
            ConnectionLost: there was no answer.
        """
        request_id = self.new_id()
        waiter = Single()
        await self.ask(request_id, make(request_id), waiter)
        try:
            if sent is not None:
                sent()
            return await waiter.wait()
        finally:
            self.forget(request_id)


def _why(exc: Disconnected, closing: messages.Closing | None) -> Lost:
    """The reason and the advice: from the router's last message, else from the close code, else "reconnect"."""
    if closing is not None:
        told = closing if isinstance(closing, ToldClosing) else ToldClosing(closing.code, closing.retry_after)
        advice = next((each for each in Advice if each.value == told.advice), Advice.STOP)
        return Lost(told.text, advice, code=told.code, slug=told.close, retry_after=(told.retry_after or 0) / 1000)
    close = CLOSES.get(exc.code or 0)
    if close is not None:
        return Lost(close.text, close.advice, code=close.number, slug=close.slug)
    stop = exc.code is not None and exc.code >= 4500  # how codes we do not know are to be read
    return Lost(exc.text, Advice.STOP if stop else Advice.RECONNECT, code=exc.code)


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
