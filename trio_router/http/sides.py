"""The apps of a router as administrators reach them: found by name at each request, since apps come and go.

Knows no route. The rule that keeps it honest: what a request asks about one app is answered from that app's own parts; there is no
other way to them (T66).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import attrs

from trio_router.auth.accounts import Accounts
from trio_router.auth.keys import Keys
from trio_router.http.answers import HttpError
from trio_router.http.decisions import Tracing
from trio_router.routing.core import Core
from trio_router.storage.apps import AppRecord

DEFAULT_APP: Final = "default"


@attrs.frozen
class AppSide:
    """One app that is served. ``keys`` is None where nobody logs in by key, ``users`` without built-in users."""

    core: Core
    tracing: Tracing
    path: str
    keys: Keys | None = None
    users: Accounts | None = None


class Sides(Protocol):
    """The apps that are served now."""

    def find(self, name: str) -> AppSide | None:
        """The app of this name, or None."""

    def names(self) -> Iterable[str]:
        """Their names, the default app first."""


class MadeApps(Protocol):
    """The apps that are made at run time; each method returns when what it did is in force here.

    Every method may raise ``AppRefused`` and ``StorageUnavailable``.
    """

    async def list(self) -> list[AppRecord]:
        """All of them, those that are disabled included."""

    async def create(self, name: str, path: str | None) -> AppRecord:
        """One more. Raises ``ProblemsError`` besides: it could not be served, and was not made."""

    async def switch(self, name: str, *, disabled: bool) -> AppRecord:
        """Serve it no more, or again."""

    async def remove(self, name: str) -> None:
        """Forget it, with its users and keys."""


def side_of(sides: Sides, name: str) -> AppSide:
    """The app of this name. Raises ``HttpError`` 404."""
    side = sides.find(name)
    if side is None:
        raise HttpError(404, "app_unknown")
    return side


def keys_of(sides: Sides, name: str) -> Keys:
    """Its keys. Raises ``HttpError`` 404, or 409: nobody logs in by one."""
    keys = side_of(sides, name).keys
    if keys is None:
        raise HttpError(409, "no_keys")
    return keys


def users_of(sides: Sides, name: str) -> Accounts:
    """Its built-in users. Raises ``HttpError`` 404, also where it has none."""
    users = side_of(sides, name).users
    if users is None:
        raise HttpError(404, "not_found")
    return users
