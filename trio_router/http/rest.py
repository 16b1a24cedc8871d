"""The REST interface of ``/v1``: access tokens are issued, refreshed and revoked, messages are published.

Owns the shapes of requests and answers, which are PUBQ's, so that its authorisation servers fit. Who asks is decided by
:mod:`trio_router.http.callers`; what may be published, by the door that every session passes too. The rule that keeps it
honest: a token that goes out never says more than its key may do, nor longer than the token it follows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router import log
from trio_router.auth.revocations import Revocations, RevocationStoreUnavailable
from trio_router.errors import Refused
from trio_router.grants import Grants
from trio_router.http import answers, trust
from trio_router.http.answers import HttpError
from trio_router.http.callers import Caller, Callers
from trio_router.http.routes import body
from trio_router.payload import Payload
from trio_router.protocols import codes
from trio_router.scope import EVERYTHING, UNUSED, Scope
from trio_router.tokens.access import LIFETIME, issue
from trio_router.tokens.trust import MAX_LIFETIME

_GRANT_OF: Final[dict[str, Callable[[Grants], bool]]] = {
    "subscribe": lambda grants: grants.subscribe,
    "publish": lambda grants: grants.publish,
    "provide": lambda grants: grants.rpc,
    "request": lambda grants: grants.rpc,
    "presence": lambda grants: grants.presence,
}
_log = log.get("rest")


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/keys/tokens``. ``lifetime`` is in seconds."""

    clientId: str  # noqa: N815 - as it stands on the wire
    permissions: list[str] = msgspec.field(default_factory=lambda: [EVERYTHING])
    restrictions: list[str] | None = None
    lifetime: int = LIFETIME


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``refresh`` and ``revoke``: ``{}``, the token is in the header."""


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /v1/channels/{channel}/messages``."""

    data: Any


@attrs.frozen
class Rest:
    """What the routes need. ``issuer`` is the ``iss`` of tokens: the URL of the token endpoint."""

    callers: Callers
    revocations: Revocations
    issuer: str
    now: Callable[[], float]
    trust_lifetime: Callable[[], float] = lambda: MAX_LIFETIME
    """Seconds a trust-token may be good for."""

    def routes(self) -> list[BaseRoute]:
        """The routes of ``/v1``."""
        return [
            Route("/v1/keys/tokens", self._issue, methods=["POST"]),
            Route("/v1/keys/tokens/refresh", self._refresh, methods=["POST"]),
            Route("/v1/keys/tokens/revoke", self._revoke, methods=["POST"]),
            *trust.routes(self.callers, self.now, self.trust_lifetime),
            Route("/v1/channels/{channel:path}/messages", self._publish, methods=["POST"]),
        ]

    async def _issue(self, request: Request) -> Response:
        caller = await self.callers.by_key(request)
        new = await body(request, NewToken)
        try:
            scope = Scope.of(new.permissions, new.restrictions)
        except ValueError as error:
            raise HttpError(400, "invalid_body", str(error)) from None
        idle = sorted(scope.permissions & UNUSED)
        if idle:
            raise HttpError(
                400, "invalid_body", f"permissions: nothing here asks for {' or '.join(idle)}: leave it out"
            )
        beyond = [
            word for word, granted in _GRANT_OF.items() if word in scope.permissions and not granted(caller.key.grants)
        ]
        if beyond:
            raise HttpError(403, "beyond_key", f"permissions: {', '.join(beyond)}")
        return self._token(caller, new.clientId, scope, new.lifetime)

    async def _refresh(self, request: Request) -> Response:
        caller = await self.callers.by_token(request)
        await body(request, Nothing)
        old = caller.token
        if old is None:
            raise HttpError(401, "unauthorized")
        return self._token(caller, old.client_id, old.scope, round(old.expires_at - old.issued_at))

    async def _revoke(self, request: Request) -> Response:
        caller = await self.callers.by_token(request)
        await body(request, Nothing)
        if caller.token is None:
            raise HttpError(401, "unauthorized")
        try:
            await self.revocations.revoke(caller.app.name, "token", caller.token.token_id)
        except RevocationStoreUnavailable:
            raise HttpError(503, "storage_unavailable") from None
        return Response(status_code=204)

    async def _publish(self, request: Request) -> Response:
        caller = await self.callers.by_either(request)
        message = await body(request, NewMessage)
        try:
            caller.app.publish(caller.identity(), request.path_params["channel"], Payload(message.data))
        except Refused as refused:
            slug = codes.error(refused.code).slug
            if refused.retry_after is not None:
                wait = {"retry-after": str(max(1, math.ceil(refused.retry_after)))}
                raise HttpError(429, slug, refused.detail, wait) from None
            status, code = (400, "invalid_name") if refused.code == codes.INVALID_NAME else (403, "denied")
            detail = {"error": slug, "detail": refused.detail, "decision": refused.decision}
            raise HttpError(status, code, detail) from None
        return Response(status_code=204)

    def _token(self, caller: Caller, client_id: str, scope: Scope, lifetime: int) -> Response:
        key = caller.key
        secrets = key.live_secrets(self.now())
        if not key.grants.issue or not secrets:
            raise HttpError(403, "may_not_issue")
        try:
            text, token = issue(
                secrets[0],
                app=key.app,
                key_id=key.id,
                client_id=client_id,
                scope=scope,
                issuer=self.issuer,
                now=self.revocations.issue_time(key.app, client_id, key.id),
                lifetime=lifetime,
            )
        except ValueError as error:
            raise HttpError(400, "invalid_body", str(error)) from None
        _log.info("token_issued", app=key.app, key=key.id, user=client_id, token=token.token_id)
        answer = {"token": text, "token_type": "Bearer", "expires_in": int(token.expires_at)}
        return answers.json({"data": answer})
