"""Everything the OpenAPI documents describe is tried on a running router, with requests made from the documents (T10).

No request may be answered 500, and each answer must be one the document has: status, type and schema. In a run of all tests it is
a few requests of each kind, always the same; ``OPENAPI_EXAMPLES=2000 pytest tests/integration/test_openapi.py`` makes as many as wanted,
new ones each time.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import pytest
import requests
import schemathesis
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from trio_router.http.openapi.admin import admin
from trio_router.http.openapi.clients import clients
from trio_router.testing.process import RouterProcess, router_process

EXAMPLES: Final = int(os.environ.get("OPENAPI_EXAMPLES", "0"))
FEW: Final = 12
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ONE_APP: Final = "/admin/apps/{app}"
THERE: Final = {"app": "default", "user_id": "ann", "key_id": "spare", "number": "", "channel": "news/sport"}
CONFIG = """
rules: rules.yml
login:
  - {strategy: key}
  - {strategy: access}
  - {strategy: users}
  - {strategy: open, ignore_credentials: true}
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
rest: {}
http_api: {request_timeout: 2}
storage: {url: "sqlite:///router.db", encryption_key: "an encryption key for tests, of some length"}
decisions: {log_allowed: true}
new_apps: {rules: rules.yml, login: [{strategy: open}]}
"""
RULES = """
event: {"*": {subscribe: true, publish: "data !== null"}}
rpc: {"*": {request: true, provide: true}}
presence: {"*": {allow: true}}
"""


@attrs.frozen
class Site:
    """A running router with a key, and what gets whom in."""

    process: RouterProcess
    admin_token: str
    key: str
    secret: str
    client: httpx.Client

    def headers(self, side: str, path: str) -> dict[str, str]:
        """Good credentials for an operation."""
        if side == "admin":
            return {"authorization": f"Bearer {self.admin_token}"}
        if path in {"/v1/keys/tokens/refresh", "/v1/keys/tokens/revoke"}:
            return {"authorization": f"Bearer {self.token()}"}
        if path.startswith("/v1/"):
            return {"authorization": requests.auth._basic_auth_str(self.key, self.secret)}  # type: ignore[attr-defined]
        return {}

    def prepare(self, path: str) -> None:
        """Make what a request about it may have removed."""
        users = path.partition("{user_id}")[0].rstrip("/").replace("{app}", "default")
        if "{user_id}" in path:
            self.ask("POST", users, {"id": "ann"})
        if "{key_id}" in path:
            self.ask("POST", "/admin/apps/default/keys", {"id": "spare"})
        if path in {"/admin/apps", ONE_APP}:
            for app in self.ask("GET", "/admin/apps")["apps"]:
                if app["made"]:
                    self.ask("DELETE", f"/admin/apps/{app['app']}")
        if path == ONE_APP:
            self.ask("POST", "/admin/apps", {"name": "made"})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request of an administrator."""
        headers = {"authorization": f"Bearer {self.admin_token}"}
        answer = self.client.request(method, f"{self.process.admin}{path}", json=body, headers=headers)
        return answer.json() if answer.content else None

    def token(self) -> str:
        answer = self.client.post(
            f"{self.process.http_url}/v1/keys/tokens", json={"clientId": "john"}, auth=(self.key, self.secret)
        )
        return str(answer.json()["data"]["token"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    folder.chmod(0o700)
    (folder / "config.yml").write_text(CONFIG)
    (folder / "rules.yml").write_text(RULES)
    token = secrets.token_urlsafe(32)
    running: list[RouterProcess] = []
    begun, over = threading.Event(), threading.Event()

    async def run() -> None:
        async with router_process(folder / "config.yml", environ={"ADMIN": token}) as process:
            running.append(process)
            begun.set()
            await trio.to_thread.run_sync(over.wait)

    def life() -> None:
        try:
            trio.run(run)
        finally:
            begun.set()

    thread = threading.Thread(target=life)
    thread.start()
    begun.wait()
    try:
        (process,) = running
        with httpx.Client(trust_env=False) as client:
            site = Site(process, token, "default.test", "", client)
            made = site.ask("POST", "/admin/apps/default/keys", {"id": "test"})
            client.post(f"{process.http_url}/api", json={"body": [{"topic": "rpc", "action": "make", "rpcName": "x"}]})
            THERE["number"] = site.ask("GET", "/admin/decisions")["decisions"][0]["id"]
            yield attrs.evolve(site, secret=made["secret"])
        assert "Traceback" not in process.log
        assert "http_request_failed" not in process.log
    finally:
        over.set()
        thread.join()


SCHEMAS = {"clients": schemathesis.openapi.from_dict(clients()), "admin": schemathesis.openapi.from_dict(admin())}
OPERATIONS = [(side, result.ok()) for side, schema in SCHEMAS.items() for result in schema.get_all_operations()]
MODES = {"good": GenerationMode.POSITIVE, "bad": GenerationMode.NEGATIVE, "unknown": GenerationMode.POSITIVE}
"""Requests as described, requests that break the description, and requests of somebody without credentials."""


def can_be_bad(operation: Any) -> bool:
    """Whether there is anything in a request that could be wrong."""
    definition = operation.definition.raw
    return "requestBody" in definition or bool(definition.get("parameters"))


TRIALS = [
    pytest.param(mode, side, operation, id=f"{mode} {side} {operation.label}")
    for mode in MODES
    for side, operation in OPERATIONS
    if mode != "bad" or can_be_bad(operation)
]


@pytest.mark.threat("T10")
@pytest.mark.timeout(0 if EXAMPLES else 120)
@pytest.mark.parametrize(("mode", "side", "operation"), TRIALS)
def test_every_request_is_answered_as_described(site: Site, mode: str, side: str, operation: Any) -> None:
    base = site.process.http_url if side == "clients" else site.process.admin
    session = requests.Session()
    session.trust_env = False

    @settings(
        max_examples=EXAMPLES or FEW,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=_cases(operation, mode))
    def answered(case: Any) -> None:
        site.prepare(operation.path)
        headers = {} if mode == "unknown" else site.headers(side, operation.path)
        response = case.call(base_url=base, session=session, headers=headers)
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    seen: set[int] = set()
    answered()
    successes = {int(status) for status in operation.definition.raw["responses"] if status.startswith("2")}
    assert mode != "good" or not successes or seen & successes  # or it would be tried by refusals alone


def _cases(operation: Any, mode: str) -> Any:
    """Requests about what there is, and about what there is not."""
    anything = operation.as_strategy(generation_mode=MODES[mode])
    named = {name: value for name, value in THERE.items() if f"{{{name}}}" in operation.path}
    if operation.path == ONE_APP:
        named = {"app": "made"}
    if mode == "bad" or not named:
        return anything
    return st.one_of(operation.as_strategy(path_parameters=named), anything)
