"""The OpenAPI documents: valid, as the reference has them, and nothing in them that the router has not, or the other way round."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route
from starlette.types import ASGIApp

from tests.integration.conftest import Site, Start, start
from tests.unit.http import wire
from tests.unit.http.test_admin import BEARER, TOKEN, Router
from trio_router import administration
from trio_router import app as composition
from trio_router.http.admin import admin_app
from trio_router.http.openapi.admin import admin
from trio_router.http.openapi.clients import clients
from trio_router.http.public import public_app
from trio_router.secret import Secret

ROOT = Path(__file__).parents[3]
EVERYTHING = """
rules: rules.yml
login: [{strategy: users}, {strategy: key}, {strategy: access}]
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
rest: {}
http_api: {}
storage: {url: "sqlite:///users.db", encryption_key: "an encryption key for tests, of some length"}
apps: {shop: {rules: rules.yml, login: [{strategy: users}]}}
"""

__all__ = ["start"]  # a fixture


@pytest.mark.parametrize("made", [clients(), admin()], ids=["clients", "admin"])
def test_they_are_valid(made: Any) -> None:
    assert made["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(made).iter_errors()) == []


@pytest.mark.parametrize("made", [clients(), admin()], ids=["clients", "admin"])
def test_every_reference_leads_somewhere_and_every_id_is_its_own(made: Any) -> None:
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(made)))
    assert used - set(made["components"]["schemas"]) == set()
    ids = [operation["operationId"] for item in made["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_the_reference_has_them_as_they_are() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts/openapi"), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def described(made: Any) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, item in made["paths"].items() for method in item}


def routed(app: Any) -> set[tuple[str, str]]:
    """The methods and paths of an application; what stands behind the path of an app stands for every app."""
    found = set()
    together = [getattr(route, "routes", [route]) for route in getattr(app, "_app", app).routes]
    for route in [route for routes in together for route in (routes.values() if isinstance(routes, dict) else routes)]:
        assert isinstance(route, Route)
        path = re.sub(r"^/admin/apps/(default|shop)/", "/admin/apps/{app}/", route.path.replace(":path}", "}"))
        found |= {(method, path.removeprefix("/shop")) for method in (route.methods or set()) - {"HEAD"}}
    return found


async def test_they_describe_every_route_and_no_other(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, ASGIApp] = {}

    def kept(name: str, make: Any) -> Any:
        def keep(*parts: Any, **options: Any) -> Any:
            made[name] = make(*parts, **options)
            return made[name]

        return keep

    for module, name in ((composition, "public_app"), (administration, "admin_app")):
        monkeypatch.setattr(module, name, kept(name, getattr(module, name)))
    async with start(EVERYTHING, users=()) as site:
        assert isinstance(site, Site)
        served = (
            (await site.admin("GET", "/openapi.json")).json(),
            (await site.admin("GET", "/openapi-clients.json")).json(),
        )
    assert described(clients()) == routed(made["public_app"])
    assert described(admin()) == routed(made["admin_app"])
    assert served == (admin(), clients())


@pytest.mark.threat("T65")
@pytest.mark.parametrize("path", ["/openapi.json", "/openapi-clients.json"])
async def test_strangers_are_not_told_what_there_is(path: str) -> None:
    for app in (admin_app(Router(), None, token=None), admin_app(Router(), None, token=Secret(TOKEN))):
        assert (await wire.ask(app, "GET", path)).status in {401, 403}
    assert (await wire.ask(public_app(Router()), "GET", path, BEARER)).status == 404
