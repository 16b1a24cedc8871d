"""Access tokens for a client program: fetched from the program's own server, refreshed in time, given up at the end.

One :class:`TokenAuth` holds one token for all who use it, connections and requests alike. However many ask at once, one
request is in flight. It knows no connection: who has one is handed to :meth:`keep`, which gives it each new token in
band. Time is counted from when a token came, by how long it says it is good for, so that a wrong clock here does no
harm. The rule that keeps it honest: a failing server is asked again with growing, random pauses, and never in a loop.
"""

from __future__ import annotations

import base64
import logging
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import attrs
import msgspec
import trio

from trio_router.client.backoff import Backoff
from trio_router.client.errors import ConnectFailed, ConnectionEnded, ConnectionLost, RequestRefused
from trio_router.client.http import TIMEOUT, HttpFailed, HttpReply, post_json
from trio_router.client.session import Session
from trio_router.clock import SystemClock
from trio_router.protocols import messages
from trio_router.protocols.codes import LOGIN_UNAVAILABLE

LEAD: Final = 60.0
"""Seconds before its end that a token is refreshed, at the most; of a short-lived one, ``SHARE`` of its life."""

SHARE: Final = 0.4

logger: Final = logging.getLogger("trio_router.client")


@attrs.frozen
class _Held:
    """A token; ``ends`` and ``refresh_at`` are in Trio's time, ``number`` counts tokens."""

    text: str = attrs.field(repr=False)
    number: int
    ends: float
    refresh_at: float


class _Connected(Protocol):
    """What :meth:`TokenAuth.keep` needs of a client's connection."""

    def current(self) -> Session: ...

    async def wait_connected(self) -> None: ...


