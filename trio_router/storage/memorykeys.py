"""App keys and revocations in memory: the twins that tests and throw-away routers use; all is forgotten at the end.

It must not know SQL. What keeps it honest: the contract suites run the same tests over these and the SQL twins.
"""

from __future__ import annotations

import trio

from trio_router.errors import StorageUnavailable
from trio_router.names import check_app_name, check_key_id
from trio_router.storage.keys import KeyExists, KeyRecord, KeyUnknown
from trio_router.storage.revocations import Revocation, check_revocation


class MemoryKeyStore:
    """A :class:`trio_router.storage.keys.KeyStore` in a dictionary keyed by (app, id) (T66)."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], KeyRecord] = {}
        self._closed = False

    async def get(self, app: str, key_id: str) -> KeyRecord | None:
        await self.check()
        return self._keys.get((app, key_id))

    async def add(self, key: KeyRecord) -> None:
        check_app_name(key.app)
        check_key_id(key.id)
        await self.check()
        if (key.app, key.id) in self._keys:
            raise KeyExists(key.name)
        self._keys[key.app, key.id] = key

    async def replace(self, key: KeyRecord) -> None:
        check_app_name(key.app)
        check_key_id(key.id)
        await self.check()
        if (key.app, key.id) not in self._keys:
            raise KeyUnknown(key.name)
        self._keys[key.app, key.id] = key

    async def remove(self, app: str, key_id: str) -> None:
        await self.check()
        if self._keys.pop((app, key_id), None) is None:
            raise KeyUnknown(f"{app}.{key_id}")

    async def list(self, app: str) -> list[KeyRecord]:
        await self.check()
        return [self._keys[place] for place in sorted(self._keys) if place[0] == app]

    async def check(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise StorageUnavailable("the store of keys is closed")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self._closed = True
        self._keys.clear()


class MemoryRevocationStore:
    """A :class:`trio_router.storage.revocations.RevocationStore` in a dictionary keyed by (app, kind, value)."""

    def __init__(self) -> None:
        self._revocations: dict[tuple[str, str, str], Revocation] = {}
        self._closed = False

    async def add(self, revocation: Revocation) -> None:
        check_revocation(revocation)
        await self.check()
        self._revocations[revocation.app, revocation.kind, revocation.value] = revocation

    async def load(self, now: float) -> list[Revocation]:
        await self.check()
        self._revocations = {place: entry for place, entry in self._revocations.items() if entry.until > now}
        return [self._revocations[place] for place in sorted(self._revocations)]

    async def check(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise StorageUnavailable("the store of revocations is closed")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self._closed = True
        self._revocations.clear()
