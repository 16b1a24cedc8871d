"""The HTTP API: batches of events, calls and presence queries by POST, as deepstream's HTTP clients send them.

Owns the routes, the answers' statuses and the time of a request. Who asks is decided in :mod:`trio_router.http.visitors`, what is
done in :mod:`trio_router.http.visit`, what a message looks like in :mod:`trio_router.http.batch`. What is wrong with a request as a
whole is answered in plain text, as deepstream does. The rule that keeps it honest: nothing is carried out before all of a
request is read and its caller let in, and nothing goes on for a caller who has left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from trio_router import log
from trio_router.clock import Clock
from trio_router.errors import RemoteProtocolError
from trio_router.http import answers, batch, cors
from trio_router.http.batch import Unreadable
from trio_router.http.batch_answers import Answer, whole
from trio_router.http.cors import Origins
from trio_router.http.visit import Visit
from trio_router.http.visitors import Logins, Rejected, Visitor, Visitors
from trio_router.identity import Identity
from trio_router.metrics import Metrics
from trio_router.protocols import strictjson
from trio_router.routing.core import Core
from trio_router.storage.records import RecordStore

METHODS: Final = ("GET", "OPTIONS", "POST")
END: Final = b"\r\n\r\n"
"""What follows the JSON of an answer."""

NOT_A_GET: Final = "Reading records via HTTP GET is not yet implemented, please use a POST request instead."
DENIED: Final = "Unsuccessful authentication attempt."
AUTH_DENIED: Final = "Invalid authentication data."

NOTED: Final = frozenset({413, 429, 503})
"""Statuses that are logged here; the login chain logs what it denies."""

_log = log.get("http_api")

Serve = Callable[[Request], Awaitable[Response]]


@attrs.frozen
class Settings:
    """``request_timeout``: seconds from the login on; ``messages``: in one request."""

    allow_auth_data: bool = True
    request_timeout: float = 20.0
    messages: int = 100


@attrs.frozen
class ApiApp:
    """One app as the HTTP API sees it, and the paths that are its own. ``auth_path`` is None where there is none."""

    path: str
    auth_path: str | None
    core: Core
    logins: Logins
    revoked: Callable[[Identity], bool]
    records: RecordStore | None = None


class _Table(BaseRoute):
    """Routes by their exact path, at any time."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        route = self.routes.get(scope["path"])
        return (Match.NONE, {}) if route is None else route.matches(scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.routes[scope["path"]].handle(scope, receive, send)


class Api:
    """The routes of all apps. ``origins`` gives the list of now."""

    def __init__(
        self,
        apps: Sequence[ApiApp],
        settings: Settings,
        *,
        origins: Callable[[], Origins],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._origins = origins
        self._clock = clock
        self._metrics = metrics
        self._table = _Table()
        for app in apps:
            self.add(app)

    def add(self, app: ApiApp) -> None:
        """From now on, POST, OPTIONS and a GET that says what to do, on the paths of ``app``."""
        visitors = Visitors(app.core.app, app.logins, app.revoked, self._clock)
        routes = self._table.routes
        routes[app.path] = Route(app.path, self._route(self._batch(app, visitors)), methods=METHODS)
        if app.auth_path is not None:
            routes[app.auth_path] = Route(app.auth_path, self._route(self._login(app, visitors)), methods=METHODS)

    def remove(self, app: ApiApp) -> None:
        """There is nothing on its paths any more."""
        for path in (app.path, app.auth_path):
            self._table.routes.pop(path or "", None)

    def routes(self) -> list[BaseRoute]:
        """The routes of all apps, as one: apps come and go."""
        return [self._table]

    def _route(self, serve: Serve) -> Serve:
        async def answer(request: Request) -> Response:
            origins = self._origins()
            if not cors.permits(origins, request):
                _note(request, 403)
                return plain(Rejected(403, "This origin may not use the HTTP API."))
            if request.method == "OPTIONS":
                return cors.mark(origins, request, cors.preflight())
            try:
                if request.method != "POST":
                    raise Rejected(400, NOT_A_GET)
                response = await serve(request)
            except Rejected as rejected:
                if rejected.status in NOTED:
                    _note(request, rejected.status)
                response = plain(rejected)
            except Unreadable as error:
                response = plain(Rejected(400, str(error)))
            return cors.mark(origins, request, response)

        return answer

    def _login(self, app: ApiApp, visitors: Visitors) -> Serve:
        async def serve(request: Request) -> Response:
            auth = await _json(request, app.logins.limits.json_depth)
            if not isinstance(auth, dict):
                raise Unreadable("Invalid message: the authentication data must be a JSON object.")
            visitor = await self._admit(visitors, request, auth, AUTH_DENIED)
            found = {"token": visitor.token, "clientData": visitor.client_data}
            return _answer({name: value for name, value in found.items() if value is not None})

        return serve

    def _batch(self, app: ApiApp, visitors: Visitors) -> Serve:
        async def serve(request: Request) -> Response:
            given = await _json(request, app.logins.limits.json_depth)
            auth = batch.credentials(given, allow_auth_data=self._settings.allow_auth_data)
            items = batch.items(given, self._settings.messages)
            began = trio.current_time()
            visitor = await self._admit(visitors, request, auth, DENIED)
            messages = batch.read(items, app.logins.limits.message_size)
            seconds = self._settings.request_timeout - (trio.current_time() - began)
            visit = Visit(visitor.identity, app.core, self._metrics, app.records)
            seconds = min(seconds, self._left_of(visitor, app))
            found = await _while_there(request, lambda: visit.perform(messages, seconds))
            return _answer(whole(found))

        return serve

    async def _admit(self, visitors: Visitors, request: Request, auth: dict[str, Any] | None, denied: str) -> Visitor:
        with trio.move_on_after(self._settings.request_timeout):
            return await visitors.admit(request, auth, denied=denied)
        raise Rejected(503, "Logins cannot be checked at the moment.")

    def _left_of(self, visitor: Visitor, app: ApiApp) -> float:
        """Seconds for which the login is good: a request does not outlive its token either (T48)."""
        expires = visitor.identity.expires_at
        if expires is None:
            return float("inf")
        return max(0.0, expires - self._clock.wall()) + app.logins.limits.expiry_grace


def _note(request: Request, status: int) -> None:
    _log.info(
        "http_api_refused", status=status, remote=request.client.host if request.client else "", path=request.url.path
    )


def plain(rejected: Rejected) -> Response:
    """What is wrong with a request, in plain text."""
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **rejected.headers}
    return Response(rejected.text, rejected.status, headers, media_type="text/plain; charset=utf-8")


def _answer(value: Any) -> Response:
    return answers.json(value, end=END)


async def _json(request: Request, depth: int) -> Any:
    """The body, whose arrays and objects enclose each other at most ``depth`` times. Raises ``Rejected`` 415, or ``Unreadable``."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Rejected(415, 'Invalid "Content-Type" header. Supported media types: "application/json"')
    try:
        return strictjson.decode(await request.body(), depth=depth)
    except RemoteProtocolError as error:
        raise Unreadable(f"Failed to parse body of request: {error.detail}") from None


async def _while_there(request: Request, perform: Callable[[], Awaitable[list[Answer]]]) -> list[Answer]:
    """Do it for as long as the client is there to be answered."""
    found: list[Answer] = []

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        found = await perform()
        nursery.cancel_scope.cancel()
    return found
