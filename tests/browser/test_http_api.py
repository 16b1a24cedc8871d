"""Pages in a real browser use the HTTP API, or do not: what CORS and the origin list come to, with tokens and with cookies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from tests.browser.chromium import Visitor
from tests.integration.conftest import Start, start
from trio_router.testing.http_service import HttpService, ServiceRequest, answer, answer_json, serve

__all__ = ["start"]  # a fixture

CONFIG = """
rules: rules.yml
login: [{strategy: webhook, url: "${URL}"}]
listen: {port: 0, origins: [ORIGIN]}
admin: {port: 0, token: "${ADMIN}"}
http_api: {}
"""
RULES = """
event: {"*": {publish: "user.id === 'ann'", subscribe: true}}
rpc: {"*": {request: false, provide: false}}
presence: {"*": {allow: false}}
"""
PAGE = answer(200, b"<!doctype html><title>page</title><h1>page</h1>", kind="text/html", set_cookie="sid=s1; HttpOnly")
BODY = {"body": [{"topic": "event", "action": "emit", "eventName": "news", "data": 1}]}


@attrs.frozen
class World:
    """A router, the login service behind it, a page it knows and one it does not."""

    router: str
    service: HttpService
    known: HttpService
    unknown: HttpService

    async def ask(self, visitor: Visitor, **options: Any) -> Any:
        """What the page in the tab is answered when it sends a batch: the JSON, or the browser's error."""
        options = {"method": "POST", "body": json.dumps(BODY), **options}
        options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        call = f"fetch({json.dumps(self.router + '/api')}, {json.dumps(options)})"
        return await visitor.script(f"return {call}.then(answer => answer.json()).catch(error => error.name)")


async def doorman(request: ServiceRequest, stream: trio.abc.Stream) -> None:
    """Lets Ann in, by a token or by the cookie of her session."""
    asked = request.json
    cookie = asked["connectionData"]["headers"].get("cookie")
    good = asked["authData"] == {"token": "t1"} or (asked["authData"] is None and cookie == "sid=s1")
    await answer_json(200 if good else 401, {"id": "ann"} if good else {})(request, stream)


@pytest.fixture
def world(start: Start) -> Any:
    @asynccontextmanager
    async def running() -> AsyncIterator[World]:
        async with serve(doorman) as service, serve(PAGE) as known, serve(PAGE) as unknown:
            config = CONFIG.replace("ORIGIN", f'"http://127.0.0.1:{known.port}"')
            async with start(config, RULES, users=(), URL=service.url) as site:
                yield World(site.address.url.replace("ws://", "http://").rstrip("/"), service, known, unknown)

    return running


@pytest.mark.threat("T01")
async def test_a_page_on_the_list_sends_tokens_and_cookies_and_another_one_nothing(
    world: Any, visit: Callable[[str], Visitor]
) -> None:
    async with world() as here:
        ann = visit("ann")
        await ann.open(here.known.url)
        by_token = await here.ask(ann, headers={"Authorization": "Bearer t1"})
        by_cookie = await here.ask(ann, credentials="include")
        asked = len(here.service.requests)
        await ann.open(here.unknown.url)
        refused = [
            await here.ask(ann, headers={"Authorization": "Bearer t1"}),
            await here.ask(ann, credentials="include"),
            await here.ask(ann, credentials="include", headers={"Content-Type": "text/plain"}, mode="no-cors"),
        ]
        assert len(here.service.requests) == asked == 2
    assert by_token == by_cookie == {"result": "SUCCESS", "body": [{"success": True}]}
    assert refused == ["TypeError", "TypeError", "SyntaxError"]  # the last one is an answer that it may not see
