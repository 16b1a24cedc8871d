"""What was revoked, until it would have ended by itself: one small interface, memory and SQL twins, one contract suite.

Bounded: every entry has an end, after which nothing it names can be valid any more, and is forgotten then.
"""

from __future__ import annotations

from typing import Literal, Protocol

import attrs

Kind = Literal["token", "session", "user", "key", "before"]


@attrs.frozen
class Revocation:
    """One revocation in one app.

    ``kind`` says what ``value`` is: a token id (``jti``), a session id, a user id, a key id; for ``before`` it is "" and everything
    issued before ``at`` is revoked. ``at`` is when it was revoked and ``until`` when it can be forgotten (epoch seconds). For ``user``
    and ``key``, what was issued after ``at`` is not affected.
    """

    app: str
    kind: Kind
    value: str
    at: float
    until: float


class RevocationStore(Protocol):
    """Revocations of all apps. Every method may raise ``StorageUnavailable``."""

    async def add(self, revocation: Revocation) -> None:
        """Remember it; a later one of the same app, kind and value replaces an earlier one."""

    async def load(self, now: float) -> list[Revocation]:
        """Everything that is still in force at ``now``; what is not is forgotten."""

    async def aclose(self) -> None:
        """Give back connections and threads."""
