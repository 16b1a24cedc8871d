"""A reload that takes rights away takes them at once: over the core with a thousand sessions, and over real sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import trio

from tests.integration.conftest import RULES, USERS_CONFIG, Start
from tests.unit.permissions.rulesets import rules
from tests.unit.routing.world import World
from trio_router.client import RequestRefused, connect
from trio_router.errors import ProblemsError
from trio_router.payload import Payload
from trio_router.protocols import codes

EVERYBODY = 'event:\n  "room/*":\n    subscribe: true\n    publish: true\n'
HALF = """
event:
  "room/*":
    subscribe: {rule: "user.id.startsWith('keeps')", reason: "the room is closed"}
    publish: true
"""


@pytest.mark.threat("T22", "T33")
@pytest.mark.parametrize("ahead", [False, True], ids=["at once", "in slices"])
def test_nothing_reaches_the_half_of_a_thousand_that_lost_the_right(ahead: bool) -> None:
    world = World(rules(EVERYBODY))
    publisher = world.join("publisher")
    members = [world.join(f"{('keeps', 'loses')[number % 2]}{number}") for number in range(1_000)]
    for number, member in enumerate(members):
        world.core.subscribe(member.session, ("room/a", "room/*", "room/a*")[number % 3])
    world.core.publish(publisher.session, "room/a", Payload("before"))
    assert all(len(member.peer.events) == 1 for member in members)
    if ahead:
        with world.core.reconsidering(rules(HALF)) as reconsideration:
            while reconsideration.advance(100):
                world.core.publish(publisher.session, "room/a", Payload("meanwhile"))
            ended = world.core.adopt(reconsideration)
        world.core.publish(publisher.session, "room/a", Payload("swapped"))
        told = [len(member.peer.of("revoked")) for member in members]
        assert told == [0] * 1_000
        for member in members:
            events = [delivery.data.value for delivery in member.peer.events]
            assert ("swapped" in events) == member.session.identity.user.id.startswith("keeps")
        rounds = 1
        while world.core.tell_losses(100):
            rounds += 1
        assert rounds == 5
    else:
        world.door.replace_rules(rules(HALF))
        ended = world.core.reconsider()
    assert ended == 500
    for member in members:
        revoked = member.peer.of("revoked")
        if member.session.identity.user.id.startswith("loses"):
            assert [entry[3:5] for entry in revoked] == [(codes.DENIED, "the room is closed")]
        else:
            assert revoked == []
        member.take()
    world.core.publish(publisher.session, "room/a", Payload("after"))
    received = [member for member in members if member.peer.events]
    assert len(received) == 500
    assert all(member.session.identity.user.id.startswith("keeps") for member in received)


@pytest.mark.threat("T33")
def test_a_right_got_while_others_are_decided_ahead_is_decided_too() -> None:
    world = World(rules(EVERYBODY))
    first, second = world.join("loses-first"), world.join("loses-second")
    with world.core.reconsidering(rules(HALF)) as reconsideration:
        while reconsideration.advance(1):
            pass
        late = world.join("loses-late")
        for member in (first, second, late):
            world.core.subscribe(member.session, "room/a")
        world.core.detach(second.session)
        assert world.core.adopt(reconsideration) == 2
        while world.core.tell_losses(1):
            pass
    assert [entry[1:3] for entry in first.peer.of("revoked")] == [("subscribe", "room/a")]
    assert not first.session.subscriptions
    assert not late.session.subscriptions


@pytest.mark.threat("T33")
def test_what_a_session_lost_is_told_before_anything_it_asks_for() -> None:
    world = World(rules(EVERYBODY))
    member, gone = world.join("loses"), world.join("loses-and-goes")
    for each in (member, gone):
        world.core.subscribe(each.session, "room/a")
    with world.core.reconsidering(rules(HALF)) as reconsideration:
        assert world.core.adopt(reconsideration) == 2
    world.door.replace_rules(rules(EVERYBODY))  # and back again before anybody was told
    world.core.subscribe(member.session, "room/a")
    assert [entry[:3] for entry in member.told] == [("revoked", "subscribe", "room/a")]
    world.core.detach(gone.session)
    assert not world.core.tell_losses(100)
    assert gone.peer.of("revoked") == []
    assert len(member.told) == 1
    world.core.publish(member.session, "room/a", Payload("again"))
    assert [delivery.data.value for delivery in member.peer.events] == ["again"]


def test_a_reconsideration_that_is_given_up_changes_nothing() -> None:
    world = World(rules(EVERYBODY))
    member = world.join("loses")
    world.core.subscribe(member.session, "room/a")
    with world.core.reconsidering(rules("event:\n  other:\n    subscribe: true\n")) as reconsideration:
        while reconsideration.advance(1):
            pass
    assert member.peer.of("revoked") == []
    world.core.publish(member.session, "room/a", Payload(1))
    assert len(member.peer.events) == 1


@pytest.mark.threat("T33")
async def test_over_real_sockets_the_revoked_hear_why_and_nothing_else(start: Start) -> None:
    names = tuple(f"{('keeps', 'loses')[number % 2]}{number}" for number in range(6))
    async with start(rules=EVERYBODY, users=(*names, "boss")) as site, AsyncExitStack() as stack:
        url = site.address.url
        boss = await stack.enter_async_context(connect(url, site.login("boss")))
        feeds = {}
        for name in names:
            client = await stack.enter_async_context(connect(url, site.login(name)))
            feeds[name] = await stack.enter_async_context(client.subscribe("room/*"))
        (site.folder / "rules.yml").write_text(HALF)
        assert (await site.admin("POST", "/admin/reload")).status_code == 200
        await boss.publish("room/a", "after")
        with trio.fail_after(10):
            for name, feed in feeds.items():
                if name.startswith("keeps"):
                    assert (await anext(feed)).data == "after"
                    continue
                with pytest.raises(RequestRefused) as revoked:
                    await anext(feed)
                assert revoked.value.slug == "denied"
                assert "the room is closed" in str(revoked.value)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.threat("T33", "T69")
async def test_during_a_thousand_reloads_everybody_sees_the_old_or_the_new(start: Start) -> None:
    """Each file allows one room of its own and its publisher's other channel; no decision mixes the two."""
    old = RULES.replace('"room/$room"', '"room/old"')
    new = RULES.replace('"room/$room"', '"room/new"')
    async with start(rules=old) as site:
        url = site.address.url
        (site.folder / "other.yml").write_text(new)
        done = trio.Event()
        logins = 0

        async def reloads() -> None:
            text = (new, old)
            for number in range(1_000):
                (site.folder / "rules.yml").write_text(text[number % 2] if number % 10 else "broken: [")
                try:
                    await site.router.reload()
                except ProblemsError:
                    assert number % 10 == 0
            done.set()

        async def comes_and_goes() -> None:
            nonlocal logins
            while not done.is_set():
                async with connect(url, site.login("egon")) as egon:
                    logins += 1
                    answers = [await answer(lambda room=room: publish(egon, room)) for room in ("old", "new", "none")]
                    assert answers[2] == "denied"
                    assert set(answers) <= {"allowed", "denied"}

        async def publish(client: object, room: str) -> None:
            await client.publish(f"room/{room}", 1)  # type: ignore[attr-defined]

        async def answer(ask: Callable[[], Awaitable[None]]) -> str:
            try:
                await ask()
            except RequestRefused as refused:
                return refused.slug
            return "allowed"

        with trio.fail_after(360):  # it takes twenty seconds where nothing else runs
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reloads)
                nursery.start_soon(comes_and_goes)
        assert logins > 1
        (site.folder / "rules.yml").write_text(new)
        await site.router.reload()
        async with connect(url, site.login("egon")) as egon:
            assert await answer(lambda: publish(egon, "new")) == "allowed"
            assert await answer(lambda: publish(egon, "old")) == "denied"


async def test_shadow_rules_come_with_a_reload_count_differences_and_change_nothing(start: Start) -> None:
    async with start(USERS_CONFIG, rules=EVERYBODY) as site, connect(site.address.url, site.login("egon")) as egon:
        (site.folder / "shadow.yml").write_text(HALF)
        config = (site.folder / "config.yml").read_text() + "shadow_rules: shadow.yml\n"
        (site.folder / "config.yml").write_text(config)
        answer = await site.admin("POST", "/admin/reload")
        assert answer.json()["changed"] == ["shadow_rules"]
        async with egon.subscribe("room/a") as feed:
            await egon.publish("room/a", 1)
            assert (await anext(feed)).data == 1
        figures = (await site.admin("GET", "/metrics")).text
        assert 'trio_router_shadow_differences_total{action="event.subscribe",direction="would_deny"} 1.0' in figures
        (site.folder / "shadow.yml").write_text("broken")
        assert (await site.admin("POST", "/admin/reload")).status_code == 422
