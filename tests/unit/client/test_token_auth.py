"""TokenAuth against a scripted server and a session that is a table: one request in flight, in time, with pauses."""

from __future__ import annotations

import base64
import itertools
import json
import random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_router.client import ConnectFailed, TokenAuth
from trio_router.client import token_auth as module
from trio_router.client.backoff import Backoff
from trio_router.client.errors import ConnectionEnded, ConnectionLost, RequestRefused
from trio_router.client.http import HttpFailed, HttpReply
from trio_router.protocols import messages
from trio_router.protocols.codes import LOGIN_UNAVAILABLE, REFRESH_DENIED


def jwt(number: int, life: float) -> str:
    claims = json.dumps({"iat": 1000, "exp": 1000 + life, "n": number}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.sig"


class Server:
    """The program's own token server: answers after ``delay``, or fails by the script."""

    def __init__(self, life: float, delay: float = 0.01) -> None:
        self.life, self.delay = life, delay
        self.asked: list[tuple[float, str, dict[str, Any], tuple[tuple[str, str], ...]]] = []
        self.failures: list[ConnectFailed | None] = []
        self.busy = self.most_busy = self.issued = 0

    async def __call__(self, url: str, value: Any, *, headers: Any, tls: Any, timeout: float) -> HttpReply:
        self.asked.append((trio.current_time(), url, value, headers))
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await trio.sleep(self.delay)
        finally:
            self.busy -= 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.issued += 1
        data = {"token": jwt(self.issued, self.life), "token_type": "Bearer", "expires_in": 4_000_000_000}
        return HttpReply(200, {}, json.dumps({"data": data}).encode())

    def urls(self) -> list[str]:
        return [entry[1] for entry in self.asked]


class FakeSession:
    def __init__(self) -> None:
        self.tokens: list[tuple[float, str]] = []
        self.answers: list[RequestRefused | ConnectionLost] = []
        self.expires: list[float | None] = []
        self.is_over = False
        self._over = trio.Event()

    async def ended(self) -> None:
        await self._over.wait()

    def end(self) -> None:
        self.is_over = True
        self._over.set()

    async def request(self, make: Any) -> messages.Done:
        await trio.lowlevel.checkpoint()
        message = make("1")
        self.tokens.append((trio.current_time(), message.token))
        if self.answers:
            raise self.answers.pop(0)
        return messages.Done("1", 12.0)

    def renewed(self, expires: float | None) -> None:
        self.expires.append(expires)


class Connected:
    def __init__(self, session: FakeSession) -> None:
        self.session: FakeSession | None = session
        self.over = False

    def current(self) -> Any:
        return self.session

    async def wait_connected(self) -> None:
        await trio.lowlevel.checkpoint()
        while self.session is None or self.session.is_over:
            if self.over:
                raise ConnectionEnded("closed")
            await trio.sleep(1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(3600)
    monkeypatch.setattr(module, "post_json", made)
    return made


def auth(**options: Any) -> TokenAuth:
    options = {"refresh_url": "http://a/refresh", "revoke_url": "http://a/revoke", "chance": random.Random(1)} | options
    return TokenAuth("http://a/auth", backoff=Backoff(0.5, 4, random.Random(2)), **options)


async def test_what_is_sent(server: Server, autojump_clock: MockClock) -> None:
    tokens = auth(auth_body={"key": "value"}, auth_headers={"header1": "header 1"})
    first = await tokens.token()
    assert await tokens.token() == first
    await tokens.refresh()
    second = await tokens.token()
    await tokens.revoke()
    assert [(url, value) for _, url, value, _ in server.asked] == [
        ("http://a/auth", {"key": "value"}),
        ("http://a/refresh", {"key": "value", "token": first}),
        ("http://a/revoke", {"key": "value", "token": second}),
    ]
    assert {headers for *_, headers in server.asked} == {(("header1", "header 1"),)}


async def test_many_users_one_request(server: Server, autojump_clock: MockClock) -> None:
    tokens = auth()
    got: list[str] = []

    async def use() -> None:
        got.append(await tokens.token())

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(use)
    assert len(set(got)) == 1
    assert len(server.asked) == 1


async def test_whoever_is_cancelled_leaves_the_others_a_token(server: Server, autojump_clock: MockClock) -> None:
    tokens = auth()
    server.delay = 5
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await tokens.token()
        nursery.start_soon(tokens.token)
        nursery.start_soon(tokens.token)
    assert server.issued == 1


@pytest.mark.threat("T48")
@pytest.mark.parametrize("life", [5, 60, 3600])
async def test_it_is_refreshed_in_time_and_in_band(server: Server, autojump_clock: MockClock, life: float) -> None:
    server.life = life
    tokens, session = auth(), FakeSession()
    await tokens.token()
    with trio.move_on_after(life * 12):
        await tokens.keep(Connected(session))
    times = [0.0, *(at for at, _ in session.tokens)]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    lead = min(60.0, life * 0.4)
    assert len(gaps) >= 11
    assert all(life - lead - 0.1 <= gap <= life - 0.7 * lead + 0.1 for gap in gaps)
    assert len({round(gap, 3) for gap in gaps}) > len(gaps) / 2  # jittered
    assert [token for _, token in session.tokens] == [jwt(n, life) for n in range(2, len(gaps) + 2)]
    assert session.expires == [12.0] * len(gaps)
    assert server.most_busy == 1


@pytest.mark.threat("T14")
async def test_a_server_that_is_down_is_asked_again_with_pauses(server: Server, autojump_clock: MockClock) -> None:
    server.life = 100
    tokens, session = auth(), FakeSession()
    await tokens.token()
    server.failures = [HttpFailed("down")] * 8
    with trio.move_on_after(99):
        await tokens.keep(Connected(session))
    tries = [at for at, url, *_ in server.asked if url == "http://a/refresh"]
    assert len(tries) == 9
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert len({round(pause, 3) for pause in pauses}) == len(pauses)
    assert max(pauses) > 1
    assert not session.is_over
    assert len(session.tokens) == 1


async def test_a_refused_refresh_asks_for_a_new_login(server: Server, autojump_clock: MockClock) -> None:
    tokens = auth()
    await tokens.token()
    server.failures = [HttpFailed("no", status=401, permanent=True)]
    await tokens.refresh()
    assert server.urls() == ["http://a/auth", "http://a/refresh", "http://a/auth"]


async def test_without_a_refresh_url_the_auth_url_is_asked_again(server: Server, autojump_clock: MockClock) -> None:
    tokens = auth(refresh_url=None)
    await tokens.token()
    await tokens.refresh()
    assert server.urls() == ["http://a/auth"] * 2


async def test_two_connections_share_each_token(server: Server, autojump_clock: MockClock) -> None:
    server.life = 10
    tokens, sessions = auth(), [FakeSession(), FakeSession()]
    await tokens.token()
    with trio.move_on_after(60):
        async with trio.open_nursery() as nursery:
            for session in sessions:
                nursery.start_soon(tokens.keep, Connected(session))
    first, second = ([token for _, token in session.tokens] for session in sessions)
    assert first == second
    assert len(first) == server.issued - 1


async def test_a_token_the_router_does_not_take_is_not_offered_in_a_loop(
    server: Server, autojump_clock: MockClock
) -> None:
    server.life = 10
    tokens, session = auth(), FakeSession()
    await tokens.token()
    session.answers = [
        RequestRefused(LOGIN_UNAVAILABLE),
        RequestRefused(REFRESH_DENIED),
        RequestRefused(REFRESH_DENIED),
    ]
    with trio.move_on_after(20):
        await tokens.keep(Connected(session))
    assert 4 <= len(session.tokens) <= 8
    assert session.expires


async def test_the_routers_warning_is_obeyed(server: Server, autojump_clock: MockClock) -> None:
    tokens, session = auth(), FakeSession()
    await tokens.token()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.keep, Connected(session))
        await trio.sleep(5)
        assert session.tokens == []
        tokens.expiring()
        await trio.sleep(1)
        assert len(session.tokens) == 1
        nursery.cancel_scope.cancel()


async def test_it_ends_with_its_connection(server: Server, autojump_clock: MockClock) -> None:
    tokens, session = auth(), FakeSession()
    connected = Connected(session)
    await tokens.token()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tokens.keep, connected)
        await trio.sleep(5)
        connected.over = True
        session.end()
    assert session.tokens == []


