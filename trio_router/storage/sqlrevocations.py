"""Revocations in SQL: statements over one table, run by :mod:`trio_router.storage.sqlstore`.

A later revocation of the same thing replaces the earlier one in one statement. It must not know what a revocation does.
The rule that keeps it honest: what has ended is deleted by the same call that leaves it out, so the table stays bounded.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from trio_router.storage.revocations import Revocation, check_revocation
from trio_router.storage.schema import revocations
from trio_router.storage.sqlstore import SqlStore


class SqlRevocationStore(SqlStore):
    """A :class:`trio_router.storage.revocations.RevocationStore` in an SQL database. Connects on first use."""

    keeps: ClassVar[str] = "revocations"

    async def add(self, revocation: Revocation) -> None:
        check_revocation(revocation)
        times = {"at": revocation.at, "until": revocation.until}
        place = {"app": revocation.app, "kind": revocation.kind, "value": revocation.value}

        def work(connection: sa.Connection) -> None:
            insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            statement = insert(revocations).values(**place, **times)
            connection.execute(statement.on_conflict_do_update(index_elements=list(place), set_=times))

        await self._write(work)

    async def load(self, now: float) -> list[Revocation]:
        table = revocations
        forget = sa.delete(table).where(table.c.until <= now)
        order = (table.c.app, table.c.kind, table.c.value)

        def work(connection: sa.Connection) -> list[Revocation]:
            connection.execute(forget)
            rows = connection.execute(sa.select(table).where(table.c.until > now).order_by(*order))
            return [Revocation(**row._mapping) for row in rows]  # noqa: SLF001 - public API

        return await self._write(work)
