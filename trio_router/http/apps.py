"""The REST interface to apps and their keys: routes, bodies and answers; the work is ``auth.keys`` and ``auth.accounts``.

``GET /admin/apps``; ``GET|POST /admin/apps/{app}/keys``; ``GET|PATCH|DELETE /admin/apps/{app}/keys/{id}`` and ``POST
.../{id}/rotate``; and the users of each app under ``/admin/apps/{app}/users``, as under ``/admin/users``. The rule that keeps
it honest: a secret is in the answer to what made it, 201, and in no other (T62).
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router.auth.accounts import Accounts
from trio_router.auth.keys import GRACE, Issued, Keys, public
from trio_router.http import answers
from trio_router.http.answers import HttpError
from trio_router.http.routes import body
from trio_router.http.users import user_routes


@attrs.frozen
class AppSide:
    """One app as administrators reach it. ``keys`` is None where nobody logs in by key, ``users`` without built-in users."""

    keys: Keys | None = None
    users: Accounts | None = None


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /admin/apps/{app}/keys``. Without an id one is made; without grants everything is granted."""

    id: str | None = None
    label: str = ""
    grants: list[str] | None = None


class KeyChange(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``PATCH .../{id}``: what is left out stays as it is."""

    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    grants: list[str] | msgspec.UnsetType = msgspec.UNSET


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST .../{id}/rotate``. ``grace``: seconds the secret there is verifies longer."""

    grace: float = GRACE


def app_routes(apps: Mapping[str, AppSide]) -> list[BaseRoute]:
    """The routes over ``apps``."""
    api = _Apps(apps)
    keys = "/admin/apps/{app}/keys"
    one = f"{keys}/{{key_id}}"
    routes: list[BaseRoute] = [
        Route("/admin/apps", api.page, methods=["GET"]),
        Route(keys, api.list, methods=["GET"]),
        Route(keys, api.create, methods=["POST"]),
        Route(one, api.get, methods=["GET"]),
        Route(one, api.change, methods=["PATCH"]),
        Route(one, api.remove, methods=["DELETE"]),
        Route(f"{one}/rotate", api.rotate, methods=["POST"]),
    ]
    for name, app in apps.items():
        if app.users is not None:
            routes += user_routes(app.users, f"/admin/apps/{name}/users")
    return routes


class _Apps:
    def __init__(self, apps: Mapping[str, AppSide]) -> None:
        self._apps = apps

    def _keys(self, request: Request) -> Keys:
        app = self._apps.get(request.path_params["app"])
        if app is None:
            raise HttpError(404, "app_unknown")
        if app.keys is None:
            raise HttpError(409, "no_keys")
        return app.keys

    async def page(self, _: Request) -> Response:
        found = [
            {"app": name, "keys": app.keys is not None, "users": app.users is not None}
            for name, app in self._apps.items()
        ]
        return answers.json({"apps": found})

    async def list(self, request: Request) -> Response:
        return answers.json({"keys": [public(key) for key in await self._keys(request).list()]})

    async def create(self, request: Request) -> Response:
        keys = self._keys(request)
        new = await body(request, NewKey)
        return _issued(await keys.create(new.id, label=new.label, grants=new.grants))

    async def get(self, request: Request) -> Response:
        return answers.json(public(await self._keys(request).get(request.path_params["key_id"])))

    async def change(self, request: Request) -> Response:
        keys, key_id = self._keys(request), request.path_params["key_id"]
        change = await body(request, KeyChange)
        disabled = None if change.disabled is msgspec.UNSET else change.disabled
        grants = None if change.grants is msgspec.UNSET else change.grants
        return answers.json(public(await keys.change(key_id, disabled=disabled, grants=grants)))

    async def rotate(self, request: Request) -> Response:
        keys = self._keys(request)
        wanted = await body(request, Rotation)
        return _issued(await keys.rotate(request.path_params["key_id"], grace=wanted.grace))

    async def remove(self, request: Request) -> Response:
        await self._keys(request).remove(request.path_params["key_id"])
        return Response(status_code=204)


def _issued(issued: Issued) -> Response:
    return answers.json({**public(issued.key), "secret": issued.secret.reveal()}, 201)