async def test_it_leaves_refreshing_to_the_program_when_asked(server: Server, autojump_clock: MockClock) -> None:
    server.life = 5
    tokens, session = auth(auto_refresh_token=False), FakeSession()
    await tokens.token()
    await tokens.keep(Connected(session))
    assert session.tokens == []


async def test_the_last_user_gives_it_up(server: Server, autojump_clock: MockClock) -> None:
    tokens = auth(revoke_on_close=True)
    async with tokens.used():
        async with tokens.used():
            await tokens.token()
        assert "http://a/revoke" not in server.urls()
    assert server.urls()[-1] == "http://a/revoke"
    with pytest.raises(ValueError, match="revoke_url"):
        TokenAuth("http://a/auth", revoke_on_close=True)


@pytest.mark.parametrize(
    "body", [b"x", b"[]", b'{"data":1}', b'{"data":{"token":7,"expires_in":1}}', b'{"data":{"token":"t"}}']
)
async def test_an_answer_that_is_no_token(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, body: bytes
) -> None:
    async def post(*_: Any, **__: Any) -> HttpReply:
        await trio.lowlevel.checkpoint()
        return HttpReply(200, {}, body)

    monkeypatch.setattr(module, "post_json", post)
    with pytest.raises(HttpFailed):
        await auth().token()
