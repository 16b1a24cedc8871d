"""How a login goes on: the warning before it ends, its end, and the new token that prolongs it (T48).

Owns the two times of one session and the judgement of a new token, which is a login like any other, asked of the same
strategies, and may change what the session is allowed but never who it is. It knows no core and no link. The rule that keeps
it honest: whatever goes wrong with a new token, the login stands as it stood.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from trio_router.auth.chain import Chain
from trio_router.auth.strategy import Accepted, LoginRequest, Unavailable
from trio_router.clock import Clock
from trio_router.errors import Refused
from trio_router.identity import Identity
from trio_router.protocols import codes
from trio_router.session.expiry import Expiry, Watched

WARNING: Final = 60.0
"""Seconds before its end that a login's holder is warned; of one that is good for less than four times that, a quarter."""


def _nobody(_: float) -> None:
    """Who is warned after the session."""


class Renewal:
    """The end of one session's login. ``warn`` gets the time of the end when it is near, ``end`` is called when it has come.

    ``grace``: seconds the session may outlive the login.
    """

    def __init__(
        self,
        *,
        chain: Callable[[], Chain],
        expiry: Expiry,
        clock: Clock,
        grace: float,
        warn: Callable[[float], None],
        end: Callable[[], None],
    ) -> None:
        self._chain = chain
        self._expiry = expiry
        self._clock = clock
        self._grace = grace
        self._warn = warn
        self._end = end
        self._watched: tuple[Watched, ...] = ()

    def watch(self, expires: float | None) -> None:
        """From now on ``expires`` (seconds since the epoch; None: never) is when the login ends."""
        self._unwatch()
        if expires is None:
            return
        left = max(expires - self._clock.wall(), 0.0)
        warn_at = expires - min(WARNING, left / 4)
        self._watched = (
            self._expiry.at(warn_at, lambda: self._warn(expires)),
            self._expiry.at(expires + self._grace, self._end),
        )

    def stop(self) -> None:
        """Nobody is to be warned or ended any more, and nobody held who was to be."""
        self._unwatch()
        self._warn = _nobody

    def _unwatch(self) -> None:
        for watched in self._watched:
            watched.cancel()
        self._watched = ()

    async def judge(self, identity: Identity, token: str) -> Identity:
        """The identity that goes on in place of ``identity``.

        Raises:
            Refused: LOGIN_UNAVAILABLE, RATE_LIMITED, or REFRESH_DENIED: the token is not accepted, is another user's, or of another kind.
        """
        request = LoginRequest(
            app=identity.app,
            session_id=identity.session_id,
            remote_address=identity.remote_address,
            auth={"token": token},
        )
        outcome = await self._chain().login(request, _no_dialogue)
        answer = outcome.answer
        if isinstance(answer, Unavailable):
            code = codes.LOGIN_UNAVAILABLE if answer.retry_after is None else codes.RATE_LIMITED
            raise Refused(code, retry_after=answer.retry_after)
        if not isinstance(answer, Accepted):
            raise Refused(codes.REFRESH_DENIED)
        if answer.user.id != identity.user.id or outcome.strategy != identity.strategy:
            raise Refused(codes.REFRESH_DENIED, "token: it is another user's")
        return attrs.evolve(
            identity,
            user=answer.user,
            expires_at=answer.expires_at,
            key=answer.key,
            grants=answer.grants,
            is_server=answer.is_server,
            token_id=answer.token_id,
            issued_at=answer.issued_at,
            scope=answer.scope,
        )


async def _no_dialogue(_: str) -> str:
    raise Refused(codes.REFRESH_DENIED, "token: a strategy asks back")
