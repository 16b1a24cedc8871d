"""From a storage URL to an SQLAlchemy engine: which engines there are, their drivers, pools and time bounds.

It must not know tables. The rule that keeps it honest: the URL holds a password, so it stays a ``Secret`` or SQLAlchemy's
own masked ``URL``, and what is said about a database is its ``label``, which has none (T62).
"""

from __future__ import annotations

import importlib.util
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import sqlalchemy as sa

from trio_router.errors import ConfigError, Problem
from trio_router.secret import Secret
from trio_router.storage.files import check_private

CONNECT_TIMEOUT: Final = 5  # seconds until a connection stands
STATEMENT_TIMEOUT: Final = 5.0  # seconds a statement may run (PostgreSQL) or wait for a lock (both)
BUSY_PAUSE: Final = 0.01  # seconds between two looks at an SQLite file that is being prepared by somebody else

_POSTGRESQL: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_SQLITE: Final = frozenset({"sqlite", "sqlite+pysqlite"})
_FIELD: Final = "storage.url"


@attrs.frozen
class Database:
    """One database. ``path`` is the file of an SQLite database, else None; ``label`` may be shown to administrators."""

    url: sa.URL = attrs.field(repr=False)
    path: Path | None
    label: str

    def files(self) -> list[Path]:
        """The files SQLite keeps: the database, its write-ahead log and that log's index."""
        if self.path is None:
            return []
        return [self.path.with_name(self.path.name + suffix) for suffix in ("", "-wal", "-shm")]


def parse(url: Secret, base: Path) -> Database:
    """The database an URL names; a relative SQLite path counts from ``base``. Opens nothing.

    Raises:
        ConfigError: it is not an URL of a known kind, or its driver is not installed.
    """
    try:
        parsed = sa.make_url(url.reveal())
    except (sa.exc.ArgumentError, ValueError):
        parsed = None  # raised below: the original error repeats the URL
    if parsed is None:
        raise _refuse("is not a storage URL; expected something like sqlite:///router.db")
    if parsed.drivername in _SQLITE:
        return _sqlite(parsed, base)
    if parsed.drivername in _POSTGRESQL:
        return _postgresql(parsed)
    raise _refuse("names an unknown kind of storage; expected sqlite://, postgresql:// or memory://")


def check_files(database: Database) -> None:
    """Returns if nobody else can reach the database's files (T70). Raises ``ConfigError``."""
    for path in database.files():
        check_private(path, "the database")


def connect(database: Database, *, connections: int) -> sa.Engine:
    """An engine with at most ``connections`` connections, all in autocommit mode. Connects on first use."""
    common: dict[str, Any] = {
        "poolclass": sa.QueuePool,
        "pool_size": connections,
        "max_overflow": 0,
        "pool_timeout": CONNECT_TIMEOUT,
        "isolation_level": "AUTOCOMMIT",
        "hide_parameters": True,  # password hashes stay out of error texts
    }
    if database.path is not None:
        arguments = {"timeout": STATEMENT_TIMEOUT, "check_same_thread": False}
        engine = sa.create_engine(database.url, connect_args=arguments, **common)
        sa.event.listen(engine, "connect", _tune_sqlite)
        return engine
    arguments = _postgresql_arguments(database.url)
    return sa.create_engine(database.url, connect_args=arguments, pool_pre_ping=True, pool_recycle=1800, **common)


@contextmanager
def transaction(connection: sa.Connection) -> Iterator[None]:
    """What is done to ``connection``, which is in autocommit mode, takes effect whole at the end of the block, or not at all.

    On SQLite no two of these run at once; on PostgreSQL whoever needs that takes a lock.
    """
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "BEGIN")
    try:
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def _sqlite(url: sa.URL, base: Path) -> Database:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise _refuse("names no database file; write sqlite:///router.db, or memory:// to forget users at the end")
    if url.query:
        raise _refuse("has parameters, which an SQLite URL does not take")
    path = (base / url.database).absolute()
    return Database(sa.URL.create("sqlite+pysqlite", database=str(path)), path, f"SQLite {path}")


def _postgresql(url: sa.URL) -> Database:
    if importlib.util.find_spec("psycopg") is None:
        raise _refuse("needs the PostgreSQL driver: install trio_router[postgresql]")
    if not url.database:
        raise _refuse("names no database; write postgresql://user@host/database")
    place = f"{url.host or 'local socket'}{f':{url.port}' if url.port else ''}/{url.database}"
    return Database(url.set(drivername="postgresql+psycopg"), None, f"PostgreSQL {place}")


def _postgresql_arguments(url: sa.URL) -> dict[str, Any]:
    milliseconds = int(STATEMENT_TIMEOUT * 1000)
    own = url.query.get("options", "")
    options = f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c client_encoding=UTF8"
    arguments: dict[str, Any] = {
        "options": f"{own if isinstance(own, str) else ' '.join(own)} {options}".strip(),
        "tcp_user_timeout": milliseconds * 2,  # a peer that is gone without a word
        "prepare_threshold": None,  # works behind a pooler too
    }
    if "connect_timeout" not in url.query:
        arguments["connect_timeout"] = CONNECT_TIMEOUT
    if "application_name" not in url.query:
        arguments["application_name"] = "trio_router"
    return arguments


def _tune_sqlite(connection: Any, _record: Any) -> None:
    """Runs in a worker thread. SQLite does not wait for others who turn the write-ahead log on at this moment: we do."""
    attempts = round(STATEMENT_TIMEOUT / BUSY_PAUSE)
    while True:
        try:
            for pragma in ("journal_mode = WAL", "foreign_keys = ON", "trusted_schema = OFF"):
                connection.execute(f"PRAGMA {pragma}").close()
        except sqlite3.OperationalError as error:
            attempts -= 1
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not attempts:
                raise
            time.sleep(BUSY_PAUSE)
        else:
            return


def _refuse(message: str) -> ConfigError:
    return ConfigError(Problem(message, field=_FIELD))
