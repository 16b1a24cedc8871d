"""Apps made at run time in SQL: statements over three tables, run by :mod:`trio_router.storage.sqlstore`.

It must not know how an app is served. The rule that keeps it honest: an app is removed in the one transaction that removes its
users and its keys.
"""

from __future__ import annotations

from typing import ClassVar

import sqlalchemy as sa

from trio_router.storage.apps import AppExists, AppRecord, AppUnknown
from trio_router.storage.engine import transaction
from trio_router.storage.schema import apps, keys, next_serial, serial_of, users
from trio_router.storage.sqlstore import SqlStore


class SqlAppStore(SqlStore):
    """A :class:`trio_router.storage.apps.AppStore` in an SQL database. Connects on first use."""

    keeps: ClassVar[str] = "apps"

    async def add(self, app: AppRecord) -> None:
        values = {"name": app.name, "path": app.path, "disabled": app.disabled, "created_at": app.created_at}

        def work(connection: sa.Connection) -> str:
            with transaction(connection):
                next_serial(connection, apps)  # holds up whoever else changes an app
                for column in (apps.c.name, apps.c.path):
                    if connection.scalar(sa.select(sa.func.count()).where(column == values[column.name])):
                        return str(column.name)
                connection.execute(sa.insert(apps).values(**values))
            return ""

        taken = await self._write(work)
        if taken:
            raise AppExists(taken)

    async def switch(self, name: str, *, disabled: bool) -> AppRecord:
        statement = sa.update(apps).where(apps.c.name == name).values(disabled=disabled).returning(apps)

        def work(connection: sa.Connection) -> AppRecord | None:
            with transaction(connection):
                next_serial(connection, apps)
                row = connection.execute(statement).first()
            return None if row is None else AppRecord(**row._mapping)  # noqa: SLF001 - public API

        app = await self._write(work)
        if app is None:
            raise AppUnknown(name)
        return app

    async def remove(self, name: str) -> None:
        def work(connection: sa.Connection) -> int:
            with transaction(connection):
                next_serial(connection, apps)
                next_serial(connection, keys)
                for table in (users, keys):
                    connection.execute(sa.delete(table).where(table.c.app == name))
                return connection.execute(sa.delete(apps).where(apps.c.name == name)).rowcount

        if not await self._write(work):
            raise AppUnknown(name)

    async def list(self) -> list[AppRecord]:
        statement = sa.select(apps).order_by(apps.c.name)

        def work(connection: sa.Connection) -> list[AppRecord]:
            return [AppRecord(**row._mapping) for row in connection.execute(statement)]  # noqa: SLF001 - public API

        return await self._read(work)

    async def serial(self) -> int:
        return await self._read(lambda connection: serial_of(connection, apps))
