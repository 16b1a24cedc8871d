"""Users in SQL: statements over one table, run by :mod:`trio_router.storage.sqlstore` on SQLite or PostgreSQL.

Every call is one statement, so that a user is as before or as after whatever happens meanwhile. It must not know how
statements are run. The rule that keeps it honest: an id that cannot exist never reaches a database.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs
import sqlalchemy as sa

from trio_router.names import check_user_id
from trio_router.storage.schema import users
from trio_router.storage.sqlstore import SqlStore
from trio_router.storage.users import Change, UserExists, UserRecord, UserUnknown, could_exist

_RECORD: Final = [users.c[field.name] for field in attrs.fields(UserRecord)]
_GET: Final = sa.select(*_RECORD).where(users.c.app == sa.bindparam("app"), users.c.id == sa.bindparam("id"))
"""Built once: building it takes longer than SQLite needs to answer it, and a login must not hold up the loop."""


class SqlUserStore(SqlStore):
    """A :class:`trio_router.storage.users.UserStore` in an SQL database. Connects on first use."""

    keeps: ClassVar[str] = "users"

    async def get(self, app: str, user_id: str) -> UserRecord | None:
        if not could_exist(user_id):
            await self._ensure()
            return None
        key = {"app": app, "id": user_id}
        return await self._read(lambda connection: _record(connection.execute(_GET, key).first()))

    async def add(self, app: str, user: UserRecord) -> None:
        check_user_id(user.id)
        statement = sa.insert(users).values(app=app, **_fields(user))

        def work(connection: sa.Connection) -> bool:
            try:
                connection.execute(statement)
            except sa.exc.IntegrityError:
                return False
            return True

        if not await self._write(work):
            raise UserExists(user.id)

    async def replace(self, app: str, user: UserRecord) -> None:
        check_user_id(user.id)
        statement = sa.update(users).where(*_key(app, user.id)).values(**_fields(user))
        if not await self._write(lambda connection: connection.execute(statement).rowcount):
            raise UserUnknown(user.id)

    async def change(self, app: str, user_id: str, change: Change) -> UserRecord:
        fields = change.fields()
        record: UserRecord | None
        if not fields or not could_exist(user_id):
            record = await self.get(app, user_id)
        else:
            statement = sa.update(users).where(*_key(app, user_id)).values(**fields).returning(*_RECORD)
            record = await self._write(lambda connection: _record(connection.execute(statement).first()))
        if record is None:
            raise UserUnknown(user_id)
        return record

    async def rehash(self, app: str, user_id: str, old: str, new: str) -> bool:
        if not could_exist(user_id):
            await self._ensure()
            return False
        where = (*_key(app, user_id), users.c.password_hash == old)
        statement = sa.update(users).where(*where).values(password_hash=new)
        return bool(await self._write(lambda connection: connection.execute(statement).rowcount))

    async def remove(self, app: str, user_id: str) -> None:
        statement = sa.delete(users).where(*_key(app, user_id))
        await self._ensure()
        if not could_exist(user_id) or not await self._write(lambda connection: connection.execute(statement).rowcount):
            raise UserUnknown(user_id)

    async def list(self, app: str, *, after: str = "", limit: int = 100) -> list[UserRecord]:
        if after:
            check_user_id(after)
        statement = sa.select(*_RECORD).where(users.c.app == app, users.c.id > after).order_by(users.c.id).limit(limit)

        def work(connection: sa.Connection) -> list[UserRecord]:
            return [UserRecord(**row._mapping) for row in connection.execute(statement)]  # noqa: SLF001 - public API

        return await self._read(work)


def _key(app: str, user_id: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return users.c.app == app, users.c.id == user_id


def _fields(user: UserRecord) -> dict[str, Any]:
    return attrs.asdict(user, recurse=False)


def _record(row: sa.Row[Any] | None) -> UserRecord | None:
    return None if row is None else UserRecord(**row._mapping)  # noqa: SLF001 - public API
