"""What was revoked, as every login and every request is compared with it: an index in memory, without any I/O.

Owns what a revocation reaches, which is one table for those who want to log in and for those who are connected. It knows no
store: whoever owns the index fills it at start and adds what was stored. The rule that keeps it honest: memory is bounded,
and a full index refuses a further revocation aloud; none is ever dropped before its end (T52).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from trio_router.errors import RouterError
from trio_router.storage.revocations import Kind, Revocation, merged

MAX_ENTRIES: Final = 100_000


class RevocationsFull(RouterError):
    """There are as many revocations in force as are held."""


@attrs.frozen
class Credential:
    """What somebody logged in with, or is about to: the names a revocation can reach it by.

    ``issued_at`` is None for a login that rests on nothing that was issued: what it rests on was checked when it was made.
    """

    app: str
    user: str
    session_id: str = ""
    token_id: str | None = None
    key: str = ""
    issued_at: float | None = None


def reaches(revocation: Revocation, credential: Credential, *, standing: bool) -> bool:
    """Whether ``revocation`` ends ``credential``.

    ``standing``: it was accepted earlier, so that one without a time of issue is older than the revocation. The second in
    which something was revoked belongs to the revocation, as tokens tell their time of issue in whole seconds.
    """
    if revocation.app != credential.app:
        return False
    if revocation.kind == "token":
        return credential.token_id is not None and revocation.value == credential.token_id
    if revocation.kind == "session":
        return revocation.value == credential.session_id
    issued = credential.issued_at
    if revocation.kind == "before":
        return standing if issued is None else issued < revocation.at
    name = credential.user if revocation.kind == "user" else credential.key
    return revocation.value == name and (standing if issued is None else issued <= revocation.at)


class RevocationIndex:
    """The revocations of all apps, at most ``entries`` of them."""

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self._entries = entries
        self._found: dict[tuple[str, Kind, str], Revocation] = {}

    def __len__(self) -> int:
        return len(self._found)

    def load(self, revocations: Iterable[Revocation]) -> None:
        """Take in what a store held."""
        for revocation in revocations:
            self._put(revocation)

    def take(self, revocation: Revocation) -> bool:
        """Take in what somebody else has revoked; whether that is new. It counts even if the index is full."""
        before = self._found.get(_place(revocation))
        return self._put(revocation) != before

    def add(self, revocation: Revocation, now: float) -> Revocation:
        """From now on it counts. Returns it together with what was revoked by that name before. Raises ``RevocationsFull``."""
        if len(self._found) >= self._entries and _place(revocation) not in self._found:
            self._found = {place: kept for place, kept in self._found.items() if kept.until > now}
            if len(self._found) >= self._entries:
                raise RevocationsFull(f"{self._entries} revocations are in force")
        return self._put(revocation)

    def refuses(self, credential: Credential, now: float) -> bool:
        """Whether something in force at ``now`` keeps ``credential`` from being used anew."""
        places: tuple[tuple[Kind, str | None], ...] = (
            ("token", credential.token_id),
            ("user", credential.user),
            ("key", credential.key),
            ("before", ""),
        )
        for kind, value in places:
            kept = None if value is None else self._found.get((credential.app, kind, value))
            if kept is not None and kept.until > now and reaches(kept, credential, standing=False):
                return True
        return False

    def issue_time(self, app: str, user: str, key: str, now: float) -> float:
        """When a token made at ``now`` says it was issued, so that no revocation made before it takes it for an older one."""
        found = [self._found.get((app, kind, value)) for kind, value in _bearers(user, key)]
        latest = max((kept.at for kept in found if kept is not None and kept.at <= now), default=0.0)
        return max(now, float(int(latest) + 1)) if latest else now

    def all(self, app: str, now: float) -> list[Revocation]:
        """What is in force in ``app``, the newest first."""
        found = [kept for kept in self._found.values() if kept.app == app and kept.until > now]
        return sorted(found, key=lambda kept: kept.at, reverse=True)

    def _put(self, revocation: Revocation) -> Revocation:
        place = _place(revocation)
        kept = self._found.get(place)
        if kept is not None:
            revocation = merged(kept, revocation)
        self._found[place] = revocation
        return revocation


def _place(revocation: Revocation) -> tuple[str, Kind, str]:
    return (revocation.app, revocation.kind, revocation.value)


def _bearers(user: str, key: str) -> tuple[tuple[Kind, str], ...]:
    return (("user", user), ("key", key), ("before", ""))
