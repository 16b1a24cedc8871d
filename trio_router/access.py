"""The composition of everything about access tokens and revocations: one object the composition root holds.

It joins keys, the verifier, the door of each app and the two HTTP sides, and is what ends sessions and what trust-tokens
opened when something they depend on is revoked. It decides nothing itself. The rule that keeps it honest: until it is known
what was revoked before this process began, nobody is let in (T52); from then on, what another router on the same database
revokes is in force here within ``storage.poll_interval``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from trio_router import log
from trio_router.auth.access_tokens import AccessTokens
from trio_router.auth.chain import Veto
from trio_router.auth.revocation import Credential, reaches
from trio_router.auth.revocations import Ended, Revocations
from trio_router.auth.strategy import Accepted, Denied, Unavailable
from trio_router.clock import Clock
from trio_router.config.schema import Config, Listen
from trio_router.errors import StorageUnavailable
from trio_router.http.callers import Callers, RestApp
from trio_router.http.rest import Rest
from trio_router.identity import Identity
from trio_router.protocols import codes
from trio_router.routing.core import Core
from trio_router.storage.keys import KeyStore
from trio_router.storage.revocations import Revocation, RevocationStore
from trio_router.tokens.trust import Trust

LOAD_PAUSE: Final = 2.0
"""Seconds between two attempts to read what was revoked before this process began."""

FORGET_EVERY: Final = 3_600.0
"""Seconds between two times that the store forgets what has ended."""

_log = log.get("access")


class Access:
    """Access tokens and revocations of one router."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        keys: Callable[[], KeyStore],
        store: Callable[[], RevocationStore],
    ) -> None:
        self._clock = clock
        self._keys = keys
        self._interval = config.storage.poll_interval
        self.trust_lifetime = config.trust.max_lifetime
        """Seconds a trust-token may be good for now."""
        self._apps: dict[str, RestApp] = {}
        self.revocations = Revocations(store, clock)
        self.rest: Rest | None = None
        if config.rest is not None:
            callers = Callers(self._apps.get, self.revocations, clock, plain_basic=config.rest.plain_basic)
            issuer = f"{(config.rest.url or _base(config.listen)).rstrip('/')}/v1/keys/tokens"
            self.rest = Rest(callers, self.revocations, issuer, clock.wall, lambda: self.trust_lifetime)

    def add(self, core: Core) -> None:
        """Let the app of ``core`` be reached over REST, and its sessions by revocations."""
        tokens = AccessTokens(core.app, self._keys, self._clock)
        self._apps[core.app] = RestApp(core.app, self._keys, tokens, core.publish_as)
        self.revocations.on_revoke(core.app, partial(_end, core))

    def remove(self, app: str) -> None:
        """Let nobody reach ``app`` any more."""
        self._apps.pop(app, None)
        self.revocations.on_revoke(app, None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read what was revoked, then what others revoke, for ever; reports as started after the first attempt."""
        loaded = await self._try_to_load()
        task_status.started()
        while not loaded:
            await trio.sleep(LOAD_PAUSE)
            loaded = await self._try_to_load()
        await self._follow()

    async def _follow(self) -> None:
        away, forgotten_at = False, trio.current_time()
        while True:
            await trio.sleep(self._interval)
            try:
                new = await self.revocations.look()
                if trio.current_time() - forgotten_at >= FORGET_EVERY:
                    forgotten_at = trio.current_time()
                    await self.revocations.forget()
            except StorageUnavailable as error:  # what is known stays in force; the rest is read when it is back
                if not away:
                    _log.error("revocations_unavailable", problem=str(error))
                away = True
                continue
            if away or new:
                _log.info("revocations_read", new=new)
            away = False

    async def _try_to_load(self) -> bool:
        try:
            await self.revocations.load()
        except StorageUnavailable as error:
            _log.error("revocations_unavailable", problem=str(error))
        return self.revocations.is_loaded

    def veto(self, app: str) -> Veto:
        """What the login chain of ``app`` asks about a login that a strategy has accepted."""
        return partial(self._judge, app)

    def revoked(self, identity: Identity) -> bool:
        """Whether the login of ``identity`` was revoked since it was accepted."""
        return self.revocations.refuses(credential_of(identity))

    def trust_revoked(self, identity: Identity, trust: Trust) -> bool:
        """Whether a trust-token that ``identity`` presents was revoked."""
        return self.revocations.refuses(_trust_credential(identity, trust))

    def _judge(self, app: str, answer: Accepted) -> Denied | Unavailable | None:
        if not self.revocations.is_loaded:
            return Unavailable("revocations")
        credential = Credential(
            app, answer.user.id, token_id=answer.token_id, key=answer.key, issued_at=answer.issued_at
        )
        return Denied("revoked", {"error": "revoked"}) if self.revocations.refuses(credential) else None


def credential_of(identity: Identity) -> Credential:
    """The names by which a revocation reaches ``identity``."""
    return Credential(
        identity.app,
        identity.user.id,
        identity.session_id,
        identity.token_id,
        identity.key,
        identity.issued_at,
    )


def _trust_credential(identity: Identity, trust: Trust) -> Credential:
    """The names by which a revocation reaches a trust-token; it is of no user, and its session is in force or is not."""
    return Credential(identity.app, "", token_id=trust.token_id, key=identity.key, issued_at=trust.issued_at)


def _end(core: Core, revocation: Revocation) -> Ended:
    """End what ``revocation`` reaches, in one step: from its end on nothing is routed that rests on it."""
    code = codes.REVOKED_FOR_GOOD if revocation.for_good else codes.REVOKED
    ended = [
        session
        for session in core.sessions.values()
        if reaches(revocation, credential_of(session.identity), standing=True)
    ]
    for session in ended:
        core.end(session, code)
    rights = core.end_openings(
        lambda identity, trust: reaches(revocation, _trust_credential(identity, trust), standing=True)
    )
    return Ended(len(ended), rights)


def _base(listen: Listen) -> str:
    """The URL clients reach this router's HTTP side at, as far as the config tells."""
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"{'https' if listen.tls else 'http'}://{host}:{listen.port}"
