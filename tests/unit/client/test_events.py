"""Publishing, subscriptions, presence: what arrives, what is dropped and said to be, what survives a reconnect."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.unit.client.conftest import Connect
from tests.unit.client.fake_router import FakeRouter, Peer, done
from trio_router.client.errors import ConnectFailed, ConnectionEnded, ConnectionLost, Lagged, RequestRefused
from trio_router.client.values import Change, Event
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes, messages


async def deny(peer: Peer, message: Any) -> None:
    await peer.send(messages.Failed(codes.DENIED, message.id, "by a rule"))


async def hold(peer: Peer, message: Any) -> None:
    """Does not answer."""


async def test_publish(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client:
        await client.publish("news", {"a": [1, None]}, echo=False, disclose=True)
        await client.publish("news", None)
        await client.publish("news")
        await client.publish("news", 1, acknowledge=False)
        heard = [await (await router.peer()).wait_for(messages.Publish, count) for count in (1, 2, 3, 4)]
    assert [message.id for message in heard] == ["1", "2", "3", None]
    assert (heard[0].echo, heard[0].disclose, heard[0].data.value) == (False, True, {"a": [1, None]})
    assert heard[1].data.value is None
    assert not heard[1].data.is_absent
    assert heard[2].data is ABSENT


async def test_a_refusal_says_why(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    router.on[messages.Publish] = deny
    async with connected() as client:
        with pytest.raises(RequestRefused) as caught:
            await client.publish("news")
    error = caught.value
    assert (error.code, error.slug, error.detail, error.temporary) == (300, "denied", "by a rule", False)
    assert str(error) == "the rules do not allow this (denied): by a rule"


@pytest.mark.parametrize("value", [object(), 2**53, "\ud800", {"a": {"b": b"".__class__}}])
async def test_what_is_not_json_is_refused_here(
    autojump_clock: Any, router: FakeRouter, connected: Connect, value: Any
) -> None:
    async with connected() as client:
        with pytest.raises(ValueError, match="not a"):
            await client.publish("news", value)
        deep: Any = 1
        for _ in range(40):
            deep = [deep]
        with pytest.raises(ValueError, match="nested"):
            await client.publish("news", deep)
        assert (await router.peer()).of(messages.Publish) == []


async def test_what_is_too_big_is_refused_here(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    router.message_size = 1000
    async with connected() as client:
        with pytest.raises(RequestRefused, match="1000 bytes"):
            await client.publish("news", "x" * 1000)
        await client.publish("news", "x" * 900)


async def test_requests_in_flight_fail_with_the_connection(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.on[messages.Publish] = hold
    lost = []

    async def publish(client: Any) -> None:
        with pytest.raises(ConnectionLost) as caught:
            await client.publish("news")
        lost.append(caught.value)

    async with connected() as client:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(publish, client)
            peer = await router.peer()
            await peer.wait_for(messages.Publish, 3)
            await peer.cut()
        assert [type(error) for error in lost] == [ConnectionLost] * 3


async def test_events_arrive_in_order(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client, client.subscribe("news/*") as events:
        peer = await router.peer()
        assert peer.of(messages.Subscribe) == [messages.Subscribe("1", "news/*")]
        publisher = messages.Publisher("s2", "bob")
        await peer.send(messages.Event("news/a", Payload(1), "news/*", publisher))
        await peer.send(messages.Event("news/b", Payload(None), "news/*"))
        await peer.send(messages.Event("news/c", ABSENT, "news/*"))
        await peer.send(messages.Event("other", Payload(9)))
        assert await anext(events) == Event("news/a", 1, publisher)
        assert await anext(events) == Event("news/b", None)
        assert await anext(events) == Event("news/c", None, has_data=False)
        with trio.move_on_after(1) as scope:
            await anext(events)
        assert scope.cancelled_caught
    await peer.wait_for(messages.Unsubscribe)


async def test_an_event_together_with_the_answer_is_not_missed(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def done_and_more(peer: Peer, message: messages.Subscribe) -> None:
        await done(peer, message)
        await peer.send(messages.Event(message.channel, Payload("at once")))

    router.on[messages.Subscribe] = done_and_more
    async with connected() as client, client.subscribe("news") as events:
        assert (await anext(events)).data == "at once"


async def test_one_subscription_for_many_loops(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client:
        peer = await router.peer()
        async with client.subscribe("news") as first:
            async with client.subscribe("news") as second:
                await peer.send(messages.Event("news", Payload(1)))
                assert ((await anext(first)).data, (await anext(second)).data) == (1, 1)
            await peer.send(messages.Event("news", Payload(2)))
            assert (await anext(first)).data == 2
            assert len(peer.of(messages.Subscribe)) == 1
            assert peer.of(messages.Unsubscribe) == []
        await peer.wait_for(messages.Unsubscribe)
        async with client.subscribe("news") as third:
            await peer.send(messages.Event("news", Payload(3)))
            assert (await anext(third)).data == 3
        assert len(peer.of(messages.Subscribe)) == 2


async def test_a_refused_subscription_leaves_nothing(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.on[messages.Subscribe] = deny
    async with connected() as client:
        with pytest.raises(RequestRefused):
            async with client.subscribe("news"):
                pytest.fail("subscribed")
        del router.on[messages.Subscribe]
        async with client.subscribe("news"):
            assert len((await router.peer()).of(messages.Subscribe)) == 2
        assert (await (await router.peer()).wait_for(messages.Unsubscribe)).channel == "news"


async def test_a_slow_loop_hears_what_it_missed_and_holds_up_nobody(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected() as client, client.subscribe("a", buffer=3) as slow, client.subscribe("b") as quick:
        peer = await router.peer()
        for number in range(10):
            await peer.send(messages.Event("a", Payload(number)))
            await peer.send(messages.Event("b", Payload(number)))
        assert [(await anext(quick)).data for _ in range(10)] == list(range(10))
        assert [(await anext(slow)).data for _ in range(3)] == [0, 1, 2]
        with pytest.raises(Lagged) as caught:
            await anext(slow)
        assert caught.value.missed == 7
        await peer.send(messages.Event("a", Payload("on")))
        assert (await anext(slow)).data == "on"


async def test_subscriptions_survive_a_reconnect(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client, client.subscribe("a") as a, client.subscribe("b/*") as b:
        first = await router.peer()
        async with client.subscribe("left"):
            pass
        await first.send(messages.Event("a", Payload(1)))
        await first.wait_for(messages.Unsubscribe)
        await first.cut()
        second = await router.peer(2)
        await second.wait_for(messages.Subscribe, 2)
        assert {message.channel for message in second.of(messages.Subscribe)} == {"a", "b/*"}
        await second.send(messages.Event("a", Payload(2)))
        await second.send(messages.Event("b/1", Payload(3), "b/*"))
        assert [(await anext(a)).data, (await anext(a)).data, (await anext(b)).data] == [1, 2, 3]
        assert (a.interruptions, b.interruptions) == (1, 1)


async def test_what_is_refused_after_a_reconnect_ends(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected() as client, client.subscribe("a") as a, client.subscribe("b") as b:
        first = await router.peer()

        async def not_a(peer: Peer, message: messages.Subscribe) -> None:
            await (deny if message.channel == "a" else done)(peer, message)

        router.on[messages.Subscribe] = not_a
        await first.cut()
        with pytest.raises(RequestRefused, match="denied"):
            await anext(a)
        with pytest.raises(RequestRefused, match="denied"):
            await anext(a)
        second = await router.peer(2)
        await second.wait_for(messages.Subscribe, 2)
        await second.send(messages.Event("b", Payload(1)))
        assert (await anext(b)).data == 1


async def test_a_right_that_is_taken_away(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client:
        peer = await router.peer()
        async with client.subscribe("a") as events:
            await peer.send(messages.Event("a", Payload(1)))
            await peer.send(messages.Revoked("subscribe", "a", codes.DENIED, "the rules changed"))
            await peer.send(messages.Event("a", Payload(2)))
            assert (await anext(events)).data == 1
            with pytest.raises(RequestRefused) as caught:
                await anext(events)
            assert (caught.value.slug, caught.value.name, caught.value.verb) == ("denied", "a", "subscribe")
        await client.publish("sync")
        assert peer.of(messages.Unsubscribe) == []  # there is nothing to end
        await peer.cut()
        second = await router.peer(2)
        await client.wait_connected()
        await client.publish("sync")
        assert second.of(messages.Subscribe) == []


async def test_closing_the_client_ends_its_loops(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    ended = []

    async def listen(client: Any, ready: trio.Event) -> None:
        try:
            async with client.subscribe("a") as events:
                ready.set()
                async for _ in events:
                    pytest.fail("an event")
        except ConnectionEnded as exc:
            ended.append(exc)

    async with trio.open_nursery() as nursery, connected() as client:
        ready = trio.Event()
        nursery.start_soon(listen, client, ready)
        await ready.wait()
    assert len(ended) == 1


async def test_a_subscription_cancelled_while_it_is_asked_for(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.on[messages.Subscribe] = hold
    async with connected() as client:
        with trio.move_on_after(3) as scope:
            async with client.subscribe("a"):
                pytest.fail("subscribed")
        assert scope.cancelled_caught
        assert len((await router.peer()).of(messages.Subscribe)) == 1
        # It may have been granted after all: then it must not stay.
        await (await router.peer()).wait_for(messages.Unsubscribe)


async def test_senders_wait_for_a_network_that_is_slow(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    """Without acknowledgements nothing else bounds what a program queues."""
    async with connected() as client:
        peer = await router.peer()
        web_socket = client._supervisor.current()._ws
        stream, web_socket._stream = web_socket._stream, Stuck()
        sent = 0
        with trio.move_on_after(5) as scope:
            for _ in range(1000):
                await client.publish("a", "x" * 10_000, acknowledge=False)
                sent += 1
        assert scope.cancelled_caught
        assert 20 < sent < 40
        web_socket._stream = stream
        await peer.cut()


class Stuck(trio.abc.Stream):
    """A stream whose peer reads nothing."""

    async def send_all(self, data: Any) -> None:
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.sleep_forever()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        return b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


# ---- presence -------------------------------------------------------------------------------------------


async def test_who_is_online(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def answer(peer: Peer, message: messages.PresenceQuery) -> None:
        users = {"ann": 2} if message.users is None else dict.fromkeys(message.users, 0)
        denied = ("eve",) if message.users else ()
        await peer.send(messages.PresenceState(message.id, users, denied, dict.fromkeys(denied, "its-id")))

    router.on[messages.PresenceQuery] = answer
    async with connected() as client:
        everybody = await client.presence()
        named = await client.presence(["bob"])
    assert (everybody.users, everybody.denied) == ({"ann": 2}, ())
    assert (named.users, named.denied, named.decisions) == ({"bob": 0}, ("eve",), {"eve": "its-id"})


async def test_watching_users(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client:
        peer = await router.peer()
        async with client.watch_presence(["ann", "bob"]) as pair, client.watch_presence(["bob"]) as bob:
            async with client.watch_presence() as all_users:
                subscribed = [message.users for message in peer.of(messages.PresenceSubscribe)]
                assert sorted(users or () for users in subscribed) == [(), ("ann",), ("bob",)]
                await peer.send(messages.PresenceChange("bob", "joined", 1))
                await peer.send(messages.PresenceChange("zoe", "left", 0))
                assert await anext(pair) == await anext(bob) == Change("bob", "joined", 1)
                assert [(await anext(all_users)).user for _ in range(2)] == ["bob", "zoe"]
            assert (await peer.wait_for(messages.PresenceUnsubscribe)).users is None
        await peer.wait_for(messages.PresenceUnsubscribe, 3)
        assert {message.users for message in peer.of(messages.PresenceUnsubscribe)} == {None, ("ann",), ("bob",)}


async def test_watches_survive_a_reconnect(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client, client.watch_presence(["bob"]) as bob, client.watch_presence() as everybody:
        await (await router.peer()).cut()
        second = await router.peer(2)
        await second.wait_for(messages.PresenceSubscribe, 2)
        assert {message.users for message in second.of(messages.PresenceSubscribe)} == {None, ("bob",)}
        await second.send(messages.PresenceChange("bob", "left", 0))
        assert await anext(bob) == await anext(everybody) == Change("bob", "left", 0)


async def test_several_loops_share_a_feed(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    got: list[Any] = []

    async def work(events: Any) -> None:
        got.append((await anext(events)).data)

    async with connected() as client, client.subscribe("a") as events, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(work, events)
        await trio.sleep(1)
        for number in range(3):
            await (await router.peer()).send(messages.Event("a", Payload(number)))
    assert sorted(got) == [0, 1, 2]


async def test_watching_somebody_one_may_not_see(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def not_eve(peer: Peer, message: messages.PresenceSubscribe) -> None:
        if message.users == ("eve",):
            await peer.send(messages.PresenceState(message.id, {}, ("eve",), {"eve": "its-id"}))
        else:
            await done(peer, message)

    router.on[messages.PresenceSubscribe] = not_eve
    async with connected() as client:
        with pytest.raises(RequestRefused) as caught:
            async with client.watch_presence(["ann", "eve"]):
                pytest.fail("watching")
        assert (caught.value.name, caught.value.decision) == ("eve", "its-id")
        assert (await (await router.peer()).wait_for(messages.PresenceUnsubscribe)).users == ("ann",)


async def test_nothing_is_queued_without_a_connection(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.refuse = lambda attempt: ConnectFailed("down") if attempt > 1 else None
    async with connected() as client:
        await (await router.peer()).cut()
        await trio.sleep(1)
        for attempt in (client.publish, client.call):
            with pytest.raises(ConnectionLost, match="not connected"):
                await attempt("a")
