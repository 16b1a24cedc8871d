"""Listening: who is asked runs its handler while it is wanted, and no longer."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.unit.client.conftest import Connect
from tests.unit.client.fake_router import FakeRouter
from trio_router.client import RequestRefused
from trio_router.protocols import codes, messages


class Runs:
    """A handler that notes which channels it is running for."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.ended: list[str] = []

    async def __call__(self, channel: str) -> None:
        self.running.append(channel)
        try:
            await trio.sleep_forever()
        finally:
            self.running.remove(channel)
            self.ended.append(channel)


def found(channel: str, pattern: str = "^clock/") -> messages.ListenFound:
    return messages.ListenFound(pattern, channel)


async def test_a_handler_runs_while_its_channel_is_wanted(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    runs = Runs()
    async with connected() as client:
        peer = await router.peer()
        async with client.listen("^clock/", runs, accepts=lambda channel: channel != "clock/no") as listening:
            assert (await peer.wait_for(messages.Listen)).pattern == "^clock/"
            for channel in ("clock/a", "clock/no", "clock/b"):
                await peer.send(found(channel))
            assert (await peer.wait_for(messages.ListenReject)).channel == "clock/no"
            assert [(await peer.wait_for(messages.ListenAccept, n)).channel for n in (1, 2)] == ["clock/a", "clock/b"]
            await trio.sleep(1)
            assert listening.channels == {"clock/a", "clock/b"} == set(runs.running)

            await peer.send(messages.ListenRemoved("^clock/", "clock/a"))
            await trio.sleep(1)
            assert runs.ended == ["clock/a"]
        assert runs.ended == ["clock/a", "clock/b"]
        assert (await peer.wait_for(messages.Unlisten)).pattern == "^clock/"
        await peer.send(found("clock/c"))  # it crossed our "unlisten"
        assert (await peer.wait_for(messages.ListenReject, 2)).channel == "clock/c"


async def test_who_answered_too_late_does_not_go_on(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    runs = Runs()
    errors: list[RequestRefused] = []
    async with connected(on_error=errors.append) as client, client.listen("^clock/", runs):
        peer = await router.peer()
        await peer.send(found("clock/a"))
        await peer.wait_for(messages.ListenAccept)
        await peer.send(messages.ListenTimeout("^clock/", "clock/a"))
        await peer.send(messages.Failed(codes.NOT_ASKED, None, verb="listen_accept", name="clock/a"))
        await trio.sleep(1)
        assert (runs.running, runs.ended) == ([], ["clock/a"])
    assert errors == []


async def test_a_handler_that_fails_leaves_its_channel_to_others_and_touches_nobody_else(
    autojump_clock: Any, router: FakeRouter, connected: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    runs = Runs()

    async def fragile(channel: str) -> None:
        if channel == "clock/bad":
            raise ValueError(channel)
        if channel != "clock/done":
            await runs(channel)

    def accepts(channel: str) -> bool:
        return {"clock/what": None}.get(channel, channel != "clock/oops" or 1 / 0)  # type: ignore[return-value]

    async with connected() as client, client.listen("^clock/", fragile, accepts=accepts):
        peer = await router.peer()
        for channel in ("clock/ok", "clock/bad", "clock/done", "clock/oops", "clock/what"):
            await peer.send(found(channel))
        rejected = {(await peer.wait_for(messages.ListenReject, n)).channel for n in (1, 2, 3)}
        assert rejected == {"clock/bad", "clock/oops", "clock/what"}
        await trio.sleep(1)
        assert runs.running == ["clock/ok"]
        assert len(peer.of(messages.ListenReject)) == 3
    assert "the provider of clock/bad failed" in caplog.text


async def test_listening_survives_a_reconnect_and_is_asked_again(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    runs = Runs()
    async with connected() as client, client.listen("^clock/", runs) as listening:
        first = await router.peer()
        await first.send(found("clock/a"))
        await first.wait_for(messages.ListenAccept)
        await trio.sleep(1)
        await first.cut()
        second = await router.peer(2)
        await second.wait_for(messages.Listen)
        assert runs.ended == ["clock/a"]
        await second.send(found("clock/a"))
        await second.wait_for(messages.ListenAccept)
        await trio.sleep(1)
        assert runs.running == ["clock/a"]
        assert listening.interruptions == 1


async def test_a_right_that_is_taken_away_ends_what_runs(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    runs = Runs()
    async with connected() as client, client.listen("^clock/", runs) as listening:
        peer = await router.peer()
        await peer.send(found("clock/a"))
        await peer.wait_for(messages.ListenAccept)
        await peer.send(messages.Revoked("listen", "^clock/", codes.DENIED))
        error = await listening.wait_ended()
        assert isinstance(error, RequestRefused)
        assert (error.slug, error.verb, error.name) == ("denied", "listen", "^clock/")
        await trio.sleep(1)
        assert runs.running == []


async def test_a_pattern_is_listened_with_once(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client, client.listen("^clock/", Runs()):
        with pytest.raises(RequestRefused, match="already_listening"):
            async with client.listen("^clock/", Runs()):
                pytest.fail("listened twice")


async def test_a_pattern_that_is_refused_raises(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def no(peer: Any, message: Any) -> None:
        await peer.send(messages.Failed(codes.INVALID_PATTERN, message.id, "pattern: is empty"))

    router.on[messages.Listen] = no
    async with connected() as client:
        with pytest.raises(RequestRefused, match="pattern: is empty"):
            async with client.listen("", Runs()):
                pytest.fail("listened")
        assert client.is_connected
