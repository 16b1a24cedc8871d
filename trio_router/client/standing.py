"""What a client holds at the router for longer than one request: subscriptions, patterns, offers, watches.

The router knows each of them once per session, while several parts of a program may want the same one: the first to come
begins it, the last to leave ends it. After a reconnect the router knows none, and they are all begun again, before it is sent
anything else.

The rule that keeps this honest: a holder hears of every way its right can end, and leaving never waits, so that
a cancelled block leaves as cleanly as any other.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Literal, Protocol

import trio

from trio_router.client.backoff import Backoff
from trio_router.client.errors import ClientError, ConnectionLost, RequestRefused
from trio_router.client.session import Session, goes_first
from trio_router.client.trust import AccessToken, NoToken, token_for
from trio_router.protocols import messages
from trio_router.protocols.codes import DENIED

Verb = Literal["subscribe", "connect", "listen", "provide", "presence_subscribe"]
Key = tuple[Verb, str]

EVERYBODY: Final = ""  # the name under which a watch for all users is kept

HELD: Final = 5.0
"""Seconds for which a new session is on hold at the most, however long an application takes to give trust-tokens."""


class Holder(Protocol):
    """One part of the program that wants the right."""

    interruptions: int

    def finish(self, error: ClientError | None = None) -> None:
        """The right has ended."""


class Standing:
    """One right and everybody who holds it."""

    def __init__(
        self,
        verb: Verb,
        name: str,
        ask: AccessToken | None = None,
        concurrency: int | None = None,
        *,
        direct: bool = False,
    ) -> None:
        self.verb: Final = verb
        self._ask = ask
        self._direct = direct
        self.concurrency: Final = concurrency  # of an offer, which has one holder
        self.name: Final = name
        self.holders: list[Holder] = []
        self.active = False
        self.lock = trio.Lock()

    @property
    def key(self) -> Key:
        return self.verb, self.name

    async def begin(self, session: Session, sent: Callable[[], None] | None = None) -> None:
        """Ask the router for it; ``sent`` is called as soon as it has been asked. Raises ``RequestRefused`` or ``ConnectionLost``."""
        make: Callable[[str], messages.Request]
        token = None
        if self.verb != "presence_subscribe" and self.verb != "listen":
            token = await token_for(self._ask, self.verb, self.name, session.welcome.session)
            if not self.holders:
                return  # they have left meanwhile
        if self.verb == "subscribe":
            make = lambda request_id: messages.Subscribe(request_id, self.name, token)  # noqa: E731
        elif self.verb == "connect":
            make = lambda request_id: messages.Connect(request_id, self.name, token)  # noqa: E731
        elif self.verb == "listen":
            make = lambda request_id: messages.Listen(request_id, self.name)  # noqa: E731
        elif self.verb == "provide":
            make = lambda request_id: messages.Provide(  # noqa: E731
                request_id, self.name, self.concurrency, self._direct, token
            )
        else:
            make = lambda request_id: messages.PresenceSubscribe(request_id, self._users)  # noqa: E731
        reply = await session.request(make, sent)
        if isinstance(reply, messages.PresenceState) and self.name in reply.denied:
            raise RequestRefused(
                DENIED, verb=self.verb, name=self.name, decision=(reply.decisions or {}).get(self.name, "")
            )

    def end(self, session: Session) -> None:
        """Tell the router that it is not wanted any more; nobody waits for the answer."""
        request_id = session.new_id()
        message: messages.Request
        if self.verb == "subscribe":
            message = messages.Unsubscribe(request_id, self.name)
        elif self.verb == "connect":
            message = messages.Disconnect(request_id, self.name)
        elif self.verb == "listen":
            message = messages.Unlisten(request_id, self.name)
        elif self.verb == "provide":
            message = messages.Unprovide(request_id, self.name)
        else:
            message = messages.PresenceUnsubscribe(request_id, self._users)
        with contextlib.suppress(ConnectionLost):
            session.post(message)

    @property
    def _users(self) -> tuple[str, ...] | None:
        return None if self.name == EVERYBODY else (self.name,)

    def finish(self, error: ClientError | None) -> None:
        """Tell every holder that it is over."""
        self.active = False
        for holder in self.holders:
            holder.finish(error)


class StandingRights:
    """All of one client's, over all its sessions."""

    def __init__(self, current: Callable[[], Session], ask: AccessToken | None = None) -> None:
        self._current = current
        self._ask = ask
        self._all: dict[Key, Standing] = {}

    def holders(self, verb: Verb, name: str) -> Iterable[Holder]:
        """Who holds this right; nobody, if it is not held."""
        standing = self._all.get((verb, name))
        return standing.holders if standing is not None else ()

    def is_held(self, verb: Verb, name: str) -> bool:
        return (verb, name) in self._all

    @asynccontextmanager
    async def hold(
        self, verb: Verb, name: str, holder: Holder, *, concurrency: int | None = None, direct: bool = False
    ) -> AsyncIterator[None]:
        """Hold a right during the block. Raises ``RequestRefused`` or ``ConnectionLost`` if it cannot be had."""
        standing = self._all.setdefault((verb, name), Standing(verb, name, self._ask, concurrency, direct=direct))
        standing.holders.append(holder)  # first, for what arrives together with the answer
        try:
            async with standing.lock:
                if not standing.active:
                    await self._begin(standing)
            yield
        finally:
            standing.holders.remove(holder)
            if not standing.holders and self._all.get(standing.key) is standing:
                del self._all[standing.key]
                if standing.active:
                    with contextlib.suppress(ConnectionLost):
                        standing.end(self._current())

    async def _begin(self, standing: Standing) -> None:
        session = self._current()
        try:
            await standing.begin(session)
        except RequestRefused:
            raise
        except BaseException:
            standing.end(session)  # given up while the answer was on its way: it may be yes
            raise
        standing.active = True

    async def restore(self, session: Session) -> None:
        """Begin everything again on a new session that is on hold, and release it when all of that has been sent.

        What waits for a trust-token holds it too, for ``HELD`` seconds at the most and not while there is none for the moment. What
        is refused now ends for its holders. Never raises.
        """
        goes_first.set(True)  # of this task, and of those below: who gives trust-tokens may ask the router itself
        unsent = {standing.key for standing in self._all.values() if standing.active}
        all_sent = trio.Event()

        def sent(key: Key) -> None:
            unsent.discard(key)
            if not unsent:
                all_sent.set()

        async with trio.open_nursery() as nursery:
            for key in list(unsent):
                nursery.start_soon(self._again, session, self._all[key], partial(sent, key))
            with trio.move_on_after(HELD):
                if unsent:
                    await all_sent.wait()
            session.release()

    async def renew(self, session: Session, verb: str, name: str) -> None:
        """What a trust-token had opened has expired on ``session``: open it again, with a new one. Never raises."""
        for standing in [each for each in self._all.values() if each.key == (verb, name) and each.active]:
            await self._again(session, standing)

    async def _again(self, session: Session, standing: Standing, sent: Callable[[], None] | None = None) -> None:
        """Begin it again. ``sent`` is called when the router has been asked, or will not be for now."""
        sent = sent or _nothing
        async with standing.lock:
            if not standing.active or not standing.holders:
                sent()
                return
            try:
                await self._begin_again(session, standing, sent)
            except ConnectionLost:
                return  # the next session tries again
            except RequestRefused as error:
                self.lose(standing.verb, standing.name, error)
                return
            finally:
                sent()
            for holder in standing.holders:
                holder.interruptions += 1

    async def _begin_again(self, session: Session, standing: Standing, sent: Callable[[], None]) -> None:
        """As :meth:`Standing.begin`; while there is no token for the moment, as long as the session lasts."""
        backoff = Backoff()
        while True:
            try:
                await standing.begin(session, sent)
            except NoToken as error:
                if not error.temporary:
                    raise
                sent()
            else:
                return
            with trio.move_on_after(backoff.next()):
                await session.wait_ended()
                msg = "the connection ended"
                raise ConnectionLost(msg)

    def lose(self, verb: str, name: str, error: ClientError) -> None:
        """The router took a right away."""
        for standing in [each for each in self._all.values() if each.key == (verb, name)]:
            del self._all[standing.key]
            standing.finish(error)

    def finish(self, error: ClientError) -> None:
        """The client has ended: so has everything it held."""
        for standing in list(self._all.values()):
            standing.finish(error)
        self._all.clear()


def _nothing() -> None:
    """For who does not wait for it."""
