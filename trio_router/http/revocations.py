"""Revocations over the administration side: what is in force, and one more.

Owns the shapes; the work is :class:`trio_router.auth.revocations.Revocations`. The rule that keeps it honest: an answer of
200 means that it is in force, stored, and that everybody it reaches was sent away before the answer was written.
"""

from __future__ import annotations

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router.auth.revocation import RevocationsFull
from trio_router.auth.revocations import KEPT, Ended, Revocations, RevocationStoreUnavailable
from trio_router.http import answers
from trio_router.http.answers import HttpError
from trio_router.http.routes import body
from trio_router.storage.revocations import InvalidRevocation, Kind

DEFAULT_APP = "default"


class NewRevocation(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /admin/revocations``. ``at``: seconds since the epoch; ``kept``: seconds."""

    kind: Kind
    value: str = ""
    app: str = DEFAULT_APP
    at: float | None = None
    kept: float = KEPT
    for_good: bool = False


def revocation_routes(revocations: Revocations) -> list[BaseRoute]:
    """The routes over ``revocations``."""

    async def page(request: Request) -> Response:
        if set(request.query_params) - {"app"}:
            raise HttpError(400, "invalid_query", "only 'app' is known")
        found = revocations.all(request.query_params.get("app", DEFAULT_APP))
        return answers.json({"revocations": [attrs.asdict(entry) for entry in found]})

    async def add(request: Request) -> Response:
        new = await body(request, NewRevocation)
        try:
            ended = await revocations.revoke(
                new.app, new.kind, new.value, at=new.at, kept=new.kept, for_good=new.for_good
            )
        except InvalidRevocation as error:
            raise HttpError(422, "invalid_revocation", str(error)) from None
        except RevocationsFull as error:
            raise HttpError(507, "too_many_revocations", str(error)) from None
        except RevocationStoreUnavailable as error:
            raise HttpError(503, "revocation_not_stored", _told(error.ended)) from None
        return answers.json(_told(ended))

    return [
        Route("/admin/revocations", page, methods=["GET"]),
        Route("/admin/revocations", add, methods=["POST"]),
    ]


def _told(ended: Ended) -> dict[str, int]:
    """``ended``: sessions; ``rights``: what trust-tokens had opened for others."""
    return {"ended": ended.sessions, "rights": ended.rights}
