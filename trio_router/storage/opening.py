"""The one way to get a store: from the URL of the config. Cheap: nothing connects before first use."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from trio_router.errors import ConfigError, Problem
from trio_router.secret import Secret
from trio_router.storage import engine
from trio_router.storage.apps import AppStore, Clear, MemoryAppStore
from trio_router.storage.keys import KeyStore
from trio_router.storage.memory import MemoryUserStore
from trio_router.storage.memorykeys import MemoryKeyStore, MemoryRevocationStore
from trio_router.storage.revocations import RevocationStore
from trio_router.storage.sealing import Sealer
from trio_router.storage.sql import SqlUserStore
from trio_router.storage.sqlapps import SqlAppStore
from trio_router.storage.sqlkeys import SqlKeyStore
from trio_router.storage.sqlrevocations import SqlRevocationStore
from trio_router.storage.users import UserStore

MEMORY: Final = "memory://"
FEW_THREADS: Final = 2  # keys and revocations are read far less often than users


def open_user_store(url: Secret, base: Path) -> UserStore:
    """The store that ``url`` names: ``sqlite:///file`` (relative to ``base``), ``postgresql://...`` or ``memory://``.

    Looks at the modes of files that are there already (T70), and connects on first use or at ``check()``.

    Raises:
        ConfigError: the URL is not one of these, its driver is missing, or others can reach the database's files.
    """
    if url.reveal() == MEMORY:
        return MemoryUserStore()
    database = engine.parse(url, base)
    engine.check_files(database)
    return SqlUserStore(database)


def open_key_store(url: Secret, base: Path, encryption_key: Secret | None) -> KeyStore:
    """The store of app keys that ``url`` names, as in :func:`open_user_store`; secrets rest sealed with ``encryption_key``.

    Raises:
        ConfigError: as there; or there is no encryption key, without which no secret is kept in a database.
    """
    if url.reveal() == MEMORY:
        return MemoryKeyStore()
    if encryption_key is None:
        message = "is missing: app keys are kept encrypted; write one like ${file:secrets/storage-key}"
        raise ConfigError(Problem(message, field="storage.encryption_key"))
    database = engine.parse(url, base)
    engine.check_files(database)
    return SqlKeyStore(database, Sealer(encryption_key), threads=FEW_THREADS)


def open_app_store(url: Secret, base: Path, clear: Clear = lambda _: None) -> AppStore:
    """The store of apps made at run time that ``url`` names, as in :func:`open_user_store`. Raises ``ConfigError``.

    ``clear`` forgets what other stores in memory have of an app; databases need none.
    """
    if url.reveal() == MEMORY:
        return MemoryAppStore(clear)
    database = engine.parse(url, base)
    engine.check_files(database)
    return SqlAppStore(database, threads=FEW_THREADS)


def open_revocation_store(url: Secret, base: Path) -> RevocationStore:
    """The store of revocations that ``url`` names, as in :func:`open_user_store`. Raises ``ConfigError``."""
    if url.reveal() == MEMORY:
        return MemoryRevocationStore()
    database = engine.parse(url, base)
    engine.check_files(database)
    return SqlRevocationStore(database, threads=FEW_THREADS)
