"""The keys that sessions were opened with, at hand without waiting: what trust-tokens are verified with.

It stands in front of a key store and remembers what passed through: every login by key asks the store, so the key of a session
is here. It knows neither sessions nor tokens. The rule that keeps it honest: it never answers for the store; it only repeats what
the store said last, and :meth:`KeyRing.run` asks again, so that what another process changed is noticed within ``RECHECK``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
import trio

from trio_router.clock import Clock
from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.secret import Secret
from trio_router.storage.keys import KeyRecord, KeyStore

RECHECK: Final = 2.0
"""Seconds between two looks at each key that is remembered."""

OnChanged = Callable[[str, KeyRecord | None], None]
"""Called with a key's id and what it is now: None once it is disabled or removed."""


class KeyRing:
    """A :class:`KeyStore` that remembers. ``store`` does the work."""

    def __init__(self, store: KeyStore, clock: Clock, log: structlog.stdlib.BoundLogger) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._known: dict[tuple[str, str], KeyRecord] = {}
        self._listeners: dict[str, OnChanged] = {}

    def listen(self, app: str, on_changed: OnChanged) -> None:
        """From now on ``on_changed`` is told what :meth:`run` finds changed of the keys of ``app``: grants, or its end."""
        self._listeners[app] = on_changed

    def secrets(self, app: str, key_id: str) -> tuple[Secret, ...]:
        """The live secrets of a key, newest first; none of one that is disabled, removed or was never asked for."""
        key = self._known.get((app, key_id))
        return () if key is None or key.disabled else key.live_secrets(self._clock.wall())

    async def run(self) -> None:
        """Look again at what is remembered, for ever. A store that is away is reported, and asked again."""
        while True:
            await trio.sleep(RECHECK)
            try:
                for before in tuple(self._known.values()):
                    self._compare(before, await self.get(before.app, before.id))
            except (StorageUnavailable, ConfigError) as error:
                self._log.error("keys_unavailable", problem=str(error))

    def _compare(self, before: KeyRecord, now: KeyRecord | None) -> None:
        on_changed = self._listeners.get(before.app)
        if on_changed is None or before.disabled:
            return
        if now is None or now.disabled:
            on_changed(before.id, None)
        elif now.grants != before.grants:
            on_changed(before.id, now)

    async def check(self) -> None:
        await self._store.check()

    async def get(self, app: str, key_id: str) -> KeyRecord | None:
        key = await self._store.get(app, key_id)
        if key is None:
            self._known.pop((app, key_id), None)
        else:
            self._known[app, key_id] = key
        return key

    async def add(self, key: KeyRecord) -> None:
        await self._store.add(key)

    async def replace(self, key: KeyRecord) -> None:
        await self._store.replace(key)
        if (key.app, key.id) in self._known:
            self._known[key.app, key.id] = key

    async def remove(self, app: str, key_id: str) -> None:
        await self._store.remove(app, key_id)
        self._known.pop((app, key_id), None)

    async def list(self, app: str) -> list[KeyRecord]:
        return await self._store.list(app)

    async def aclose(self) -> None:
        await self._store.aclose()
