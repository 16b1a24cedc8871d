"""Keeps a client connected: makes sessions, one after the other, and gives each the rights the client holds.

It decides when to try again and when not to: what the router advises first (stop, log in again, wait this long), a
full-jitter back-off otherwise. It knows nothing of what flows through a session; that goes to the receiver.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from trio_router.client.errors import (
    ClientError,
    ConnectFailed,
    ConnectionEnded,
    ConnectionLost,
    LoginDenied,
    LoginUnavailable,
)
from trio_router.client.options import Options
from trio_router.client.session import Lost, Session
from trio_router.client.standing import StandingRights
from trio_router.client.trust import AccessToken
from trio_router.client.websocket import Target
from trio_router.protocols import messages
from trio_router.protocols.codes import Advice

logger: Final = logging.getLogger("trio_router.client")


class Supervisor:
    """The life of one client's connection."""

    def __init__(self, target: Target, options: Options) -> None:
        self._target = target
        self._options = options
        self._session: Session | None = None
        self._connected = trio.Event()
        self._ended: ConnectionEnded | None = None
        self._closing = False
        self._nursery: trio.Nursery | None = None  # of the session there is
        self.rights: Final = StandingRights(self.current, options.access_token)
        self.connections = 0

    def current(self) -> Session:
        """The session there is. Raises ``ConnectionLost`` if there is none now, ``ConnectionEnded`` if there will be none."""
        if self._session is not None:
            return self._session
        if self._ended is not None:
            raise self._ended
        msg = "not connected at the moment"
        raise ConnectionLost(msg)

    @property
    def access_token(self) -> AccessToken | None:
        """Who gives trust-tokens, if anybody does."""
        return self._options.access_token

    @property
    def is_connected(self) -> bool:
        return self._session is not None

    def renew(self, session: Session, verb: str, name: str) -> bool:
        """Open anew what has expired on ``session``; False if there is nobody to ask for a token."""
        if self._options.access_token is None or self._nursery is None:
            return False
        self._nursery.start_soon(self.rights.renew, session, verb, name)
        return True

    async def wait_connected(self) -> None:
        """Wait until there is a session. Raises ``ConnectionEnded``: there will be none."""
        while self._session is None:
            if self._ended is not None:
                raise self._ended
            await self._connected.wait()
        await trio.lowlevel.checkpoint()

    async def first(self) -> None:
        """Make the first session; with ``wait``, however long it takes. Raises ``ConnectFailed`` or ``LoginRefused``."""
        self._enter(await self._open(patient=self._options.wait))

    async def keep(self, receive: Callable[[Session, messages.Reply], None], interrupted: Callable[[], None]) -> None:
        """Run the sessions, until there is to be none any more. ``interrupted`` is called after each."""
        while True:
            lost = await self._run(receive)
            interrupted()
            if self._closing:
                self._end(ConnectionEnded("the client was closed"))
                return
            logger.info("the connection ended: %s", lost)
            if lost.advice is Advice.LOGIN_AGAIN and self._options.spent is not None:
                self._options.spent()
            if lost.advice is Advice.STOP or not self._options.reconnect:
                self._end(ConnectionEnded(lost.text, code=lost.code, slug=lost.slug))
                return
            await trio.sleep(self._options.backoff.next(lost.retry_after))
            try:
                session = await self._open(patient=True)
            except (ConnectFailed, LoginDenied) as exc:
                ended = ConnectionEnded(f"no new connection: {exc}")
                ended.__cause__ = exc
                self._end(ended)
                return
            self._enter(session)

    async def close(self) -> None:
        """Close the session, if there is one, and make no other."""
        self._closing = True
        if self._session is not None:
            await self._session.close()
        if self._ended is None:
            self._end(ConnectionEnded("the client was closed"))

    async def _run(self, receive: Callable[[Session, messages.Reply], None]) -> Lost:
        session = self.current()
        began = trio.current_time()
        lost: Lost
        async with trio.open_nursery() as nursery:
            if self.connections > 1:  # and it is on hold
                nursery.start_soon(self.rights.restore, session)
            self._nursery = nursery
            lost = await session.run(lambda reply: receive(session, reply))
            nursery.cancel_scope.cancel()  # a question for a token may last; what stands is restored on the next session
            self._session = None
            self._connected = trio.Event()
        if trio.current_time() - began >= self._options.steady:
            self._options.backoff.reset()
        return lost

    async def _open(self, *, patient: bool) -> Session:
        while True:
            try:
                return await Session.open(self._target, self._options)
            except (ConnectFailed, LoginUnavailable) as exc:
                if not patient or (isinstance(exc, ConnectFailed) and exc.permanent):
                    raise
                logger.info("no connection yet: %s", exc)
                asked = exc.retry_after
            await trio.sleep(self._options.backoff.next(asked))

    def _enter(self, session: Session) -> None:
        if self.connections:
            session.hold()  # what stands goes first: who publishes now may be waiting for what comes of it
        self._session = session
        self.connections += 1
        self._connected.set()

    def _end(self, error: ConnectionEnded) -> None:
        self._ended = error
        self._session = None
        self._connected.set()
        self.rights.finish(_for_holders(error, closed=self._closing))


def _for_holders(error: ConnectionEnded, *, closed: bool) -> ClientError:
    """What loops that still iterate are told."""
    return ConnectionEnded("the client was closed") if closed else error
