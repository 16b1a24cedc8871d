"""The composition of everything about access tokens and revocations: one object the composition root holds.

It joins keys, the verifier, the door of each app and the two HTTP sides, and is what ends sessions when something they
depend on is revoked. It decides nothing itself. The rule that keeps it honest: until it is known what was revoked before
this process began, nobody is let in (T52).
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
from trio_router.auth.revocations import Revocations
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

LOAD_PAUSE: Final = 2.0
"""Seconds between two attempts to read what was revoked."""

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
        self._apps: dict[str, RestApp] = {}
        self.revocations = Revocations(store, clock)
        self.rest: Rest | None = None
        if config.rest is not None:
            callers = Callers(self._apps.get, self.revocations, clock, plain_basic=config.rest.plain_basic)
            issuer = f"{(config.rest.url or _base(config.listen)).rstrip('/')}/v1/keys/tokens"
            self.rest = Rest(callers, self.revocations, issuer, clock.wall)

    def add(self, core: Core) -> None:
        """Let the app of ``core`` be reached over REST, and its sessions by revocations."""
        tokens = AccessTokens(core.app, self._keys, self._clock)
        self._apps[core.app] = RestApp(core.app, self._keys, tokens, core.publish_as)
        self.revocations.on_revoke(partial(_end, core))

    async def load(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read what was revoked; reports as started after the first attempt, and goes on until one succeeds."""
        if await self._try_to_load():
            task_status.started()
            return
        task_status.started()
        while not await self._try_to_load():  # noqa: ASYNC110 - a database tells nobody that it is back
            await trio.sleep(LOAD_PAUSE)

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


def _end(core: Core, revocation: Revocation, for_good: bool) -> int:
    """End the sessions that ``revocation`` reaches, in one step: from its end on nothing is routed to them."""
    code = codes.REVOKED_FOR_GOOD if for_good else codes.REVOKED
    ended = [
        session
        for session in core.sessions.values()
        if reaches(revocation, credential_of(session.identity), standing=True)
    ]
    for session in ended:
        core.end(session, code)
    return len(ended)


def _base(listen: Listen) -> str:
    """The URL clients reach this router's HTTP side at, as far as the config tells."""
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"{'https' if listen.tls else 'http'}://{host}:{listen.port}"
