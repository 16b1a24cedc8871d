"""The keys that sessions were opened with, at hand without waiting: what trust-tokens and most logins are verified with.

It stands in front of a key store and remembers what passed through: every login by key asks here, so the key of a session is
here. Memory is bounded by the keys there are (``auth.keys.MAX_KEYS`` for each app). It knows neither sessions nor tokens.

The rule that keeps it honest: it never answers for the store. What it repeats was so at most a few ``interval`` ago, because
:meth:`KeyRing.run` asks the store's serial that often; while that fails, every question goes to the store, as does every one about
a key that is not known, and whoever holds a key that changed is told, whoever changed it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
import trio

from trio_router.clock import Clock
from trio_router.errors import ConfigError, StorageUnavailable
from trio_router.secret import Secret
from trio_router.storage.keys import Alter, KeyRecord, KeyStore

INTERVAL: Final = 0.5
"""Seconds between two looks at whether a key was changed elsewhere."""

_TRUSTED: Final = 2.0  # intervals after a look in which what is remembered is repeated

OnChanged = Callable[[str, KeyRecord | None], None]
"""Called with a key's id and what it is now: None once it is disabled or removed."""


class KeyRing:
    """A :class:`KeyStore` that remembers. ``store`` does the work; ``interval`` is in seconds."""

    def __init__(
        self, store: KeyStore, clock: Clock, log: structlog.stdlib.BoundLogger, *, interval: float = INTERVAL
    ) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._interval = interval
        self._known: dict[tuple[str, str], KeyRecord] = {}
        self._listeners: dict[str, OnChanged] = {}
        self._serial: int | None = None
        self._looked_at: float | None = None  # monotonic: what is remembered was so then
        self._changes = 0  # of our own

    def listen(self, app: str, on_changed: OnChanged) -> None:
        """From now on ``on_changed`` is told what becomes of the known keys of ``app``: other grants, or their end."""
        self._listeners[app] = on_changed

    def forget(self, app: str) -> None:
        """Nobody listens for ``app`` any more, and nothing of it is remembered: it is gone."""
        self._changes += 1
        self._listeners.pop(app, None)
        self._known = {place: key for place, key in self._known.items() if place[0] != app}

    def secrets(self, app: str, key_id: str) -> tuple[Secret, ...]:
        """The live secrets of a key, newest first; none of one that is disabled, removed or was never asked for."""
        key = self._known.get((app, key_id))
        return () if key is None or key.disabled else key.live_secrets(self._clock.wall())

    async def run(self) -> None:
        """Look for what was changed elsewhere, for ever. A store that is away is reported once, and asked again."""
        away = False
        while True:
            await trio.sleep(self._interval)
            try:
                await self.look()
            except (StorageUnavailable, ConfigError) as error:
                if not away:
                    self._log.error("keys_unavailable", problem=str(error))
                away = True
            else:
                away = False

    async def look(self) -> None:
        """Take over what was changed elsewhere. Raises ``StorageUnavailable`` and ``ConfigError``."""
        began = self._clock.monotonic()
        serial = await self._store.serial()
        if serial != self._serial:
            for app, key_id in tuple(self._known):
                await self.get(app, key_id, fresh=True)
            self._serial = serial
        self._looked_at = began

    async def check(self) -> None:
        await self._store.check()

    async def get(self, app: str, key_id: str, *, fresh: bool = False) -> KeyRecord | None:
        known = self._known.get((app, key_id))
        if known is not None and not fresh and self._is_current():
            await trio.lowlevel.checkpoint_if_cancelled()
            return known
        while True:
            changes = self._changes
            key = await self._store.get(app, key_id, fresh=fresh)
            if changes == self._changes:  # else it may have been read before our own change, and would undo it here
                self._remember(app, key_id, key)
                return key

    async def add(self, key: KeyRecord) -> None:
        await self._store.add(key)

    async def change(self, app: str, key_id: str, alter: Alter) -> KeyRecord:
        try:
            key = await self._store.change(app, key_id, alter)
        finally:
            self._changes += 1
        if (app, key_id) in self._known:
            self._remember(app, key_id, key)
        return key

    async def remove(self, app: str, key_id: str) -> None:
        try:
            await self._store.remove(app, key_id)
        finally:
            self._changes += 1
        self._remember(app, key_id, None)

    async def list(self, app: str) -> list[KeyRecord]:
        return await self._store.list(app)

    async def serial(self) -> int:
        return await self._store.serial()

    async def aclose(self) -> None:
        await self._store.aclose()

    def _is_current(self) -> bool:
        looked_at = self._looked_at
        return looked_at is not None and self._clock.monotonic() - looked_at <= _TRUSTED * self._interval

    def _remember(self, app: str, key_id: str, key: KeyRecord | None) -> None:
        """Whoever holds the key is told in the step in which it is remembered, so that no change is known and not told."""
        before = self._known.pop((app, key_id), None)
        if key is not None:
            self._known[app, key_id] = key
        on_changed = self._listeners.get(app)
        if on_changed is None or before is None or before.disabled:
            return
        if key is None or key.disabled:
            on_changed(key_id, None)
        elif key.grants != before.grants:
            on_changed(key_id, key)
