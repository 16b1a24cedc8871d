"""What every SQL store is made of: one engine, a few threads, a deadline for each call, and errors without secrets.

Every call is one statement in autocommit mode or one transaction, so whatever is cancelled, killed or cut off, a row is as
before or as after. Calls run in a few threads of their own limiter and have one deadline each, waiting for a thread included: a
database that hangs costs those threads, never the loop, and callers get ``StorageUnavailable``. It must not know which
tables there are.

The rule that keeps it honest: no driver error leaves this module. Its text may hold SQL, values or connection data, so
what is raised names the database and the kind of error alone, with no context attached (T62).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, TypeVar

import attrs
import sqlalchemy as sa
import trio

from trio_router.errors import ConfigError, Problem, StorageUnavailable
from trio_router.storage import engine as engines
from trio_router.storage import schema
from trio_router.storage.files import create_private
from trio_router.storage.schema import SchemaTooNew

THREADS: Final = 4
TIMEOUT: Final = 10.0

T = TypeVar("T")
Work = Callable[[sa.Connection], T]


@attrs.frozen
class _Fault:
    """How a call failed, in words that may be shown."""

    text: str


class SqlStore:
    """The base of the SQL twins. ``keeps`` says in one word what the store keeps."""

    keeps: ClassVar[str]

    def __init__(self, database: engines.Database, *, threads: int = THREADS, timeout: float = TIMEOUT) -> None:
        """Work on ``database``, with ``threads`` connections; ``timeout`` (seconds) bounds each call."""
        self._database = database
        self._engine = engines.connect(database, connections=threads)
        self._limiter = trio.CapacityLimiter(threads)
        self._timeout = timeout
        self._preparing = trio.Lock()
        self._ready = False
        self._closed = False

    async def check(self) -> None:
        """Connect now instead of on first use. Raises ``ConfigError`` (wrong file mode, schema too new) besides."""
        if self._closed:
            raise StorageUnavailable(f"the store of {self.keeps} is closed")
        async with self._preparing:
            if not self._ready:
                await self._prepare()
                self._ready = True

    async def aclose(self) -> None:
        """Idempotent. Calls in progress finish first, or are left behind when they pass their deadline."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        with trio.CancelScope(shield=True):
            with trio.move_on_after(self._timeout):
                # Holding every token is knowing that no thread uses a connection.
                async with trio.open_nursery() as nursery:
                    for _ in range(int(self._limiter.total_tokens)):
                        nursery.start_soon(self._limiter.acquire_on_behalf_of, object())
            await trio.to_thread.run_sync(self._engine.dispose, limiter=trio.CapacityLimiter(1))

    async def _prepare(self) -> None:
        engines.check_files(self._database)
        try:
            await self._call(schema.prepare, finish=False)
        except SchemaTooNew as error:
            found = error.found
        else:
            return
        message = f"has {self.keeps} of schema version {found}; this router knows up to {schema.VERSION}: run the newer router"
        raise ConfigError(Problem(message, self._database.label))

    async def _ensure(self) -> None:
        """``check`` for callers who cannot be told about a configuration; costs nothing once it has succeeded."""
        if self._ready and not self._closed:
            return
        reason = "did not answer in time"
        with trio.move_on_after(self._timeout):  # others may be waiting for the same first connection
            try:
                await self.check()
            except ConfigError as error:
                reason = str(error)
            else:
                return
        raise StorageUnavailable(f"{self._database.label}: {reason}")

    async def _read(self, work: Work[T]) -> T:
        await self._ensure()
        return await self._call(work, finish=False)

    async def _write(self, work: Work[T]) -> T:
        await self._ensure()
        return await self._call(work, finish=True)

    async def _call(self, work: Work[T], *, finish: bool) -> T:
        """Runs ``work`` in a thread; with ``finish`` a cancellation waits for it, so that a write's outcome is known."""
        await trio.lowlevel.checkpoint_if_cancelled()
        result: T | _Fault = _Fault("did not answer in time")
        with trio.move_on_after(self._timeout, shield=finish):
            result = await trio.to_thread.run_sync(self._guarded, work, limiter=self._limiter, abandon_on_cancel=True)
        if isinstance(result, _Fault):
            raise StorageUnavailable(f"{self._database.label}: {result.text}")
        return result

    def _guarded(self, work: Work[T]) -> T | _Fault:
        """In the thread: ``work`` on a connection, its errors turned into something without secrets."""
        try:
            if self._database.path is not None and not self._ready:
                create_private(self._database.path)
            with self._engine.connect() as connection:
                return work(connection)
        except sa.exc.DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
            name = type(error.orig).__name__
            return _Fault(f"{name} {code}" if code else name)
        except (sa.exc.SQLAlchemyError, OSError, ValueError) as error:  # ValueError: a column holds no JSON
            return _Fault(type(error).__name__)
