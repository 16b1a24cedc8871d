"""Revoking: put in force, end what depends on it, remember; in that order. And the same for what other routers revoked.

The one way to revoke anything, over the index that every login is compared with, the store that outlives the process, and
those who can end what is connected. It knows no session and no HTTP. Routers on one database learn from it what the others
revoked: each asks every so often what is new (:meth:`Revocations.look`). The rule that keeps it honest: when :meth:`revoke`
returns, nothing it reaches is served any more; a store that fails is reported, and takes back nothing (T52).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from trio_router.auth.revocation import Credential, RevocationIndex
from trio_router.clock import Clock
from trio_router.errors import RouterError
from trio_router.storage.revocations import InvalidRevocation, Kind, Revocation, RevocationStore, check_revocation

KEPT: Final = 30 * 86_400.0
"""Seconds a revocation is kept unless told otherwise: longer than any credential it could be about is good for."""

MAX_KEPT: Final = 366 * 86_400.0


@attrs.frozen
class Ended:
    """What a revocation has ended: sessions, and standing rights of others, which a trust-token had opened."""

    sessions: int = 0
    rights: int = 0

    def __add__(self, other: Ended) -> Ended:
        return Ended(self.sessions + other.sessions, self.rights + other.rights)


End = Callable[[Revocation], Ended]
"""Ends at once what a revocation reaches."""

__all__ = ["KEPT", "MAX_KEPT", "End", "Ended", "RevocationStoreUnavailable", "Revocations"]


class RevocationStoreUnavailable(RouterError):
    """It is in force here, and ``ended`` says what it ended, but it is not stored: a restart would forget it. Revoke again."""

    def __init__(self, ended: Ended) -> None:
        super().__init__("the revocation is in force and could not be stored")
        self.ended = ended


class Revocations:
    """The revocations of one router."""

    def __init__(
        self, store: Callable[[], RevocationStore], clock: Clock, index: RevocationIndex | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._index = RevocationIndex() if index is None else index
        self._ends: dict[str, End] = {}
        self._serial = 0
        self.is_loaded = False
        """Whether it is known what was revoked before this process; until then nobody can be let in."""

    def on_revoke(self, app: str, end: End | None) -> None:
        """``end`` is called for each revocation in ``app`` from now on; None: nothing is."""
        if end is None:
            self._ends.pop(app, None)
        else:
            self._ends[app] = end

    async def load(self) -> None:
        """Take over what was stored, and forget there what has ended. Raises ``StorageUnavailable``."""
        await self.forget()
        news = await self._store().since(0)
        self._index.load(news.revocations)
        self._serial = news.serial
        self.is_loaded = True

    async def forget(self) -> None:
        """Forget what has ended in the store. Raises ``StorageUnavailable``."""
        await self._store().forget(self._clock.wall())

    async def look(self) -> int:
        """Take over what others have stored since, and end what it reaches; how many were new. Raises ``StorageUnavailable``."""
        news = await self._store().since(self._serial)
        if news.serial < self._serial:  # the database was put back to an earlier state
            news = await self._store().since(0)
        new = [revocation for revocation in news.revocations if self._index.take(revocation)]
        for revocation in new:
            self._end(revocation)
        self._serial = news.serial
        return len(new)

    def refuses(self, credential: Credential) -> bool:
        """Whether ``credential`` cannot be used (any more) to log in or to ask for something."""
        return self._index.refuses(credential, self._clock.wall())

    def issue_time(self, app: str, user: str, key: str) -> float:
        """When a token that is made now is to say it was issued; at most a second from now."""
        return self._index.issue_time(app, user, key, self._clock.wall())

    def all(self, app: str) -> list[Revocation]:
        """What is in force in ``app``, the newest first."""
        return self._index.all(app, self._clock.wall())

    async def revoke(
        self, app: str, kind: Kind, value: str, *, at: float | None = None, kept: float = KEPT, for_good: bool = False
    ) -> Ended:
        """Revoke, and end the connections that depend on it. Returns what ended.

        ``at``: what was issued up to then is revoked (default and latest: now). ``kept`` is in seconds. ``for_good``: those
        who are sent away are told to stay away, and not to log in again.

        Raises:
            InvalidRevocation: it names nothing that can be revoked.
            RevocationsFull: too many are in force; nothing happened.
            RevocationStoreUnavailable: it is in force until a restart.
        """
        now = self._clock.wall()
        at = now if at is None else at
        if not 0 <= at <= now:
            raise InvalidRevocation("at: must not be in the future")
        if not 0 < kept <= MAX_KEPT:
            raise InvalidRevocation(f"kept: must be from 0 to {MAX_KEPT:.0f} seconds")
        revocation = Revocation(app, kind, value, at, now + kept, for_good)
        check_revocation(revocation)
        merged = self._index.add(revocation, now)
        ended = self._end(revocation)
        try:
            await self._store().add(merged)
        except RouterError as error:
            raise RevocationStoreUnavailable(ended) from error
        return ended

    def _end(self, revocation: Revocation) -> Ended:
        end = self._ends.get(revocation.app)
        return Ended() if end is None else end(revocation)
