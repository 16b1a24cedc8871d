"""The REST interface to apps and their keys: routes, bodies and answers; the work is ``auth.apps``, ``auth.keys`` and ``auth.accounts``.

``GET|POST /admin/apps``; ``GET|PATCH|DELETE /admin/apps/{app}``; ``GET|POST /admin/apps/{app}/keys``; ``GET|PATCH|DELETE
/admin/apps/{app}/keys/{id}`` and ``POST .../{id}/rotate``; and the users of each app under ``/admin/apps/{app}/users``, as under
``/admin/users``. The rule that keeps it honest: a secret is in the answer to what made it, 201, and in no other (T62).
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from trio_router.auth.keys import GRACE, Issued, Keys, public
from trio_router.http import answers
from trio_router.http.answers import HttpError
from trio_router.http.routes import body
from trio_router.http.sides import MadeApps, Sides, keys_of, users_of
from trio_router.http.users import user_routes


class NewApp(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST /admin/apps``. ``path``: where its clients connect, by default ``/`` and the name."""

    name: str
    path: str | None = None


class AppChange(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``PATCH /admin/apps/{app}``."""

    disabled: bool


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


def app_routes(sides: Sides, made: MadeApps) -> list[BaseRoute]:
    """The routes over the apps that are served, and over those ``made`` at run time."""
    api, keys = _Apps(sides, made), _Keys(sides)
    app = "/admin/apps/{app}"
    every, one = f"{app}/keys", f"{app}/keys/{{key_id}}"
    return [
        Route("/admin/apps", api.page, methods=["GET"]),
        Route("/admin/apps", api.create, methods=["POST"]),
        Route(app, api.get, methods=["GET"]),
        Route(app, api.change, methods=["PATCH"]),
        Route(app, api.remove, methods=["DELETE"]),
        Route(every, keys.list, methods=["GET"]),
        Route(every, keys.create, methods=["POST"]),
        Route(one, keys.get, methods=["GET"]),
        Route(one, keys.change, methods=["PATCH"]),
        Route(one, keys.remove, methods=["DELETE"]),
        Route(f"{one}/rotate", keys.rotate, methods=["POST"]),
        *user_routes(lambda request: users_of(sides, request.path_params["app"]), f"{app}/users"),
    ]


class _Apps:
    def __init__(self, sides: Sides, made: MadeApps) -> None:
        self._sides = sides
        self._made = made

    async def page(self, _: Request) -> Response:
        return answers.json({"apps": list((await self._all()).values())})

    async def get(self, request: Request) -> Response:
        return await self._one(request.path_params["app"])

    async def create(self, request: Request) -> Response:
        new = await body(request, NewApp)
        await self._made.create(new.name, new.path)
        return await self._one(new.name, 201)

    async def change(self, request: Request) -> Response:
        change = await body(request, AppChange)
        await self._made.switch(request.path_params["app"], disabled=change.disabled)
        return await self._one(request.path_params["app"])

    async def remove(self, request: Request) -> Response:
        await self._made.remove(request.path_params["app"])
        return Response(status_code=204)

    async def _one(self, name: str, status: int = 200) -> Response:
        found = (await self._all()).get(name)
        if found is None:
            raise HttpError(404, "app_unknown")
        return answers.json(found, status)

    async def _all(self) -> dict[str, dict[str, Any]]:
        """What is served, and what is not because it is disabled or cannot be."""
        made = {app.name: app for app in await self._made.list()}
        found = {}
        for name in self._sides.names():
            side = self._sides.find(name)
            if side is not None:
                kinds = {"keys": side.keys is not None, "users": side.users is not None}
                found[name] = {"app": name, "path": side.path, **kinds, "made": name in made, "served": True}
        for name, app in made.items():
            idle = {"keys": False, "users": False, "made": True, "served": False}
            found.setdefault(name, {"app": name, "path": app.path, **idle})
        return {name: {**each, "disabled": name in made and made[name].disabled} for name, each in found.items()}


class _Keys:
    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def _keys(self, request: Request) -> Keys:
        return keys_of(self._sides, request.path_params["app"])

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
