from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.routing.world import World, refused
from trio_router.errors import LocalProtocolError
from trio_router.limits import Limits
from trio_router.patterns import Pattern
from trio_router.payload import Payload
from trio_router.protocols import codes
from trio_router.routing.peer import Delivery
from trio_router.routing.subscriptions import Subscription, Subscriptions
from trio_router.routing.wildcards import WildcardIndex
from trio_router.testing.peers import RecordingPeer


def test_an_event_reaches_everybody_who_subscribed_and_nobody_else() -> None:
    world = World()
    anna, ben, carl, dora = (world.join(name) for name in ("anna", "ben", "carl", "dora"))
    world.core.subscribe(anna.session, "news")
    world.core.subscribe(ben.session, "news")
    world.core.subscribe(carl.session, "weather")
    data = Payload("hello")

    world.core.publish(dora.session, "news", data)

    assert anna.told == ben.told == [("event", "news", None, data)]
    assert carl.told == dora.told == []
    assert world.sample("trio_router_events_total") == 1
    assert world.sample("trio_router_deliveries_total") == 2


def test_members_of_one_subscription_share_one_delivery() -> None:
    world = World()
    members = [world.join(f"user{i}") for i in range(5)]
    for member in members:
        world.core.subscribe(member.session, "news/*")
        world.core.subscribe(member.session, "news/x")

    world.core.publish(members[0].session, "news/x", Payload(1))

    assert [[d.subscription for d in m.peer.events] for m in members] == [[None, "news/*"]] * 5
    for i in range(2):
        assert len({id(member.peer.events[i]) for member in members}) == 1


def test_one_delivery_for_each_matching_subscription_named_by_its_pattern() -> None:
    world = World()
    anna, ben = world.join("anna"), world.join("ben")
    for channel in ("news/sport/x", "*", "news/*", "news/*/x", "other/*"):
        world.core.subscribe(anna.session, channel)

    world.core.publish(ben.session, "news/sport/x", Payload(1))

    assert [(d.channel, d.subscription) for d in anna.peer.events] == [
        ("news/sport/x", None),
        ("news/sport/x", "*"),
        ("news/sport/x", "news/*"),
        ("news/sport/x", "news/*/x"),
    ]


@pytest.mark.parametrize("subscribed", ["news", "ne*"])
def test_echo_off_leaves_out_the_publisher_alone(subscribed: str) -> None:
    world = World()
    anna, ben = world.join("anna"), world.join("ben")
    twin = world.join("anna")  # the same user, another session
    for member in (anna, ben, twin):
        world.core.subscribe(member.session, subscribed)

    world.core.publish(anna.session, "news", Payload(1), echo=False)
    assert [len(m.peer.events) for m in (anna, ben, twin)] == [0, 1, 1]

    world.core.publish(anna.session, "news", Payload(2), echo=True)
    assert [len(m.peer.events) for m in (anna, ben, twin)] == [1, 2, 2]


def test_echo_off_of_a_publisher_that_is_no_subscriber() -> None:
    world = World()
    anna, ben = world.join("anna"), world.join("ben")
    world.core.subscribe(ben.session, "news")
    world.core.publish(anna.session, "news", Payload(1), echo=False)
    assert len(ben.peer.events) == 1


@pytest.mark.threat("T28")
def test_a_publisher_is_named_by_the_router_and_only_if_asked() -> None:
    world = World()
    anna, ben = world.join("anna"), world.join("ben")
    world.core.subscribe(ben.session, "news")
    claim = Payload({"publisher": {"session": "x", "user": "root"}, "user": "root"})

    world.core.publish(anna.session, "news", claim, disclose=True)
    world.core.publish(anna.session, "news", claim)

    told, hidden = (delivery.publisher for delivery in ben.peer.events)
    assert told is not None
    assert (told.session, told.user) == (anna.session.id, "anna")
    assert hidden is None


