"""The composition root: a config becomes objects, the objects become one nursery tree.

Nothing else knows all parts. What is built here once lives as long as the process; what a reload may replace (rules,
login chain, limits, what the listener lets in) is put into the running objects in one step without waiting, so that every
connection, login and decision sees the old whole or the new whole (T69).

The rule that keeps it honest: everything that can fail, fails before anything listens, or before anything is swapped.
"""

from __future__ import annotations

import gc
import signal
import ssl
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final, Self

import attrs
import trio

from trio_router import __version__, log
from trio_router.access import Access
from trio_router.audit.entries import decision_entry
from trio_router.audit.writer import DecisionLog
from trio_router.auth import registry
from trio_router.auth.accounts import Accounts
from trio_router.auth.chain import Chain
from trio_router.auth.outbound import HttpOutbound
from trio_router.auth.passwords import PasswordHasher
from trio_router.auth.services import Services
from trio_router.auth.strategy import Prepares, Strategy
from trio_router.clock import Clock, SystemClock
from trio_router.config.check import read_rules, read_shadow_rules, unsafe
from trio_router.config.reload import plan_reload
from trio_router.config.schema import APP, Config, LoginStep, Tls
from trio_router.errors import ConfigError, Problem, ProblemsError, StorageUnavailable
from trio_router.http.admin import admin_app
from trio_router.http.listener import serve_admin
from trio_router.http.operations import Health, ReloadResult
from trio_router.http.public import public_app
from trio_router.http.revocations import revocation_routes
from trio_router.http.rules import rule_routes
from trio_router.http.serve import HttpServer
from trio_router.metrics import Metrics
from trio_router.permissions.decision import Ruleset
from trio_router.permissions.records import MAX_ROUNDS
from trio_router.permissions.redaction import Redaction
from trio_router.protocols import codes
from trio_router.routing.core import Core
from trio_router.routing.decisions import DecisionBook
from trio_router.routing.door import Door
from trio_router.routing.shadow import Shadow
from trio_router.routing.standing import Reconsideration
from trio_router.routing.tracing import Tracer
from trio_router.session.connection import RECORDS_TIMEOUT
from trio_router.session.server import SessionServer
from trio_router.session.timers import TrioTimers
from trio_router.storage.keys import KeyStore
from trio_router.storage.memorykeys import MemoryRevocationStore
from trio_router.storage.opening import open_key_store, open_revocation_store, open_user_store
from trio_router.storage.records import MemoryRecords, RecordStore
from trio_router.storage.revocations import RevocationStore
from trio_router.storage.users import UserStore
from trio_router.transport.addresses import TrustedProxies
from trio_router.transport.admission import Admission
from trio_router.transport.listener import Listener, Policy
from trio_router.transport.origin import OriginPolicy

CLOSE_TIMEOUT: Final = 5.0
"""Seconds the stores and the outbound client have to let go at the end."""

STORING: Final = frozenset({"access", "key", "users"})
"""Strategies that need the database; a router without one of these and without REST forgets revocations at its end."""

RIGHTS_AT_ONCE: Final = 1_000
"""How many standing rights a reload decides again before it lets others go on: a few milliseconds of work."""

Reread = Callable[[], Config]


@attrs.frozen
class Address:
    """Where a running router can be reached. ``admin`` is None without an administration listener."""

    url: str
    admin: str | None = None


