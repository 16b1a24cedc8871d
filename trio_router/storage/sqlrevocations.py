"""Revocations in SQL: statements over one table, run by :mod:`trio_router.storage.sqlstore`.

Of two revocations of the same thing the later one counts, whichever router stored first. Each is stored with the next serial, by which other routers on
the same database find what is new to them. It must not know what a revocation does. The rule that keeps it honest: a serial
is given in the transaction that stores, so that no router ever skips a revocation that was stored later than it looked.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from trio_router.storage.engine import transaction
from trio_router.storage.revocations import News, Revocation, check_revocation
from trio_router.storage.schema import next_serial, revocations, serial_of
from trio_router.storage.sqlstore import SqlStore

_FIELDS: Final = [revocations.c[field.name] for field in attrs.fields(Revocation)]
_SINCE: Final = sa.select(*_FIELDS).where(revocations.c.serial > sa.bindparam("after")).order_by(revocations.c.serial)


class SqlRevocationStore(SqlStore):
    """A :class:`trio_router.storage.revocations.RevocationStore` in an SQL database. Connects on first use."""

    keeps: ClassVar[str] = "revocations"

    async def add(self, revocation: Revocation) -> None:
        check_revocation(revocation)
        values = {"at": revocation.at, "until": revocation.until, "for_good": revocation.for_good}
        place = {"app": revocation.app, "kind": revocation.kind, "value": revocation.value}

        def work(connection: sa.Connection) -> None:
            insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            with transaction(connection):
                serial = next_serial(connection, revocations)
                statement = insert(revocations).values(**place, **values, serial=serial)
                new = statement.excluded
                merged = {
                    **{name: _later(revocations.c[name], new[name]) for name in ("at", "until")},
                    "for_good": sa.case((new.at >= revocations.c.at, new.for_good), else_=revocations.c.for_good),
                    "serial": serial,
                }
                connection.execute(statement.on_conflict_do_update(index_elements=list(place), set_=merged))

        await self._write(work)

    async def since(self, serial: int) -> News:
        def work(connection: sa.Connection) -> News:
            latest = serial_of(connection, revocations)  # first: what comes between is read twice, and never missed
            if latest <= serial:
                return News((), latest)
            rows = connection.execute(_SINCE, {"after": serial})
            return News(tuple([Revocation(**row._mapping) for row in rows]), latest)  # noqa: SLF001 - public API

        return await self._read(work)

    async def forget(self, now: float) -> None:
        statement = sa.delete(revocations).where(revocations.c.until <= now)
        await self._write(lambda connection: connection.execute(statement).rowcount)


def _later(one: Any, other: Any) -> Any:
    return sa.case((other > one, other), else_=one)
