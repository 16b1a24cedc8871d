"""Listening: who is asked about which channel, in which order, and what happens when anybody goes or changes their mind."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.routing.world import Member, World, refused
from trio_router.clock import ManualClock
from trio_router.grants import Grants
from trio_router.identity import Identity, User, new_session_id
from trio_router.limits import Limits
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.loader import load_rules
from trio_router.permissions.redaction import Redaction
from trio_router.protocols import codes
from trio_router.routing import listen
from trio_router.routing.listen import ListenOptions
from trio_router.routing.listen_patterns import InvalidPattern, ListenPattern, _literal
from trio_router.routing.session import Session
from trio_router.routing.tracing import explain_at_door
from trio_router.scope import Scope
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules

ORDERED = ListenOptions(shuffle_providers=False)


def world_of(**limits: Any) -> World:
    world = World(limits=Limits(**limits))
    world.core.replace_listen_options(ORDERED)
    return world


def listener(world: World, *patterns: str, name: str = "provider") -> Member:
    member = world.join(name)
    for pattern in patterns:
        world.core.listen(member.session, pattern)
    return member


def found(member: Member) -> list[tuple[str, str]]:
    """The questions it was asked since the last time, as (pattern, channel)."""
    asked = [(entry[1], entry[2]) for entry in member.peer.of("listen_found")]
    member.take()
    return asked


def provides(world: World, member: Member, pattern: str, *channels: str) -> None:
    for channel in channels:
        world.core.listen_accept(member.session, pattern, channel)


def answers(world: World) -> dict[str, float]:
    kinds = ("accepted", "rejected", "timeout", "withdrawn")
    counted = {kind: world.sample("trio_router_listen_answers_total", answer=kind) for kind in kinds}
    return {kind: count for kind, count in counted.items() if count}


# ---- asking -------------------------------------------------------------------------------------------------


def test_a_listener_is_asked_when_a_matching_channel_gets_its_first_subscriber() -> None:
    world = world_of()
    provider, reader, other = listener(world, "news/.*"), world.join("reader"), world.join("other")
    world.core.subscribe(reader.session, "sport")
    world.core.subscribe(reader.session, "news/today")
    world.core.subscribe(other.session, "news/today")
    assert provider.told == [("listen_found", "news/.*", "news/today")]
    assert reader.told == other.told == []


def test_channels_that_are_subscribed_already_are_asked_about_at_once() -> None:
    world = world_of()
    reader = world.join("reader")
    for channel in ("news/a", "sport", "news/b"):
        world.core.subscribe(reader.session, channel)
    provider = listener(world, "^news/")
    assert provider.told == [("listen_found", "^news/", "news/a"), ("listen_found", "^news/", "news/b")]


def test_that_it_listens_is_said_before_the_first_question() -> None:
    world = world_of()
    reader, provider = world.join("reader"), world.join("provider")
    world.core.subscribe(reader.session, "a")
    world.core.listen(provider.session, "a", accepted=lambda: provider.told.append(("accepted",)))
    assert [entry[0] for entry in provider.take()] == ["accepted", "listen_found"]
    with refused(codes.ALREADY_LISTENING):
        world.core.listen(provider.session, "a", accepted=lambda: provider.told.append(("accepted",)))
    assert provider.told == []


def test_a_pattern_is_found_anywhere_in_a_name_unless_it_has_anchors() -> None:
    world = world_of()
    provider = listener(world, "b", "^b$")
    reader = world.join("reader")
    for channel in ("a/b/c", "b", "B"):
        world.core.subscribe(reader.session, channel)
    assert found(provider) == [("b", "a/b/c"), ("b", "b")]
    world.core.listen_reject(provider.session, "b", "b")
    assert found(provider) == [("^b$", "b")]


def test_a_wildcard_subscription_names_no_channel() -> None:
    world = world_of()
    provider, reader = listener(world, ".*"), world.join("reader")
    world.core.subscribe(reader.session, "news/*")
    assert provider.told == []
    world.core.subscribe(reader.session, "news/today")
    provides(world, provider, ".*", "news/today")
    provider.take()
    world.core.unsubscribe(reader.session, "news/today")
    assert provider.told == [("listen_removed", ".*", "news/today")]  # though the wildcard is still there


def test_whoever_accepts_is_the_only_one_asked_and_is_told_when_the_last_subscriber_has_gone() -> None:
    world = world_of()
    first, second = listener(world, "a", name="first"), listener(world, "a", name="second")
    one, two = world.join("one"), world.join("two")
    world.core.subscribe(one.session, "a")
    world.core.subscribe(two.session, "a")
    provides(world, first, "a", "a")
    assert world.sample("trio_router_provided_channels") == 1
    world.timers.advance(1_000)
    first.take()

    world.core.unsubscribe(one.session, "a")
    assert first.told == []
    world.core.detach(two.session)
    assert first.told == [("listen_removed", "a", "a")]
    assert second.told == []
    assert world.sample("trio_router_provided_channels") == 0
    assert answers(world) == {"accepted": 1}


def test_a_provider_publishes_to_those_who_subscribed() -> None:
    world = world_of()
    provider, reader = listener(world, "clock/.*"), world.join("reader")
    world.core.subscribe(reader.session, "clock/utc")
    ((pattern, channel),) = found(provider)
    provides(world, provider, pattern, channel)
    world.core.publish(provider.session, channel, Payload("12:00"))
    assert [delivery.data.value for delivery in reader.peer.events] == ["12:00"]


def test_those_who_reject_or_do_not_answer_are_followed_by_the_next() -> None:
    world = world_of()
    members = [listener(world, "a", name=name) for name in ("one", "two", "three")]
    reader = world.join("reader")
    world.core.subscribe(reader.session, "a")
    assert [found(member) for member in members] == [[("a", "a")], [], []]
    world.core.listen_reject(members[0].session, "a", "a")
    assert [found(member) for member in members] == [[], [("a", "a")], []]
    world.timers.advance(0.49)
    assert members[1].told == []
    world.timers.advance(0.02)
    assert members[1].take() == [("listen_timeout", "a", "a")]
    assert found(members[2]) == [("a", "a")]
    provides(world, members[2], "a", "a")
    assert answers(world) == {"rejected": 1, "timeout": 1, "accepted": 1}


def test_each_of_a_sessions_patterns_is_asked_by_itself() -> None:
    world = world_of()
    provider, reader = listener(world, "a", "a/.*"), world.join("reader")
    world.core.subscribe(reader.session, "a/b")
    world.core.listen_reject(provider.session, "a", "a/b")
    assert found(provider) == [("a", "a/b"), ("a/.*", "a/b")]


def test_providers_are_asked_in_the_order_their_patterns_and_they_came() -> None:
    world = world_of()
    one, two = listener(world, "b", "a", name="one"), listener(world, "a", "b", name="two")
    reader = world.join("reader")
    world.core.subscribe(reader.session, "ab")
    order = []
    for _ in range(4):
        (asked,) = [(member, *entry[1:]) for member in (one, two) for entry in member.peer.of("listen_found")]
        member, pattern, channel = asked
        order.append((member, pattern))
        member.take()
        world.core.listen_reject(member.session, pattern, channel)
    assert order == [(one, "b"), (two, "b"), (one, "a"), (two, "a")]


def test_providers_are_shuffled_unless_told_otherwise() -> None:
    world = World()
    members = [listener(world, "a", name=f"p{number}") for number in range(3)]
    reader = world.join("reader")
    firsts: Counter[int] = Counter()
    for number in range(200):
        world.core.subscribe(reader.session, f"a{number}")
        (first,) = [place for place, member in enumerate(members) if found(member)]
        firsts[first] += 1
    assert set(firsts) == {0, 1, 2}  # all but surely: each is first with 1/3, 200 times


# ---- answers that come too late, twice or from nowhere ------------------------------------------------------


def test_a_late_answer_changes_nothing() -> None:
    world = world_of()
    slow, quick, reader = listener(world, "a", name="slow"), listener(world, "a", name="quick"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    world.timers.advance(0.5)
    with refused(codes.NOT_ASKED):
        world.core.listen_accept(slow.session, "a", "a")
    provides(world, quick, "a", "a")
    for member in (slow, quick, reader):
        with refused(codes.NOT_ASKED):
            world.core.listen_accept(member.session, "a", "a")
    for member in (slow, reader):
        with refused(codes.NOT_ASKED):
            world.core.listen_reject(member.session, "a", "a")
    world.core.unsubscribe(reader.session, "a")
    assert ("listen_removed", "a", "a") in quick.told
    assert slow.told[-1] == ("listen_timeout", "a", "a")


def test_a_question_is_taken_back_when_nobody_is_subscribed_any_more() -> None:
    world = world_of()
    provider, reader = listener(world, "a"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    world.core.unsubscribe(reader.session, "a")
    assert provider.take() == [("listen_found", "a", "a"), ("listen_removed", "a", "a")]
    with refused(codes.NOT_ASKED):
        world.core.listen_accept(provider.session, "a", "a")
    assert not world.timers.pending
    world.core.subscribe(reader.session, "a")
    assert found(provider) == [("a", "a")]
    provides(world, provider, "a", "a")
    assert answers(world) == {"withdrawn": 1, "accepted": 1}


@pytest.mark.threat("T27")
def test_nobody_answers_for_another_session_or_for_what_it_was_not_asked() -> None:
    world = world_of()
    provider, thief, reader = listener(world, "a", name="provider"), listener(world, "b"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    for pattern, channel in (("a", "a"), ("b", "a"), ("b", "b"), ("a", "z")):
        with refused(codes.NOT_ASKED):
            world.core.listen_accept(thief.session, pattern, channel)
    provides(world, provider, "a", "a")


def test_a_provider_may_give_a_channel_up() -> None:
    world = world_of()
    first, second, reader = listener(world, "a", name="first"), listener(world, "a"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    provides(world, first, "a", "a")
    first.take()
    world.core.listen_reject(first.session, "a", "a")
    assert first.told == []
    assert found(second) == [("a", "a")]
    world.core.listen_reject(second.session, "a", "a")
    assert first.told == second.told == []
    assert world.sample("trio_router_provided_channels") == 0
    world.timers.advance(60)
    assert found(first) == [("a", "a")]


# ---- providers go -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["leaves", "unlistens", "leaves asked", "unlistens asked"])
def test_when_a_provider_goes_the_others_are_asked(how: str) -> None:
    world = world_of()
    first, second, reader = listener(world, "a", name="first"), listener(world, "a"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    if not how.endswith("asked"):
        provides(world, first, "a", "a")
    first.take()
    if how.startswith("leaves"):
        world.core.detach(first.session)
    else:
        world.core.unlisten(first.session, "a")
    assert first.told == []
    assert found(second) == [("a", "a")]
    provides(world, second, "a", "a")
    assert world.sample("trio_router_provided_channels") == 1


def test_who_rejected_before_is_asked_again_when_the_provider_has_gone() -> None:
    world = world_of()
    shy, provider, reader = listener(world, "a", name="shy"), listener(world, "a"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    world.core.listen_reject(shy.session, "a", "a")
    provides(world, provider, "a", "a")
    shy.take()
    world.core.detach(provider.session)
    assert found(shy) == [("a", "a")]


def test_whoever_is_provider_and_last_subscriber_leaves_without_a_word() -> None:
    world = world_of()
    both, other = listener(world, "a", name="both"), listener(world, "a")
    world.core.subscribe(both.session, "a")
    provides(world, both, "a", "a")
    both.take()
    world.core.detach(both.session)
    assert both.told == other.told == []
    world.core.detach(other.session)
    assert world.is_empty()


# ---- nobody takes it ----------------------------------------------------------------------------------------


def test_what_nobody_took_is_tried_again_at_every_interval() -> None:
    world = world_of()
    provider, reader = listener(world, "a"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    for _ in range(3):
        assert found(provider) == [("a", "a")]
        world.core.listen_reject(provider.session, "a", "a")
        world.timers.advance(59.9)
        assert found(provider) == []
        world.timers.advance(0.2)
    provides(world, provider, "a", "a")
    assert not world.timers.pending


def test_what_was_tried_a_moment_ago_waits_for_the_next_interval() -> None:
    world = world_of()
    world.core.replace_listen_options(attrs.evolve(ORDERED, rematch_interval=10.0, match_cooldown=4.0))
    provider, reader = listener(world, "a"), world.join("reader")
    world.core.subscribe(reader.session, "a1")
    world.core.listen_reject(provider.session, "a", "a1")
    world.timers.advance(7)
    world.core.subscribe(reader.session, "a2")
    world.core.listen_reject(provider.session, "a", "a2")
    found(provider)
    world.timers.advance(3)
    assert found(provider) == [("a", "a1")]
    world.core.listen_reject(provider.session, "a", "a1")
    world.timers.advance(10)
    assert sorted(found(provider)) == [("a", "a1"), ("a", "a2")]


def test_a_new_listener_is_asked_about_what_nobody_took_and_the_others_are_left_alone() -> None:
    world = world_of()
    shy, reader = listener(world, "a", name="shy"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    world.core.listen_reject(shy.session, "a", "a")
    shy.take()
    newcomer = listener(world, "a", name="newcomer")
    assert found(newcomer) == [("a", "a")]
    world.core.listen_reject(newcomer.session, "a", "a")
    assert shy.told == []
    world.timers.advance(60)
    assert found(shy) == [("a", "a")]


def test_a_listener_that_comes_while_others_are_asked_is_asked_after_them() -> None:
    world = world_of()
    first, reader = listener(world, "a", name="first"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    second = listener(world, "a", name="second")
    assert second.told == []
    world.core.listen_reject(first.session, "a", "a")
    assert found(second) == [("a", "a")]


# ---- patterns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("", "is empty"),
        ("*a", "nothing before the *"),
        ("a(", "never closed (at character 2)"),
        ("a)", "closes nothing"),
        ("[a", "never closed"),
        ("(?=a)", "look-ahead"),
        (r"(a)\1", "back"),
        ("a{2,1}", "count"),
        ("(a{1000}){1000}", ""),
        ("a\nb", "cannot be printed"),
    ],
)
@pytest.mark.threat("T30")
def test_what_is_no_pattern_is_refused_with_the_place(pattern: str, reason: str) -> None:
    world = world_of()
    member = world.join()
    with refused(codes.INVALID_PATTERN) as caught:
        world.core.listen(member.session, pattern)
    assert caught.detail.startswith("pattern: ")
    assert reason in caught.detail
    assert not member.session.listens


def test_a_pattern_has_a_bounded_length_and_a_session_a_bounded_number() -> None:
    world = world_of(listen_pattern_length=5, listens_per_session=2)
    member = listener(world, "aaaaa", "b")
    with refused(codes.LIMIT_REACHED) as caught:
        world.core.listen(member.session, "aaaaaa")
    assert caught.detail == "pattern: at most 5 characters"
    with refused(codes.ALREADY_LISTENING):
        world.core.listen(member.session, "b")
    with refused(codes.LIMIT_REACHED):
        world.core.listen(member.session, "c")
    with refused(codes.NOT_LISTENING):
        world.core.unlisten(member.session, "c")
    world.core.unlisten(member.session, "b")
    world.core.listen(member.session, "c")


@pytest.mark.parametrize(
    ("source", "asked", "kind"),
    [
        ("a/.*", "a/.*", ""),
        ("^a/.*$", "a/.*", ""),
        (r"a\$", r"a\$", ""),
        (r"a\\$", r"a\\", ""),
        ("^", "^", ""),
        ("^$", "^$", ""),
        ("^pvt:a", "pvt:a", "pvt"),
        ("pvt", "pvt", ""),
        ("a:b", "a:b", ""),
    ],
)
def test_what_rules_are_asked_about_a_pattern(source: str, asked: str, kind: str) -> None:
    parsed = ListenPattern.parse(source)
    assert (parsed.asked, parsed.kind) == (asked, kind)


@pytest.mark.parametrize(
    ("source", "literal"),
    [
        ("^news/.*", "news/"),
        ("news", "news"),
        ("a*b", ""),
        ("ab?c", "a"),
        ("ab{0,1}", "a"),
        ("ab+", "ab"),
        ("abc|d", ""),
        ("(abc)", ""),
        ("a.b", "a"),
        ("[ab]c", ""),
        ("", ""),
    ],
)
def test_the_letters_a_match_begins_with(source: str, literal: str) -> None:
    assert _literal(source) == literal


@given(st.from_regex(r"\^?([abc/]|\.|a\*|b\?|c\+|\(a\|b\)|[ab]\{0,2\}|\[ab\]|a\|){0,6}\$?", fullmatch=True), st.data())
def test_a_pattern_matches_what_its_expression_finds(source: str, data: st.DataObject) -> None:
    try:
        pattern = ListenPattern.parse(source)
    except InvalidPattern:
        return
    channel = data.draw(st.text(alphabet="abc/", min_size=1, max_size=6) | st.from_regex(source, fullmatch=True))
    assume(":" not in channel)  # it would have a kind, and the pattern has none
    assert pattern.matches(channel) == (re.search(source, channel, re.ASCII) is not None)


def test_a_pattern_is_javascripts() -> None:
    assert ListenPattern.parse(r"^[\w-]+/\d{2,}$").matches("a-b/12")
    with pytest.raises(InvalidPattern, match="escape"):
        ListenPattern.parse(r"\Aa")  # of other dialects


# ---- permission ---------------------------------------------------------------------------------------------

RULES = """
event:
  "*":        {publish: true, subscribe: true}
  "open/*":   {publish: true, subscribe: true, listen: true}
  "open/no":  {publish: true, subscribe: true, listen: false}
  "$user/*":  {publish: true, subscribe: true, listen: "user.id === $user"}