class TokenAuth:
    """Give it to :func:`trio_router.client.connect` in place of a login; see ``docs/howto/access-tokens.md``.

    ``auth_url`` is asked (``POST`` of ``auth_body`` as JSON, with ``auth_headers``) for a token, ``refresh_url`` for a new one
    and ``revoke_url`` to give one up; these two get the ``token`` in the body besides. Without a ``refresh_url``, or when it
    refuses, ``auth_url`` is asked again. ``auto_refresh_token`` False leaves refreshing to the program. ``revoke_on_close``
    gives the token up when the last connection that uses it closes. ``timeout`` is for one request, in seconds.
    """

    def __init__(
        self,
        auth_url: str,
        refresh_url: str | None = None,
        revoke_url: str | None = None,
        *,
        auth_body: Mapping[str, Any] | None = None,
        auth_headers: Mapping[str, str] | None = None,
        auto_refresh_token: bool = True,
        revoke_on_close: bool = False,
        timeout: float = TIMEOUT,
        tls: ssl.SSLContext | None = None,
        backoff: Backoff | None = None,
        chance: random.Random | None = None,
    ) -> None:
        if revoke_on_close and revoke_url is None:
            msg = "revoke_on_close needs a revoke_url"
            raise ValueError(msg)
        self._auth_url = auth_url
        self._refresh_url = refresh_url
        self._revoke_url = revoke_url
        self._body = dict(auth_body or {})
        self._headers = tuple((auth_headers or {}).items())
        self.auto_refresh_token = auto_refresh_token
        self._revoke_on_close = revoke_on_close
        self._timeout = timeout
        self._tls = tls
        self._backoff = backoff or Backoff()
        self._chance = chance or random.SystemRandom()
        self._lock = trio.Lock()
        self._held: _Held | None = None
        self._asked = trio.Event()
        self._count = 0
        self._users = 0

    async def token(self) -> str:
        """A token that is good now: the one there is, or a new one. Raises ``ConnectFailed``."""
        return (await self._good(None)).text

    async def refresh(self) -> str:
        """A new token, whatever the one there is. Raises ``ConnectFailed``."""
        return (await self._good(self._held)).text

    async def revoke(self) -> None:
        """Give the token up, if there is one. Raises ``ConnectFailed``; it is forgotten in any case."""
        held, self._held = self._held, None
        if held is not None and self._revoke_url is not None:
            await self._post(self._revoke_url, held)

    async def login(self) -> dict[str, str]:
        """What a login message holds. Raises ``ConnectFailed``."""
        return {"token": await self.token()}

    def forget(self) -> None:
        """The token there is holds no longer: the next one is fetched."""
        self._held = None

    def expiring(self) -> None:
        """The router says that a login ends soon: refresh now rather than when it was planned."""
        self._asked.set()

    # ---- for a connection -------------------------------------------------------------------------------------

    async def keep(self, connected: _Connected) -> None:
        """Give every session of ``connected`` each new token in band, until there will be no more sessions."""
        if not self.auto_refresh_token:
            return
        try:
            while True:
                await connected.wait_connected()
                session = connected.current()
                try:
                    await self._follow(session)
                except ConnectionEnded:
                    return
                except ConnectionLost:
                    await session.ended()  # the next session logs in with the token there is by then
        except ConnectionEnded:
            return

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """One more connection uses it during the block; after the last one the token is given up, if that was asked for."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0 and self._revoke_on_close:
                with trio.move_on_after(self._timeout, shield=True):
                    try:
                        await self.revoke()
                    except ConnectFailed as error:
                        logger.warning("the token was not given up: %s", error)

    async def _follow(self, session: Session) -> None:
        """Refresh for ``session`` as long as that makes sense. Raises ``ConnectionLost``."""
        given = self._held
        while True:
            held = self._held
            if _number(held) == _number(given):
                if held is not None and trio.current_time() < held.refresh_at:
                    await self._sleep_until(held.refresh_at, session)
                    continue
                held = await self._insistently(given, session)
            if held is None:
                raise ConnectionLost("there is no token")
            given = held
            await self._hand_over(session, held)

    async def _sleep_until(self, at: float, session: Session) -> None:
        self._asked = trio.Event()
        with trio.move_on_at(at) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_then_cancel, session.ended, nursery.cancel_scope)
                await self._asked.wait()
                nursery.cancel_scope.cancel()
        if session.is_over:
            raise ConnectionLost("the session ended")
        held = self._held
        if not scope.cancelled_caught and held is not None and held.refresh_at == at:
            self._held = attrs.evolve(held, refresh_at=trio.current_time())

    async def _insistently(self, given: _Held | None, session: Session) -> _Held:
        """A token newer than ``given``, however long it takes while the session lives."""
        while True:
            try:
                held = await self._good(given)
            except ConnectFailed as error:
                logger.info("no new token yet: %s", error)
                pause = self._backoff.next(error.retry_after)
            else:
                self._backoff.reset()
                return held
            with trio.move_on_after(pause):
                await session.ended()
            if session.is_over:
                raise ConnectionLost("the session ended")

    async def _hand_over(self, session: Session, held: _Held) -> None:
        """Give ``held`` to the router. A token that it does not take is not used again."""
        while True:
            try:
                reply = await session.request(lambda request_id: messages.Refresh(request_id, held.text))
            except RequestRefused as refused:
                if refused.code != LOGIN_UNAVAILABLE:
                    logger.warning("the router does not take the new token: %s", refused)
                    if _number(self._held) == held.number:
                        self._held = attrs.evolve(
                            held, ends=0.0, refresh_at=trio.current_time() + self._backoff.next(1.0)
                        )
                    return
                await trio.sleep(self._backoff.next())
            else:
                if isinstance(reply, messages.Done):
                    session.renewed(reply.expires)
                return

    # ---- asking the program's server --------------------------------------------------------------------------

    async def _good(self, old: _Held | None) -> _Held:
        """The token there is if it is newer than ``old`` and good, else one that is fetched: by one request for all who wait."""
        async with self._lock:
            held = self._held
            if held is not None and held.number != _number(old) and trio.current_time() < held.refresh_at:
                return held
            reply = None
            if held is not None and self._refresh_url is not None and trio.current_time() < held.ends:
                try:
                    reply = await self._post(self._refresh_url, held)
                except ConnectFailed as error:
                    if not error.permanent:
                        raise
            if reply is None:
                reply = await self._post(self._auth_url, None)
            self._held = self._read(reply)
            return self._held

    async def _post(self, url: str, held: _Held | None) -> HttpReply:
        body = self._body if held is None else {**self._body, "token": held.text}
        return await post_json(url, body, headers=self._headers, tls=self._tls, timeout=self._timeout)

    def _read(self, reply: HttpReply) -> _Held:
        value = reply.json()
        data = value.get("data") if isinstance(value, dict) else None
        text = data.get("token") if isinstance(data, dict) else None
        expires = data.get("expires_in") if isinstance(data, dict) else None
        if not isinstance(text, str) or isinstance(expires, bool) or not isinstance(expires, int | float):
            raise HttpFailed("the answer holds no token")
        left = _life(text, float(expires))
        now = trio.current_time()
        lead = min(LEAD, left * SHARE)
        self._count += 1
        return _Held(text, self._count, now + left, now + left - lead * self._chance.uniform(0.75, 1.0))


def _number(held: _Held | None) -> int:
    return 0 if held is None else held.number


def _life(token: str, expires: float) -> float:
    """How many seconds a fresh token is good for. By its own times where they can be read, since the clock here may be wrong."""
    left = expires - SystemClock().wall()
    try:
        part = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        own = float(claims["exp"]) - float(claims["iat"])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return max(left, 0.0)
    return own if left <= 0 else min(own, left)


async def _then_cancel(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()
