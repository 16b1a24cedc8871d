"""The apps a router serves, and where: a client finds its app by the path it asks for, an administrator by its name.

Owns which apps there are, by file and made at run time; how one works is the matter of ``apps``. The rule that keeps it honest: an
app that is closed is found by nobody from that instant, and one of the same name that comes after it shares nothing with it (T66).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from trio_router.apps import AppRules, AppSpace, Shared
from trio_router.config.load import with_made
from trio_router.config.schema import APP, PATTERN, Config, HttpApi
from trio_router.errors import ConfigError, Problem, ProblemsError
from trio_router.http.api import Api, Settings
from trio_router.protocols import codes
from trio_router.session.link import Link
from trio_router.storage.apps import AppRecord
from trio_router.transport.origin import OriginPolicy


class Served:
    """Those of ``config``, with the ``rules`` of each. ``spaces`` has all that are served, by name; ``api`` is their HTTP API, if there is one.

    Raises ``ProblemsError``: a strategy's options are refused.
    """

    def __init__(
        self, config: Config, rules: Mapping[str, AppRules], shared: Shared, origins: Callable[[], OriginPolicy]
    ) -> None:
        self._shared = shared
        self._section = config.http_api
        self._made: dict[str, AppRecord] = {}  # of the apps served, those that were made at run time
        self._paths: dict[str, AppSpace] = {}
        self._rules_to_come: AppRules | None = None  # of apps that are yet to be made
        self.spaces = {space.name: AppSpace(space, rules[space.name], shared) for space in config.spaces()}
        self.api = None if self._section is None else self._make_api(self._section, origins)
        self.follow(config, rules)

    @property
    def first(self) -> AppSpace:
        """The app that is always there."""
        return self.spaces[APP]

    async def prepare(self) -> None:
        """Make all strategies ready. Raises ``ProblemsError``."""
        for space in self.spaces.values():
            await space.prepare()

    # ---- who comes --------------------------------------------------------------------------------------------

    async def session(self, link: Link) -> None:
        """A session of the app whose path was asked for; the listener lets no other path through."""
        space = self._paths.get(link.upgrade.path)
        if space is None:  # it went between the request and here
            await link.close(codes.APP_CLOSED, codes.APP_CLOSED.text)
            return
        await space.sessions.serve(link)

    def full(self, path: str) -> float | None:
        """Seconds after which to come again, where the app at ``path`` has as many waiting for a login as it may; or None."""
        space = self._paths.get(path)
        return None if space is None else space.sessions.full()

    def shed(self) -> None:
        """Send those away who wait for a login."""
        for space in self.spaces.values():
            space.sessions.shed()

    def forget(self) -> None:
        """Let go of what is only remembered."""
        for space in self.spaces.values():
            space.forget()

    # ---- which apps there are ---------------------------------------------------------------------------------

    def follow(self, config: Config, rules: Mapping[str, AppRules]) -> None:
        """A config is in force that names these apps, which are made already, and has ``rules`` for apps to come."""
        self._rules_to_come = rules.get(PATTERN)
        self._place(config)

    def with_made(self, config: Config) -> Config:
        """``config`` with the apps in it that are served and were made at run time."""
        return with_made(config, [(app.name, app.path) for app in self._made.values()])[0]

    async def serve(self, apps: Sequence[AppRecord], config: Config) -> tuple[Config, dict[str, ProblemsError]]:
        """Serve ``apps`` and no other that is not in the file. Gives the config of all that is served; and which cannot be, and why."""
        wanted = {app.name: app for app in apps}
        config, faults = with_made(config, [(app.name, app.path) for app in apps])
        failed: dict[str, ProblemsError] = {
            name: ConfigError(Problem(fault, field=name)) for name, fault in faults.items()
        }
        # An app that is another one than before, although of the same name, shares nothing with that (T66).
        for name in [name for name, app in self._made.items() if name in failed or wanted.get(name) != app]:
            self.close(name)
        shared = attrs.evolve(self._shared, login_deadline=config.login_deadline, trust=config.trust)
        rules = self._rules_to_come
        for space in config.spaces():
            if rules is None or space.name not in config.made or space.name in self.spaces:
                continue
            try:
                made = AppSpace(space, rules, shared)
                await made.prepare()
            except Exception as error:  # noqa: BLE001 - a plugin's fault ends one app's start, not those that run
                shared.access.remove(space.name)
                shared.stores.forget(space.name)
                fault = Problem(f"cannot be served: {type(error).__name__}", field=space.name)
                failed[space.name] = error if isinstance(error, ProblemsError) else ConfigError(fault)
                continue
            self.spaces[space.name], self._made[space.name] = made, wanted[space.name]
            if self.api is not None and self._section is not None:
                self.api.add(made.http_api(self._section))
        served = self.with_made(config)
        self._place(served)
        return served, failed

    def close(self, name: str) -> None:
        """Serve this app no more, from now on."""
        space = self.spaces.pop(name)
        self._made.pop(name, None)
        self._paths = {path: other for path, other in self._paths.items() if other is not space}
        if self.api is not None and self._section is not None:
            self.api.remove(space.http_api(self._section))
        space.close()

    def _place(self, config: Config) -> None:
        self._paths = {path: self.spaces[space.name] for space in config.spaces() for path in config.endpoints(space)}
        versions = self._shared.metrics.rules_info
        versions.clear()
        for space in self.spaces.values():
            versions.labels(space.rules.version).set(1)

    def _make_api(self, section: HttpApi, origins: Callable[[], OriginPolicy]) -> Api:
        return Api(
            [space.http_api(section) for space in self.spaces.values()],
            Settings(section.allow_auth_data, section.request_timeout, section.messages),
            origins=origins,
            clock=self._shared.clock,
            metrics=self._shared.metrics,
        )
