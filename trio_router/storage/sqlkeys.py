"""App keys in SQL: statements over one table, run by :mod:`trio_router.storage.sqlstore`; secrets sealed at rest.

It must not know who uses a key. The rule that keeps it honest: a secret is sealed before a statement is built and opened
after the row was read, so no plain one is ever a parameter, a column or a line in a database's log (T62).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import sqlalchemy as sa

from trio_router.errors import StorageUnavailable
from trio_router.grants import GRANTS, Grants
from trio_router.names import check_app_name, check_key_id
from trio_router.storage import engine as engines
from trio_router.storage.engine import transaction
from trio_router.storage.keys import Alter, KeyExists, KeyRecord, KeyUnknown, could_be_key
from trio_router.storage.schema import keys, next_serial, serial_of
from trio_router.storage.sealing import SealBroken, Sealer
from trio_router.storage.sqlstore import THREADS, TIMEOUT, SqlStore

_GET: Final = sa.select(keys).where(keys.c.app == sa.bindparam("app"), keys.c.id == sa.bindparam("id"))
"""Built once: building it takes longer than SQLite needs to answer it."""


class SqlKeyStore(SqlStore):
    """A :class:`trio_router.storage.keys.KeyStore` in an SQL database. Connects on first use."""

    keeps: ClassVar[str] = "keys"

    def __init__(
        self, database: engines.Database, sealer: Sealer, *, threads: int = THREADS, timeout: float = TIMEOUT
    ) -> None:
        super().__init__(database, threads=threads, timeout=timeout)
        self._sealer = sealer

    async def get(self, app: str, key_id: str, *, fresh: bool = False) -> KeyRecord | None:  # noqa: ARG002 - interface
        if not could_be_key(app, key_id):
            await self._ensure()
            return None
        place = {"app": app, "id": key_id}
        row = await self._read(lambda connection: connection.execute(_GET, place).first())
        return None if row is None else self._record(row)

    async def add(self, key: KeyRecord) -> None:
        check_app_name(key.app)
        check_key_id(key.id)
        statement = sa.insert(keys).values(app=key.app, id=key.id, **self._fields(key))

        def work(connection: sa.Connection) -> bool:
            try:
                with transaction(connection):
                    next_serial(connection, keys)
                    connection.execute(statement)
            except sa.exc.IntegrityError:
                return False
            return True

        if not await self._write(work):
            raise KeyExists(key.name)

    async def change(self, app: str, key_id: str, alter: Alter) -> KeyRecord:
        place = {"app": app, "id": key_id}

        def work(connection: sa.Connection) -> KeyRecord | None:
            with transaction(connection):
                next_serial(connection, keys)  # holds up whoever else changes a key
                row = connection.execute(_GET, place).first()
                if row is None:
                    return None
                changed = alter(self._record(row))
                connection.execute(sa.update(keys).where(*_row(app, key_id)).values(**self._fields(changed)))
                return changed

        await self._ensure()
        key = await self._write(work) if could_be_key(app, key_id) else None
        if key is None:
            raise KeyUnknown(f"{app}.{key_id}")
        return key

    async def remove(self, app: str, key_id: str) -> None:
        await self._ensure()
        found = could_be_key(app, key_id)
        if not found or not await self._delete(*_row(app, key_id)):
            raise KeyUnknown(f"{app}.{key_id}")

    async def serial(self) -> int:
        return await self._read(lambda connection: serial_of(connection, keys))

    async def _delete(self, *where: sa.ColumnElement[bool]) -> int:
        def work(connection: sa.Connection) -> int:
            with transaction(connection):
                next_serial(connection, keys)
                return connection.execute(sa.delete(keys).where(*where)).rowcount

        return await self._write(work)

    async def list(self, app: str) -> list[KeyRecord]:
        if not could_be_key(app, "any"):
            await self._ensure()
            return []
        statement = sa.select(keys).where(keys.c.app == app).order_by(keys.c.id)
        rows = await self._read(lambda connection: connection.execute(statement).all())
        return [self._record(row) for row in rows]

    def _fields(self, key: KeyRecord) -> dict[str, Any]:
        place = (keys.name, key.app, key.id)
        return {
            "secrets": [self._sealer.seal(secret, *place) for secret in key.secrets],
            "grants": list(key.grants.names()),
            "label": key.label,
            "disabled": key.disabled,
            "created_at": key.created_at,
            "expires_old": key.expires_old,
        }

    def _record(self, row: sa.Row[Any]) -> KeyRecord:
        fields = dict(row._mapping)  # noqa: SLF001 - public API
        place = (keys.name, row.app, row.id)
        try:
            fields["secrets"] = tuple(self._sealer.unseal(sealed, *place) for sealed in fields["secrets"])
            # What an older or newer router granted and this one does not know, is granted to nobody.
            fields["grants"] = Grants.only(name for name in fields["grants"] if name in GRANTS)
        except (SealBroken, TypeError, AttributeError):
            problem = (
                f"{self._database.label}: the secret of a key does not open: is storage.encryption_key another one?"
            )
        else:
            return KeyRecord(**fields)
        raise StorageUnavailable(problem)


def _row(app: str, key_id: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return keys.c.app == app, keys.c.id == key_id
