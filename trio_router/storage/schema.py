"""The tables of the SQL twin and their version.

The router creates its tables at first use and writes down which version they have. A version it does not know was made by
a newer router and is refused untouched. Steps from one version to the next are listed in ``_STEPS`` and run in one
transaction under a lock, so that several routers may start on one database at once.

Ids compare and sort by code point on every engine: ``COLLATE "C"`` on PostgreSQL, SQLite's own BINARY.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from trio_router.names import MAX_KEY_ID, MAX_USER_ID

VERSION: Final = 2
MAX_APP: Final = 255
MAX_REVOKED: Final = 255

_LOCK: Final = 0x7472696F  # any constant of our own for pg_advisory_xact_lock

metadata: Final = sa.MetaData()


def _text(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


meta: Final = sa.Table(
    "trio_router_meta",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
)

users: Final = sa.Table(
    "trio_router_users",
    metadata,
    sa.Column("app", _text(MAX_APP), primary_key=True),
    sa.Column("id", _text(MAX_USER_ID), primary_key=True),
    sa.Column("password_hash", sa.Text),
    sa.Column("data", sa.JSON(none_as_null=True)),
    sa.Column("client_data", sa.JSON(none_as_null=True)),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
)

keys: Final = sa.Table(
    "trio_router_keys",
    metadata,
    sa.Column("app", _text(MAX_APP), primary_key=True),
    sa.Column("id", _text(MAX_KEY_ID), primary_key=True),
    sa.Column("secrets", sa.JSON, nullable=False),  # sealed, newest first
    sa.Column("grants", sa.JSON, nullable=False),  # names of what is granted
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_old", sa.Double),
)

revocations: Final = sa.Table(
    "trio_router_revocations",
    metadata,
    sa.Column("app", _text(MAX_APP), primary_key=True),
    sa.Column("kind", _text(16), primary_key=True),
    sa.Column("value", _text(MAX_REVOKED), primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("until", sa.Double, nullable=False, index=True),
)


class SchemaTooNew(Exception):
    """The tables were made by a newer router. ``found`` is their version."""

    def __init__(self, found: int) -> None:
        super().__init__(found)
        self.found = found


def _create_users(connection: sa.Connection) -> None:
    metadata.create_all(connection, [meta, users])


def _create_keys(connection: sa.Connection) -> None:
    metadata.create_all(connection, [keys, revocations])


_STEPS: Final[dict[int, Callable[[sa.Connection], None]]] = {1: _create_users, 2: _create_keys}


def prepare(connection: sa.Connection) -> None:
    """Brings the tables to ``VERSION``. ``connection`` is in autocommit mode; blocks.

    Raises:
        SchemaTooNew: they have a later one; nothing was changed.
        sqlalchemy.exc.SQLAlchemyError: the database says no.
    """
    sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN")
    try:
        if not sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = _version(connection)
        if found > VERSION:
            raise SchemaTooNew(found)
        for version in range(found + 1, VERSION + 1):
            _STEPS[version](connection)
        if found != VERSION:
            connection.execute(sa.delete(meta).where(meta.c.name == "schema"))
            connection.execute(sa.insert(meta).values(name="schema", value=VERSION))
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def _version(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table(meta.name):
        return 0
    return connection.scalar(sa.select(meta.c.value).where(meta.c.name == "schema")) or 0
