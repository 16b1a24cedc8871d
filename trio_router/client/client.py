"""The client as a program sees it: publish, subscribe, call, provide, presence.

This is the surface and nothing more: rights that last are kept by ``standing``, the connection by ``supervisor``, and what the router
says by itself is handed on by ``inbox``. Every
wait here can be cancelled, and a cancelled call is cancelled at the router too. Times are seconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from trio_router.client.errors import (
    ClientError,
    ConnectionLost,
    RequestRefused,
)
from trio_router.client.feeds import BUFFER, Feed
from trio_router.client.inbox import Inbox, ParticipantFeed
from trio_router.client.listening import ChannelHandler, Listening, every_channel
from trio_router.client.nursery import own_nursery
from trio_router.client.offers import Handler, Offer
from trio_router.client.session import Session, Single
from trio_router.client.standing import EVERYBODY
from trio_router.client.supervisor import Supervisor
from trio_router.client.trust import token_for
from trio_router.client.values import Change, Event, Presence, outgoing, value_of
from trio_router.payload import ABSENT
from trio_router.protocols import messages
from trio_router.protocols.codes import ALREADY_LISTENING, ALREADY_PROVIDED
from trio_router.protocols.native.shapes import MAX_SEQ


class _Parts:
    """Waits for the results of a progressive call."""

    def __init__(self, size: int) -> None:
        self.feed: Feed[Any] = Feed(size)
        self.is_over = False

    def answered(self, reply: messages.Reply) -> bool:
        if isinstance(reply, messages.Result):
            if not reply.data.is_absent:
                self.feed.put(reply.data.value)
            if reply.more:
                return False
        self.is_over = True
        self.feed.finish()
        return True

    def failed(self, error: ClientError) -> None:
        self.is_over = True
        self.feed.finish(error)


class Link:
    """A channel we are connected to. ``interruptions`` counts the reconnects; ``error`` is why it ended before its block did."""

    def __init__(self) -> None:
        self.interruptions = 0
        self.error: ClientError | None = None
        self._ended = trio.Event()

    def finish(self, error: ClientError | None = None) -> None:
        self.error = error
        self._ended.set()

    async def wait_ended(self) -> ClientError | None:
        """Wait until it ends before its block does: the right was taken away, or the client ended."""
        await self._ended.wait()
        return self.error


class Client:
    """A connection to a router that is kept up. Made by :func:`trio_router.client.connect`."""

    def __init__(
        self,
        supervisor: Supervisor,
        on_error: Callable[[RequestRefused], None] | None = None,
        on_expiring: Callable[[], None] | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._rights = supervisor.rights
        self._offers: dict[str, Offer] = {}
        self._listenings: dict[str, Listening] = {}
        self._inbox = Inbox(supervisor, self._offers, self._listenings, on_error, on_expiring)
        self._welcome = supervisor.current().welcome

    # ---- who we are -----------------------------------------------------------------------------------------

    @property
    def session_id(self) -> str:
        """The id of the session there is, or of the last one."""
        return self._last_welcome().session

    @property
    def user_id(self) -> str:
        """Who we are logged in as."""
        return self._last_welcome().user

    @property
    def client_data(self) -> Any:
        """What the login strategy gave to the client, or None."""
        return self._last_welcome().client_data

    @property
    def expires(self) -> float | None:
        """When the login expires, in seconds since the epoch; None if it does not."""
        return self._last_welcome().expires

    @property
    def is_connected(self) -> bool:
        """Whether there is a session at the moment."""
        return self._supervisor.is_connected

    async def wait_connected(self) -> None:
        """Wait until there is a session. Raises ``ConnectionEnded`` if there will not be one any more."""
        await self._supervisor.wait_connected()

    def _last_welcome(self) -> messages.Welcome:
        if self._supervisor.is_connected:
            self._welcome = self._supervisor.current().welcome
        return self._welcome

    # ---- events ---------------------------------------------------------------------------------------------

    async def publish(
        self,
        channel: str,
        data: Any = ABSENT,
        *,
        acknowledge: bool = True,
        echo: bool = True,
        disclose: bool = False,
        to: str | None = None,
        exclude: Iterable[str] = (),
        seq: int | None = None,
    ) -> None:
        """Publish to ``channel``; with ``acknowledge``, wait until the router has accepted it.

        ``echo``: whether we get it too, if we are subscribed. ``disclose``: whether subscribers learn who published. For server
        programs, ``to``: the id of the one session that gets it, if subscribed; ``exclude``: of those that do not. ``seq`` is a count
        of your own, from 0 to 2**53 - 1, which subscribers are given with the event.

        Raises:
            RequestRefused: the router refused it (without ``acknowledge`` that goes to ``on_error`` instead).
            ConnectionLost: it is not known whether it was published.
            ValueError: ``data`` is not JSON, or ``seq`` is out of its range.
        """
        if seq is not None and not 0 <= seq <= MAX_SEQ:
            raise ValueError(f"seq: expected an integer from 0 to {MAX_SEQ}")
        payload = outgoing(data)
        session = self._supervisor.current()
        without = tuple(exclude)
        if not acknowledge:
            await session.send(messages.Publish(channel, payload, None, echo, disclose, to, without, seq))
            return
        await session.request(
            lambda request_id: messages.Publish(channel, payload, request_id, echo, disclose, to, without, seq)
        )

    @asynccontextmanager
    async def subscribe(self, channel: str, *, buffer: int = BUFFER) -> AsyncIterator[Feed[Event]]:
        """Receive the events of ``channel``, a name or a pattern with ``*``, during the block.

        Yields an asynchronous iterator of :class:`~trio_router.client.values.Event`. It keeps ``buffer`` events for a loop that
        is busy, then drops, and says so by raising ``Lagged`` in the loop. It survives reconnects (and counts them
        in ``interruptions``); it raises ``RequestRefused`` when the right is taken away.

        Raises:
            RequestRefused, ConnectionLost: the subscription was not made.
        """
        feed: Feed[Event] = Feed(buffer)
        async with self._rights.hold("subscribe", channel, feed):
            yield feed

    @asynccontextmanager
    async def connect(self, channel: str) -> AsyncIterator[Link]:
        """Be connected to ``channel`` during the block: publish to it without receiving it.

        It survives reconnects. Yields a :class:`Link`, whose ``error`` says why it ended, if it did before the block.

        Raises:
            RequestRefused, ConnectionLost: we are not connected to it.
        """
        link = Link()
        async with self._rights.hold("connect", channel, link):
            yield link

    @asynccontextmanager
    async def listen(
        self, pattern: str, handler: ChannelHandler, *, accepts: Callable[[str], bool] = every_channel
    ) -> AsyncIterator[Listening]:
        """Provide the events of the channels that ``pattern`` matches, during the block, while somebody has them subscribed.

        ``pattern`` is a regular expression in JavaScript's notation, found anywhere in a name. For each channel that the router
        asks about ``accepts(channel)`` says at once whether we provide it; then ``handler(channel)`` runs, and is cancelled
        when it is not wanted any more. If it raises, that is logged and the channel left to others; if it returns, the channel
        stays ours. It survives reconnects: what is wanted then is asked again.

        Raises:
            RequestRefused, ConnectionLost: we do not listen.
        """
        if pattern in self._listenings:
            raise RequestRefused(ALREADY_LISTENING, verb="listen", name=pattern)
        async with own_nursery() as nursery:
            listening = self._listenings[pattern] = Listening(pattern, handler, accepts, nursery)
            try:
                async with self._rights.hold("listen", pattern, listening):
                    yield listening
            finally:
                del self._listenings[pattern]
                listening.stop()

    # ---- participants ---------------------------------------------------------------------------------------

    async def participants(self, channel: str) -> tuple[messages.Participant, ...]:
        """Who is on the ``prs:`` or ``sys:`` channel that we have subscribed. Raises ``RequestRefused``, ``ConnectionLost``."""
        reply = await self._supervisor.current().request(lambda request_id: messages.Participants(request_id, channel))
        if not isinstance(reply, messages.ParticipantList):
            msg = "the router did not say who is there"
            raise ConnectionLost(msg)
        return reply.participants

    @asynccontextmanager
    async def watch_participants(self, channel: str, *, buffer: int = BUFFER) -> AsyncIterator[ParticipantFeed]:
        """Be told who comes to ``channel`` and leaves it, during the block, by subscribing it (together with :meth:`subscribe`).

        Yields an asynchronous iterator of :class:`~trio_router.client.values.ParticipantEvent`, bounded as in :meth:`subscribe`.

        Raises:
            RequestRefused, ConnectionLost: the subscription was not made.
        """
        feed = ParticipantFeed(buffer)
        async with self._rights.hold("subscribe", channel, feed):
            yield feed

    # ---- calls ----------------------------------------------------------------------------------------------

    async def call(
        self,
        procedure: str,
        data: Any = ABSENT,
        *,
        timeout: float | None = None,
        disclose: bool = False,
        provider: str | None = None,
    ) -> Any:
        """Call ``procedure`` and return its result (None if it has none).

        ``timeout``: seconds until the router answers with ``call_timeout``; None is the router's own limit. Cancelling the
        task cancels the call. ``provider``, for server programs: the id of the session whose direct offer is called.

        Raises:
            RequestRefused: there is no result; with the slug ``provider_error``, ``data`` is what the provider said.
            ConnectionLost: it is not known whether the call was carried out.
            ValueError: ``data`` is not JSON, or ``timeout`` not positive.
        """
        session, waiter = self._supervisor.current(), Single()
        request_id, payload, milliseconds = session.new_id(), outgoing(data), _milliseconds(timeout)
        token = await self._call_token(procedure, session)
        message = messages.Call(
            request_id, procedure, payload, milliseconds, disclose=disclose, provider=provider, token=token
        )
        await session.ask(request_id, message, waiter)
        try:
            reply = await waiter.wait()
        except trio.Cancelled:
            _cancel(session, request_id)
            raise
        finally:
            session.forget(request_id)
        return value_of(reply.data) if isinstance(reply, messages.Result) else None

    @asynccontextmanager
    async def call_progressive(
        self,
        procedure: str,
        data: Any = ABSENT,
        *,
        timeout: float | None = None,
        disclose: bool = False,
        buffer: int = BUFFER,
    ) -> AsyncIterator[Feed[Any]]:
        """Call ``procedure`` and yield an asynchronous iterator of its results, the partial ones and the last.

        Leaving the block before the last result cancels the call. Errors are those of :meth:`call` (raised in the loop),
        and ``Lagged``.
        """
        session, parts = self._supervisor.current(), _Parts(buffer)
        request_id, payload, milliseconds = session.new_id(), outgoing(data), _milliseconds(timeout)
        token = await self._call_token(procedure, session)
        message = messages.Call(
            request_id, procedure, payload, milliseconds, progress=True, disclose=disclose, token=token
        )
        await session.ask(request_id, message, parts)
        try:
            yield parts.feed
        finally:
            session.forget(request_id)
            if not parts.is_over:
                _cancel(session, request_id)

    @asynccontextmanager
    async def provide(
        self, procedure: str, handler: Handler, *, concurrency: int | None = None, direct: bool = False
    ) -> AsyncIterator[Offer]:
        """Answer the calls of ``procedure`` with ``handler`` during the block, ``concurrency`` at a time (None: the router's limit).

        ``direct``: a client function, which only server programs call, by our session's id.

        ``handler(data, call)`` is an async function that returns the result, or an async generator whose values are
        partial results. What it raises is answered as "handler failed" and logged; ``CallError(value)`` is answered with
        ``value``, and after ``CallRejected()`` another provider gets the call. It is cancelled when nobody waits for the
        answer any more, and when the block ends.

        Raises:
            RequestRefused, ConnectionLost: the offer was not accepted.
        """
        if procedure in self._offers:
            raise RequestRefused(ALREADY_PROVIDED, verb="provide", name=procedure)
        async with own_nursery() as nursery:
            offer = self._offers[procedure] = Offer(procedure, handler, nursery, concurrency)
            try:
                async with self._rights.hold("provide", procedure, offer, concurrency=concurrency, direct=direct):
                    yield offer
            finally:
                del self._offers[procedure]
                offer.stop()

    # ---- presence -------------------------------------------------------------------------------------------

    async def presence(self, users: Iterable[str] | None = None) -> Presence:
        """Who is online: the named ``users``, or everybody we may see (None). Raises ``RequestRefused``, ``ConnectionLost``."""
        named = None if users is None else tuple(users)
        reply = await self._supervisor.current().request(lambda request_id: messages.PresenceQuery(request_id, named))
        if not isinstance(reply, messages.PresenceState):
            msg = "the router did not say who is online"
            raise ConnectionLost(msg)
        return Presence(reply.users, reply.denied, reply.decisions or {})

    @asynccontextmanager
    async def watch_presence(
        self, users: Iterable[str] | None = None, *, buffer: int = BUFFER
    ) -> AsyncIterator[Feed[Change]]:
        """Be told when the named ``users`` (None: everybody we may see) come and go, during the block.

        Yields an asynchronous iterator of :class:`~trio_router.client.values.Change`, bounded as in :meth:`subscribe`.

        Raises:
            RequestRefused: one of them may not be watched (``name`` says who), and then none is.
            ConnectionLost: there is no connection.
        """
        feed: Feed[Change] = Feed(buffer)
        async with AsyncExitStack() as stack:
            for name in [EVERYBODY] if users is None else dict.fromkeys(users):
                await stack.enter_async_context(self._rights.hold("presence_subscribe", name, feed))
            yield feed

    # ---- what the router says by itself ---------------------------------------------------------------------

    def received(self, session: Session, reply: messages.Reply) -> None:
        """A message that answers no request; called by the reader, which must not wait."""
        self._inbox.received(session, reply)

    def interrupted(self) -> None:
        """A session ended: nobody waits for what is being worked on."""
        self._inbox.interrupted()

    async def _call_token(self, procedure: str, session: Session) -> str | None:
        return await token_for(self._supervisor.access_token, "call", procedure, session.welcome.session)


def _cancel(session: Session, request_id: str) -> None:
    with contextlib.suppress(ConnectionLost):
        session.post(messages.Cancel(request_id))


def _milliseconds(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if not seconds > 0:
        msg = "timeout: expected more than 0 seconds"
        raise ValueError(msg)
    return max(1, round(seconds * 1000))