"""


def ruled(text: str = RULES) -> World:
    world = World(load_rules(text, "rules.yml", clock=ManualClock()))
    world.core.replace_listen_options(ORDERED)
    return world


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("open/.*", None),
        ("^open/.*$", None),
        ("ann/.*", None),
        ("ben/.*", codes.DENIED),
        (".*", codes.DENIED),
        ("(open|ann)/.*", codes.DENIED),
    ],
)
def test_the_rules_are_asked_about_a_patterns_text(pattern: str, code: int | None) -> None:
    world = ruled()
    member = world.join("ann")
    if code is None:
        world.core.listen(member.session, pattern)
    else:
        with refused(code):
            world.core.listen(member.session, pattern)
        assert not member.session.listens


@pytest.mark.threat("T21")
@pytest.mark.threat("T22")
def test_nobody_is_told_a_name_that_the_rules_keep_from_them() -> None:
    """Before and after listening, at a rematch, and when somebody else goes: each name is decided when it is told."""
    world = ruled()
    reader, ann, ben = world.join("reader"), world.join("ann"), world.join("ben")
    names = ("open/yes", "open/no", "ben/open/x", "ann/open/x", "other")
    for name in names[:2]:
        world.core.subscribe(reader.session, name)
    for member in (ann, ben):
        world.core.listen(member.session, "open/")  # matches ben/open/x too
    for name in names[2:]:
        world.core.subscribe(reader.session, name)
    for _ in range(3):
        for member in (ann, ben):
            for pattern, channel in found(member):
                assert channel in {"open/yes", f"{member.session.identity.user.id}/open/x"}
                world.core.listen_reject(member.session, pattern, channel)
        world.timers.advance(60)
    assert [channel for _, channel in found(ann)]
    world.core.detach(ann.session)
    assert {channel for _, channel in found(ben)} <= {"open/yes", "ben/open/x"}


@pytest.mark.threat("T26")
def test_names_of_a_kind_are_for_server_programs_that_spell_the_kind_out() -> None:
    world = world_of()
    program = Member(
        world.core.attach(Identity("main", new_session_id(), User("app"), key="k", grants=Grants(), is_server=True), (peer := RecordingPeer())),
        peer,
    )  # fmt: skip
    for key in ("", "k"):
        client = Identity("main", new_session_id(), User("ann"), key=key, grants=Grants() if key else None)
        session = world.core.attach(client, RecordingPeer())
        with refused(codes.RESERVED):
            world.core.listen(session, "^pvt:room/")
        world.core.listen(session, ".*")
    world.core.listen(program.session, ".*")
    world.core.listen(program.session, "^pvt:room/")
    world.core.subscribe(program.session, "pvt:room/1")
    assert program.told == [("listen_found", "^pvt:room/", "pvt:room/1")]


def test_a_key_without_the_grant_and_a_token_without_the_permission_do_not_listen() -> None:
    world = world_of()
    no_grant = Identity("main", new_session_id(), User("a"), key="k", grants=Grants(subscribe=False))
    session = world.core.attach(no_grant, RecordingPeer())
    with refused(codes.KEY_GRANT):
        world.core.listen(session, "a")
    narrow = Identity("main", new_session_id(), User("b"), scope=Scope.of(["subscribe"], None))
    session = world.core.attach(narrow, RecordingPeer())
    with refused(codes.DENIED):
        world.core.listen(session, "a")


def test_a_tokens_restrictions_are_about_the_channels_it_is_told() -> None:
    world = world_of()
    identity = Identity("main", new_session_id(), User("b"), scope=Scope.of(["*"], ["room/*"]))
    member = Member(world.core.attach(identity, (peer := RecordingPeer())), peer)
    world.core.listen(member.session, ".*")
    reader = world.join("reader")
    for channel in ("room/1", "hall/1"):
        world.core.subscribe(reader.session, channel)
    assert found(member) == [(".*", "room/1")]


@pytest.mark.threat("T33")
@pytest.mark.parametrize("ahead", [False, True], ids=["at once", "in slices"])
def test_a_reload_ends_listening_and_providing_that_the_rules_do_not_allow_any_more(ahead: bool) -> None:
    world = ruled()
    reader, ann, ben = world.join("reader"), world.join("ann"), world.join("ben")
    world.core.subscribe(reader.session, "open/1")
    world.core.subscribe(reader.session, "open/2")
    for member in (ann, ben):
        world.core.listen(member.session, "open/.*")
    provides(world, ann, "open/.*", "open/1", "open/2")
    ann.take()
    changed = RULES.replace('"open/no":', '"open/2":').replace("listen: true}", "listen: \"user.id === 'ann'\"}")
    rules = load_rules(changed, "rules.yml", clock=ManualClock())
    if ahead:
        with world.core.reconsidering(rules) as reconsideration:
            while reconsideration.advance(1):
                pass
            ended = world.core.adopt(reconsideration)
            assert not world.core.tell_losses(10)
    else:
        world.door.replace_rules(rules)
        ended = world.core.reconsider()
    assert ended == 2
    assert ann.told == [("listen_removed", "open/.*", "open/2")]
    assert [entry[:4] for entry in ben.told] == [("revoked", "listen", "open/.*", codes.DENIED)]
    assert not ben.session.listens
    world.core.unsubscribe(reader.session, "open/1")
    assert ann.told[-1] == ("listen_removed", "open/.*", "open/1")


@pytest.mark.threat("T33")
def test_who_is_asked_when_the_rules_change_cannot_accept_any_more() -> None:
    world = ruled()
    reader, ann = world.join("reader"), world.join("ann")
    world.core.subscribe(reader.session, "open/1")
    world.core.listen(ann.session, "open/.*")
    denied = RULES.replace('"open/no":', '"open/1":')
    world.door.replace_rules(load_rules(denied, "rules.yml", clock=ManualClock()))
    world.core.reconsider()
    with refused(codes.NOT_ASKED):
        world.core.listen_accept(ann.session, "open/.*", "open/1")
    assert world.sample("trio_router_provided_channels") == 0


def test_what_new_rules_allow_is_asked_at_once() -> None:
    world = ruled(RULES.replace('"open/no":', '"open/1":'))
    reader, ann = world.join("reader"), world.join("ann")
    world.core.subscribe(reader.session, "open/1")
    world.core.listen(ann.session, "open/.*")
    assert ann.told == []
    world.door.replace_rules(load_rules(RULES, "rules.yml", clock=ManualClock()))
    world.core.reconsider()
    assert found(ann) == [("open/.*", "open/1")]


def test_an_identity_with_less_loses_what_it_provides() -> None:
    world = world_of()
    member = listener(world, "a")
    reader = world.join("reader")
    world.core.subscribe(reader.session, "a")
    provides(world, member, "a", "a")
    member.take()
    world.core.replace_identity(
        member.session, attrs.evolve(member.session.identity, scope=Scope.of(["subscribe"], None))
    )
    assert member.told[0][:4] == ("revoked", "listen", "a", codes.DENIED)
    assert not member.session.listens


def test_decisions_about_names_are_not_told_and_denied_ones_counted() -> None:
    world = World(FixedRules({Action.EVENT_SUBSCRIBE: True, Action.EVENT_LISTEN: {"a.*"}}))
    reader, member = world.join("reader"), world.join("ann")
    world.core.subscribe(reader.session, "ab")
    world.core.listen(member.session, "a.*")
    assert member.told == []
    assert world.sample("trio_router_decisions_total", action="event.listen", reason="rule_false") == 1


# ---- many of them -------------------------------------------------------------------------------------------


@pytest.mark.threat("T12")
def test_a_listener_of_everything_has_a_bounded_number_of_questions_open() -> None:
    world = world_of(subscriptions_per_session=10_000)
    reader = world.join("reader")
    for number in range(listen.QUESTIONS * 2 + 50):
        world.core.subscribe(reader.session, f"a{number}")
    member = listener(world, "a")
    asked: list[str] = []
    most = 0
    while world.core.listens.is_busy or member.session.asks:
        world.timers.advance(0)
        most = max(most, member.session.asks)
        for pattern, channel in found(member):
            asked.append(channel)
            provides(world, member, pattern, channel)
    assert most <= listen.QUESTIONS
    assert len(asked) == len(set(asked)) == listen.QUESTIONS * 2 + 50
    assert world.sample("trio_router_provided_channels") == len(asked)


def test_a_silent_listener_of_everything_is_asked_in_portions() -> None:
    world = world_of(subscriptions_per_session=10_000)
    reader = world.join("reader")
    for number in range(listen.QUESTIONS + 100):
        world.core.subscribe(reader.session, f"a{number}")
    silent = listener(world, "a", name="silent")
    for _ in range(10):
        world.timers.advance(0)
    assert len(found(silent)) == listen.QUESTIONS
    second = listener(world, "a", name="second")
    world.timers.advance(0.5)
    told = Counter(entry[0] for entry in silent.take())
    assert told == {"listen_timeout": listen.QUESTIONS, "listen_found": 100}
    assert len(found(second)) == listen.QUESTIONS
    world.core.detach(silent.session)
    for _ in range(10):
        world.timers.advance(0)
        for pattern, channel in found(second):
            provides(world, second, pattern, channel)
    for member in (reader, second):
        world.core.detach(member.session)
    assert world.is_empty()


def test_much_work_is_done_in_slices() -> None:
    world = world_of(subscriptions_per_session=10_000)
    reader = world.join("reader")
    for number in range(listen.SLICE + 1):
        world.core.subscribe(reader.session, f"a{number}")
    member = listener(world, "a")
    assert len(member.told) == listen.SLICE
    assert world.timers.pending
    world.core.unsubscribe(reader.session, f"a{listen.SLICE}")
    world.timers.advance(0)
    assert len(member.told) == listen.SLICE


class Fickle(RecordingPeer):
    """Leaves from inside a callback, which a peer must not do, and which disturbs nobody all the same."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.session: Session | None = None

    def listen_found(self, pattern: str, channel: str) -> None:
        super().listen_found(pattern, channel)
        assert self.session is not None
        self._world.core.detach(self.session)


