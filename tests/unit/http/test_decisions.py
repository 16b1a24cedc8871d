"""The routes about decisions: what they answer, what they refuse, and that nobody but an administrator reaches them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.unit.http import wire
from tests.unit.http.test_admin import BEARER, TOKEN, Router
from tests.unit.http.wire import Answer
from trio_router.auth.accounts import Accounts
from trio_router.auth.passwords import PasswordHasher
from trio_router.clock import ManualClock
from trio_router.http.admin import admin_app
from trio_router.http.public import public_app
from trio_router.identity import Identity, User
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.redaction import Redaction
from trio_router.routing.decisions import DecisionBook, Recorded
from trio_router.routing.door import Door
from trio_router.routing.tracing import Tracer
from trio_router.secret import Secret
from trio_router.storage.memory import MemoryUserStore

RULES = """
event:
  "news/*":
    publish: "user.data.role === 'editor' && data.password !== 'x'"
    subscribe: "session.strategy === 'jwt'"
"""
CANARIES = ("canary-data-password", "canary-ssn", "canary-user-password", TOKEN)


class Site:
    def __init__(self) -> None:
        clock = ManualClock()
        self.book = DecisionBook(clock, keep=100, memory=1_000_000, allowed_too=True)
        self.door = Door(load_rules(RULES, "rules.yml", clock=clock), book=self.book)
        redaction = Redaction.of(["data.password", "user.data.ssn"])
        self.tracer = Tracer("default", self.door, self.book, redaction)
        self.accounts = Accounts(MemoryUserStore(), "default", PasswordHasher(), clock)
        self.app = admin_app(Router(), None, token=Secret(TOKEN), users=self.accounts, decisions=self.tracer)

    def deny(self, name: str = "news/x") -> str:
        who = Identity("default", "session-1", User("egon", {"role": "reader", "ssn": "canary-ssn"}))
        decision = self.door.authorize(who, Action.EVENT_PUBLISH, name, Payload({"password": "canary-data-password"}))
        assert isinstance(decision, Recorded)
        return decision.id


@pytest.fixture
def site() -> Site:
    return Site()


async def call(app: ASGIApp, method: str, target: str, body: Any = None) -> Answer:
    text = None if body is None else json.dumps(body).encode()
    headers = [BEARER] if body is None else [BEARER, "Content-Type: application/json"]
    return await wire.ask(app, method, target, *headers, body=text)


async def ask(site: Site, **question: Any) -> Answer:
    base = {"user": "egon", "action": "event.publish", "name": "news/x"}
    return await call(site.app, "POST", "/admin/explain", base | question)


async def test_why_something_would_be_denied(site: Site) -> None:
    answer = await ask(site, user_data={"role": "reader"}, data={"n": 1})
    assert answer.status == 200
    told = answer.json
    assert (told["allowed"], told["reason"], told["rule"]["line"]) == (False, "rule_false", 4)
    assert {"text": "user.data.role", "value": "reader"}.items() <= told["steps"][2].items()
    assert (await ask(site, user_data={"role": "editor"}, data={"password": "y"})).json["allowed"]


async def test_the_action_in_two_words_and_data_that_is_absent_or_null(site: Site) -> None:
    answer = await ask(site, action={"section": "event", "action": "publish"}, user_data={"role": "editor"})
    assert answer.json["reason"] == "rule_error"
    assert "data" not in answer.json
    assert (await ask(site, data=None)).json["data"] is None


async def test_the_data_of_a_built_in_user_is_looked_up(site: Site) -> None:
    await site.accounts.add("egon", Secret("canary-user-password"), data={"role": "editor"})
    assert (await ask(site, data={})).json["allowed"]
    assert not (await ask(site, data={}, user_data=None)).json["allowed"]
    assert not (await ask(site, data={}, user="nobody")).json["allowed"]


async def test_what_the_session_is_can_be_said(site: Site) -> None:
    assert not (await ask(site, action="event.subscribe")).json["allowed"]
    assert (await ask(site, action="event.subscribe", strategy="jwt")).json["allowed"]
    assert (await ask(site, action="event.subscribe", strategy="jwt", name="news/*")).json["allowed"]


@pytest.mark.parametrize(
    ("question", "detail"),
    [
        ({"action": "event.fly"}, "action: expected one of event.publish"),
        ({"action": "publish"}, "action: expected one of"),
        ({"action": {"section": "event"}}, "missing required field `action`"),
        ({"user": "a b"}, "user: "),
        ({"user_data": [1]}, "user_data"),
        ({"unknown": 1}, "unknown"),
    ],
)
async def test_a_question_that_is_none(site: Site, question: dict[str, Any], detail: str) -> None:
    answer = await ask(site, **question)
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_body")
    assert detail in answer.json["error"]["detail"]


async def test_a_decision_is_found_by_its_id(site: Site) -> None:
    number = site.deny()
    answer = await call(site.app, "GET", f"/admin/decisions/{number}")
    assert answer.status == 200
    told = answer.json
    assert (told["id"], told["user"], told["session"], told["allowed"]) == (number, "egon", "session-1", False)
    assert told["rule"] == "rules.yml:4"
    assert told["explained"]["steps"][0]["value"] is False
    answer = await call(site.app, "GET", "/admin/decisions/AAAAAAAAAAAA")
    assert (answer.status, answer.json["error"]["code"]) == (404, "decision_unknown")


async def test_the_last_decisions(site: Site) -> None:
    made = [site.deny(f"news/{number}") for number in range(3)]
    site.door.authorize(Identity("default", "s", User("x"), strategy="jwt"), Action.EVENT_SUBSCRIBE, "news/y")
    every = (await call(site.app, "GET", "/admin/decisions")).json["decisions"]
    assert len(every) == 4
    denied = (await call(site.app, "GET", "/admin/decisions?denied=true&limit=2")).json["decisions"]
    assert [each["id"] for each in denied] == made[:0:-1]
    assert [
        each["allowed"] for each in (await call(site.app, "GET", "/admin/decisions?denied=false")).json["decisions"]
    ] == [True]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "limit=%D9%A3", "denied=yes", "order=1"]
)
async def test_a_query_that_is_none(site: Site, query: str) -> None:
    answer = await call(site.app, "GET", f"/admin/decisions?{query}")
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_query")


# ---- T36 --------------------------------------------------------------------------------------------------------

ROUTES = [
    ("POST", "/admin/explain"),
    ("GET", "/admin/decisions"),
    ("GET", "/admin/decisions?limit=10&denied=true"),
    ("GET", "/admin/decisions/{id}"),
    ("HEAD", "/admin/decisions/{id}"),
    ("GET", "/admin/explain"),
    ("OPTIONS", "/admin/decisions"),
    ("GET", "/admin/decisions/"),
    ("GET", "//admin/decisions"),
    ("GET", "/admin/%64ecisions"),
    ("GET", "/admin/../admin/decisions"),
]


@pytest.mark.threat("T36")
@pytest.mark.parametrize(("method", "target"), ROUTES)
@pytest.mark.parametrize(
    "credentials", [(), ("Authorization: Bearer wrong-token-0123456789abc",), (f"Cookie: token={TOKEN}",)]
)
async def test_nobody_but_an_administrator_gets_an_explanation(
    site: Site, method: str, target: str, credentials: tuple[str, ...]
) -> None:
    number = site.deny()
    body = (
        json.dumps({"user": "egon", "action": "event.publish", "name": "news/x"}).encode() if method == "POST" else None
    )
    headers = ("Content-Type: application/json", *credentials) if body else credentials
    for app, status in ((site.app, 401), (public_app(Router()), 404)):
        answer = await wire.ask(app, method, target.replace("{id}", number), *headers, body=body)
        assert answer.status in {status, 400}
        for word in (number, "egon", "rules.yml", "user.data", "news/x", *CANARIES):
            assert word.encode() not in answer.body


@pytest.mark.threat("T36")
async def test_without_a_token_in_the_configuration_nobody_does(site: Site) -> None:
    site.deny()
    app = admin_app(Router(), None, token=None, decisions=site.tracer)
    for method, target in ROUTES:
        answer = await wire.ask(app, method, target.replace("{id}", "x"))
        assert answer.status in {400, 403}


@pytest.mark.threat("T36")
async def test_no_answer_holds_a_secret(site: Site) -> None:
    await site.accounts.add("ann", Secret("canary-user-password"), data={"role": "editor", "ssn": "canary-ssn"})
    number = site.deny()
    answers = [
        await call(site.app, "GET", "/admin/decisions"),
        await call(site.app, "GET", f"/admin/decisions/{number}"),
        await ask(site, user="ann", data={"password": "canary-data-password"}),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200]
    for answer in answers:
        for canary in CANARIES:
            assert canary.encode() not in answer.body
    assert b"<redacted>" in answers[1].body
