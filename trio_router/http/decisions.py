"""The REST interface to decisions: why would this be denied, what was denied lately, why was that denied.

``POST /admin/explain``, ``GET /admin/decisions?limit=&denied=`` and ``GET /admin/decisions/{id}``. Behind the same gate as all of
administration, never on the clients' port (T36). The rule that keeps it honest: asking changes nothing, and an explanation, which may
take a moment with many rules, is made in a thread and one at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router.auth.accounts import AccountError, Accounts
from trio_router.http import answers
from trio_router.http.answers import HttpError
from trio_router.http.routes import body
from trio_router.identity import OPEN_USER_ID, Identity, User
from trio_router.names import InvalidName
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action

MAX_PAGE: Final = 1_000
_PAGE: Final = 100
_QUERY: Final = frozenset({"limit", "denied"})
_BOOLEANS: Final = {"true": True, "false": False}
_ACTIONS: Final = {action.value: action for action in Action}


class Tracing(Protocol):
    """What answers the questions of one app; all in JSON values."""

    @property
    def app(self) -> str:
        """Its name."""

    def explain(self, who: Identity, action: Action, name: str, data: Payload = ABSENT) -> dict[str, Any]:
        """What would be decided now, and why. Safe in any thread."""

    def recent(self, limit: int, *, denied: bool | None = None) -> list[dict[str, Any]]:
        """The last decisions in short, the newest first."""

    def find(self, number: str) -> dict[str, Any] | None:
        """The decision with this id, and why; None if there is none. Safe in any thread."""


class SectionAction(msgspec.Struct, forbid_unknown_fields=True):
    """An action in two words."""

    section: str
    action: str


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /admin/explain``. Without ``user_data`` it is that of the built-in user, if there is one."""

    user: str
    action: str | SectionAction
    name: str
    app: str | msgspec.UnsetType = msgspec.UNSET
    user_data: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    data: Any = msgspec.UNSET
    strategy: str = ""
    remote_address: str = ""


Find = Callable[[str], tuple[Tracing, Accounts | None]]
"""What answers about the app of this name, and its built-in users, if it has any. May raise ``HttpError``."""


def decision_routes(tracing: Tracing, accounts: Accounts | None, find: Find | None = None) -> list[BaseRoute]:
    """The routes over ``tracing`` and its ``accounts``, those of the default app; ``find`` knows other apps too."""

    def only(name: str) -> tuple[Tracing, Accounts | None]:
        if name != tracing.app:
            raise HttpError(404, "app_unknown")
        return tracing, accounts

    api = _Decisions(tracing, find or only)
    return [
        Route("/admin/explain", api.explain, methods=["POST"]),
        Route("/admin/decisions", api.page, methods=["GET"]),
        Route("/admin/decisions/{number}", api.one, methods=["GET"]),
    ]


class _Decisions:
    def __init__(self, tracing: Tracing, find: Find) -> None:
        self._tracing = tracing
        self._find = find
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def explain(self, request: Request) -> Response:
        question = await body(request, Question)
        action = _action(question.action)
        tracing, accounts = self._find(self._tracing.app if question.app is msgspec.UNSET else question.app)
        try:
            user = User(question.user, await _user_data(question, accounts), question.user != OPEN_USER_ID)
        except InvalidName as error:
            raise HttpError(400, "invalid_body", f"user: {error}") from None
        who = Identity(
            tracing.app,
            session_id="",
            user=user,
            strategy=question.strategy,
            remote_address=question.remote_address,
        )
        data = ABSENT if question.data is msgspec.UNSET else Payload(question.data)
        return answers.json(await self._in_thread(tracing.explain, who, action, question.name, data))

    async def page(self, request: Request) -> Response:
        query = request.query_params
        if set(query) - _QUERY:
            raise HttpError(400, "invalid_query", "known are limit and denied")
        limit = query.get("limit", str(_PAGE))
        if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= MAX_PAGE):
            raise HttpError(400, "invalid_query", f"limit: expected a number from 1 to {MAX_PAGE}")
        denied = query.get("denied")
        if denied is not None and denied not in _BOOLEANS:
            raise HttpError(400, "invalid_query", "denied: expected true or false")
        found = self._tracing.recent(int(limit), denied=None if denied is None else _BOOLEANS[denied])
        return answers.json({"decisions": found})

    async def one(self, request: Request) -> Response:
        found = await self._in_thread(self._tracing.find, request.path_params["number"])
        if found is None:
            raise HttpError(404, "decision_unknown")
        return answers.json(found)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await trio.to_thread.run_sync(function, *arguments, limiter=self._one_at_a_time)


async def _user_data(question: Question, accounts: Accounts | None) -> dict[str, Any] | None:
    if not isinstance(question.user_data, msgspec.UnsetType):
        return question.user_data
    if accounts is None:
        return None
    try:
        found = await accounts.get(question.user)
    except AccountError:
        return None
    return None if found.data is None else dict(found.data)


def _action(given: str | SectionAction) -> Action:
    section, _, verb = given.partition(".") if isinstance(given, str) else (given.section, "", given.action)
    action = _ACTIONS.get((section, verb))
    if action is None:
        known = ", ".join(".".join(value) for value in _ACTIONS)
        raise HttpError(400, "invalid_body", f"action: expected one of {known}")
    return action
