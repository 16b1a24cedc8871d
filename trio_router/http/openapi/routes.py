"""Serves the OpenAPI documents, on the administration listener alone: a stranger is told nothing about what there is to try.

They are the same for every router, and stand in docs/reference/http too.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router.http import answers
from trio_router.http.openapi.admin import admin
from trio_router.http.openapi.clients import clients
from trio_router.http.openapi.parts import JSON, Json


def openapi_routes() -> list[BaseRoute]:
    """``GET /openapi.json`` and ``GET /openapi-clients.json``."""
    return [_route("/openapi.json", admin), _route("/openapi-clients.json", clients)]


def _route(path: str, make: Callable[[], Json]) -> Route:
    text = b""

    async def serve(_: Request) -> Response:
        nonlocal text
        text = text or msgspec.json.encode(make())
        return answers.text(text, JSON)

    return Route(path, serve, methods=["GET"])
