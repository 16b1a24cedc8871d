"""The tables of the SQL twin and their version.

The router creates its tables at first use and writes down which version they have. A version it does not know was made by
a newer router and is refused untouched. Steps from one version to the next are listed in ``_STEPS`` and run in one
transaction under a lock, so that several routers may start on one database at once.

``meta`` also holds a *serial* for each thing that several routers on one database learn from each other: whoever writes counts
it up first, in the same transaction, so that serials become visible in their order and nobody who asks for what is later
than a serial misses anything.

Ids compare and sort by code point on every engine: ``COLLATE "C"`` on PostgreSQL, SQLite's own BINARY.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from trio_router.names import MAX_KEY_ID, MAX_USER_ID
from trio_router.storage.engine import transaction

VERSION: Final = 3
MAX_APP: Final = 255
MAX_REVOKED: Final = 255
MAX_PATH: Final = 255

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
    sa.Column("for_good", sa.Boolean, nullable=False),
    sa.Column("serial", sa.Integer, nullable=False, index=True),
)

apps: Final = sa.Table(
    "trio_router_apps",
    metadata,
    sa.Column("name", _text(MAX_APP), primary_key=True),
    sa.Column("path", _text(MAX_PATH), nullable=False, unique=True),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)

SERIALS: Final = (keys.name, revocations.name, apps.name)
"""The tables that have a serial, under their name."""


class SchemaTooNew(Exception):
    """The tables were made by a newer router. ``found`` is their version."""

    def __init__(self, found: int) -> None:
        super().__init__(found)
        self.found = found


def _create_users(connection: sa.Connection) -> None:
    metadata.create_all(connection, [meta, users])


def _create_keys(connection: sa.Connection) -> None:
    metadata.create_all(connection, [keys, revocations])


def _create_apps(connection: sa.Connection) -> None:
    metadata.create_all(connection, [apps])
    have = {column["name"] for column in sa.inspect(connection).get_columns(revocations.name)}
    if "serial" not in have:  # made by version 2, and not by the step before in today's shape
        false = "0" if connection.dialect.name == "sqlite" else "false"
        for column in (f"for_good BOOLEAN NOT NULL DEFAULT {false}", "serial INTEGER NOT NULL DEFAULT 1"):
            connection.exec_driver_sql(f"ALTER TABLE {revocations.name} ADD COLUMN {column}")
        next(index for index in revocations.indexes if "serial" in index.columns).create(connection)
    there = set(connection.scalars(sa.select(meta.c.name)))
    for name in SERIALS:
        if name not in there:
            connection.execute(sa.insert(meta).values(name=name, value=1))


_STEPS: Final[dict[int, Callable[[sa.Connection], None]]] = {1: _create_users, 2: _create_keys, 3: _create_apps}


def prepare(connection: sa.Connection) -> None:
    """Brings the tables to ``VERSION``. ``connection`` is in autocommit mode; blocks.

    Raises:
        SchemaTooNew: they have a later one; nothing was changed.
        sqlalchemy.exc.SQLAlchemyError: the database says no.
    """
    with transaction(connection):
        if connection.dialect.name != "sqlite":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = _version(connection)
        if found > VERSION:
            raise SchemaTooNew(found)
        for version in range(found + 1, VERSION + 1):
            _STEPS[version](connection)
        if found != VERSION:
            connection.execute(sa.delete(meta).where(meta.c.name == "schema"))
            connection.execute(sa.insert(meta).values(name="schema", value=VERSION))


def serial_of(connection: sa.Connection, table: sa.Table) -> int:
    """The serial of ``table`` now."""
    return connection.scalar(sa.select(meta.c.value).where(meta.c.name == table.name)) or 0


def next_serial(connection: sa.Connection, table: sa.Table) -> int:
    """Count the serial of ``table`` up, and give it. In a transaction: until its end, others who write there wait."""
    row = meta.c.name == table.name
    return connection.scalar(sa.update(meta).where(row).values(value=meta.c.value + 1).returning(meta.c.value)) or 0


def _version(connection: sa.Connection) -> int:
    if not sa.inspect(connection).has_table(meta.name):
        return 0
    return connection.scalar(sa.select(meta.c.value).where(meta.c.name == "schema")) or 0
