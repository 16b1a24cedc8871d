"""A login service that misbehaves behind a whole router: new logins wait for it, logged-in sessions never notice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from trio_router.app import Router
from trio_router.client import LoginDenied, LoginUnavailable, connect
from trio_router.config.load import load
from trio_router.testing.http_service import (
    HttpService,
    ServiceRequest,
    answer,
    answer_json,
    close_early,
    compressed,
    drip,
    hang,
    huge,
    raw,
    redirect,
    serve,
)

LATE = 30.0
MIB = 1024 * 1024

CONFIG = """
rules: rules.yml
login:
  - strategy: webhook
    url: {url}
    timeout: 0.5
    breaker_failures: 0
listen: {{port: 0}}
"""
RULES = """
event:
  "room/$room":
    subscribe: "user.isAuthenticated"
    publish: "user.data.role === 'host'"
"""

FAULTS = {
    "hangs": hang(),
    "drips": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalice", 1.0),
    "is huge": huge(300 * MIB, chunked=True),
    "is a gzip bomb": compressed(b"\0" * 20 * MIB),
    "redirects": redirect("http://127.0.0.1:9/"),
    "closes": close_early,
    "talks junk": raw(b"\0\1\2\3 junk\r\n\r\n", close=True),
    "fails": answer(500),
}


async def doorman(request: ServiceRequest, stream: trio.abc.Stream) -> None:
    name = (request.json["authData"] or {}).get("name")
    behave = (
        answer_json(200, {"id": name, "serverData": {"role": "host"}}) if name else answer_json(403, {"error": "who?"})
    )
    await behave(request, stream)


@pytest.fixture
async def service() -> AsyncIterator[HttpService]:
    async with serve(doorman) as found:
        yield found


@pytest.fixture
async def url(service: HttpService, tmp_path: Path) -> AsyncIterator[str]:
    tmp_path.chmod(0o700)
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "config.yml").write_text(CONFIG.format(url=service.url))
    router = Router.load(lambda: load(tmp_path / "config.yml", environ={}))
    async with trio.open_nursery() as nursery:
        address = await nursery.start(router.run)
        yield address.url
        router.stop()


@pytest.mark.threat("T59")
@pytest.mark.threat("T60")
async def test_sessions_never_notice_and_logins_come_back(service: HttpService, url: str) -> None:
    with trio.fail_after(LATE):
        async with connect(url, {"name": "alice"}) as alice, alice.subscribe("room/1") as events:
            for fault, behave in FAULTS.items():
                service.behave = behave
                service.requests.clear()
                async with trio.open_nursery() as nursery:

                    async def late_comer() -> None:
                        with pytest.raises(LoginUnavailable):
                            async with connect(url, {"name": "bob"}, reconnect=False):
                                raise AssertionError

                    nursery.start_soon(late_comer)
                    nursery.start_soon(late_comer)
                    await alice.publish("room/1", {"fault": fault})
                    event = await anext(aiter(events))
                    assert event.data == {"fault": fault}
                assert len(service.requests) == 2  # both were really asked about
            service.behave = doorman
            async with connect(url, {"name": "bob"}, reconnect=False) as bob:
                await bob.publish("room/1", "back")
            assert (await anext(aiter(events))).data == "back"
            assert events.interruptions == 0


@pytest.mark.threat("T61")
async def test_denied_is_another_answer_and_carries_the_services_words(service: HttpService, url: str) -> None:
    with trio.fail_after(LATE), pytest.raises(LoginDenied) as caught:
        async with connect(url, {}, reconnect=False):
            raise AssertionError
    assert caught.value.data == {"error": "who?"}
