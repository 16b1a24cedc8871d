"""The two applications: what everybody is told, and what an administrator may do."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.unit.http import wire
from tests.unit.http.wire import Answer
from trio_router.auth.accounts import Accounts
from trio_router.auth.passwords import PasswordHasher
from trio_router.clock import ManualClock
from trio_router.errors import ConfigError, Problem, StorageUnavailable
from trio_router.http.admin import admin_app
from trio_router.http.operations import Health, ReloadResult
from trio_router.http.public import public_app
from trio_router.metrics import Metrics
from trio_router.secret import Secret
from trio_router.storage.memory import MemoryUserStore

TOKEN = "canary-admin-token-0123456789"
BEARER = f"Authorization: Bearer {TOKEN}"


class Router:
    """A router in memory."""

    def __init__(self) -> None:
        self.draining = False
        self.reloads = 0
        self.failure: Exception | None = None

    def health(self) -> Health:
        return Health("0.1", "abc", 12.5, 3, 2, self.draining, ("open login",))

    async def reload(self) -> ReloadResult:
        if self.failure:
            raise self.failure
        self.reloads += 1
        return ReloadResult("def", ("rules",), ("listen.port",))


class BrokenStore(MemoryUserStore):
    async def get(self, app: str, user_id: str) -> Any:
        raise StorageUnavailable("canary-of-the-store")


@pytest.fixture
def router() -> Router:
    return Router()


@pytest.fixture
def admin(router: Router) -> ASGIApp:
    accounts = Accounts(MemoryUserStore(), "default", PasswordHasher(), ManualClock())
    return admin_app(router, Metrics(), token=Secret(TOKEN), users=accounts)


async def call(app: ASGIApp, method: str, target: str, *headers: str, body: bytes | None = None) -> Answer:
    json = ["Content-Type: application/json"] if body is not None else []
    return await wire.ask(app, method, target, BEARER, *json, *headers, body=body)


async def test_everybody_is_told_that_the_router_is_up_and_nothing_else(router: Router) -> None:
    app = public_app(router)
    answer = await wire.ask(app, "GET", "/health", host="anything.example")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    router.draining = True
    answer = await wire.ask(app, "GET", "/health")
    assert (answer.status, answer.json) == (503, {"status": "draining"})


@pytest.mark.threat("T65")
@pytest.mark.parametrize(
    "target", ["/metrics", "/admin/reload", "/admin/users", "/admin", "/docs", "/openapi.json", "/"]
)
async def test_nothing_of_administration_is_on_the_clients_port(router: Router, target: str) -> None:
    answer = await wire.ask(public_app(router), "GET", target, BEARER)
    assert answer.status == 404
    assert answer.json["error"]["code"] == "not_found"


@pytest.mark.threat("T31")
async def test_an_administrator_sees_what_is_unsafe(admin: ASGIApp) -> None:
    answer = await call(admin, "GET", "/health")
    assert answer.json == {
        "status": "ok",
        "version": "0.1",
        "rules_version": "abc",
        "uptime": 12.5,
        "connections": 3,
        "sessions": 2,
        "draining": False,
        "unsafe": ["open login"],
    }


async def test_metrics_are_in_the_prometheus_text_format(admin: ASGIApp) -> None:
    answer = await call(admin, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"# TYPE trio_router_connections gauge" in answer.body


async def test_metrics_can_be_switched_off(router: Router) -> None:
    assert (await call(admin_app(router, None, token=Secret(TOKEN)), "GET", "/metrics")).status == 404


@pytest.mark.threat("T65")
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/health"),
        ("GET", "/metrics"),
        ("POST", "/admin/reload"),
        ("GET", "/admin/users"),
        ("POST", "/admin/users"),
        ("GET", "/admin/users/a"),
        ("PATCH", "/admin/users/a"),
        ("DELETE", "/admin/users/a"),
        ("POST", "/admin/users/a/password"),
        ("GET", "/no/such/thing"),
    ],
)
@pytest.mark.parametrize(
    "credentials",
    [
        (),
        ("Authorization: Bearer wrong",),
        ("Authorization: Bearer ",),
        (f"Authorization: Basic {TOKEN}",),
        (f"Authorization: Bearer {TOKEN}x",),
        (f"Authorization: Bearer {TOKEN[:-1]}",),
        (BEARER, BEARER),
        (f"X-Authorization: Bearer {TOKEN}",),
    ],
)
async def test_without_the_token_there_is_nothing(
    admin: ASGIApp, router: Router, method: str, target: str, credentials: tuple[str, ...]
) -> None:
    answer = await wire.ask(admin, method, target, *credentials)
    assert answer.status == 401
    assert answer.json["error"]["code"] == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert router.reloads == 0


@pytest.mark.threat("T65")
async def test_a_token_in_the_url_is_none(admin: ASGIApp) -> None:
    assert (await wire.ask(admin, "GET", f"/health?token={TOKEN}&access_token={TOKEN}")).status == 401


@pytest.mark.threat("T65")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:7001"])
async def test_a_web_page_is_never_an_administrator(admin: ASGIApp, router: Router, origin: str) -> None:
    answer = await call(admin, "POST", "/admin/reload", f"Origin: {origin}")
    assert (answer.status, answer.json["error"]["code"]) == (403, "forbidden_origin")
    assert router.reloads == 0
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.threat("T65")
@pytest.mark.parametrize("host", ["evil.example", "evil.example:7001", "127.0.0.1.evil.example", "localhost.:7001", ""])
async def test_a_name_that_was_made_to_point_here_is_refused(admin: ASGIApp, host: str) -> None:
    answer = await wire.ask(admin, "GET", "/health", BEARER, host=host)
    assert (answer.status, answer.json["error"]["code"]) == (403, "bad_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:7001", "[::1]", "[::1]:7001"])
async def test_the_names_of_this_machine_are_fine(admin: ASGIApp, host: str) -> None:
    assert (await wire.ask(admin, "GET", "/health", BEARER, host=host)).status == 200


@pytest.mark.threat("T65")
async def test_without_a_token_in_the_config_only_looking_is_possible(router: Router) -> None:
    accounts = Accounts(MemoryUserStore(), "default", PasswordHasher(), ManualClock())
    app = admin_app(router, Metrics(), token=None, users=accounts)
    assert (await wire.ask(app, "GET", "/health")).status == 200
    assert (await wire.ask(app, "GET", "/metrics")).status == 200
    for method, target in (("POST", "/admin/reload"), ("GET", "/admin/users"), ("GET", "/health/../admin/users")):
        answer = await wire.ask(app, method, target, "Authorization: Bearer ")
        assert (answer.status, answer.json["error"]["code"]) == (403, "no_token")


async def test_a_reload_says_what_it_did(admin: ASGIApp, router: Router) -> None:
    answer = await call(admin, "POST", "/admin/reload")
    assert answer.json == {"rules_version": "def", "changed": ["rules"], "needs_restart": ["listen.port"]}
    assert router.reloads == 1
    assert (await call(admin, "GET", "/admin/reload")).status == 405


@pytest.mark.threat("T31")
async def test_a_refused_reload_names_every_problem(admin: ASGIApp, router: Router) -> None:
    router.failure = ConfigError(
        [Problem("unknown key 'x'", "config.yml", 3, 5, "listen.x"), Problem("no", "rules.yml")]
    )
    answer = await call(admin, "POST", "/admin/reload")
    assert answer.status == 422
    assert answer.json["error"]["code"] == "invalid_config"
    assert answer.json["error"]["detail"][0] == {
        "source": "config.yml",
        "line": 3,
        "column": 5,
        "field": "listen.x",
        "message": "unknown key 'x'",
    }


async def test_the_life_of_a_user(admin: ASGIApp) -> None:
    new = b'{"id": "ann", "password": "correct horse", "data": {"roles": ["editor"]}}'
    answer = await call(admin, "POST", "/admin/users", body=new)
    assert answer.status == 201
    assert answer.json["data"] == {"roles": ["editor"]}
    assert (await call(admin, "POST", "/admin/users", body=new)).status == 409
    answer = await call(admin, "GET", "/admin/users/ann")
    assert answer.json["has_password"] is True
    change = b'{"data": null, "client_data": {"theme": "dark"}, "disabled": true}'
    answer = await call(admin, "PATCH", "/admin/users/ann", body=change)
    assert answer.json["data"] is None
    assert answer.json["client_data"] == {"theme": "dark"}
    assert answer.json["disabled"] is True
    answer = await call(admin, "PATCH", "/admin/users/ann", body=b'{"disabled": false}')
    assert answer.json["disabled"] is False
    assert answer.json["client_data"] == {"theme": "dark"}
    assert (await call(admin, "POST", "/admin/users/ann/password", body=b'{"password": "another one"}')).status == 204
    assert (await call(admin, "DELETE", "/admin/users/ann")).status == 204
    assert (await call(admin, "GET", "/admin/users/ann")).json["error"]["code"] == "user_unknown"


async def test_users_come_in_pages(admin: ASGIApp) -> None:
    for name in ("a", "b", "c"):
        await call(admin, "POST", "/admin/users", body=b'{"id": "%s"}' % name.encode())
    first = (await call(admin, "GET", "/admin/users?limit=2")).json
    assert [user["id"] for user in first["users"]] == ["a", "b"]
    second = (await call(admin, "GET", f"/admin/users?limit=2&after={first['next']}")).json
    assert [user["id"] for user in second["users"]] == ["c"]
    assert second["next"] is None


@pytest.mark.threat("T28")
@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", "/admin/users", b"{", 400),
        ("POST", "/admin/users", b"[]", 400),
        ("POST", "/admin/users", b'{"id": "a", "password_hash": "x"}', 400),
        ("POST", "/admin/users", b'{"id": "a", "Id": "b"}', 400),
        ("POST", "/admin/users", b'{"id": "a", "id": "b"}', 400),
        ("POST", "/admin/users", b'{"id": 1}', 400),
        ("POST", "/admin/users", b'{"id": "a", "data": []}', 400),
        ("POST", "/admin/users", b'{"id": "a", "data": {"x": "\\ud800"}}', 400),
        ("POST", "/admin/users", b'{"id": "a", "data": ' + b"[" * 100 + b"]" * 100 + b"}", 400),
        ("POST", "/admin/users", b'{"id": "a/b"}', 422),
        ("POST", "/admin/users", b'{"id": "a", "password": ""}', 422),
        ("PATCH", "/admin/users/a", b'{"id": "b"}', 400),
        ("GET", "/admin/users?limit=0", None, 422),
        ("GET", "/admin/users?limit=x", None, 400),
        ("GET", "/admin/users?fields=hash", None, 400),
    ],
)
async def test_a_body_that_is_not_exactly_right_is_refused(
    admin: ASGIApp, method: str, target: str, body: bytes | None, status: int
) -> None:
    answer = await call(admin, method, target, body=body)
    assert answer.status == status
    assert answer.json["error"]["detail"]
    assert (await call(admin, "GET", "/admin/users")).json["users"] == []


async def test_a_form_is_not_json(admin: ASGIApp) -> None:
    answer = await wire.ask(admin, "POST", "/admin/users", BEARER, "Content-Type: text/plain", body=b'{"id": "a"}')
    assert answer.status == 415


@pytest.mark.threat("T62")
async def test_no_answer_holds_a_password_a_hash_or_the_token(
    admin: ASGIApp, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = b"canary-password-7"
    seen = []
    for method, target, body in (
        ("POST", "/admin/users", b'{"id": "ann", "password": "%s"}' % canary),
        ("POST", "/admin/users", b'{"id": "ann", "password": "%s"}' % canary),
        ("POST", "/admin/users", b'{"id": "ann", "password": ["%s"]}' % canary),
        ("POST", "/admin/users", b'{"id": "ann", "passwrd": "%s"}' % canary),
        ("POST", "/admin/users/ann/password", b'{"password": "%s"}' % (canary * 100)),
        ("GET", "/admin/users/ann", None),
        ("GET", "/admin/users", None),
        ("GET", "/health", None),
        ("GET", "/metrics", None),
    ):
        answer = await call(admin, method, target, body=body)
        seen.append(answer.body + repr(answer.headers).encode())
    output = capsys.readouterr()
    everything = b"".join(seen) + (output.out + output.err).encode()
    assert canary not in everything
    assert b"argon2" not in everything
    assert TOKEN.encode() not in everything


async def test_a_store_that_does_not_answer_is_named_without_its_words(router: Router) -> None:
    accounts = Accounts(BrokenStore(), "default", PasswordHasher(), ManualClock())
    app = admin_app(router, None, token=Secret(TOKEN), users=accounts)
    answer = await call(app, "GET", "/admin/users/a")
    assert (answer.status, answer.json["error"]["code"]) == (503, "storage_unavailable")
    assert b"canary" not in answer.body


@pytest.mark.threat("T64")
@pytest.mark.parametrize("user", ["a%0d%0aSet-Cookie:%20x=1", "%0a", "a%00b", "%E2%80%AE", "..%2f..%2fetc%2fpasswd"])
async def test_nothing_of_a_url_becomes_a_header_or_a_file(admin: ASGIApp, user: str) -> None:
    answer = await call(admin, "GET", f"/admin/users/{user}")
    assert answer.status in {404, 422}
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
