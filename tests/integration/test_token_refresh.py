"""A client with short tokens over real sockets: it stays connected, loses nothing, and bears that its token server is away."""

from __future__ import annotations

import json

import pytest
import trio

from tests.integration.test_access_tokens import Tokens, router, seal, tokens  # noqa: F401 - fixtures
from trio_router.client import Backoff, TokenAuth, connect
from trio_router.testing.http_service import ServiceRequest, response, serve

EVENTS = 110


@pytest.mark.slow
@pytest.mark.threat("T48")
async def test_five_second_tokens_for_twelve_seconds(router: Tokens) -> None:  # noqa: F811
    rest, away, asked = router.rest(), [False], []

    async def token_server(request: ServiceRequest, stream: trio.abc.Stream) -> None:
        asked.append(request.target)
        if away[0]:
            await stream.send_all(response(503))
            return
        if request.target == "/refresh":
            made = await rest.refresh_token(request.json["token"])
        elif request.target == "/revoke":
            await rest.revoke_token(request.json["token"])
            await stream.send_all(response(204))
            return
        else:
            assert request.json == {"user": "John"}
            assert request.header("x-cookie") == "c"
            made = await rest.generate_token("John", lifetime=5)
        await stream.send_all(response(200, json.dumps(made.answer).encode()))

    async with serve(token_server) as service:
        base = service.url.removesuffix("/login")
        auth = TokenAuth(
            f"{base}/auth", f"{base}/refresh", f"{base}/revoke",
            auth_body={"user": "John"}, auth_headers={"X-Cookie": "c"}, revoke_on_close=True, backoff=Backoff(0.2, 0.5),
        )  # fmt: skip
        got: list[int] = []
        source = await rest.generate_token("Source")
        async with (
            connect(router.url, {"token": source.text}) as publisher,
            connect(router.url, auth) as john,
            john.subscribe("c", buffer=1000) as feed,
        ):
            session, first_end = john.session_id, john.expires or 0.0

            async def listen() -> None:
                async for event in feed:
                    got.append(event.data)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                for number in range(EVENTS):
                    away[0] = 60 <= number < 68  # seconds 6.6 to 7.5
                    await publisher.publish("c", number)
                    await trio.sleep(0.11)
                nursery.cancel_scope.cancel()
            assert got == list(range(EVENTS))
            assert john.session_id == session
            assert feed.interruptions == 0
            assert (john.expires or 0.0) >= first_end + 8
            assert asked.count("/auth") == 1
            last = await auth.token()
        assert asked[-1] == "/revoke"
        assert (await router.post("/v1/channels/c/messages", {"data": 1}, bearer=last)).status_code == 401
