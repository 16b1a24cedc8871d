"""The REST interface to the built-in users: routes, bodies and answers; the work is ``auth.accounts``.

``GET /admin/users?after=&limit=``, ``POST /admin/users``, ``GET|PATCH|DELETE /admin/users/{id}`` and
``POST /admin/users/{id}/password``. The rule that keeps it honest: bodies are typed and closed, so that no field slips
through to the store, and what goes out is ``accounts.public``: never a hash (T62).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router.auth.accounts import Accounts, public
from trio_router.http import answers
from trio_router.http.answers import HttpError
from trio_router.http.routes import body
from trio_router.secret import Secret
from trio_router.storage.users import UserRecord

_QUERY: Final = frozenset({"after", "limit"})


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /admin/users``. Without a password the user cannot log in with one."""

    id: str
    password: str | None = None
    data: dict[str, Any] | None = None
    client_data: Any = None
    disabled: bool = False


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``PATCH /admin/users/{id}``: what is left out stays as it is."""

    data: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    client_data: Any = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /admin/users/{id}/password``."""

    password: str


Find = Callable[[Request], Accounts]


def user_routes(find: Find, base: str = "/admin/users") -> list[BaseRoute]:
    """The routes below ``base``, over the users that ``find`` names for a request; it may raise ``HttpError``."""
    api = _Users(find)
    one = f"{base}/{{user_id}}"
    return [
        Route(base, api.page, methods=["GET"]),
        Route(base, api.add, methods=["POST"]),
        Route(one, api.get, methods=["GET"]),
        Route(one, api.change, methods=["PATCH"]),
        Route(one, api.remove, methods=["DELETE"]),
        Route(f"{one}/password", api.set_password, methods=["POST"]),
    ]


class _Users:
    def __init__(self, find: Find) -> None:
        self._accounts = find

    async def page(self, request: Request) -> Response:
        if set(request.query_params) - _QUERY:
            raise HttpError(400, "invalid_query", "only 'after' and 'limit' are known")
        limit = request.query_params.get("limit", "100")
        if not (limit.isascii() and limit.isdecimal() and len(limit) <= 6):
            raise HttpError(400, "invalid_query", "limit: expected a whole number")
        users = await self._accounts(request).list(after=request.query_params.get("after", ""), limit=int(limit))
        more = users[-1].id if len(users) == int(limit) else None
        return answers.json({"users": [public(user) for user in users], "next": more})

    async def add(self, request: Request) -> Response:
        new = await body(request, NewUser)
        password = None if new.password is None else Secret(new.password)
        user = await self._accounts(request).add(
            new.id, password, data=new.data, client_data=new.client_data, disabled=new.disabled
        )
        return _one(user, 201)

    async def get(self, request: Request) -> Response:
        return _one(await self._accounts(request).get(request.path_params["user_id"]))

    async def change(self, request: Request) -> Response:
        user_id = request.path_params["user_id"]
        change = await body(request, UserChange)
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
        return _one(await self._accounts(request).change(user_id, **given))

    async def remove(self, request: Request) -> Response:
        await self._accounts(request).remove(request.path_params["user_id"])
        return Response(status_code=204)

    async def set_password(self, request: Request) -> Response:
        new = await body(request, NewPassword)
        await self._accounts(request).set_password(request.path_params["user_id"], Secret(new.password))
        return Response(status_code=204)


def _one(user: UserRecord, status: int = 200) -> Response:
    return answers.json(public(user), status)
