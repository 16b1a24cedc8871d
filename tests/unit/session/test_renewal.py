"""A login that goes on: warned in time, prolonged in band, decided again, ended when nobody came. No wall time passes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.unit.session.conftest import MemoryLink, Scripted, World, settle
from tests.unit.session.test_connection import Make, ask
from trio_router.auth.strategy import Accepted, Challenge, Denied, Unavailable
from trio_router.clock import ManualClock
from trio_router.identity import User
from trio_router.limits import Limits
from trio_router.protocols import codes
from trio_router.scope import Scope
from trio_router.session.expiry import RECHECK

START = 1_700_000_000.0


class Together(ManualClock):
    """The wall clock of the virtual time."""

    def wall(self) -> float:
        return START + trio.current_time()


def token(seconds: float, user: str = "ann", scope: Scope | None = None, name: str = "t") -> Any:
    async def step(_: object) -> Accepted:
        now = START + trio.current_time()
        return Accepted(User(user), expires_at=now + seconds, token_id=name, issued_at=now, scope=scope)

    return step


async def log_in(make_world: Make, *script: Any, **options: Any) -> tuple[World, MemoryLink]:
    world = make_world(strategy=Scripted(*script), clock=Together(), **options)
    link = await world.user("ann")
    return world, link


@pytest.mark.threat("T48")
async def test_who_does_nothing_is_warned_and_then_sent_away(make_world: Make, autojump_clock: MockClock) -> None:
    limits = Limits()
    world, link = await log_in(make_world, token(100))
    began = trio.current_time()
    await trio.sleep_until(began + 74)
    assert link.of("expiring") == []
    await trio.sleep_until(began + 76)
    expires = link.of("welcome")[0]["expires"]
    assert link.of("expiring") == [{"type": "expiring", "expires": expires}]
    await trio.sleep_until(began + 100 + limits.expiry_grace - 1)
    assert link.closed is None
    await trio.sleep_until(began + 100 + limits.expiry_grace + RECHECK)
    assert link.closed == codes.SESSION_EXPIRED
    assert world.core.sessions == {}


async def test_a_long_login_is_warned_a_minute_before(make_world: Make, autojump_clock: MockClock) -> None:
    _, link = await log_in(make_world, token(3600))
    began = trio.current_time()
    await trio.sleep_until(began + 3539)
    assert link.of("expiring") == []
    await trio.sleep_until(began + 3541)
    assert len(link.of("expiring")) == 1


@pytest.mark.threat("T48")
async def test_a_client_with_five_second_tokens_stays_and_loses_nothing(
    make_world: Make, autojump_clock: MockClock
) -> None:
    """Sixty seconds of refreshes: every event arrives once and in order on the one connection there is."""
    world, link = await log_in(make_world, *[token(5, name=f"t{n}") for n in range(20)])
    await ask(link, type="subscribe", id="s", channel="news")
    publisher_script, world.strategy.script = world.strategy.script, []
    other = await world.user("bob")
    world.strategy.script = publisher_script
    began = trio.current_time()
    for second in range(60):
        await trio.sleep_until(began + second + 0.5)
        if second % 4 == 3:
            done = await ask(link, type="refresh", id=f"r{second}", token="next")
            assert done == {
                "type": "done",
                "id": f"r{second}",
                "expires": pytest.approx(START + trio.current_time() + 5),
            }
        other.say(type="publish", channel="news", data=second)
    await settle()
    assert [event["data"] for event in link.of("event")] == list(range(60))
    assert link.closed is None
    [session] = [each for each in world.core.sessions.values() if each.identity.user.id == "ann"]
    assert session.identity.token_id == "t15"


@pytest.mark.threat("T33", "T52")
async def test_what_the_new_token_does_not_allow_ends_with_a_reason(
    make_world: Make, autojump_clock: MockClock
) -> None:
    narrow = Scope.of(["subscribe"], ["news"])
    world, link = await log_in(make_world, token(50), token(50, scope=narrow))
    await ask(link, type="subscribe", id="1", channel="news")
    await ask(link, type="subscribe", id="2", channel="secret")
    await ask(link, type="provide", id="3", procedure="add")
    before = len(link.told)
    await ask(link, type="refresh", id="4", token="next")
    told = link.told[before:]
    assert [(m["type"], m.get("verb"), m.get("name")) for m in told] == [
        ("revoked", "subscribe", "secret"), ("revoked", "provide", "add"), ("done", None, None),
    ]  # fmt: skip
    assert told[0]["detail"] == "the token does not reach this name"
    refused = await ask(link, type="publish", id="5", channel="news")
    assert (refused["error"], refused["detail"]) == ("denied", "the token does not permit this action")
    [session] = world.core.sessions.values()
    assert list(session.subscriptions) == ["news"]


@pytest.mark.threat("T50", "T61")
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Denied("expired"), "refresh_denied"),
        (Accepted(User("bob")), "refresh_denied"),
        (Unavailable("storage"), "login_unavailable"),
        (Challenge("who?", lambda _: None), "refresh_denied"),  # type: ignore[arg-type,return-value]
    ],
)
async def test_a_token_that_is_not_accepted_changes_nothing(
    make_world: Make, autojump_clock: MockClock, answer: Any, error: str
) -> None:
    world, link = await log_in(make_world, token(50), answer)
    [session] = world.core.sessions.values()
    before = session.identity
    assert (await ask(link, type="refresh", id="r", token="x"))["error"] == error
    assert session.identity is before
    assert link.closed is None


async def test_who_keeps_sending_bad_tokens_is_sent_away(make_world: Make, autojump_clock: MockClock) -> None:
    _, link = await log_in(make_world, token(50), *[Denied("no")] * 3)
    for _ in range(3):
        await ask(link, type="refresh", id="r", token="x")
    assert link.closed == codes.LOGIN_ATTEMPTS


@pytest.mark.threat("T52")
async def test_nothing_reaches_a_session_after_it_was_ended(make_world: Make, autojump_clock: MockClock) -> None:
    world, link = await log_in(make_world)
    await ask(link, type="subscribe", id="1", channel="news")
    other = await world.user("bob")
    [session] = [each for each in world.core.sessions.values() if each.identity.user.id == "ann"]
    link.say(type="publish", channel="news", data="too late")  # lies in the buffer when the end comes
    world.core.end(session, codes.REVOKED)
    other.say(type="publish", channel="news", data="not for ann")
    await settle()
    assert link.of("event") == []
    assert link.closed == codes.REVOKED
