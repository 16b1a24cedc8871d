"""One app of a router: its rules, sessions, logins and keys, which meet those of no other app anywhere (T66).

Owns everything that exists once per app and how it changes at a reload. What all apps share (time, metrics, stores, the
way out) is lent to it as ``Shared``; it knows neither listeners nor the other apps. The rule that keeps it honest:
:meth:`AppSpace.ready` may fail and changes nothing; :meth:`AppSpace.adopt` changes everything and cannot fail (T69).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import trio

from trio_router import log
from trio_router.access import Access
from trio_router.auth import registry
from trio_router.auth.accounts import Accounts
from trio_router.auth.chain import Chain
from trio_router.auth.keys import Keys
from trio_router.auth.outbound import HttpOutbound
from trio_router.auth.passwords import PasswordHasher
from trio_router.auth.services import Services
from trio_router.auth.strategy import Prepares, Strategy
from trio_router.clock import Clock
from trio_router.config.check import read_rules, read_shadow_rules
from trio_router.config.schema import Config, HttpApi, LoginStep, Space, TrustSection
from trio_router.errors import StorageUnavailable
from trio_router.http.api import ApiApp
from trio_router.metrics import Metrics
from trio_router.permissions.decision import Ruleset
from trio_router.permissions.records import MAX_ROUNDS
from trio_router.protocols import codes
from trio_router.routing.core import Core
from trio_router.routing.decisions import DecisionBook
from trio_router.routing.door import Door
from trio_router.routing.session import Session
from trio_router.routing.shadow import Shadow
from trio_router.routing.standing import Reconsideration
from trio_router.routing.trust import TrustDesk
from trio_router.secret import Secret
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.deepstream.protocol import WIRES, DeepstreamProtocol
from trio_router.session.expiry import Expiry
from trio_router.session.loading import RECORDS_TIMEOUT
from trio_router.session.native import NativeProtocol
from trio_router.session.protocol import NATIVE, SessionProtocol
from trio_router.session.server import SessionServer
from trio_router.session.timers import TrioTimers
from trio_router.storage.keys import KeyRecord, KeyStore
from trio_router.storage.records import RecordStore
from trio_router.stores import Stores
from trio_router.tokens.trust import TrustVerifier

RIGHTS_AT_ONCE: Final = 1_000
"""How many standing rights a reload decides again before it lets others go on: a few milliseconds of work."""

BY_KEY: Final = frozenset({"key", "access"})
"""Strategies that need app keys."""


@attrs.frozen
class Shared:
    """What the apps of one router share. Nothing in here tells one app about another."""

    clock: Clock
    metrics: Metrics
    timers: TrioTimers
    records: RecordStore
    outbound: HttpOutbound
    stores: Stores
    book: DecisionBook
    access: Access
    base: Path
    login_deadline: float
    trust: TrustSection
    deepstream: DeepstreamOptions | None = None


@attrs.frozen
class AppRules:
    """The compiled rules of one app."""

    rules: Ruleset
    shadow: Ruleset | None

    @classmethod
    def read(cls, space: Space, clock: Clock, records: RecordStore) -> AppRules:
        """Those that ``space`` names, compiled; blocks. Raises ``ProblemsError``."""
        return cls(read_rules(space, clock, records), read_shadow_rules(space, clock, records))

    @classmethod
    def read_all(cls, config: Config, clock: Clock, records: RecordStore) -> dict[str, AppRules]:
        """Those of each app, and of apps to come; apps with the same files share them. Blocks. Raises ``ProblemsError``."""
        read: dict[tuple[Path, Path | None], AppRules] = {}
        found = {}
        for space in (*config.spaces(), *config.pattern()):
            files = (space.rules, space.shadow_rules)
            if files not in read:
                read[files] = cls.read(space, clock, records)
            found[space.name] = read[files]
        return found


@attrs.frozen
class Ready:
    """What an app will be after a reload: made, and not yet in force."""

    space: Space
    rules: AppRules
    strategies: tuple[Strategy, ...]
    login_deadline: float
    trust: TrustSection


class AppSpace:
    """One app. Raises ``ProblemsError`` where its config is refused."""

    def __init__(self, space: Space, rules: AppRules, shared: Shared) -> None:
        self._space = space
        self._shared = shared
        self.door = Door(rules.rules, shared.metrics, shared.book)
        self.door.replace_shadow(self._shadow(rules.shadow))
        self._desk = TrustDesk(
            self._verifier(shared.trust), Expiry(shared.timers, shared.clock), revoked=shared.access.trust_revoked
        )
        self.core = Core(
            space.name, self.door, shared.timers, space.limits, shared.metrics, trust=self._desk, clock=shared.clock
        )
        if shared.deepstream is not None:
            self.core.replace_listen_options(shared.deepstream.listening)
        shared.access.add(self.core)
        self._strategies = self._build_strategies(space)
        self.sessions = SessionServer(
            app=space.name,
            core=self.core,
            chain=self._chain(self._strategies, shared.login_deadline),
            limits=space.limits,
            metrics=shared.metrics,
            clock=shared.clock,
            timers=shared.timers,
            log=log.get("session"),
            revoked=shared.access.revoked,
            records=shared.records,
            protocols=_protocols(shared.deepstream),
        )

    @property
    def name(self) -> str:
        return self._space.name

    @property
    def path(self) -> str:
        """Where its clients connect."""
        return self._space.path

    @property
    def rules(self) -> Ruleset:
        """The rules in force."""
        return self.door.rules

    @property
    def uses_keys(self) -> bool:
        """Whether anybody can log in by an app key."""
        return any(step.strategy in BY_KEY for step in self._space.login)

    async def prepare(self) -> None:
        """Make its strategies ready. Raises ``ProblemsError``."""
        await _prepare(self._strategies)

    def forget(self) -> None:
        """Let go of what is remembered of names to be quicker; nothing else changes."""
        self.door.forget()
        self.core.events.forget()

    def close(self) -> None:
        """The app is not served any more: its sessions end, nobody reaches it, and nothing of it is remembered."""
        self.sessions.dismiss()
        self._shared.access.remove(self.name)
        self._shared.stores.forget(self.name)

    def http_api(self, section: HttpApi) -> ApiApp:
        """What the HTTP API needs of it."""
        shared = self._shared
        path, auth_path = section.paths(self._space)
        return ApiApp(path, auth_path, self.core, self.sessions, shared.access.revoked, shared.records)

    # ---- administration ---------------------------------------------------------------------------------------

    def accounts(self) -> Accounts | None:
        """Its built-in users; None without the strategy ``users``."""
        if all(step.strategy != "users" for step in self._space.login):
            return None
        store, clock = self._shared.stores.users(), self._shared.clock
        return Accounts(store, self.name, PasswordHasher(), clock, on_locked_out=self._lock_out)

    def keys(self) -> Keys | None:
        """Its app keys; None where nobody can log in by one."""
        if not self.uses_keys:
            return None
        return Keys(self._shared.stores.keys(), self.name, self._shared.clock)

    def _lock_out(self, user_id: str) -> None:
        """A built-in user was disabled or removed: the sessions he has are over, others of that id are not his."""
        for session in self._those_who(
            lambda session: (
                session.identity.user.id == user_id and session.identity.strategy.partition("-")[0] == "users"
            )
        ):
            self.core.end(session, codes.REVOKED)

    def _key_changed(self, key_id: str, key: KeyRecord | None) -> None:
        """A key was disabled or removed: the sessions it opened are over. Or its grants changed: theirs change with it."""
        for session in self._those_who(lambda session: session.identity.key == key_id):
            if key is None:
                self.core.end(session, codes.REVOKED)
            else:
                self.core.replace_identity(session, attrs.evolve(session.identity, grants=key.grants))

    # ---- reload -----------------------------------------------------------------------------------------------

    async def ready(self, space: Space, rules: AppRules, login_deadline: float, trust: TrustSection) -> Ready:
        """Make everything that ``space`` will need. Raises ``ProblemsError``; nothing has changed then."""
        strategies = self._build_strategies(space, tuple(zip(self._space.login, self._strategies, strict=True)))
        await _prepare(strategies)
        return Ready(space, rules, strategies, login_deadline, trust)

    async def reconsider(self, reconsideration: Reconsideration) -> None:
        """Make its decisions, with the records that they need; where these cannot be had, the right ends."""
        for _ in range(MAX_ROUNDS):
            while reconsideration.advance(RIGHTS_AT_ONCE):
                await trio.lowlevel.checkpoint()
            missing = reconsideration.missing()
            if not missing:
                return
            with trio.move_on_after(RECORDS_TIMEOUT), suppress(StorageUnavailable):
                await self._shared.records.load(missing)

    def adopt(self, ready: Ready, reconsideration: Reconsideration) -> int:
        """Put it in force in one step; returns how many standing rights ended, of which :meth:`tell_losses` tells."""
        self._space, self._strategies = ready.space, ready.strategies
        self.door.replace_shadow(self._shadow(ready.rules.shadow))
        self._desk.verifier = self._verifier(ready.trust)
        self.core.replace_limits(ready.space.limits)
        self.sessions.limits = ready.space.limits
        self.sessions.chain = self._chain(ready.strategies, ready.login_deadline)
        return self.core.adopt(reconsideration)

    async def tell_losses(self) -> None:
        """Tell everybody what :meth:`adopt` took from them; others are served in between."""
        while self.core.tell_losses(RIGHTS_AT_ONCE):
            await trio.lowlevel.checkpoint()

    # ---- parts ------------------------------------------------------------------------------------------------

    def _those_who(self, judge: Callable[[Session], bool]) -> list[Session]:
        return [session for session in self.core.sessions.values() if judge(session)]

    def _build_strategies(
        self, space: Space, running: Sequence[tuple[LoginStep, Strategy]] = ()
    ) -> tuple[Strategy, ...]:
        """One strategy for each step of ``login``, taken from ``running`` where that one outlives a reload."""
        shared = self._shared
        services = Services(
            app=space.name,
            clock=shared.clock,
            outbound=shared.outbound,
            users=shared.stores.users,
            base=shared.base,
            log=log.get("auth"),
            metrics=shared.metrics,
            keys=self._keys,
        )
        left = list(running)
        strategies = []
        for step in space.login:
            kind = registry.load(step.strategy)
            same = next((pair for pair in left if pair[0] == step), None)
            if same is not None and registry.outlives_reload(kind, step.options):
                left.remove(same)
                strategies.append(same[1])
            else:
                strategies.append(kind.build(step.options, services))
        return tuple(strategies)

    def _keys(self) -> KeyStore:
        ring = self._shared.stores.keys()
        ring.listen(self.name, self._key_changed)
        return ring

    def _secrets(self, key_id: str) -> tuple[Secret, ...]:
        return self._shared.stores.keys().secrets(self.name, key_id)

    def _verifier(self, trust: TrustSection) -> TrustVerifier:
        return TrustVerifier(self._secrets, self._shared.clock, max_lifetime=trust.max_lifetime, leeway=trust.leeway)

    def _chain(self, strategies: tuple[Strategy, ...], deadline: float) -> Chain:
        shared = self._shared
        return Chain(
            strategies, deadline, shared.metrics, log.get("auth"), shared.access.veto(self.name), self.core.rates
        )

    def _shadow(self, rules: Ruleset | None) -> Shadow | None:
        if rules is None:
            return None
        return Shadow(rules, self._shared.metrics, self._shared.clock, log.get("shadow").info)


def _protocols(deepstream: DeepstreamOptions | None) -> dict[str, SessionProtocol]:
    """What its clients may speak."""
    protocols: dict[str, SessionProtocol] = {NATIVE: NativeProtocol()}
    if deepstream is not None:
        protocols |= {name: DeepstreamProtocol(name, deepstream) for name in WIRES}
    return protocols


async def _prepare(strategies: tuple[Strategy, ...]) -> None:
    """What is wrong with the files stops a start or a reload; a store that is away does not: logins say unavailable."""
    for strategy in strategies:
        if isinstance(strategy, Prepares):
            try:
                await strategy.prepare()
            except StorageUnavailable as error:
                log.get("router").error("storage_unavailable", strategy=strategy.name, problem=str(error))
