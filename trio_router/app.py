"""The composition root: a config becomes objects, the objects become one nursery tree.

Nothing else knows all parts. What is built here once lives as long as the process; what a reload may replace (rules,
login chain, limits, what the listener lets in) is put into the running objects in one step without waiting, so that every
connection, login and decision sees the old whole or the new whole (T69).

The rule that keeps it honest: everything that can fail, fails before anything listens, or before anything is swapped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, aclosing
from functools import partial
from typing import Final, Self

import attrs
import trio

from trio_router import __version__, ebb, log, remembered
from trio_router.access import Access
from trio_router.administration import Administration
from trio_router.apps import AppRules, Shared
from trio_router.audit.entries import decision_entry
from trio_router.audit.writer import DecisionLog
from trio_router.auth.outbound import HttpOutbound
from trio_router.clock import Clock, SystemClock
from trio_router.config.check import unsafe
from trio_router.config.reload import ReloadPlan, plan_reload
from trio_router.config.schema import Config
from trio_router.entrance import Entrance
from trio_router.errors import ProblemsError
from trio_router.handover import HandoverFailed, Successor, wait_for_go
from trio_router.http.operations import Health, ReloadResult
from trio_router.http.public import public_app
from trio_router.http.serve import REQUEST_TIMEOUT, HttpServer
from trio_router.inheritance import Inheritance, Place
from trio_router.listening import paths_of, policy_of
from trio_router.made_apps import MadeApps
from trio_router.metrics import Metrics
from trio_router.permissions.redaction import Redaction
from trio_router.protocols import codes
from trio_router.routing.decisions import DecisionBook
from trio_router.served import Served
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
        self._access = Access(config, self._clock, keys=self._stores.keys, store=self._stores.revocations)

        rules = AppRules.read_all(config, self._clock, self._records)
        redaction = Redaction.of(config.decisions.redact)
        self._decision_log = self._make_decision_log(config)
        book = self._make_book(config, redaction)
        self._timers = TrioTimers(log.get("timers"))
        self._lane = Lane(self._timers) if config.listen.fast_lane else None
        self._admission = Admission(config.limits)
        self._ebb = ebb.Ebb(lambda: self._admission.total, self._forget, log.get("memory"))
        self._entrance = Entrance(config, self._inherited)
        shared = Shared(
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
        self._served = Served(config, rules, shared, lambda: self._entrance.policy.origins)
        self._overload = Overload(config.limits, self._metrics, log.get("overload"), self._served.shed)
        self._made_apps = MadeApps(
            self._stores.apps,
            self._clock,
            config=lambda: self._config,
            serve=self._serve_made,
            interval=config.storage.poll_interval,
            log=log.get("apps"),
        )
        self._administration = Administration(self._served.spaces, book, redaction)
        timeout = REQUEST_TIMEOUT if config.http_api is None else config.http_api.request_timeout + READING
        self._public = HttpServer(
            public_app(self, self._access.rest, self._served.api),
            config.limits,
            request_timeout=max(REQUEST_TIMEOUT, timeout),
        )
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
            await self._served.prepare()
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
                await self._entrance.open()
                if self._inherited.channel is not None:  # two of them never write one decision log
                    await wait_for_go(self._inherited.channel)
                    self._open_decision_log()
                address = await self._listen(nursery)
                self._log.info(
                    "listening", url=address.url, admin=address.admin, rules=self._served.first.rules.version
                )
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
        places: Mapping[str, Place] = {}
        self._handing_over = True
        try:
            places = self._entrance.places()
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

    async def _listen(self, nursery: trio.Nursery) -> Address:
        config, admin = self._config, None
        if config.admin is not None:
            application = self._administration.application(
                self, self._metrics, config.admin, self._access, self._made_apps, self._clock
            )
            admin = await self._entrance.let_in_administrators(nursery, HttpServer(application, config.limits))
        make = partial(
            Listener,
            admission=self._admission,
            serve=self._served.session,
            http=self._public.serve,
            metrics=self._metrics,
            log=log.get("listener"),
            lane=self._lane,
            turns_away=lambda: self._overload.turns_away,
            full=self._served.full,
        )
        return Address(await self._entrance.let_in(nursery, make), admin)

    def _forget(self) -> None:
        """Let go of what is only remembered: a crowd has left."""
        remembered.forget()
        self._timers.tidy()
        self._served.forget()

    async def _drain(self) -> None:
        self._draining = True
        self._log.info("draining", sessions=sum(space.sessions.sessions for space in self._served.spaces.values()))
        self._entrance.stop()
        await self._public.drain()
        patience = LATE
        if self._successor is not None:
            patience = self._config.limits.request_head_timeout
            await self._leave_to(self._successor)
        async with trio.open_nursery() as nursery:
            for space in self._served.spaces.values():
                nursery.start_soon(space.sessions.drain)
            nursery.start_soon(self._public.finish, self._config.limits.drain_timeout)
        await self._entrance.finish(patience)  # connections that were accepted last are sent away too, not cut

    async def _leave_to(self, successor: Successor) -> None:
        """What is routed here ends in one step; then it is the next router's turn (see ``handover``)."""
        self._entrance.dismiss_administrators()
        await self._public.finish(REQUESTS)
        for space in self._served.spaces.values():
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
            rules_version=self._served.first.rules.version,
            uptime=round(self._clock.monotonic() - self._started, 3),
            connections=self._admission.total,
            sessions=sum(len(space.core.sessions) for space in self._served.spaces.values()),
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
        config, served = plan.effective, self._served
        policy = policy_of(config)
        kept = {space.name: served.spaces[space.name] for space in config.spaces()}
        ready = {
            space.name: await kept[space.name].ready(space, rules[space.name], config.login_deadline, config.trust)
            for space in config.spaces()
        }
        findings = self._judged(config, rules)
        with ExitStack() as stack:
            reconsidered = {}
            for name, space in kept.items():
                reconsidered[name] = stack.enter_context(space.core.reconsidering(rules[name].rules))
                await space.reconsider(reconsidered[name])
            # From here to the end nothing waits and nothing can fail: one step for everybody else.
            self._config, self._unsafe = config, findings
            self._admission.limits = self._overload.limits = config.limits
            self._access.trust_lifetime = config.trust.max_lifetime
            self._entrance.policy = policy
            ended = sum(space.adopt(ready[name], reconsidered[name]) for name, space in kept.items())
            for name in [name for name in served.spaces if name not in kept]:
                served.close(name)
            served.follow(config, rules)
            self._administration.refresh()
        with trio.CancelScope(shield=True):  # whoever asked for the reload may be gone: it has happened, and is told
            for space in kept.values():
                await space.tell_losses()
        if "log" in plan.changed_live:
            log.configure(config.log.level, config.log.format)
        self._log.info(
            "reloaded",
            rules=self._served.first.rules.version,
            changed=list(plan.changed_live),
            needs_restart=list(plan.needs_restart),
            rights_ended=ended,
        )
        for finding in findings:
            self._log.warning("unsafe", finding=finding)
        return ReloadResult(self._served.first.rules.version, plan.changed_live, plan.needs_restart)

    def _read(self) -> tuple[ReloadPlan, dict[str, AppRules]]:
        """What a reload will put in force; blocks. Raises ``ProblemsError``."""
        before = self._config.of_file()
        plan = plan_reload(before, self._reread() if self._reread else before)
        plan = attrs.evolve(plan, effective=self._served.with_made(plan.effective))
        return plan, AppRules.read_all(plan.effective, self._clock, self._records)

    def _judged(self, config: Config, rules: Mapping[str, AppRules]) -> tuple[str, ...]:
        """What is unsafe, for administrators."""
        known = {name: both.rules for name, both in rules.items()}
        return tuple(str(problem) for problem in unsafe(config.of_file(), known))

    async def _serve_made(self, apps: Sequence[AppRecord]) -> dict[str, ProblemsError]:
        """Serve these and no other app that is not in the file; gives those that cannot be served, and why."""
        async with self._reloading:
            self._config, failed = await self._served.serve(apps, self._config)
            self._entrance.policy = attrs.evolve(self._entrance.policy, paths=paths_of(self._config))
            self._administration.refresh()
            return failed

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
