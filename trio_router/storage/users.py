"""The built-in users: one small interface, a memory twin and an SQL twin behind it, one contract suite over both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs


@attrs.frozen
class UserRecord:
    """One built-in user. ``password_hash`` is an argon2id string; None means that no password can match.

    ``data`` becomes ``user.data`` in rules, ``client_data`` is handed to the client at login; JSON objects or None.
    """

    id: str
    password_hash: str | None = attrs.field(default=None, repr=False)
    data: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    client_data: Any = attrs.field(default=None, repr=False)
    disabled: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0


class UserExists(Exception):
    """A user with this id is already there."""


class UserUnknown(Exception):
    """There is no user with this id."""


class UserStore(Protocol):
    """Users of all apps; ``app`` is part of every key (T66).

    Every method may raise ``StorageUnavailable``. Ids are checked by ``names.check_user_id`` on the way in.
    """

    async def get(self, app: str, user_id: str) -> UserRecord | None:
        """The user, or None."""

    async def add(self, app: str, user: UserRecord) -> None:
        """Store a new user. Raises ``UserExists``."""

    async def replace(self, app: str, user: UserRecord) -> None:
        """Store ``user`` in place of the one with its id. Raises ``UserUnknown``."""

    async def remove(self, app: str, user_id: str) -> None:
        """Forget the user. Raises ``UserUnknown``."""

    async def list(self, app: str, *, after: str = "", limit: int = 100) -> list[UserRecord]:
        """Users in order of id (by code point), from the first id greater than ``after``."""

    async def aclose(self) -> None:
        """Give back connections and threads."""
