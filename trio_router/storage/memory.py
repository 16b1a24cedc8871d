"""Users in memory: the twin that tests and throw-away routers use; everything is forgotten at the end.

It must not know SQL. What keeps it honest: the contract suite runs the same tests over it and the SQL twin, and like
that one it never shares an object with its caller: records are copied on the way in and on the way out.
"""

from __future__ import annotations

import copy

import attrs
import trio

from trio_router.errors import StorageUnavailable
from trio_router.names import check_user_id
from trio_router.storage.users import Change, UserExists, UserRecord, UserUnknown


class MemoryUserStore:
    """A :class:`trio_router.storage.users.UserStore` in a dictionary keyed by (app, id) (T66)."""

    def __init__(self) -> None:
        self._users: dict[tuple[str, str], UserRecord] = {}
        self._closed = False

    async def get(self, app: str, user_id: str) -> UserRecord | None:
        await self._enter()
        user = self._users.get((app, user_id))
        return None if user is None else _copy(user)

    async def add(self, app: str, user: UserRecord) -> None:
        check_user_id(user.id)
        await self._enter()
        if (app, user.id) in self._users:
            raise UserExists(user.id)
        self._users[app, user.id] = _copy(user)

    async def replace(self, app: str, user: UserRecord) -> None:
        check_user_id(user.id)
        await self._enter()
        self._known(app, user.id)
        self._users[app, user.id] = _copy(user)

    async def change(self, app: str, user_id: str, change: Change) -> UserRecord:
        await self._enter()
        changed = attrs.evolve(self._known(app, user_id), **copy.deepcopy(change.fields()))
        self._users[app, user_id] = changed
        return _copy(changed)

    async def rehash(self, app: str, user_id: str, old: str, new: str) -> bool:
        await self._enter()
        user = self._users.get((app, user_id))
        if user is None or user.password_hash != old:
            return False
        self._users[app, user_id] = attrs.evolve(user, password_hash=new)
        return True

    async def remove(self, app: str, user_id: str) -> None:
        await self._enter()
        self._known(app, user_id)
        del self._users[app, user_id]

    def clear(self, app: str) -> None:
        """Forget all users of the app, as its store does with them."""
        self._users = {place: user for place, user in self._users.items() if place[0] != app}

    async def list(self, app: str, *, after: str = "", limit: int = 100) -> list[UserRecord]:
        if after:
            check_user_id(after)
        await self._enter()
        ids = sorted(user_id for owner, user_id in self._users if owner == app and user_id > after)
        return [_copy(self._users[app, user_id]) for user_id in ids[:limit]]

    async def check(self) -> None:
        await self._enter()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self._closed = True
        self._users.clear()

    async def _enter(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise StorageUnavailable("the user store is closed")

    def _known(self, app: str, user_id: str) -> UserRecord:
        user = self._users.get((app, user_id))
        if user is None:
            raise UserUnknown(user_id)
        return user


def _copy(user: UserRecord) -> UserRecord:
    return attrs.evolve(user, data=copy.deepcopy(user.data), client_data=copy.deepcopy(user.client_data))
