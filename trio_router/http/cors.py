"""Which web pages may use the HTTP API, and how their browsers are told (CORS).

The list is the one that WebSocket upgrades obey (``listen.origins``), and a page that is not on it is refused before anything
else is looked at: not being able to read the answer is no protection against having sent the request (T01). The rule that keeps
it honest: an origin is answered with itself or not at all; where every page may come, none may bring its visitor's cookies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

ALLOWED_HEADERS: Final = "X-Requested-With, X-HTTP-Method-Override, Content-Type, Accept, Authorization"
ALLOWED_METHODS: Final = "POST, GET, OPTIONS"
EXPOSED_HEADERS: Final = "Retry-After"
MAX_AGE: Final = 600
"""Seconds a browser may remember what it was told."""


class Origins(Protocol):
    """The origins of the config, as they are now."""

    @property
    def everybody(self) -> bool:
        """Whether every page may come."""

    def allows(self, values: Sequence[str]) -> bool:
        """Whether a request with these Origin headers may come."""


def permits(origins: Origins, request: Request) -> bool:
    """Whether ``request`` may be looked at."""
    return origins.allows(request.headers.getlist("origin"))


def mark(origins: Origins, request: Request, response: Response) -> Response:
    """Let the page that sent ``request`` read ``response``; :func:`permits` has let it in."""
    given = request.headers.getlist("origin")
    response.headers["vary"] = "Origin"
    if not given:
        return response
    if origins.everybody:
        response.headers["access-control-allow-origin"] = "*"
    else:
        response.headers["access-control-allow-origin"] = given[0]
        response.headers["access-control-allow-credentials"] = "true"
    response.headers["access-control-expose-headers"] = EXPOSED_HEADERS
    return response


def preflight() -> Response:
    """The answer to OPTIONS, to be marked."""
    headers = {
        "allow": ALLOWED_METHODS,
        "access-control-allow-methods": ALLOWED_METHODS,
        "access-control-allow-headers": ALLOWED_HEADERS,
        "access-control-max-age": str(MAX_AGE),
    }
    return Response(status_code=204, headers=headers)
