"""Administration of the apps that are made at run time: what the commands and the REST interface are made of.

It checks what is asked for against the config, and asks the store; who serves an app follows the store. The rule that keeps it
honest: nothing in a request names a file. Rules and logins of such apps are what the config's ``new_apps`` says (T65).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from trio_router.clock import Clock
from trio_router.errors import RouterError
from trio_router.names import InvalidName, check_app_name
from trio_router.storage.apps import AppExists, AppRecord, AppStore, AppUnknown

MAX_APPS: Final = 1_000
MAX_PATH: Final = 200

_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")

Slug = Literal["invalid", "exists", "unknown", "too_many", "of_config"]

Fault = Callable[[AppRecord], str]
"""Why the config cannot serve one more app, "" if it can."""


class AppRefused(RouterError):
    """A request about an app was not carried out; nothing has changed.

    ``slug`` is ``invalid``, ``exists``, ``unknown``, ``too_many`` or ``of_config`` (the app stands in the config). The text is written for whoever asked.
    """

    def __init__(self, slug: Slug, message: str) -> None:
        super().__init__(message)
        self.slug = slug


class Apps:
    """The apps of ``store``. Every method may raise ``AppRefused`` and ``StorageUnavailable``.

    ``of_config`` are the names of the apps that stand in the config; ``fault`` says what keeps the config from serving one more.
    """

    def __init__(self, store: AppStore, clock: Clock, *, of_config: Callable[[], frozenset[str]], fault: Fault) -> None:
        self._store = store
        self._clock = clock
        self._of_config = of_config
        self._fault = fault

    async def create(self, name: str, *, path: str | None = None) -> AppRecord:
        """A new app, without users and keys. ``path``: where its clients connect, by default ``/`` and the name."""
        try:
            check_app_name(name)
        except InvalidName as error:
            raise AppRefused("invalid", f"name: {error}") from None
        if name in self._of_config():
            raise AppRefused("exists", f"the app {name!r} stands in the config")
        path = f"/{name}" if path is None else path
        if len(path) > MAX_PATH or not _PATH.fullmatch(path):
            raise AppRefused(
                "invalid", f"path: expected at most {MAX_PATH} characters, segments of letters, digits, . _ ~ -"
            )
        app = AppRecord(name, path, created_at=self._clock.wall())
        if problem := self._fault(app):
            raise AppRefused("invalid", problem)
        if len(await self._store.list()) >= MAX_APPS:
            raise AppRefused("too_many", f"at most {MAX_APPS} apps can be made")
        try:
            await self._store.add(app)
        except AppExists as error:
            raise AppRefused("exists", f"there is an app with this {error} already") from None
        return app

    async def list(self) -> list[AppRecord]:
        """All of them, in order of name."""
        return await self._store.list()

    async def disable(self, name: str) -> AppRecord:
        """Serve it no more; its sessions end. Its users and keys are kept."""
        return await self._switch(name, disabled=True)

    async def enable(self, name: str) -> AppRecord:
        """Serve it again."""
        return await self._switch(name, disabled=False)

    async def remove(self, name: str) -> None:
        """Forget it, with its users and keys; its sessions end."""
        self._check(name)
        try:
            await self._store.remove(name)
        except AppUnknown:
            raise _unknown() from None

    async def _switch(self, name: str, *, disabled: bool) -> AppRecord:
        self._check(name)
        try:
            return await self._store.switch(name, disabled=disabled)
        except AppUnknown:
            raise _unknown() from None

    def _check(self, name: str) -> None:
        if name in self._of_config():
            raise AppRefused("of_config", f"the app {name!r} stands in the config, and is changed there")


def _unknown() -> AppRefused:
    return AppRefused("unknown", "there is no such app")