def test_a_listener_that_leaves_while_it_is_asked_disturbs_nobody() -> None:
    world = world_of()
    fickle = Fickle(world)
    fickle.session = world.join("fickle", fickle).session
    world.core.listen(fickle.session, "a")
    steady, reader = listener(world, "a", name="steady"), world.join("reader")
    world.core.subscribe(reader.session, "a")
    assert found(steady) == [("a", "a")]
    provides(world, steady, "a", "a")
    for member in (steady, reader):
        world.core.detach(member.session)
    assert world.is_empty()


@pytest.mark.parametrize(
    ("name", "allowed", "reason"),
    [
        ("^open/.*$", True, Reason.ALLOWED),
        ("open/yes", True, Reason.ALLOWED),
        ("^open/no$", False, Reason.RULE_FALSE),
        ("^ann/", True, Reason.ALLOWED),
        ("(", False, Reason.INVALID_NAME),
        ("^pvt:open/", False, Reason.RESERVED),
    ],
)
def test_what_a_pattern_may_do_is_explained_as_it_is_decided(name: str, *, allowed: bool, reason: Reason) -> None:
    rules = load_rules(RULES, "rules.yml", clock=ManualClock())
    who = Identity("main", new_session_id(), User("ann"))
    decision = explain_at_door(rules, who, Action.EVENT_LISTEN, name, ABSENT, Redaction()).decision
    assert (decision.allowed, decision.reason) == (allowed, reason)
