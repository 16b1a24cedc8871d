"""The composition root: a config becomes objects, the objects become one nursery tree.

Nothing else knows all parts. What is built here once lives as long as the process; what a reload may replace (rules,
login chain, limits, what the listener lets in) is put into the running objects in one step without waiting, so that every
connection, login and decision sees the old whole or the new whole (T69).

The rule that keeps it honest: everything that can fail, fails before anything listens, or before anything is swapped.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Final, Self

import attrs
import trio

from trio_router import __version__, ebb, log, remembered
from trio_router.access import Access
from trio_router.administration import Administration
from trio_router.apps import AppRules, AppSpace, Shared
from trio_router.audit.entries import decision_entry
from trio_router.audit.writer import DecisionLog
from trio_router.auth.outbound import HttpOutbound
from trio_router.clock import Clock, SystemClock
from trio_router.config.check import unsafe
from trio_router.config.load import with_made
from trio_router.config.reload import ReloadPlan, plan_reload
from trio_router.config.schema import APP, PATTERN, Config
from trio_router.errors import ConfigError, Problem, ProblemsError
from trio_router.handover import HandoverFailed, Successor, wait_for_go
from trio_router.http.api import Api, Settings
from trio_router.http.listener import serve_admin
from trio_router.http.operations import Health, ReloadResult
from trio_router.http.public import public_app
from trio_router.http.serve import REQUEST_TIMEOUT, HttpServer
from trio_router.inheritance import ADMIN, LISTEN, Inheritance
from trio_router.listening import authority, open_sockets, paths_of, place_of, policy_of, port_of
from trio_router.made_apps import MadeApps
from trio_router.metrics import Metrics
from trio_router.notify import notify
from trio_router.permissions.redaction import Redaction
from trio_router.protocols import codes
from trio_router.routing.decisions import DecisionBook
from trio_router.session.link import Link
from trio_router.session.overload import Overload
from trio_router.session.timers import TrioTimers
from trio_router.storage.apps import AppRecord
from trio_router.storage.records import MemoryRecords, RecordStore
from trio_router.stores import Stores
from trio_router.transport.admission import Admission
from trio_router.transport.lane import Lane
from trio_router.transport.listener import Listener

CLOSE_TIMEOUT: Final = 5.0
"""Seconds the stores and the outbound client have to let go at the end."""

READING: Final = 10.0
"""Seconds a client has to send the body of a request of the HTTP API, whose own time begins afterwards."""

LATE: Final = 1.0
"""Seconds that connections accepted just before the end have for their handshake."""

REQUESTS: Final = 1.0
"""Seconds that requests of the HTTP API in progress have before their sessions end in favour of a next router."""

ADMIN_BACKLOG: Final = 64

Reread = Callable[[], Config]


@attrs.frozen
class Address:
    """Where a running router can be reached. ``admin`` is None without an administration listener."""

    url: str
    admin: str | None = None


class Router:
    """One router. :meth:`run` is its life; the other methods may be called meanwhile, from the same Trio run.

    ``reread`` gives the config anew for a reload (None: the rules file and everything the config names are read again,
    the config itself stays). ``records`` are what rules read by ``_()`` and as ``oldData``. ``inherited``: sockets that are open.

    Raises:
        ProblemsError: the rules, a certificate, the storage or a strategy's options are refused.
    """

    def __init__(
        self,
        config: Config,
        *,
        reread: Reread | None = None,
        clock: Clock | None = None,
        records: RecordStore | None = None,
        inherited: Inheritance | None = None,
    ) -> None:
        self._config = config
        self._inherited = inherited or Inheritance()
        self._handing_over = False
        self._successor: Successor | None = None
        self._clients: list[trio.SocketListener] = []
        self._admin: list[trio.SocketListener] = []
        self._administrators = trio.CancelScope()
        self._reread = reread
        self._clock = clock or SystemClock()
        self._started = self._clock.monotonic()
        self._log = log.get("router")
        self._metrics = Metrics()
        self._records = records or MemoryRecords()
        self._outbound = HttpOutbound()
        self._stores = Stores(config, self._clock)
        self._reloading = trio.Lock()
        self._stopping = trio.Event()
        self.ended = trio.Event()
        """Set when :meth:`run` has returned."""
        self._draining = False
        self._listeners: tuple[Listener, ...] = ()
        self._access = Access(config, self._clock, keys=self._stores.keys, store=self._stores.revocations)

        rules = self._read_rules(config)
        redaction = Redaction.of(config.decisions.redact)
        self._decision_log = self._make_decision_log(config)
        book = self._make_book(config, redaction)
        self._timers = TrioTimers(log.get("timers"))
        self._lane = Lane(self._timers) if config.listen.fast_lane else None
        self._admission = Admission(config.limits)
        self._overload = Overload(config.limits, self._metrics, log.get("overload"), self._shed)
        self._ebb = ebb.Ebb(lambda: self._admission.total, self._forget, log.get("memory"))
        self._policy = policy_of(config)
        shared = self._shared = Shared(
            clock=self._clock,
            metrics=self._metrics,
            timers=self._timers,
            records=self._records,
            outbound=self._outbound,
            stores=self._stores,
            book=book,
            access=self._access,
            base=config.base,
            login_deadline=config.login_deadline,
            trust=config.trust,
            deepstream=config.deepstream,
        )
        self._spaces = {space.name: AppSpace(space, rules[space.name], shared) for space in config.spaces()}
        self._paths = self._places(config)
        self._first = self._spaces[APP]
        self._made: dict[str, AppRecord] = {}  # of the apps served, those that were made at run time
        self._rules_to_come = rules.get(PATTERN)  # of apps that are yet to be made
        self._made_apps = MadeApps(
            self._stores.apps,
            self._clock,
            config=lambda: self._config,
            serve=self._serve_made,
            interval=config.storage.poll_interval,
            log=log.get("apps"),
        )
        self._administration = Administration(self._spaces, book, redaction)
        api = self._api = self._make_api(config)
        timeout = REQUEST_TIMEOUT if config.http_api is None else config.http_api.request_timeout + READING
        self._public = HttpServer(
            public_app(self, self._access.rest, api), config.limits, request_timeout=max(REQUEST_TIMEOUT, timeout)
        )
        self._note_rules()
        self._unsafe = self._judged(config, rules)

    @classmethod
    def load(cls, reread: Reread, *, clock: Clock | None = None, inherited: Inheritance | None = None) -> Self:
        """A router of the config that ``reread`` gives, now and at each reload. Raises ``ProblemsError``."""
        return cls(reread(), reread=reread, clock=clock, inherited=inherited)

    # ---- its life ---------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until :meth:`stop`; then send everybody away in good order and return.

        ``task_status`` is told the addresses once clients can connect.

        Raises:
            ProblemsError: a strategy could not be made ready, or an address cannot be bound.
        """
        async with aclosing(self):
            for space in self._spaces.values():
                await space.prepare()
            for finding in self._unsafe:
                self._log.warning("unsafe", finding=finding)
            if self._inherited.channel is None:
                self._open_decision_log()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._timers.run)
                nursery.start_soon(self._overload.run)
                nursery.start_soon(self._ebb.run)
                if self._lane is not None:
                    nursery.start_soon(self._lane.run)
                nursery.start_soon(self._stores.follow_keys)
                await nursery.start(self._access.run)
                await nursery.start(self._made_apps.run)
                await self._open_sockets()
                if self._inherited.channel is not None:  # two of them never write one decision log
                    await wait_for_go(self._inherited.channel)
                    self._open_decision_log()
                address = await self._listen(nursery)
                self._log.info("listening", url=address.url, admin=address.admin, rules=self._first.rules.version)
                task_status.started(address)
                await self._stopping.wait()
                await self._drain()
                nursery.cancel_scope.cancel()
            self._log.info("stopped")
        self.ended.set()

    def stop(self) -> None:
        """Begin the drain that ends :meth:`run`. Harmless when it has begun."""
        self._stopping.set()

    async def hand_over(self, command: Sequence[str] | None = None) -> int:
        """Leave the place to a next router, which is started by ``command`` (None: as this one was), and :meth:`stop`; gives its pid.

        Raises:
            HandoverFailed: there is none; this router goes on as before.
        """
        if self._stopping.is_set() or self._handing_over:
            raise HandoverFailed("this router is stopping, or being followed, already")
        config = self._config
        places = {}
        self._handing_over = True
        try:
            places[LISTEN] = place_of(self._clients, config.listen.host, config.listen.port)
            if config.admin is not None:
                places[ADMIN] = place_of(self._admin, config.admin.host, config.admin.port)
            successor = await Successor.start(places, command)
        except OSError as error:
            raise HandoverFailed(f"no descriptors are left: {error.strerror}") from None
        finally:
            self._handing_over = False
            for place in places.values():
                place.close()
        if self._stopping.is_set():
            await successor.put_away()
            raise HandoverFailed("this router was stopped meanwhile")
        self._successor = successor
        self.stop()
        return successor.pid

    def _open_decision_log(self) -> None:
        if self._decision_log is not None:
            self._decision_log.open()
            self._decision_log.start()

    async def aclose(self) -> None:
        """Let go of stores and connections; :meth:`run` does it at its end."""
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._outbound.aclose()
            await self._stores.aclose()
        if self._decision_log is not None:
            with trio.CancelScope(shield=True):  # bounded by its own timeout
                await trio.to_thread.run_sync(self._decision_log.close, CLOSE_TIMEOUT)

    async def _open_sockets(self) -> None:
        """For clients, and for administrators. Raises ``ConfigError``."""
        listen, admin, inherited = self._config.listen, self._config.admin, self._inherited
        place = inherited.place(LISTEN, listen.host, listen.port)
        self._clients = await open_sockets(listen.host, listen.port, listen.backlog, LISTEN, place)
        if admin is not None:
            place = inherited.place(ADMIN, admin.host, admin.port)
            self._admin = await open_sockets(admin.host, admin.port, ADMIN_BACKLOG, ADMIN, place)

    async def _listen(self, nursery: trio.Nursery) -> Address:
        listen, sockets = self._config.listen, self._clients
        self._listeners = tuple(
            Listener(
                socket,
                policy=self._policy,
                admission=self._admission,
                serve=self._serve,
                http=self._public.serve,
                metrics=self._metrics,
                log=log.get("listener"),
                lane=self._lane,
                turns_away=lambda: self._overload.turns_away,
                full=self._full,
            )
            for socket in sockets
        )
        admin = await self._listen_for_administrators(nursery)
        for listener in self._listeners:
            await nursery.start(listener.run)
        scheme = "wss" if listen.tls else "ws"
        return Address(f"{scheme}://{authority(listen.host, port_of(sockets[0]))}{listen.path}", admin)

    async def _listen_for_administrators(self, nursery: trio.Nursery) -> str | None:
        admin = self._config.admin
        if admin is None:
            return None
        application = self._administration.application(
            self, self._metrics, admin, self._access, self._made_apps, self._clock
        )
        server = HttpServer(application, self._config.limits)
        await nursery.start(serve_admin, server, self._admin, self._administrators)
        return f"http://{authority(admin.host, port_of(self._admin[0]))}"

    def _full(self, path: str) -> float | None:
        space = self._paths.get(path)
        return None if space is None else space.sessions.full()

    async def _serve(self, link: Link) -> None:
        """A session of the app whose path was asked for; the listener lets no other path through."""
        space = self._paths.get(link.upgrade.path)
        if space is None:  # it went between the request and here
            await link.close(codes.APP_CLOSED, codes.APP_CLOSED.text)
            return
        await space.sessions.serve(link)

    def _forget(self) -> None:
        """Let go of what is only remembered: a crowd has left."""
        remembered.forget()
        self._timers.tidy()
        for space in self._spaces.values():
            space.forget()

    def _shed(self) -> None:
        for space in self._spaces.values():
            space.sessions.shed()

    async def _drain(self) -> None:
        self._draining = True
        self._log.info("draining", sessions=sum(space.sessions.sessions for space in self._spaces.values()))
        for listener in self._listeners:
            listener.stop()
        await self._public.drain()
        patience = LATE
        if self._successor is not None:
            patience = self._config.limits.request_head_timeout
            await self._leave_to(self._successor)
        async with trio.open_nursery() as nursery:
            for space in self._spaces.values():
                nursery.start_soon(space.sessions.drain)
            nursery.start_soon(self._public.finish, self._config.limits.drain_timeout)
        for listener in self._listeners:  # connections that were accepted last are sent away too, not cut
            await listener.finish(patience)

    async def _leave_to(self, successor: Successor) -> None:
        """What is routed here ends in one step; then it is the next router's turn (see ``handover``)."""
        self._administrators.cancel()
        await self._public.finish(REQUESTS)
        for space in self._spaces.values():
            space.sessions.send_away()
            space.core.close_all(codes.RESTART)
        if self._decision_log is not None:
            await trio.to_thread.run_sync(self._decision_log.close, CLOSE_TIMEOUT)
        await successor.go()
        self._log.info("handed_over", successor=successor.pid)

    # ---- operation --------------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether it takes no new connections any more."""
        return self._draining

    def health(self) -> Health:
        """Its state now, for administrators."""
        return Health(
            version=__version__,
            rules_version=self._first.rules.version,
            uptime=round(self._clock.monotonic() - self._started, 3),
            connections=self._admission.total,
            sessions=sum(len(space.core.sessions) for space in self._spaces.values()),
            draining=self._draining,
            unsafe=self._unsafe,
        )

    async def reload(self) -> ReloadResult:
        """Read everything anew and put it in force, whole or not at all.

        Standing subscriptions, offers and presence watches are decided again by the new rules before this returns.

        Raises:
            ProblemsError: the new state of the files is refused; everything is as before.
        """
        async with self._reloading:
            try:
                result = await self._reload()
            except Exception as error:
                self._metrics.reloads.labels("refused").inc()
                problems = [str(problem) for problem in error.problems] if isinstance(error, ProblemsError) else []
                self._log.error("reload_refused", error=type(error).__name__, problems=problems)
                raise
            self._metrics.reloads.labels("done").inc()
            return result

    async def _reload(self) -> ReloadResult:
        plan, rules = await trio.to_thread.run_sync(self._read)
        config = plan.effective
        policy = policy_of(config)
        kept = {space.name: self._spaces[space.name] for space in config.spaces()}
        ready = {
            space.name: await self._spaces[space.name].ready(
                space, rules[space.name], config.login_deadline, config.trust
            )
            for space in config.spaces()
        }
        findings = self._judged(config, rules)
        with ExitStack() as stack:
            reconsidered = {}
            for name, space in kept.items():
                reconsidered[name] = stack.enter_context(space.core.reconsidering(rules[name].rules))
                await space.reconsider(reconsidered[name])
            # From here to the end nothing waits and nothing can fail: one step for everybody else.
            self._config, self._unsafe, self._policy = config, findings, policy
            self._admission.limits = self._overload.limits = config.limits
            self._access.trust_lifetime = config.trust.max_lifetime
            for listener in self._listeners:
                listener.policy = policy
            ended = sum(space.adopt(ready[name], reconsidered[name]) for name, space in kept.items())
            for name in [name for name in self._spaces if name not in kept]:
                self._close(name)
            self._paths = self._places(config)
            self._rules_to_come = rules.get(PATTERN)
            self._administration.refresh()
            self._note_rules()
        with trio.CancelScope(shield=True):  # whoever asked for the reload may be gone: it has happened, and is told
            for space in kept.values():
                await space.tell_losses()
        if "log" in plan.changed_live:
            log.configure(config.log.level, config.log.format)
        self._log.info(
            "reloaded",
            rules=self._first.rules.version,
            changed=list(plan.changed_live),
            needs_restart=list(plan.needs_restart),
            rights_ended=ended,
        )
        for finding in findings:
            self._log.warning("unsafe", finding=finding)
        return ReloadResult(self._first.rules.version, plan.changed_live, plan.needs_restart)

    def _read(self) -> tuple[ReloadPlan, dict[str, AppRules]]:
        """What a reload will put in force; blocks. Raises ``ProblemsError``."""
        before = self._config.of_file()
        plan = plan_reload(before, self._reread() if self._reread else before)
        made = [(app.name, app.path) for app in self._made.values()]
        plan = attrs.evolve(plan, effective=with_made(plan.effective, made)[0])
        return plan, self._read_rules(plan.effective)

    def _read_rules(self, config: Config) -> dict[str, AppRules]:
        """The rules of each app, and those of apps to come; apps with the same files share them."""
        read: dict[tuple[Path, Path | None], AppRules] = {}
        found = {}
        for space in (*config.spaces(), *config.pattern()):
            files = (space.rules, space.shadow_rules)
            if files not in read:
                read[files] = AppRules.read(space, self._clock, self._records)
            found[space.name] = read[files]
        return found

    def _judged(self, config: Config, rules: Mapping[str, AppRules]) -> tuple[str, ...]:
        """What is unsafe, for administrators."""
        known = {name: both.rules for name, both in rules.items()}
        return tuple(str(problem) for problem in unsafe(config.of_file(), known))

    # ---- apps made at run time --------------------------------------------------------------------------------

    async def _serve_made(self, apps: Sequence[AppRecord]) -> dict[str, ProblemsError]:
        """Serve these and no other app that is not in the file; gives those that cannot be served, and why."""
        async with self._reloading:
            wanted = {app.name: app for app in apps}
            config, faults = with_made(self._config, [(app.name, app.path) for app in apps])
            failed: dict[str, ProblemsError] = {
                name: ConfigError(Problem(fault, field=name)) for name, fault in faults.items()
            }
            # An app that is another one than before, although of the same name, shares nothing with that (T66).
            for name in [name for name, app in self._made.items() if name in failed or wanted.get(name) != app]:
                self._close(name)
            shared = attrs.evolve(self._shared, login_deadline=config.login_deadline, trust=config.trust)
            rules = self._rules_to_come
            for space in config.spaces():
                if rules is None or space.name not in config.made or space.name in self._spaces:
                    continue
                try:
                    made = AppSpace(space, rules, shared)
                    await made.prepare()
                except Exception as error:  # noqa: BLE001 - a plugin's fault ends one app's start, not those that run
                    self._access.remove(space.name)
                    self._stores.forget(space.name)
                    fault = Problem(f"cannot be served: {type(error).__name__}", field=space.name)
                    failed[space.name] = error if isinstance(error, ProblemsError) else ConfigError(fault)
                    continue
                self._spaces[space.name], self._made[space.name] = made, wanted[space.name]
                if self._api is not None and config.http_api is not None:
                    self._api.add(made.http_api(config.http_api))
            self._config = with_made(config, [(app.name, app.path) for app in self._made.values()])[0]
            self._paths = self._places(self._config)
            self._policy = attrs.evolve(self._policy, paths=paths_of(self._config))
            for listener in self._listeners:
                listener.policy = self._policy
            self._administration.refresh()
            self._note_rules()
            return failed

    def _close(self, name: str) -> None:
        """Serve this app no more, from now on."""
        space = self._spaces.pop(name)
        self._made.pop(name, None)
        self._paths = {path: other for path, other in self._paths.items() if other is not space}
        if self._api is not None and self._config.http_api is not None:
            self._api.remove(space.http_api(self._config.http_api))
        space.close()

    def _places(self, config: Config) -> dict[str, AppSpace]:
        """Which app is served at which path."""
        return {path: self._spaces[space.name] for space in config.spaces() for path in config.endpoints(space)}

    def _make_api(self, config: Config) -> Api | None:
        section = config.http_api
        if section is None:
            return None
        return Api(
            [space.http_api(section) for space in self._spaces.values()],
            Settings(section.allow_auth_data, section.request_timeout, section.messages),
            origins=lambda: self._policy.origins,
            clock=self._clock,
            metrics=self._metrics,
        )

    # ---- decisions --------------------------------------------------------------------------------------------

    def _make_decision_log(self, config: Config) -> DecisionLog | None:
        path = config.decisions.log
        if path is None:
            return None
        dropped = self._metrics.decisions_dropped
        return DecisionLog(path, clock=self._clock, log=log.get("decisions"), on_dropped=dropped.inc)

    def _make_book(self, config: Config, redaction: Redaction) -> DecisionBook:
        settings, decision_log = config.decisions, self._decision_log
        return DecisionBook(
            self._clock,
            keep=settings.keep,
            memory=settings.memory,
            allowed_too=settings.log_allowed,
            apps=len(config.spaces()),
            sink=None if decision_log is None else lambda entry: decision_log.write(decision_entry(entry, redaction)),
        )

    def _note_rules(self) -> None:
        self._metrics.rules_info.clear()
        for space in self._spaces.values():
            self._metrics.rules_info.labels(space.rules.version).set(1)


