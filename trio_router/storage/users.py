"""The built-in users: one small interface, a memory twin and an SQL twin behind it, one contract suite over both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs

from trio_router.names import InvalidName, check_user_id


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


class _Keep:
    """The type of ``KEEP``."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final[Any] = _Keep()
"""Leave this field as it is."""


@attrs.frozen
class Change:
    """What to change of one user; whatever is ``KEEP`` stays. Applied in one step, so two changes never undo each other."""

    password_hash: str | None = attrs.field(default=KEEP, repr=False)
    data: Mapping[str, Any] | None = attrs.field(default=KEEP, repr=False)
    client_data: Any = attrs.field(default=KEEP, repr=False)
    disabled: bool = KEEP
    updated_at: float = KEEP

    def fields(self) -> dict[str, Any]:
        """Field name to new value, for what changes."""
        values = attrs.asdict(self, recurse=False)
        return {name: value for name, value in values.items() if value is not KEEP}


class UserExists(Exception):
    """A user with this id is already there."""


class UserUnknown(Exception):
    """There is no user with this id."""


def could_exist(user_id: str) -> bool:
    """Whether ``user_id`` is an id at all. What is none is nobody's, on every engine, and is never sent to one."""
    try:
        check_user_id(user_id)
    except InvalidName:
        return False
    return True


class UserStore(Protocol):
    """Users of all apps; ``app`` is part of every key (T66).

    Every method may raise ``StorageUnavailable``. Ids are checked on the way in: ``add``, ``replace`` and ``list`` raise
    ``InvalidName`` for one that breaks ``names.check_user_id``; to the others it is just an unknown user.
    """

    async def get(self, app: str, user_id: str) -> UserRecord | None:
        """The user, or None."""

    async def add(self, app: str, user: UserRecord) -> None:
        """Store a new user. Raises ``UserExists``."""

    async def replace(self, app: str, user: UserRecord) -> None:
        """Store ``user`` in place of the one with its id. Raises ``UserUnknown``."""

    async def change(self, app: str, user_id: str, change: Change) -> UserRecord:
        """Apply ``change`` in one step and give the user as it is now. Raises ``UserUnknown``."""

    async def rehash(self, app: str, user_id: str, old: str, new: str) -> bool:
        """Put the hash ``new`` in place of ``old``; False, and nothing happens, when the stored one is not ``old`` any more."""

    async def remove(self, app: str, user_id: str) -> None:
        """Forget the user. Raises ``UserUnknown``."""

    async def list(self, app: str, *, after: str = "", limit: int = 100) -> list[UserRecord]:
        """Users in order of id (by code point), from the first id greater than ``after``."""

    async def check(self) -> None:
        """Connect now instead of on first use. Raises ``ConfigError`` (wrong file mode, schema too new) besides."""

    async def aclose(self) -> None:
        """Give back connections and threads."""