class Router:
    """One router. :meth:`run` is its life; the other methods may be called meanwhile, from the same Trio run.

    ``reread`` gives the config anew for a reload (None: the rules file and everything the config names are read again,
    the config itself stays). ``records`` are what rules read by ``_()`` and as ``oldData``.

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
    ) -> None:
        self._config = config
        self._reread = reread
        self._clock = clock or SystemClock()
        self._started = self._clock.monotonic()
        self._log = log.get("router")
        self._metrics = Metrics()
        self._store: UserStore | None = None
        self._records = records or MemoryRecords()
        self._outbound = HttpOutbound()
        self._reloading = trio.Lock()
        self._stopping = trio.Event()
        self._draining = False
        self._listeners: tuple[Listener, ...] = ()
        self._keys: KeyStore | None = None
        self._revocations: RevocationStore | None = None
        self._access = Access(config, self._clock, keys=self._key_store, store=self._revocation_store)
        self._public = HttpServer(public_app(self, self._access.rest), config.limits)

        rules = read_rules(config, self._clock, self._records)
        limits = config.limits
        redaction = Redaction.of(config.decisions.redact)
        self._decision_log = self._make_decision_log(config)
        book = self._make_book(config, redaction)
        self._door = Door(rules, self._metrics, book)
        self._tracer = Tracer(APP, self._door, book, redaction)
        self._timers = TrioTimers(log.get("timers"))
        self._door.replace_shadow(self._shadow(read_shadow_rules(config, self._clock, self._records)))
        self._core = Core(APP, self._door, self._timers, limits, self._metrics)
        self._access.add(self._core)
        self._admission = Admission(limits)
        self._policy = _policy(config)
        self._strategies = self._build_strategies(config)
        self._sessions = SessionServer(
            app=APP,
            core=self._core,
            chain=self._chain(self._strategies, config),
            limits=limits,
            metrics=self._metrics,
            clock=self._clock,
            timers=self._timers,
            log=log.get("session"),
            records=self._records,
            revoked=self._access.revoked,
        )
        self._note_rules(rules)
        self._unsafe = tuple(str(problem) for problem in unsafe(config, {APP: rules}))

    @classmethod
    def load(cls, reread: Reread, *, clock: Clock | None = None) -> Self:
        """A router of the config that ``reread`` gives, now and at each reload. Raises ``ProblemsError``."""
        return cls(reread(), reread=reread, clock=clock)

    # ---- its life ---------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until :meth:`stop`; then send everybody away in good order and return.

        ``task_status`` is told the addresses once clients can connect.

        Raises:
            ProblemsError: a strategy could not be made ready, or an address cannot be bound.
        """
        async with aclosing(self):
            await _prepare(self._strategies)
            for finding in self._unsafe:
                self._log.warning("unsafe", finding=finding)
            if self._decision_log is not None:
                self._decision_log.open()
                self._decision_log.start()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._timers.run)
                await nursery.start(self._access.load)
                address = await self._listen(nursery)
                self._log.info("listening", url=address.url, admin=address.admin, rules=self._door.rules.version)
                task_status.started(address)
                await self._stopping.wait()
                await self._drain()
                nursery.cancel_scope.cancel()
            self._log.info("stopped")

    def stop(self) -> None:
        """Begin the drain that ends :meth:`run`. Harmless when it has begun."""
        self._stopping.set()

    async def aclose(self) -> None:
        """Let go of stores and connections; :meth:`run` does it at its end."""
        with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._outbound.aclose()
            for store in (self._store, self._keys, self._revocations):
                if store is not None:
                    await store.aclose()
        if self._decision_log is not None:
            with trio.CancelScope(shield=True):  # bounded by its own timeout
                await trio.to_thread.run_sync(self._decision_log.close, CLOSE_TIMEOUT)

    async def _listen(self, nursery: trio.Nursery) -> Address:
        listen = self._config.listen
        sockets = await _open(listen.host, listen.port, listen.backlog, "listen")
        self._listeners = tuple(
            Listener(
                socket,
                policy=self._policy,
                admission=self._admission,
                serve=self._sessions.serve,
                http=self._public.serve,
                metrics=self._metrics,
                log=log.get("listener"),
            )
            for socket in sockets
        )
        admin = await self._listen_for_administrators(nursery)
        for listener in self._listeners:
            await nursery.start(listener.run)
        scheme = "wss" if listen.tls else "ws"
        return Address(f"{scheme}://{_authority(listen.host, _port(sockets[0]))}{listen.path}", admin)

    async def _listen_for_administrators(self, nursery: trio.Nursery) -> str | None:
        admin = self._config.admin
        if admin is None:
            return None
        store = self._users() if any(step.strategy == "users" for step in self._config.login) else None
        accounts = Accounts(store, APP, PasswordHasher(), self._clock, on_locked_out=self._lock_out) if store else None
        metrics = self._metrics if admin.metrics else None
        questions = rule_routes(self._core, self._clock)
        application = admin_app(
            self,
            metrics,
            token=admin.token,
            users=accounts,
            decisions=self._tracer,
            questions=[*questions, *revocation_routes(self._access.revocations)],
        )
        server = HttpServer(application, self._config.limits)
        try:
            port = await nursery.start(serve_admin, server, admin.host, admin.port)
        except OSError as error:
            raise _cannot_bind("admin", admin.host, admin.port, error) from None
        return f"http://{_authority(admin.host, port)}"

    async def _drain(self) -> None:
        self._draining = True
        self._log.info("draining", sessions=self._sessions.sessions)
        for listener in self._listeners:
            listener.stop()
        await self._public.drain()
        await self._sessions.drain()

    # ---- operation --------------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether it takes no new connections any more."""
        return self._draining

    def health(self) -> Health:
        """Its state now, for administrators."""
        return Health(
            version=__version__,
            rules_version=self._door.rules.version,
            uptime=round(self._clock.monotonic() - self._started, 3),
            connections=self._admission.total,
            sessions=len(self._core.sessions),
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
        new, rules, shadow = await trio.to_thread.run_sync(self._read)
        plan = plan_reload(self._config, new)
        config = plan.effective
        policy = _policy(config)
        strategies = self._build_strategies(config, tuple(zip(self._config.login, self._strategies, strict=True)))
        await _prepare(strategies)
        findings = tuple(str(problem) for problem in unsafe(config, {APP: rules}))
        with self._core.reconsidering(rules) as reconsideration:
            await self._reconsider(reconsideration)
            # From here to the end nothing waits and nothing can fail: one step for everybody else.
            self._config, self._strategies, self._unsafe = config, strategies, findings
            self._door.replace_shadow(self._shadow(shadow))
            self._core.replace_limits(config.limits)
            self._admission.limits = config.limits
            self._sessions.limits = config.limits
            self._sessions.chain = self._chain(strategies, config)
            self._policy = policy
            for listener in self._listeners:
                listener.policy = policy
            self._note_rules(rules)
            ended = self._core.adopt(reconsideration)
        if "log" in plan.changed_live:
            log.configure(config.log.level, config.log.format)
        self._log.info(
            "reloaded",
            rules=rules.version,
            changed=list(plan.changed_live),
            needs_restart=list(plan.needs_restart),
            rights_ended=ended,
        )
        for finding in findings:
            self._log.warning("unsafe", finding=finding)
        return ReloadResult(rules.version, plan.changed_live, plan.needs_restart)

    async def _reconsider(self, reconsideration: Reconsideration) -> None:
        """Make the decisions, with the records that they need; where these cannot be had, the right ends."""
        for _ in range(MAX_ROUNDS):
            while reconsideration.advance(RIGHTS_AT_ONCE):
                await trio.lowlevel.checkpoint()
            missing = reconsideration.missing()
            if not missing:
                return
            with trio.move_on_after(RECORDS_TIMEOUT), suppress(StorageUnavailable):
                await self._records.load(missing)

    def _read(self) -> tuple[Config, Ruleset, Ruleset | None]:
        config = self._reread() if self._reread else self._config
        return (
            config,
            read_rules(config, self._clock, self._records),
            read_shadow_rules(config, self._clock, self._records),
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
            sink=None if decision_log is None else lambda entry: decision_log.write(decision_entry(entry, redaction)),
        )

    # ---- parts ------------------------------------------------------------------------------------------------

    def _users(self) -> UserStore:
        if self._store is None:
            self._store = open_user_store(self._config.storage.url, self._config.base)
        return self._store

    def _key_store(self) -> KeyStore:
        if self._keys is None:
            storage = self._config.storage
            self._keys = open_key_store(storage.url, self._config.base, storage.encryption_key)
        return self._keys

    def _revocation_store(self) -> RevocationStore:
        if self._revocations is None:
            config = self._config
            stored = config.rest is not None or any(step.strategy in STORING for step in config.login)
            self._revocations = (
                open_revocation_store(config.storage.url, config.base) if stored else MemoryRevocationStore()
            )
        return self._revocations

    def _build_strategies(
        self, config: Config, running: Sequence[tuple[LoginStep, Strategy]] = ()
    ) -> tuple[Strategy, ...]:
        """One strategy for each step of ``login``, taken from ``running`` where that one outlives a reload."""
        services = Services(
            app=APP,
            clock=self._clock,
            outbound=self._outbound,
            users=self._users,
            keys=self._key_store,
            base=config.base,
            log=log.get("auth"),
            metrics=self._metrics,
        )
        left = list(running)
        strategies = []
        for step in config.login:
            kind = registry.load(step.strategy)
            same = next((pair for pair in left if pair[0] == step), None)
            if same is not None and registry.outlives_reload(kind, step.options):
                left.remove(same)
                strategies.append(same[1])
            else:
                strategies.append(kind.build(step.options, services))
        return tuple(strategies)

    def _chain(self, strategies: tuple[Strategy, ...], config: Config) -> Chain:
        return Chain(strategies, config.login_deadline, self._metrics, log.get("auth"), self._access.veto(APP))

    def _lock_out(self, user_id: str) -> None:
        """A built-in user was disabled or removed: the sessions he has are over, others of that id are not his."""
        for session in tuple(self._core.sessions.values()):
            who = session.identity
            if who.user.id == user_id and who.strategy.partition("-")[0] == "users":
                session.peer.close(codes.REVOKED)

    def _shadow(self, rules: Ruleset | None) -> Shadow | None:
        return None if rules is None else Shadow(rules, self._metrics, self._clock, log.get("shadow").info)

    def _note_rules(self, rules: Ruleset) -> None:
        self._metrics.rules_info.clear()
        self._metrics.rules_info.labels(rules.version).set(1)


async def serve(router: Router, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
    """Run ``router`` as what this process is for.

    SIGTERM and SIGINT drain it (again: at once), SIGHUP reloads it. What the process has loaded so far is taken out of
    the garbage collector's sight: looking through it again stops the loop for some 80 ms at each full collection.
    """
    gc.collect()
    gc.freeze()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_signals, router, nursery.cancel_scope)
        await router.run(task_status=task_status)
        nursery.cancel_scope.cancel()


async def _obey_signals(router: Router, at_once: trio.CancelScope) -> None:
    asked = False
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP:
                try:
                    await router.reload()
                except Exception:  # noqa: BLE001, S112 - it is logged by reload, and the old state goes on
                    continue
            elif asked:
                at_once.cancel()
            else:
                asked = True
                router.stop()


async def _prepare(strategies: tuple[Strategy, ...]) -> None:
    """What is wrong with the files stops a start or a reload; a store that is away does not: logins say unavailable."""
    for strategy in strategies:
        if isinstance(strategy, Prepares):
            try:
                await strategy.prepare()
            except StorageUnavailable as error:
                log.get("router").error("storage_unavailable", strategy=strategy.name, problem=str(error))


async def _open(host: str, port: int, backlog: int, section: str) -> list[trio.SocketListener]:
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    except OSError as error:
        raise _cannot_bind(section, host, port, error) from None
    if port == 0:  # every address of the host would get a port of its own
        for extra in listeners[1:]:
            await extra.aclose()
        del listeners[1:]
    return listeners


def _cannot_bind(section: str, host: str, port: int, error: OSError) -> ConfigError:
    return ConfigError(Problem(f"cannot listen on {_authority(host, port)}: {error.strerror or error}", field=section))


def _policy(config: Config) -> Policy:
    listen = config.listen
    return Policy(
        origins=OriginPolicy(listen.origins, require=listen.require_origin),
        proxies=TrustedProxies(listen.trusted_proxies),
        paths=frozenset({listen.path}),
        limits=config.limits,
        tls=_tls(listen.tls) if listen.tls else None,
    )


def _tls(files: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        message = f"certificate and key cannot be used: {error.strerror or 'not a pair in PEM'}"
        raise ConfigError(Problem(message, str(files.certificate), field="listen.tls")) from None
    return context


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _port(listener: trio.SocketListener) -> int:
    port: int = listener.socket.getsockname()[1]
    return port
