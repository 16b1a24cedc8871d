"""Calling and answering calls: results, parts, errors, cancellation, the loss of either side."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from tests.unit.client.conftest import Connect
from tests.unit.client.fake_router import FakeRouter, Peer
from trio_router.client.errors import CallError, CallRejected, ConnectionLost, Lagged, RequestRefused
from trio_router.client.offers import Invocation
from trio_router.payload import ABSENT, Payload
from trio_router.protocols import codes, messages


async def hold(peer: Peer, message: Any) -> None:
    """Does not answer."""


async def test_a_call_and_its_result(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def answer(peer: Peer, message: messages.Call) -> None:
        await peer.send(messages.Result(message.id, message.data))

    router.on[messages.Call] = answer
    async with connected() as client:
        assert await client.call("echo", {"a": 1}, timeout=2.5, disclose=True) == {"a": 1}
        assert await client.call("echo", None) is None
        assert await client.call("echo") is None
        first, second, third = (await router.peer()).of(messages.Call)
    assert (first.procedure, first.timeout, first.disclose, first.progress) == ("echo", 2500, True, False)
    assert (second.timeout, second.data.is_absent, third.data.is_absent) == (None, False, True)


async def test_many_calls_at_once_get_their_own_results(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    waiting: list[messages.Call] = []

    async def backwards(peer: Peer, message: messages.Call) -> None:
        waiting.append(message)
        if len(waiting) == 20:
            for each in reversed(waiting):
                await peer.send(messages.Result(each.id, each.data))

    router.on[messages.Call] = backwards
    results = {}

    async def call(client: Any, number: int) -> None:
        results[number] = await client.call("p", number)

    async with connected() as client, trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(call, client, number)
    assert results == {number: number for number in range(20)}


async def test_errors_of_the_router_and_of_the_provider(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def fail(peer: Peer, message: messages.Call) -> None:
        if message.procedure == "missing":
            await peer.send(messages.Failed(codes.NO_PROVIDER, message.id))
        else:
            await peer.send(messages.Failed(codes.PROVIDER_ERROR, message.id, data=Payload({"why": "because"})))

    router.on[messages.Call] = fail
    async with connected() as client:
        with pytest.raises(RequestRefused) as missing:
            await client.call("missing")
        assert (missing.value.slug, missing.value.temporary, missing.value.data) == ("no_provider", True, None)
        with pytest.raises(RequestRefused) as failed:
            await client.call("failing")
        assert (failed.value.slug, failed.value.data) == ("provider_error", {"why": "because"})


async def test_a_cancelled_call_is_cancelled_at_the_router(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.on[messages.Call] = hold

    async def cancelled(peer: Peer, message: messages.Cancel) -> None:
        await peer.send(messages.Failed(codes.CALL_CANCELLED, message.id))

    router.on[messages.Cancel] = cancelled
    async with connected() as client:
        with trio.move_on_after(1) as scope:
            await client.call("p")
        assert scope.cancelled_caught
        peer = await router.peer()
        assert (await peer.wait_for(messages.Cancel)).id == peer.of(messages.Call)[0].id
        await client.publish("still", "alive")


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
async def test_a_timeout_that_is_none(
    autojump_clock: Any, router: FakeRouter, connected: Connect, timeout: float
) -> None:
    async with connected() as client:
        with pytest.raises(ValueError, match="timeout"):
            await client.call("p", timeout=timeout)


async def test_several_results(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def count(peer: Peer, message: messages.Call) -> None:
        assert message.progress
        for number in range(3):
            await peer.send(messages.Result(message.id, Payload(number), more=True))
        await peer.send(messages.Result(message.id, message.data))

    router.on[messages.Call] = count
    async with connected() as client:
        async with client.call_progressive("count", "end") as results:
            assert [part async for part in results] == [0, 1, 2, "end"]
        async with client.call_progressive("count") as results:
            assert [part async for part in results] == [0, 1, 2]
        assert (await router.peer()).of(messages.Cancel) == []


async def test_leaving_a_progressive_call_early_cancels_it(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def endless(peer: Peer, message: messages.Call) -> None:
        await peer.send(messages.Result(message.id, Payload(1), more=True))

    router.on[messages.Call] = endless
    async with connected() as client:
        async with client.call_progressive("p") as results:
            assert await anext(results) == 1
        peer = await router.peer()
        assert (await peer.wait_for(messages.Cancel)).id == peer.of(messages.Call)[0].id


async def test_a_progressive_call_that_fails_half_way(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def half(peer: Peer, message: messages.Call) -> None:
        await peer.send(messages.Result(message.id, Payload(1), more=True))
        await peer.send(messages.Failed(codes.PROVIDER_LOST, message.id))

    router.on[messages.Call] = half
    async with connected() as client:
        async with client.call_progressive("p") as results:
            assert await anext(results) == 1
            with pytest.raises(RequestRefused, match="provider_lost"):
                await anext(results)
        assert (await router.peer()).of(messages.Cancel) == []


async def test_parts_that_are_not_read_in_time_are_counted(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def flood(peer: Peer, message: messages.Call) -> None:
        for number in range(10):
            await peer.send(messages.Result(message.id, Payload(number), more=number < 9))

    router.on[messages.Call] = flood
    async with connected() as client, client.call_progressive("p", buffer=2) as results:
        await trio.sleep(1)
        assert [await anext(results), await anext(results)] == [0, 1]
        with pytest.raises(Lagged) as caught:
            await anext(results)
        assert caught.value.missed == 8
        with pytest.raises(StopAsyncIteration):
            await anext(results)


async def test_a_call_in_flight_fails_with_the_connection(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def cut(peer: Peer, message: messages.Call) -> None:
        await peer.cut()

    router.on[messages.Call] = cut
    async with connected() as client:
        with pytest.raises(ConnectionLost):
            await client.call("p")
        await router.peer(2)
        await client.wait_connected()
        async with client.call_progressive("p") as results:
            with pytest.raises(ConnectionLost):
                await anext(results)


# ---- providing ------------------------------------------------------------------------------------------


async def test_answering_calls(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    seen: list[Invocation] = []

    async def double(data: Any, call: Invocation) -> Any:
        seen.append(call)
        return data and data * 2

    async with connected() as client:
        peer = await router.peer()
        async with client.provide("double", double, concurrency=4) as offer:
            assert peer.of(messages.Provide) == [messages.Provide("1", "double", 4)]
            caller = messages.Publisher("s9", "bob")
            await peer.send(messages.Invoke("c1", "double", Payload(21), 1500, caller=caller))
            await peer.send(messages.Invoke("c2", "double"))
            results = [await peer.wait_for(messages.ProviderResult, count) for count in (1, 2)]
            assert offer.procedure == "double"
        await peer.wait_for(messages.Unprovide)
    assert {(result.call, result.data.value, result.more) for result in results} == {
        ("c1", 42, False),
        ("c2", None, False),
    }
    assert seen[0] == Invocation("double", caller, 1.5, has_data=True, wants_progress=False)
    assert (seen[1].has_data, seen[1].caller, seen[1].timeout) == (False, None, None)


async def test_a_handler_that_fails_costs_one_call_and_tells_nothing(
    autojump_clock: Any, router: FakeRouter, connected: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(data: Any, call: Invocation) -> Any:
        if data == "secret":
            raise KeyError("the password is hunter2")
        if data == "purpose":
            raise CallError({"code": "no_such_user"})
        if data == "unsendable":
            return object()
        if data == "unsendable purpose":
            raise CallError(object())
        return "fine"

    async with connected() as client:
        peer = await router.peer()
        async with client.provide("p", handler):
            with caplog.at_level(logging.CRITICAL, "trio_router.client"):
                errors = {}
                for count, data in enumerate(("secret", "purpose", "unsendable", "unsendable purpose"), 1):
                    await peer.send(messages.Invoke(data.replace(" ", "-"), "p", Payload(data)))
                    error = await peer.wait_for(messages.ProviderError, count)
                    errors[error.call] = error.data.value
            assert errors == {
                "secret": "handler failed",
                "purpose": {"code": "no_such_user"},
                "unsendable": "handler failed",
                "unsendable-purpose": "handler failed",
            }
            await peer.send(messages.Invoke("c", "p"))
            assert (await peer.wait_for(messages.ProviderResult)).data.value == "fine"


async def test_a_result_that_is_too_big_is_an_error(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def big(data: Any, call: Invocation) -> str:
        return "x" * 2000

    router.message_size = 1000
    async with connected() as client:
        peer = await router.peer()
        async with client.provide("p", big):
            await peer.send(messages.Invoke("c", "p"))
            assert (await peer.wait_for(messages.ProviderError)).data.value == "handler failed"


@pytest.mark.parametrize("progress", [True, False])
async def test_a_generator_answers_in_parts_to_those_who_want_them(
    autojump_clock: Any, router: FakeRouter, connected: Connect, progress: bool
) -> None:
    async def count(data: Any, call: Invocation) -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async with connected() as client:
        peer = await router.peer()
        async with client.provide("p", count):
            await peer.send(messages.Invoke("c", "p", progress=progress))
            await peer.wait_for(messages.ProviderResult, 4 if progress else 1)
            results = [
                (each.data.value if each.data is not ABSENT else "absent", each.more)
                for each in peer.of(messages.ProviderResult)
            ]
    assert results == ([(0, True), (1, True), (2, True), ("absent", False)] if progress else [(2, False)])


async def test_an_interrupted_call_stops_its_handler_and_no_other(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    stopped = []
    go_on = trio.Event()

    async def work(data: Any, call: Invocation) -> Any:
        try:
            await go_on.wait()
        except trio.Cancelled:
            stopped.append(data)
            raise
        return data

    async with connected() as client:
        peer = await router.peer()
        async with client.provide("p", work):
            await peer.send(messages.Invoke("c1", "p", Payload(1)))
            await peer.send(messages.Invoke("c2", "p", Payload(2)))
            await peer.send(messages.Interrupt("c1", "timeout"))
            await peer.send(messages.Interrupt("unknown", "timeout"))
            await client.publish("sync")
            go_on.set()
            await peer.wait_for(messages.ProviderResult)
            assert [result.call for result in peer.of(messages.ProviderResult)] == ["c2"]
            assert peer.of(messages.ProviderError) == []
    assert stopped == [1]


async def test_leaving_the_block_answers_what_is_running(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    started = trio.Event()

    async def work(data: Any, call: Invocation) -> Any:
        started.set()
        await trio.sleep_forever()

    async with connected() as client:
        peer = await router.peer()
        async with client.provide("p", work):
            await peer.send(messages.Invoke("c1", "p"))
            await started.wait()
        error = await peer.wait_for(messages.ProviderError)
        assert (error.call, error.data.value) == ("c1", "handler stopped")
        kinds = [type(message) for message in peer.heard]
        assert kinds.index(messages.Unprovide) < kinds.index(messages.ProviderError)


async def test_a_call_that_crosses_the_end_of_an_offer_is_left_to_others(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected() as client:
        peer = await router.peer()
        async with client.provide("p", hold):  # type: ignore[arg-type]
            pass
        await peer.send(messages.Invoke("late", "p"))
        assert (await peer.wait_for(messages.ProviderReject)).call == "late"


async def test_a_handler_may_leave_a_call_to_another_provider(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async def choosy(data: Any, call: Invocation) -> Any:
        if data == "late":
            raise CallRejected
        return data

    async def parts(data: Any, call: Invocation) -> AsyncIterator[Any]:
        yield 1
        raise CallRejected

    async with connected() as client, client.provide("p", choosy), client.provide("q", parts):
        peer = await router.peer()
        await peer.send(messages.Invoke("a", "p", Payload("late")))
        assert (await peer.wait_for(messages.ProviderReject)).call == "a"
        await peer.send(messages.Invoke("b", "q", progress=True))  # some of it is with the caller already
        failed = await peer.wait_for(messages.ProviderError)
        assert (failed.call, failed.data.value) == ("b", "handler failed")
        await peer.send(messages.Invoke("c", "q"))  # nothing was sent of this one
        assert (await peer.wait_for(messages.ProviderReject, 2)).call == "c"


async def test_offers_survive_a_reconnect_and_their_calls_do_not(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    stopped = trio.Event()

    async def work(data: Any, call: Invocation) -> Any:
        if data == "first":
            try:
                await trio.sleep_forever()
            finally:
                stopped.set()
        return data

    async with connected() as client:
        first = await router.peer()
        async with client.provide("p", work, concurrency=2) as offer:
            await first.send(messages.Invoke("c1", "p", Payload("first")))
            await client.publish("sync")
            await first.cut()
            await stopped.wait()
            second = await router.peer(2)
            assert await second.wait_for(messages.Provide) == messages.Provide("1", "p", 2)
            await second.send(messages.Invoke("c1", "p", Payload("second")))
            assert (await second.wait_for(messages.ProviderResult)).data.value == "second"
            assert offer.interruptions == 1


async def test_an_offer_that_is_taken_away(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client:
        peer = await router.peer()
        async with client.provide("p", hold) as offer:  # type: ignore[arg-type]
            await peer.send(messages.Revoked("provide", "p", codes.DENIED))
            error = await offer.wait_ended()
            assert isinstance(error, RequestRefused)
            assert error.slug == "denied"


async def test_a_procedure_is_provided_once(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client, client.provide("p", hold):  # type: ignore[arg-type]
        with pytest.raises(RequestRefused, match="already_provided"):
            async with client.provide("p", hold):  # type: ignore[arg-type]
                pytest.fail("provided twice")
    assert len((await router.peer()).of(messages.Provide)) == 1


async def test_an_offer_that_is_refused(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def deny(peer: Peer, message: messages.Provide) -> None:
        await peer.send(messages.Failed(codes.DENIED, message.id))

    router.on[messages.Provide] = deny
    async with connected() as client:
        with pytest.raises(RequestRefused, match="denied"):
            async with client.provide("p", hold):  # type: ignore[arg-type]
                pytest.fail("provided")
        await client.publish("still", "alive")