async def serve(router: Router, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
    """Run ``router`` as what this process is for.

    SIGTERM and SIGINT drain it (again: at once), SIGHUP reloads it, SIGUSR2 leaves its place to a new process of the same command. What the process has loaded so far is out of
    the garbage collector's sight from then on.
    """
    ebb.keep()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_signals, router, nursery)
        address: Address = await nursery.start(router.run)
        notify("READY=1", f"MAINPID={os.getpid()}")
        task_status.started(address)
        await router.ended.wait()
        nursery.cancel_scope.cancel()


async def _obey_signals(router: Router, nursery: trio.Nursery) -> None:
    asked = False
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
    with trio.open_signal_receiver(*numbers) as signals:
        async for number in signals:
            if number == signal.SIGUSR2:
                nursery.start_soon(_hand_over, router)
            elif number == signal.SIGHUP:
                try:
                    await router.reload()
                except Exception:  # noqa: BLE001, S112 - it is logged by reload, and the old state goes on
                    continue
            elif asked:
                nursery.cancel_scope.cancel()
            else:
                asked = True
                notify("STOPPING=1")
                router.stop()


async def _hand_over(router: Router) -> None:
    try:
        await router.hand_over()
    except HandoverFailed as error:
        log.get("router").error("handover_failed", problem=str(error))