def test_the_acknowledgement_comes_after_the_decision_and_before_the_first_delivery() -> None:
    world = World()
    anna = world.join("anna")
    world.core.subscribe(anna.session, "news")
    order: list[str] = []
    anna.peer.event = lambda delivery: order.append("event")  # type: ignore[method-assign]

    world.core.publish(anna.session, "news", Payload(1), accepted=lambda: order.append("accepted"))
    assert order == ["accepted", "event"]

    with refused(codes.RESERVED):
        world.core.publish(anna.session, "sys:news", Payload(1), accepted=lambda: order.append("accepted"))
    assert order == ["accepted", "event"]


def test_subscribing_twice_and_unsubscribing_what_is_not_subscribed() -> None:
    world = World()
    anna, ben = world.join("anna"), world.join("ben")
    world.core.subscribe(anna.session, "news")
    with refused(codes.ALREADY_SUBSCRIBED):
        world.core.subscribe(anna.session, "news")
    with refused(codes.NOT_SUBSCRIBED):
        world.core.unsubscribe(ben.session, "news")
    with refused(codes.NOT_SUBSCRIBED):
        world.core.unsubscribe(anna.session, "ne*")
    world.core.unsubscribe(anna.session, "news")
    with refused(codes.NOT_SUBSCRIBED):
        world.core.unsubscribe(anna.session, "news")
    world.core.publish(anna.session, "news", Payload(1))
    assert anna.told == []
    assert len(world.core.events) == 0


def test_subscriptions_of_a_session_are_bounded_patterns_included() -> None:
    world = World(limits=Limits(subscriptions_per_session=2))
    anna, ben = world.join("anna"), world.join("ben")
    world.core.subscribe(anna.session, "a")
    world.core.subscribe(anna.session, "b*")
    with refused(codes.LIMIT_REACHED) as caught:
        world.core.subscribe(anna.session, "c")
    assert "2 subscriptions" in caught.detail
    world.core.subscribe(ben.session, "c")
    world.core.unsubscribe(anna.session, "a")
    world.core.subscribe(anna.session, "c")


def test_whoever_leaves_receives_nothing_more_and_leaves_nothing_behind() -> None:
    world = World()
    anna, ben = world.join("anna"), world.join("ben")
    for channel in ("news", "news*", "*"):
        world.core.subscribe(anna.session, channel)
    world.core.detach(anna.session)
    world.core.detach(anna.session)
    world.core.publish(ben.session, "news", Payload(1))
    assert anna.told == []
    assert len(world.core.events) == 0
    with pytest.raises(LocalProtocolError):
        world.core.subscribe(anna.session, "news")
    world.core.detach(ben.session)
    assert world.is_empty()


