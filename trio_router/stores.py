"""The stores of one router: each opened when somebody first needs it, all closed together.

Owns which of them a config keeps in its database. It must not know tables or engines. The rule that keeps it honest: a router
whose config needs nothing stored opens no database, and every other one forgets nothing at its end.
"""

from __future__ import annotations

from typing import Final

import trio

from trio_router import log
from trio_router.auth.keyring import KeyRing
from trio_router.clock import Clock
from trio_router.config.schema import Config
from trio_router.storage.apps import AppStore
from trio_router.storage.keys import KeyStore
from trio_router.storage.memory import MemoryUserStore
from trio_router.storage.memorykeys import MemoryKeyStore, MemoryRevocationStore
from trio_router.storage.opening import open_app_store, open_key_store, open_revocation_store, open_user_store
from trio_router.storage.revocations import RevocationStore
from trio_router.storage.users import UserStore

STORING: Final = frozenset({"access", "key", "users"})
"""Strategies that need the database; a router without one of these and without REST forgets revocations at its end."""


class Stores:
    """The stores that ``config`` names."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._users: UserStore | None = None
        self._keys: KeyRing | None = None
        self._key_store: KeyStore | None = None
        self._apps: AppStore | None = None
        self._keys_used = trio.Event()
        self._revocations: RevocationStore | None = None

    def users(self) -> UserStore:
        """The built-in users. Raises ``ConfigError``: the storage settings are refused."""
        if self._users is None:
            self._users = open_user_store(self._config.storage.url, self._config.base)
        return self._users

    def keys(self) -> KeyRing:
        """The app keys. Raises ``ConfigError``: the storage settings are refused, or there is no encryption key."""
        if self._keys is None:
            storage = self._config.storage
            opened = self._key_store = open_key_store(storage.url, self._config.base, storage.encryption_key)
            self._keys = KeyRing(opened, self._clock, log.get("keys"), interval=storage.poll_interval)
            self._keys_used.set()
        return self._keys

    async def follow_keys(self) -> None:
        """Once keys are used: follow what becomes of them elsewhere, for ever."""
        await self._keys_used.wait()
        await self.keys().run()

    def apps(self) -> AppStore:
        """The apps made at run time. Raises ``ConfigError`` as :meth:`users`."""
        if self._apps is None:
            self._apps = open_app_store(self._config.storage.url, self._config.base, self._clear)
        return self._apps

    def forget(self, app: str) -> None:
        """Nothing of ``app`` is to be remembered here any more; it is gone."""
        if self._keys is not None:
            self._keys.forget(app)

    def _clear(self, app: str) -> None:
        """What stores in memory have of an app; in a database it goes with the app."""
        for store in (self._users, self._key_store):
            if isinstance(store, MemoryUserStore | MemoryKeyStore):
                store.clear(app)

    def revocations(self) -> RevocationStore:
        """What was revoked. Raises ``ConfigError`` as :meth:`users`."""
        if self._revocations is None:
            config = self._config
            steps = [step.strategy for space in config.spaces() for step in space.login]
            stored = config.rest is not None or config.new_apps is not None or not STORING.isdisjoint(steps)
            self._revocations = (
                open_revocation_store(config.storage.url, config.base) if stored else MemoryRevocationStore()
            )
        return self._revocations

    async def aclose(self) -> None:
        """Close what was opened."""
        for store in (self._users, self._keys, self._revocations, self._apps):
            if store is not None:
                await store.aclose()
