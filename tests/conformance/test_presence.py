"""Presence: who is there, and who comes and goes, as official clients ask for it."""

from __future__ import annotations

from tests.conformance.conftest import Site, Start


async def test_everybody_who_is_there_but_the_asker(site: Site) -> None:
    rosa, _egon, _ada = [await site.user(name) for name in ("rosa", "egon", "ada")]
    told = await rosa.do("online")
    assert told["error"] is None and sorted(told["result"]) == ["ada", "egon"]


async def test_alone_nobody_is_there(site: Site) -> None:
    rosa = await site.user("rosa")
    assert (await rosa.do("online"))["result"] == []


async def test_whether_some_users_are_there(site: Site) -> None:
    rosa, _egon = await site.user("rosa"), await site.user("egon")
    told = await rosa.do("online", ["egon", "ada", "rosa"])
    assert told["result"] == {"egon": True, "ada": False, "rosa": True}


async def test_who_comes_is_announced_to_those_who_watch_everybody(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("watch")
    await rosa.settled()
    await site.user("egon")
    await rosa.sees("presence", "egon", True)


async def test_who_leaves_is_announced_to_those_who_watch_everybody(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.do("watch")
    await rosa.settled()
    await egon.do("close")
    await rosa.sees("presence", "egon", False)


async def test_a_user_watched_by_name(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("watch", "egon")
    await rosa.settled()
    egon, ada = await site.user("egon"), await site.user("ada")
    await rosa.sees("presence", "egon", True)
    await egon.do("close")
    await ada.do("close")
    await rosa.sees("presence", "egon", False)
    assert rosa.all("presence", "ada") == []


async def test_only_the_first_session_of_a_user_comes_and_the_last_one_leaves(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("watch", "egon")
    await rosa.settled()
    first, second = await site.user("egon"), await site.client("egon again")
    await second.login({"username": "egon"})
    await first.do("close")
    await first.sees("state", "CLOSED")
    assert (await rosa.do("online", ["egon"]))["result"] == {"egon": True}
    assert rosa.all("presence") == [("presence", "egon", True)]
    await second.do("close")
    await rosa.sees("presence", "egon", False)
    assert len(rosa.all("presence")) == 2


async def test_who_does_not_watch_any_more_is_told_nothing(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("watch")
    await rosa.settled()
    await rosa.do("unwatch")
    await rosa.settled()
    await site.user("egon")
    await rosa.settled()
    assert rosa.all("presence") == []


async def test_one_of_two_watched_users_is_watched_no_more(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("watch", "egon")
    await rosa.do("watch", "ada")
    await rosa.settled()
    await rosa.do("unwatch", "egon")
    await rosa.settled()
    await site.user("egon")
    await site.user("ada")
    await rosa.sees("presence", "ada", True)
    assert rosa.all("presence", "egon") == []


async def test_watching_everybody_and_one_by_name(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("watch")
    await rosa.do("watch", "egon")
    await rosa.settled()
    await site.user("egon")
    await rosa.sees("presence", "egon", True, times=2)


async def test_a_session_that_gave_no_name_is_open(site: Site) -> None:
    rosa, nameless = await site.user("rosa"), await site.client("nameless")
    await nameless.login()
    assert (await rosa.do("online", ["open"]))["result"] == {"open": True}


async def test_presence_follows_the_rules_name_by_name(start: Start) -> None:
    rules = """
event: {"*": {subscribe: true, publish: true, listen: true}}
rpc: {"*": {provide: true, request: true}}
presence: {"*": {allow: "name !== 'boss'"}}
"""
    async with start(rules=rules) as site:
        rosa, _egon, _boss = [await site.user(name) for name in ("rosa", "egon", "boss")]
        assert (await rosa.do("online"))["result"] == ["egon"]
        await rosa.do("watch", "boss")
        await rosa.sees("error", "MESSAGE_DENIED", "PRESENCE")