class LeavingPeer(RecordingPeer):
    """Breaks the contract: drops itself and its neighbour from inside a callback."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.leaves: list[object] = []

    def event(self, delivery: Delivery) -> None:
        super().event(delivery)
        for session in self.leaves:
            self.world.core.detach(session)  # type: ignore[arg-type]


def test_a_peer_that_leaves_while_it_is_told_costs_nobody_an_event() -> None:
    world = World()
    first, last = world.join("first"), world.join("last")
    leaver = world.join("leaver", LeavingPeer(world))
    leaver.peer.leaves = [leaver.session]  # type: ignore[attr-defined]
    for member in (first, leaver, last):
        world.core.subscribe(member.session, "news")
        world.core.subscribe(member.session, "n*")

    world.core.publish(first.session, "news", Payload(1))
    world.core.publish(first.session, "news", Payload(2))

    assert [len(m.peer.events) for m in (first, leaver, last)] == [4, 1, 4]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["a", "b", "ab"]), st.booleans()),
        max_size=30,
    )
)
def test_events_of_a_channel_arrive_in_the_order_they_were_published(steps: list[tuple[int, str, bool]]) -> None:
    world = World()
    members = [world.join(f"user{i}") for i in range(3)]
    for channel in ("a", "b", "ab", "a*", "*"):
        world.core.subscribe(members[0].session, channel)
    world.core.subscribe(members[1].session, "*")
    published: list[tuple[str, int]] = []
    for number, (who, channel, disclose) in enumerate(steps):
        world.core.publish(members[who].session, channel, Payload(number), disclose=disclose)
        published.append((channel, number))

    assert [(d.channel, d.data.value) for d in members[1].peer.events] == published
    for name in ("a", "b", "ab"):
        for subscription in (None, "*"):
            got = [d.data.value for d in members[0].peer.events if d.channel == name and d.subscription == subscription]
            assert got == [number for channel, number in published if channel == name]


SHORT = st.text("ab/", min_size=1, max_size=5)
PART = st.text("ab/", max_size=2)
PATTERNS = st.builds("{}*{}".format, PART, PART)


@settings(deadline=None)
@given(st.lists(st.tuples(PATTERNS, st.booleans()), max_size=12), st.lists(SHORT, min_size=1, max_size=5))
def test_the_index_finds_what_matching_every_pattern_finds(steps: list[tuple[str, bool]], channels: list[str]) -> None:
    index = WildcardIndex(remembered=3)
    present: dict[str, Subscription] = {}
    for text, add in steps:
        if add and text not in present:
            present[text] = Subscription(text)
            index.add(present[text])
        elif not add and text in present:
            index.remove(present.pop(text))
        for channel in channels:
            expected = {text for text in present if Pattern.parse(text).matches(channel)}
            assert {found.name for found in index.matching(channel)} == expected


@pytest.mark.threat("T26")
@pytest.mark.parametrize("pattern", ["*", "p*", "pvt*", "s*", "*x*"])
@pytest.mark.parametrize("channel", ["pvt:x", "prs:x", "sys:x"])
def test_a_pattern_reaches_no_kind_but_its_own(pattern: str, channel: str) -> None:
    index = WildcardIndex()
    index.add(Subscription(pattern))
    assert index.matching(channel) == ()


def test_the_index_remembers_a_bounded_number_of_channels() -> None:
    index = WildcardIndex(remembered=10)
    index.add(Subscription("a*"))
    for number in range(1_000):
        assert len(index.matching(f"a{number}")) == 1
        assert len(index._found) <= 10


def test_a_subscription_rebuilds_its_receivers_only_after_a_change() -> None:
    world = World()
    anna, ben = world.join("anna"), world.join("ben")
    world.core.subscribe(anna.session, "news")
    subscription = anna.session.subscriptions["news"]
    before = subscription.peers
    assert subscription.peers is before
    world.core.subscribe(ben.session, "news")
    assert before == (anna.peer,)
    assert subscription.peers == (anna.peer, ben.peer)


def test_a_registry_says_when_the_first_member_comes_and_the_last_one_goes() -> None:
    log: list[tuple[str, str]] = []
    registry = Subscriptions(
        opened=lambda subscription: log.append(("opened", subscription.name)),
        closed=lambda subscription: log.append(("closed", subscription.name)),
    )
    world = World()
    anna, ben = world.join("anna").session, world.join("ben").session
    first = registry.join("x", anna)
    assert registry.join("x", ben) is first
    registry.join("y", ben)
    registry.leave(first, anna)
    assert log == [("opened", "x"), ("opened", "y")]
    registry.leave(first, ben)
    assert log == [("opened", "x"), ("opened", "y"), ("closed", "x")]
    assert [subscription.name for subscription in registry] == ["y"]
    assert registry.join("x", anna) is not first


def test_a_pattern_nobody_has_any_more_is_not_searched_any_more() -> None:
    world = World()
    anna = world.join("anna")
    world.core.subscribe(anna.session, "n*")
    assert len(world.core.events._index.matching("news")) == 1
    world.core.unsubscribe(anna.session, "n*")
    assert world.core.events._index.matching("news") == ()
