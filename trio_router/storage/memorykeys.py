"""App keys and revocations in memory: the twins that tests and throw-away routers use; all is forgotten at the end.

It must not know SQL. What keeps it honest: the contract suites run the same tests over these and the SQL twins.
"""

from __future__ import annotations

import trio

from trio_router.errors import StorageUnavailable
from trio_router.names import check_app_name, check_key_id
from trio_router.storage.keys import Alter, KeyExists, KeyRecord, KeyUnknown
from trio_router.storage.revocations import News, Revocation, check_revocation, merged


class MemoryKeyStore:
    """A :class:`trio_router.storage.keys.KeyStore` in a dictionary keyed by (app, id) (T66)."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], KeyRecord] = {}
        self._serial = 1
        self._closed = False

    async def get(self, app: str, key_id: str, *, fresh: bool = False) -> KeyRecord | None:  # noqa: ARG002 - interface
        await self.check()
        return self._keys.get((app, key_id))

    async def add(self, key: KeyRecord) -> None:
        check_app_name(key.app)
        check_key_id(key.id)
        await self.check()
        if (key.app, key.id) in self._keys:
            raise KeyExists(key.name)
        self._keys[key.app, key.id] = key
        self._serial += 1

    async def change(self, app: str, key_id: str, alter: Alter) -> KeyRecord:
        await self.check()
        key = self._keys.get((app, key_id))
        if key is None:
            raise KeyUnknown(f"{app}.{key_id}")
        changed = self._keys[app, key_id] = alter(key)
        self._serial += 1
        return changed

    async def remove(self, app: str, key_id: str) -> None:
        await self.check()
        if self._keys.pop((app, key_id), None) is None:
            raise KeyUnknown(f"{app}.{key_id}")
        self._serial += 1

    def clear(self, app: str) -> None:
        """Forget all keys of the app, as its store does with them."""
        self._keys = {place: key for place, key in self._keys.items() if place[0] != app}
        self._serial += 1

    async def serial(self) -> int:
        await self.check()
        return self._serial

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
        self._revocations: dict[tuple[str, str, str], tuple[int, Revocation]] = {}
        self._serial = 1
        self._closed = False

    async def add(self, revocation: Revocation) -> None:
        check_revocation(revocation)
        await self.check()
        self._serial += 1
        place = (revocation.app, revocation.kind, revocation.value)
        if place in self._revocations:
            revocation = merged(self._revocations[place][1], revocation)
        self._revocations[place] = self._serial, revocation

    async def since(self, serial: int) -> News:
        await self.check()
        found = sorted((entry for entry in self._revocations.values() if entry[0] > serial), key=lambda entry: entry[0])
        return News(tuple(revocation for _, revocation in found), self._serial)

    async def forget(self, now: float) -> None:
        await self.check()
        self._revocations = {place: entry for place, entry in self._revocations.items() if entry[1].until > now}

    async def check(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise StorageUnavailable("the store of revocations is closed")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self._closed = True
        self._revocations.clear()
