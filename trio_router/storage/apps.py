"""Apps that were made at run time: one small interface, a memory twin and an SQL twin behind it, one contract suite over both.

What is stored of an app is its name, where clients connect, and whether it is served; how it is served says the config's
``new_apps``. The rule that keeps it honest: an app goes together with its users and keys, in one step, so that nobody gets into a
later app of the same name with what an earlier one gave out (T66).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
import trio

from trio_router.errors import StorageUnavailable

Clear = Callable[[str], None]


@attrs.frozen
class AppRecord:
    """One app. ``path`` is where its clients connect; ``created_at`` (epoch seconds) tells it from an earlier one of its name."""

    name: str
    path: str
    disabled: bool = False
    created_at: float = 0.0


class AppExists(Exception):
    """There is an app with this name, or with this path, already. The text says which: ``name`` or ``path``."""


class AppUnknown(Exception):
    """There is no app with this name."""


class AppStore(Protocol):
    """Every method may raise ``StorageUnavailable``."""

    async def add(self, app: AppRecord) -> None:
        """Store a new app. Raises ``AppExists``."""

    async def switch(self, name: str, *, disabled: bool) -> AppRecord:
        """Let it be served, or not, and give it. Raises ``AppUnknown``."""

    async def remove(self, name: str) -> None:
        """Forget the app with its users and its keys, in one step. Raises ``AppUnknown``."""

    async def list(self) -> list[AppRecord]:
        """All apps, in order of name."""

    async def serial(self) -> int:
        """A number that is another one after every change to any app, whoever made it."""

    async def check(self) -> None:
        """Connect now instead of on first use. Raises ``ConfigError`` (wrong file mode, schema too new) besides."""

    async def aclose(self) -> None:
        """Give back connections and threads."""


class MemoryAppStore:
    """An :class:`AppStore` in a dictionary. ``clear`` forgets the users and keys of an app, which other stores have."""

    def __init__(self, clear: Clear = lambda _: None) -> None:
        self._apps: dict[str, AppRecord] = {}
        self._clear = clear
        self._serial = 1
        self._closed = False

    async def add(self, app: AppRecord) -> None:
        await self.check()
        if app.name in self._apps:
            raise AppExists("name")
        if any(found.path == app.path for found in self._apps.values()):
            raise AppExists("path")
        self._apps[app.name] = app
        self._serial += 1

    async def switch(self, name: str, *, disabled: bool) -> AppRecord:
        await self.check()
        if name not in self._apps:
            raise AppUnknown(name)
        app = self._apps[name] = attrs.evolve(self._apps[name], disabled=disabled)
        self._serial += 1
        return app

    async def remove(self, name: str) -> None:
        await self.check()
        if self._apps.pop(name, None) is None:
            raise AppUnknown(name)
        self._clear(name)
        self._serial += 1

    async def list(self) -> list[AppRecord]:
        await self.check()
        return [self._apps[name] for name in sorted(self._apps)]

    async def serial(self) -> int:
        await self.check()
        return self._serial

    async def check(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise StorageUnavailable("the store of apps is closed")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        self._closed = True
        self._apps.clear()
