"""What can be asked on the clients' port: by everybody, whether the router is up; by those with credentials, ``/v1`` and ``/api``.

The rule that keeps it honest: an answer to a stranger tells a stranger no version, no name, no number and no
switch; those are on the administration side.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from trio_router.http import answers
from trio_router.http.api import Api
from trio_router.http.operations import Operations
from trio_router.http.rest import Rest
from trio_router.http.routes import application


def public_app(operations: Operations, rest: Rest | None = None, api: Api | None = None) -> ASGIApp:
    """The application of the clients' port: ``/v1`` where there is ``rest``, the HTTP ``api``, and ``/health`` for everybody.

    ``GET /health``: 200 ``{"status": "ok"}``, or 503 ``{"status": "draining"}`` so that a balancer looks elsewhere.
    """

    async def health(_: Request) -> Response:
        if operations.draining:
            return answers.json({"status": "draining"}, 503)
        return answers.json({"status": "ok"})

    more = [*(rest.routes() if rest else []), *(api.routes() if api else [])]
    return application([Route("/health", health, methods=["GET"]), *more])
