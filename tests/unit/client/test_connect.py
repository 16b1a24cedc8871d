"""Connecting, logging in, losing the connection and getting it back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio

from tests.unit.client.conftest import Connect
from tests.unit.client.fake_router import FakeRouter, Gone, Peer, greet, welcome
from trio_router.client.connect import connect
from trio_router.client.errors import (
    ConnectFailed,
    ConnectionEnded,
    ConnectionLost,
    LoginDenied,
    LoginUnavailable,
    RequestRefused,
)
from trio_router.payload import Payload
from trio_router.protocols import codes, messages
from trio_router.protocols.frames import text_frame
from trio_router.protocols.native import codec


async def test_a_login_tells_who_we_are(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected({"token": "t"}, headers=[("cookie", "a=b")]) as client:
        peer = await router.peer()
        assert peer.of(messages.Login) == [messages.Login("login", {"token": "t"})]
        assert (client.session_id, client.user_id) == ("session-1", "ann")
        assert (client.client_data, client.expires) == ({"colour": "red"}, 2e9)
        assert client.is_connected
    assert peer.upgrade is not None
    assert (peer.upgrade.host, peer.upgrade.target) == ("router.test", "/chat?room=1")
    assert (b"cookie", b"a=b") in [(name.lower(), value) for name, value in peer.upgrade.extra_headers]
    await peer.gone.wait()
    assert peer.close_code == 1000
    assert len(router.attempts) == 1


async def test_no_credentials_at_all(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected():
        assert (await router.peer()).of(messages.Login) == [messages.Login("login")]


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_credentials_from_a_function(
    autojump_clock: Any, router: FakeRouter, connected: Connect, asynchronous: bool
) -> None:
    async def fetch() -> dict[str, Any]:
        await trio.sleep(1)
        return {"token": "fresh"}

    async with connected(fetch if asynchronous else lambda: {"token": "fresh"}):
        assert (await router.peer()).of(messages.Login) == [messages.Login("login", {"token": "fresh"})]


async def test_a_strategy_that_asks_back(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def ask(peer: Peer, message: messages.Login) -> None:
        await peer.send(messages.Challenge(message.id, "what is 6*7?"))

    async def check(peer: Peer, message: messages.Answer) -> None:
        assert message.data == "42 what is 6*7?"
        await welcome(peer, messages.Login(message.id))

    router.on = {messages.Login: ask, messages.Answer: check}
    async with connected(answer=lambda question: f"42 {question}") as client:
        assert client.user_id == "ann"
    with pytest.raises(ConnectFailed, match="asks back"):
        async with connected():
            pytest.fail("logged in")


async def test_denied_and_unavailable_are_two_things_and_both_are_raised_at_once(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    answers = {
        1: messages.Failed(codes.LOGIN_DENIED, "login", data=Payload({"error": "no such user"})),
        2: messages.Failed(codes.LOGIN_UNAVAILABLE, "login"),
    }

    async def refuse(peer: Peer, _: messages.Login) -> None:
        await peer.send(answers[peer.number])

    router.on[messages.Login] = refuse
    with pytest.raises(LoginDenied) as denied:
        async with connected():
            pytest.fail("logged in")
    assert (denied.value.code, denied.value.slug) == (200, "login_denied")
    assert denied.value.data == {"error": "no such user"}
    with pytest.raises(LoginUnavailable) as unavailable:
        async with connected():
            pytest.fail("logged in")
    assert unavailable.value.temporary
    assert len(router.attempts) == 2


async def test_nobody_there(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    router.refuse = lambda attempt: ConnectFailed("nobody")
    with pytest.raises(ConnectFailed, match="nobody"):
        async with connected():
            pytest.fail("connected")
    assert len(router.attempts) == 1


async def test_waiting_for_a_router_that_is_not_there_yet(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def busy(peer: Peer, message: messages.Login) -> None:
        if peer.number == 1:
            await peer.send(messages.Failed(codes.LOGIN_UNAVAILABLE, "login"))
        else:
            await welcome(peer, message)

    router.refuse = lambda attempt: ConnectFailed("nobody") if attempt <= 3 else None
    router.on[messages.Login] = busy
    async with connected(wait=True) as client:
        assert client.session_id == "session-2"
    assert len(router.attempts) == 5


async def test_waiting_does_not_go_on_when_it_is_pointless(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def deny(peer: Peer, message: messages.Login) -> None:
        await peer.send(messages.Failed(codes.LOGIN_DENIED, message.id))

    router.on[messages.Login] = deny
    with pytest.raises(LoginDenied):
        async with connected(wait=True):
            pytest.fail("connected")
    router.reject = 403
    with pytest.raises(ConnectFailed, match="403") as caught:
        async with connected(wait=True):
            pytest.fail("connected")
    assert (caught.value.status, caught.value.permanent) == (403, True)


@pytest.mark.parametrize("reject", [404, 429, 502, 503])
async def test_refusals_that_may_pass_are_not_permanent(
    autojump_clock: Any, router: FakeRouter, connected: Connect, reject: int
) -> None:
    router.reject = reject
    with pytest.raises(ConnectFailed) as caught:
        async with connected():
            pytest.fail("connected")
    assert not caught.value.permanent


async def test_another_protocol(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    router.subprotocol = None
    with pytest.raises(ConnectFailed, match="does not speak trio-router"):
        async with connected():
            pytest.fail("connected")


@pytest.mark.parametrize("greeting", [b"hello", b'{"type":"done","id":"1"}', b'{"type":"hello"}', b"\xff"])
async def test_a_greeting_that_is_none(
    autojump_clock: Any, router: FakeRouter, connected: Connect, greeting: bytes
) -> None:
    async def nonsense(peer: Peer) -> None:
        await peer.send_text(greeting)

    router.greet = nonsense
    with pytest.raises(ConnectFailed):
        async with connected():
            pytest.fail("connected")


async def test_a_router_that_says_nothing_is_given_up(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def silent(peer: Peer) -> None:
        await trio.sleep(3600)

    router.greet = silent
    started = trio.current_time()
    with pytest.raises(ConnectFailed, match="within 20 s"):
        async with connected():
            pytest.fail("connected")
    assert trio.current_time() - started == pytest.approx(20)


@pytest.mark.parametrize("url", ["http://a/", "ws:///x", "ws://u:p@a/", "ws://a/#f", "a", "ws://"])
async def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        async with connect(url):
            pytest.fail("connected")


# ---- losing it ------------------------------------------------------------------------------------------


async def lose_and_return(
    router: FakeRouter, connected: Connect, close: Any, login: Any = None, **options: Any
) -> float:
    """Connects, lets ``close`` end the first connection, and returns how long the client waited to come back."""
    async with connected(login, **options) as client:
        peer = await router.peer()
        left = trio.current_time()
        with contextlib.suppress(Gone):
            await close(peer)
        await router.peer(2)
        await client.wait_connected()
        assert client.session_id == "session-2"
        return router.attempts[1] - left


async def test_a_cut_connection_is_made_anew(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    assert await lose_and_return(router, connected, Peer.cut) <= 0.5


@pytest.mark.threat("T14")
async def test_the_router_says_when_to_come_back(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def restart(peer: Peer) -> None:
        await peer.send(messages.Closing(codes.RESTART.number, retry_after=7_000))
        await peer.close(codes.RESTART.number)

    assert 7 <= await lose_and_return(router, connected, restart) <= 7.5


async def test_credentials_are_asked_for_again(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    given = iter(["first", "second"])

    async def expire(peer: Peer) -> None:
        await peer.send(messages.Closing(codes.SESSION_EXPIRED.number))
        await peer.close(codes.SESSION_EXPIRED.number)

    await lose_and_return(router, connected, expire, lambda: {"token": next(given)})
    assert [peer.of(messages.Login)[0].auth for peer in router.peers] == [{"token": "first"}, {"token": "second"}]


@pytest.mark.parametrize("with_message", [True, False])
async def test_stop_means_stop(autojump_clock: Any, router: FakeRouter, connected: Connect, with_message: bool) -> None:
    async with connected() as client, client.subscribe("news") as events:
        peer = await router.peer()
        if with_message:
            await peer.send(messages.Closing(codes.INVALID_MESSAGES.number))
        await peer.close(codes.INVALID_MESSAGES.number)
        with pytest.raises(ConnectionEnded) as caught:
            await anext(events)
        assert (caught.value.code, caught.value.slug) == (4502, "invalid_messages")
        with pytest.raises(ConnectionEnded):
            await client.publish("news", 1)
        with pytest.raises(ConnectionEnded):
            await client.wait_connected()
        await trio.sleep(1000)
    assert len(router.attempts) == 1


@pytest.mark.parametrize(
    ("code", "comes_back"), [(4098, True), (4998, False), (1001, True), (1012, True), (1000, False)]
)
async def test_codes_without_a_message_are_read_by_their_number(
    autojump_clock: Any, router: FakeRouter, connected: Connect, code: int, comes_back: bool
) -> None:
    async with connected() as client:
        await (await router.peer()).close(code)
        if comes_back:
            await router.peer(2)
        else:
            await trio.sleep(100)
            with pytest.raises(ConnectionEnded):
                await client.wait_connected()


async def test_without_reconnect_the_first_loss_is_the_last(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected(reconnect=False) as client:
        await (await router.peer()).cut()
        with pytest.raises(ConnectionEnded):
            while True:
                await trio.sleep(1)
                await client.wait_connected()
    assert len(router.attempts) == 1


async def test_denied_when_coming_back_ends_it(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def once(peer: Peer, message: messages.Login) -> None:
        if peer.number == 1:
            await welcome(peer, message)
        else:
            await peer.send(messages.Failed(codes.LOGIN_DENIED, message.id))

    router.on[messages.Login] = once
    async with connected() as client, client.subscribe("a") as events:
        await (await router.peer()).cut()
        with pytest.raises(ConnectionEnded) as caught:
            await anext(events)
        assert isinstance(caught.value.__cause__, LoginDenied)
    assert len(router.attempts) == 2


async def test_a_router_that_is_full_is_asked_again_when_it_said(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def full(peer: Peer) -> None:
        if peer.number != 2:
            await greet(peer)
            return
        await peer.send(messages.Closing(codes.OVERLOADED.number, retry_after=60_000))
        await peer.close(codes.OVERLOADED.number)

    router.greet = full
    async with connected():
        await (await router.peer()).cut()
        await router.peer(3)
    assert 60 <= router.attempts[2] - router.attempts[1] < 62


@pytest.mark.threat("T14")
async def test_waits_grow_and_are_spread(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    router.refuse = lambda attempt: ConnectFailed("down") if 1 < attempt < 40 else None
    async with connected() as client:
        await (await router.peer()).cut()
        await router.peer(2)
        await client.wait_connected()
    waits = [after - before for before, after in zip(router.attempts[1:], router.attempts[2:], strict=False)]
    assert all(wait <= min(30, 2 ** (number + 1) / 2) for number, wait in enumerate(waits))
    assert max(waits) > 15  # it does slow down
    assert len({round(wait, 3) for wait in waits}) > 30  # and no two clients (or attempts) march in step


async def test_a_connection_that_lasted_lets_the_waits_begin_small(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.refuse = lambda attempt: ConnectFailed("down") if 1 < attempt < 12 else None
    async with connected():
        await (await router.peer()).cut()
        second = await router.peer(2)
        await trio.sleep(11)
        await second.cut()
        lost = trio.current_time()
        await router.peer(3)
        assert router.attempts[-1] - lost <= 0.5


# ---- keepalive ------------------------------------------------------------------------------------------


async def test_pings_are_answered_also_during_the_login(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def ping_first(peer: Peer) -> None:
        await peer.ping(b"early")
        await greet(peer)

    router.greet = ping_first
    async with connected():
        peer = await router.peer()
        await peer.ping(b"later")
        while len(peer.pongs) < 2:
            await router.changed()
    assert peer.pongs == [b"early", b"later"]


async def test_a_ping_while_the_login_takes_its_time(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def slowly(peer: Peer, message: messages.Login) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.receive)
            await peer.ping(b"still there?")
            while not peer.pongs:
                await router.changed()
            nursery.cancel_scope.cancel()
        await welcome(peer, message)

    router.on[messages.Login] = slowly
    async with connected() as client:
        assert client.user_id == "ann"


async def test_a_router_that_falls_silent_is_left(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    """25 s ping interval and 10 s patience; a ping is enough to be alive."""
    async with connected():
        peer = await router.peer()
        started = trio.current_time()
        await trio.sleep(30)
        await peer.ping(b"")
        await router.peer(2)
        assert 65 <= router.attempts[1] - started <= 70


async def test_a_router_that_never_pings_may_be_silent(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.ping_interval = 0
    async with connected():
        await router.peer()
        await trio.sleep(80_000)
    assert len(router.attempts) == 1


# ---- what a router must not do --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"\x82\x01a",  # a binary message
        b"\x81\x7f\x00\x00\x00\x00\x00\x10\x00\x00" + b"x" * 0x100000,  # more than max_message
        b"\x01\x7e\x80\x00" + b"x" * 0x8000 + b"\x00\x7e\x80\x01" + b"x" * 0x8001,  # the same in fragments
        b"\x81\x01\xff",  # not UTF-8
        b"\x81\x85abcdhello",  # masked
        b"\xc1\x01a",  # a reserved bit
        b"\x81\x01[",  # not JSON
        b'\x81\x0f{"type":"done"}',  # not a message
    ],
    ids=["binary", "big", "fragments", "utf8", "masked", "rsv", "json", "message"],
)
async def test_a_router_that_breaks_the_rules_costs_one_connection(
    autojump_clock: Any, router: FakeRouter, connected: Connect, raw: bytes
) -> None:
    async with connected(max_message=65_536) as client:
        peer = await router.peer()
        with pytest.raises((ConnectionLost, ConnectionEnded)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_raw, peer, raw)
                router.on[messages.Call] = ignore
                try:
                    await client.call("p")
                except ConnectionLost as exc:
                    error = exc
                nursery.cancel_scope.cancel()
            raise error
        await router.peer(2)


async def test_too_much_at_once_is_not_even_read(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected(max_message=65_536) as client, client.subscribe("a") as events:
        peer = await router.peer()
        await peer.send(messages.Event("a", Payload("x" * 60_000)))
        assert len((await anext(events)).data) == 60_000
        await send_raw(peer, text_frame(codec.encode(messages.Event("a", Payload("x" * 66_000)))))
        await peer.gone.wait()
        assert peer.close_code == 1009
        await router.peer(2)


async def test_a_close_is_answered(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected():
        peer = await router.peer()
        await peer.close(4098)
        await peer.gone.wait()
        assert peer.close_code == 4098


async def send_raw(peer: Peer, raw: bytes) -> None:
    with contextlib.suppress(Gone):
        await peer.raw(raw)


async def ignore(peer: Peer, message: messages.Message) -> None:
    pass


async def test_what_a_newer_router_says_is_passed_over(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected() as client:
        await (await router.peer()).send_text('{"type":"weather","sun":true}')
        await client.publish("a", 1)
    assert len(router.attempts) == 1


# ---- leaving --------------------------------------------------------------------------------------------


async def test_what_the_program_raises_comes_out_as_it_is(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connected() as client, client.provide("p", ignore):  # type: ignore[arg-type]
            raise ZeroDivisionError
    await router.peers[0].gone.wait()


async def test_leaving_while_there_is_no_connection(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.refuse = lambda attempt: ConnectFailed("down") if attempt > 1 else None
    async with connected() as client, client.subscribe("a"):
        await (await router.peer()).cut()
        await trio.sleep(1)
        with pytest.raises(ConnectionLost):
            await client.call("p")


async def test_a_router_that_does_not_say_goodbye_is_not_waited_for(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def hang(peer: Peer, message: messages.Publish) -> None:
        await trio.sleep(3600)

    router.on[messages.Publish] = hang
    async with connected() as client:
        await client.publish("a", acknowledge=False)
        await (await router.peer()).wait_for(messages.Publish)
        started = trio.current_time()
    assert trio.current_time() - started <= 5


async def test_a_cancelled_program_leaves_at_once(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    with trio.move_on_after(5) as scope:
        async with connected():
            await trio.sleep_forever()
    assert scope.cancelled_caught
    await router.peers[0].gone.wait()


async def test_what_was_sent_before_leaving_arrives(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected() as client:
        for number in range(50):
            await client.publish("a", number, acknowledge=False)
    peer = await router.peer()
    await peer.gone.wait()
    assert [message.data.value for message in peer.of(messages.Publish)] == list(range(50))
    assert peer.close_code == 1000


async def test_a_login_function_that_fails_later_ends_the_program_with_its_error(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    answers = iter([{"token": "first"}])

    def fetch() -> dict[str, str]:
        for answer in answers:
            return answer
        raise LookupError("no token service")

    with pytest.raises(LookupError):
        async with connected(fetch):
            await (await router.peer()).cut()
            await trio.sleep_forever()


async def test_an_error_function_that_fails_is_survived(
    autojump_clock: Any, router: FakeRouter, connected: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(error: RequestRefused) -> None:
        raise LookupError

    async with connected(on_error=fail) as client:
        await (await router.peer()).send(messages.Failed(codes.DENIED, verb="publish", name="a"))
        await client.publish("still", "alive")
    assert "on_error failed" in caplog.text


async def test_refusals_nobody_waits_for_are_reported(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    reported: list[RequestRefused] = []
    arrived = trio.Event()

    def note(error: RequestRefused) -> None:
        reported.append(error)
        arrived.set()

    async def deny(peer: Peer, message: messages.Publish) -> None:
        await peer.send(messages.Failed(codes.DENIED, verb="publish", name=message.channel))

    router.on[messages.Publish] = deny
    async with connected(on_error=note) as client:
        await client.publish("secret", acknowledge=False)
        await arrived.wait()
    assert [(error.slug, error.verb, error.name) for error in reported] == [("denied", "publish", "secret")]
