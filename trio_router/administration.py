"""Administration, put together: which parts of each app its routes reach, and the application over all of them.

Knows apps and routes and decides nothing. The rule that keeps it honest: an app's parts are looked up by its name at each
request, so that of an app that is gone nothing is reached any more (T66).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp

from trio_router.access import Access
from trio_router.apps import AppSpace
from trio_router.auth.accounts import Accounts
from trio_router.clock import Clock
from trio_router.config.schema import APP, Admin
from trio_router.http.admin import admin_app
from trio_router.http.apps import app_routes
from trio_router.http.decisions import Tracing
from trio_router.http.operations import Operations
from trio_router.http.revocations import revocation_routes
from trio_router.http.rules import rule_routes
from trio_router.http.sides import AppSide, MadeApps, side_of
from trio_router.metrics import Metrics
from trio_router.permissions.redaction import Redaction
from trio_router.routing.decisions import DecisionBook
from trio_router.routing.tracing import Tracer


class Administration:
    """The apps in ``spaces``, a mapping that changes, as :class:`trio_router.http.sides.Sides`."""

    def __init__(self, spaces: Mapping[str, AppSpace], book: DecisionBook, redaction: Redaction) -> None:
        self._spaces = spaces
        self._book = book
        self._redaction = redaction
        self._made: dict[str, tuple[AppSpace, AppSide]] = {}

    def names(self) -> Iterable[str]:
        """The names of the apps that are served, in their order."""
        return tuple(self._spaces)

    def find(self, name: str) -> AppSide | None:
        """The app of this name, or None."""
        space = self._spaces.get(name)
        if space is None:
            return None
        kept = self._made.get(name)
        if kept is None or kept[0] is not space:
            tracer = Tracer(name, space.door, self._book, self._redaction)
            kept = self._made[name] = space, AppSide(space.core, tracer, space.path, space.keys(), space.accounts())
        return kept[1]

    def refresh(self) -> None:
        """Apps have come, gone or changed how one logs in."""
        self._made.clear()

    def application(
        self, operations: Operations, metrics: Metrics, admin: Admin, access: Access, made: MadeApps, clock: Clock
    ) -> ASGIApp:
        """The application of the administration listener."""
        first = side_of(self, APP)
        return admin_app(
            operations,
            metrics if admin.metrics else None,
            token=admin.token,
            users=first.users,
            decisions=first.tracing,
            find=self._answering,
            questions=[
                *rule_routes(self, clock),
                *revocation_routes(access.revocations),
                *app_routes(self, made),
            ],
        )

    def _answering(self, name: str) -> tuple[Tracing, Accounts | None]:
        side = side_of(self, name)
        return side.tracing, side.users
