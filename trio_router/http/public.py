"""What everybody may ask on the clients' port: whether the router is up.

Knows nothing but that. The rule that keeps it honest: an answer here tells a stranger no version, no name, no number and no
switch; those are on the administration side.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from trio_router.http import answers
from trio_router.http.operations import Operations
from trio_router.http.routes import application


def public_app(operations: Operations) -> ASGIApp:
    """``GET /health``: 200 ``{"status": "ok"}``, or 503 ``{"status": "draining"}`` so that a balancer looks elsewhere."""

    async def health(_: Request) -> Response:
        if operations.draining:
            return answers.json({"status": "draining"}, 503)
        return answers.json({"status": "ok"})

    return application([Route("/health", health, methods=["GET"])])
