"""Apps that are made while the router runs: what the store says of them is what is served, at every router on one database.

Owns the way from the store to those who serve, and follows what commands and other routers store. It must not know how an app is
served. The rule that keeps it honest: an answer to whoever makes, disables or removes an app comes when that is in force here;
one that cannot be served is named in the log and keeps nobody else from being served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
import trio

from trio_router.auth.apps import Apps
from trio_router.clock import Clock
from trio_router.config.load import with_made
from trio_router.config.schema import Config
from trio_router.errors import ConfigError, ProblemsError, StorageUnavailable
from trio_router.storage.apps import AppRecord, AppStore

Serve = Callable[[Sequence[AppRecord]], Awaitable[Mapping[str, ProblemsError]]]
"""Serves these apps and no other that was made at run time; gives those that it could not serve, and why."""


class MadeApps:
    """The apps in ``store``. ``config`` is the one in force; ``interval`` is seconds between two looks at the store."""

    def __init__(
        self,
        store: Callable[[], AppStore],
        clock: Clock,
        *,
        config: Callable[[], Config],
        serve: Serve,
        interval: float,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._store = store
        self._config = config
        self._serve = serve
        self._interval = interval
        self._log = log
        self._looking = trio.Lock()
        self._seen: tuple[int, Config] | None = None
        self._faults: dict[str, str] = {}
        self._apps: list[AppRecord] = []
        self._clock = clock

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve what is stored, for ever; reports as started after the first attempt. A store that is away is reported once."""
        away, started = False, False
        while True:
            try:
                if self._is_on():
                    await self._look()
            except (StorageUnavailable, ConfigError) as error:
                if not away:
                    self._log.error("apps_unavailable", problem=str(error))
                away = True
            else:
                away = False
            if not started:
                started = True
                task_status.started()
            await trio.sleep(self._interval)

    async def list(self) -> list[AppRecord]:
        """All of them, those that are disabled included."""
        return await self._admin().list() if self._is_on() else []

    async def create(self, name: str, path: str | None) -> AppRecord:
        """One more, and served. Raises ``AppRefused`` and ``StorageUnavailable``; ``ProblemsError``: it could not be served."""
        if self._is_on():
            await self._look()
        app = await self._admin().create(name, path=path)
        failed = await self._look()
        if name in failed:
            await self._admin().remove(name)
            raise failed[name]
        return app

    async def switch(self, name: str, *, disabled: bool) -> AppRecord:
        """Serve it no more, or again. Raises ``AppRefused`` and ``StorageUnavailable``."""
        app = await (self._admin().disable(name) if disabled else self._admin().enable(name))
        await self._look()
        return app

    async def remove(self, name: str) -> None:
        """Forget it, with its users and keys. Raises ``AppRefused`` and ``StorageUnavailable``."""
        await self._admin().remove(name)
        await self._look()

    def _is_on(self) -> bool:
        """Whether there can be any; without, no store is opened."""
        return self._config().new_apps is not None or self._seen is not None

    def _admin(self) -> Apps:
        return Apps(self._store(), self._clock, of_config=lambda: self._config().names_of_file(), fault=self._fault_of)

    def _fault_of(self, app: AppRecord) -> str:
        others = [(each.name, each.path) for each in self._apps if each.name != app.name]
        _, faults = with_made(self._config(), [*others, (app.name, app.path)])
        return faults.get(app.name, "")

    async def _look(self) -> Mapping[str, ProblemsError]:
        """Serve what is stored now, unless that is served already. Raises ``StorageUnavailable`` and ``ConfigError``."""
        async with self._looking:
            serial = await self._store().serial()
            if self._seen is not None and self._seen[0] == serial and self._seen[1] is self._config():
                return {}
            self._apps = await self._store().list()
            failed = await self._serve([app for app in self._apps if not app.disabled])
            faults = {name: str(error) for name, error in failed.items()}
            for name, fault in faults.items():
                if self._faults.get(name) != fault:
                    self._log.error("app_not_served", app=name, problem=fault)
            self._faults = faults
            self._seen = (serial, self._config())
            return failed
