"""The one way to get a user store: from the URL of the config. Cheap: nothing connects before first use."""

from __future__ import annotations

from pathlib import Path

from trio_router.secret import Secret
from trio_router.storage import engine
from trio_router.storage.memory import MemoryUserStore
from trio_router.storage.sql import SqlUserStore
from trio_router.storage.users import UserStore

MEMORY = "memory://"


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
