"""The administration side: health in detail, metrics, reload, users, decisions; on a listener of its own.

Owns who may ask. Every request passes the same gate before any route is looked up (T65): a Host that names this
listener (DNS rebinding), no Origin (a web page is never an administrator: CSRF), and the admin token, compared in
constant time (T53). Without a token in the config only health and metrics answer. The rule that keeps this honest:
there is no second way to a route, and nothing in a request names a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import attrs
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from trio_router import log
from trio_router.auth.accounts import Accounts
from trio_router.http import answers
from trio_router.http.decisions import Find, Tracing, decision_routes
from trio_router.http.openapi.routes import openapi_routes
from trio_router.http.operations import Operations
from trio_router.http.routes import application
from trio_router.http.users import user_routes
from trio_router.metrics import Metrics
from trio_router.secret import Secret

WITHOUT_TOKEN: Final = frozenset({"/health", "/metrics"})
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

_log = log.get("admin")


def admin_app(
    operations: Operations,
    metrics: Metrics | None,
    *,
    token: Secret | None,
    users: Accounts | None = None,
    decisions: Tracing | None = None,
    find: Find | None = None,
    questions: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """The application of the administration listener; it has no routes for what it is made without.

    ``users`` and ``decisions`` are those of the default app; ``find`` knows what answers about others. ``questions``: further routes,
    such as those of :mod:`trio_router.http.rules`.
    """

    async def health(_: Request) -> Response:
        state = operations.health()
        return answers.json({"status": "draining" if state.draining else "ok", **attrs.asdict(state)})

    async def reload(_: Request) -> Response:
        result = await operations.reload()
        return answers.json(
            {
                "rules_version": result.rules_version,
                "changed": result.changed,
                "needs_restart": result.needs_restart,
            }
        )

    routes: list[BaseRoute] = [
        Route("/health", health, methods=["GET"]),
        Route("/admin/reload", reload, methods=["POST"]),
        *openapi_routes(),
    ]
    if metrics is not None:
        routes.append(_metrics_route(metrics.registry))
    if users is not None:
        routes += user_routes(lambda _: users)
    if decisions is not None:
        routes += decision_routes(decisions, users, find)
    return Gate(application([*routes, *questions]), token)


def _metrics_route(registry: CollectorRegistry) -> BaseRoute:
    async def figures(_: Request) -> Response:
        return answers.text(generate_latest(registry), CONTENT_TYPE_LATEST)

    return Route("/metrics", figures, methods=["GET"])


class Gate:
    """Lets an administrator through and nobody else."""

    def __init__(self, app: ASGIApp, token: Secret | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal:
            status, code = refusal
            _log.warning("admin_refused", reason=code, remote=(scope.get("client") or ("",))[0], path=scope["path"])
            headers = {"www-authenticate": "Bearer"} if status == 401 else {}
            await answers.failure(status, code, headers=headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if _on_loopback(scope) and not _names_loopback(_values(scope, b"host")):
            return 403, "bad_host"
        if _values(scope, b"origin"):
            return 403, "forbidden_origin"
        if self._token is None:
            return None if scope["path"] in WITHOUT_TOKEN else (403, "no_token")
        return None if _authorized(_values(scope, b"authorization"), self._token) else (401, "unauthorized")


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _on_loopback(scope: Scope) -> bool:
    server = scope.get("server")
    return server is None or ip_address(server[0]).is_loopback


def _names_loopback(hosts: list[str]) -> bool:
    if len(hosts) != 1:
        return False
    name, _, port = hosts[0].rpartition(":") if not hosts[0].endswith("]") else (hosts[0], "", "")
    return (name or port).lower() in _LOOPBACK_NAMES


def _authorized(values: list[str], token: Secret) -> bool:
    if len(values) != 1:
        return False
    scheme, _, given = values[0].partition(" ")
    return scheme.lower() == "bearer" and token.matches(given.strip())
