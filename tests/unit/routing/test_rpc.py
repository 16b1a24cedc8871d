from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest

from tests.unit.routing.world import Member, World, refused
from trio_router.grants import Grants
from trio_router.identity import Identity, User, new_session_id
from trio_router.limits import Limits
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action
from trio_router.protocols import codes
from trio_router.routing.peer import Delivery
from trio_router.routing.providers import Offer, Providers
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules


def call(world: World, member: Member, tag: str = "1", procedure: str = "sum", **options: Any) -> None:
    settings: dict[str, Any] = {"timeout": None, "progress": False, "disclose": False} | options
    world.core.call(member.session, tag, procedure, Payload([1, 2]), **settings)


def pair(**limits: Any) -> tuple[World, Member, Member]:
    """A world with a caller and a provider of ``sum``."""
    world = World(limits=Limits(**limits))
    caller, provider = world.join("caller"), world.join("provider")
    world.core.provide(provider.session, "sum")
    return world, caller, provider


def invoked(provider: Member) -> str:
    """The id of the last call it was asked to answer."""
    return str(provider.peer.of("invoke")[-1][1])


def is_settled(world: World, *members: Member) -> bool:
    return not world.timers.pending and not any(m.session.calls or m.session.invocations for m in members)


def test_a_call_is_answered_by_the_provider() -> None:
    world, caller, provider = pair()
    call(world, caller)
    (_, call_id, procedure, data, timeout, progress, who) = provider.told[0]
    assert (procedure, data.value, timeout, progress, who) == ("sum", [1, 2], 30.0, False, None)

    answer = Payload(3)
    world.core.result(provider.session, call_id, answer, more=False)

    assert caller.told == [("result", "1", answer, False)]
    assert is_settled(world, caller, provider)
    assert world.sample("trio_router_calls_total", outcome="result") == 1


def test_a_providers_error_reaches_the_caller_as_it_is() -> None:
    world, caller, provider = pair()
    call(world, caller)
    fault = Payload({"why": "no"})
    world.core.error(provider.session, invoked(provider), fault)
    assert caller.told == [("call_failed", "1", codes.PROVIDER_ERROR, "", fault)]
    assert is_settled(world, caller, provider)
    assert world.sample("trio_router_calls_total", outcome="error") == 1


@pytest.mark.threat("T28")
def test_a_caller_is_named_by_the_router_and_only_if_asked() -> None:
    world, caller, provider = pair()
    call(world, caller, disclose=True)
    who = provider.told[0][-1]
    assert (who.session, who.user) == (caller.session.id, "caller")


def test_a_provider_may_call_itself_and_leave() -> None:
    world, _, provider = pair()
    call(world, provider)
    world.core.result(provider.session, invoked(provider), Payload(3), more=False)
    assert provider.take()[-1][:2] == ("result", "1")
    call(world, provider, "2")
    provider.take()
    world.core.detach(provider.session)
    assert provider.told == []
    assert is_settled(world, provider)


# ---- partial results ----------------------------------------------------------------------------------------


def test_partial_results_come_when_asked_for() -> None:
    world, caller, provider = pair()
    call(world, caller, progress=True)
    assert provider.told[0][5] is True
    for number in range(3):
        world.core.result(provider.session, invoked(provider), Payload(number), more=True)
    world.core.result(provider.session, invoked(provider), Payload(3), more=False)
    assert [(entry[0], entry[2].value, entry[3]) for entry in caller.told] == [
        ("result", 0, True),
        ("result", 1, True),
        ("result", 2, True),
        ("result", 3, False),
    ]
    assert is_settled(world, caller, provider)


def test_a_partial_result_nobody_asked_for_is_refused_and_the_call_goes_on() -> None:
    world, caller, provider = pair()
    call(world, caller)
    with refused(codes.UNEXPECTED_MESSAGE):
        world.core.result(provider.session, invoked(provider), Payload(1), more=True)
    assert caller.told == []
    world.core.result(provider.session, invoked(provider), Payload(2), more=False)
    assert len(caller.told) == 1


# ---- failure ------------------------------------------------------------------------------------------------


def test_nobody_provides_it() -> None:
    world, caller, _ = pair()
    with refused(codes.NO_PROVIDER):
        call(world, caller, procedure="product")
    assert is_settled(world, caller)
    assert world.sample("trio_router_calls_total", outcome="no_provider") == 1


def test_a_denied_caller_does_not_learn_whether_anybody_provides_it() -> None:
    world, caller, _ = pair()
    world.door.replace_rules(FixedRules({}))
    for procedure in ("sum", "product"):
        with refused(codes.DENIED):
            call(world, caller, procedure=procedure)


def test_every_provider_is_at_its_limit() -> None:
    world, caller, provider = pair()
    other = world.join("other")
    world.core.unprovide(provider.session, "sum")
    world.core.provide(provider.session, "sum", 1)
    world.core.provide(other.session, "sum", 2)
    for tag in "abc":
        call(world, caller, tag)
    with refused(codes.PROVIDER_BUSY):
        call(world, caller, "d")
    assert len(provider.told) == 1
    assert len(other.told) == 2
    world.core.result(provider.session, invoked(provider), Payload(1), more=False)
    call(world, caller, "d")
    assert len(provider.told) == 2
    assert world.sample("trio_router_calls_total", outcome="provider_busy") == 1


def test_a_provider_may_not_take_more_than_the_router_allows() -> None:
    world, caller, _ = pair(invocations_per_provider=2)
    greedy = world.join("greedy")
    world.core.provide(greedy.session, "other", 1_000)
    for tag in "ab":
        call(world, caller, tag, "other")
    with refused(codes.PROVIDER_BUSY):
        call(world, caller, "c", "other")


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_provider_must_take_at_least_one(concurrency: int) -> None:
    world = World()
    with refused(codes.INVALID_MESSAGE):
        world.core.provide(world.join().session, "sum", concurrency)
    assert len(world.core.rpc) == 0


def test_a_lost_provider_is_reported_and_the_call_not_repeated() -> None:
    world, caller, provider = pair()
    call(world, caller)
    other = world.join("other")
    world.core.provide(other.session, "sum")
    world.core.detach(provider.session)
    assert caller.told == [("call_failed", "1", codes.PROVIDER_LOST, "", ABSENT)]
    assert other.told == []
    assert is_settled(world, caller, provider, other)
    call(world, caller, "2")
    assert len(other.told) == 1


def test_a_lost_caller_interrupts_the_provider_whose_answer_is_unknown_then() -> None:
    world, caller, provider = pair()
    call(world, caller)
    call_id = invoked(provider)
    provider.take()
    world.core.detach(caller.session)
    assert provider.told == [("interrupt", call_id, "caller_lost")]
    with refused(codes.UNKNOWN_CALL):
        world.core.result(provider.session, call_id, Payload(1), more=False)
    assert is_settled(world, caller, provider)


def test_a_cancelled_call() -> None:
    world, caller, provider = pair()
    call(world, caller)
    world.core.cancel(caller.session, "1")
    assert caller.told == [("call_failed", "1", codes.CALL_CANCELLED, "", ABSENT)]
    assert provider.told[-1] == ("interrupt", invoked(provider), "cancelled")
    with refused(codes.UNKNOWN_CALL):
        world.core.cancel(caller.session, "1")
    with refused(codes.UNKNOWN_CALL):
        world.core.error(provider.session, invoked(provider), Payload(1))
    assert len(caller.told) == 1


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 30.0), (5.0, 5.0), (1e9, 100.0), (0.0, 0.0), (-3.0, 0.0)], ids=str
)
def test_a_call_is_answered_in_time_whatever_the_provider_does(asked: float | None, granted: float) -> None:
    world, caller, provider = pair(call_timeout=30.0, call_timeout_max=100.0)
    call(world, caller, timeout=asked)
    assert provider.told[0][4] == granted
    if granted:
        world.timers.advance(granted - 0.001)
        assert caller.told == []
    world.timers.advance(0.001)
    assert caller.told == [("call_failed", "1", codes.CALL_TIMEOUT, "", ABSENT)]
    assert provider.told[-1] == ("interrupt", invoked(provider), "timeout")
    assert is_settled(world, caller, provider)
    with refused(codes.UNKNOWN_CALL):
        world.core.result(provider.session, invoked(provider), Payload(1), more=False)


def test_a_new_usual_timeout_counts_for_new_calls() -> None:
    world, caller, provider = pair(call_timeout=30.0)
    call(world, caller, tag="before")
    world.core.replace_limits(Limits(call_timeout=5.0))
    call(world, caller, tag="after")
    world.timers.advance(5.0)
    assert [told[1] for told in caller.told] == ["after"]
    world.timers.advance(24.9)
    assert len(caller.told) == 1
    world.timers.advance(0.1)
    assert [told[1] for told in caller.told] == ["after", "before"]
    assert is_settled(world, caller, provider)


def test_partial_results_do_not_extend_the_deadline() -> None:
    world, caller, provider = pair()
    call(world, caller, timeout=2.0, progress=True)
    world.timers.advance(1.5)
    world.core.result(provider.session, invoked(provider), Payload(1), more=True)
    world.timers.advance(0.5)
    assert caller.told[-1][2] == codes.CALL_TIMEOUT


def test_a_timer_that_fires_after_the_answer_changes_nothing() -> None:
    world, caller, provider = pair()
    call(world, caller)
    timer = world.timers._armed[0]
    fire = timer.callback
    assert fire is not None
    world.core.result(provider.session, invoked(provider), Payload(1), more=False)
    fire()
    assert len(caller.told) == 1
    assert provider.peer.of("interrupt") == []


def test_a_tag_in_use_is_refused_and_may_be_used_again_later() -> None:
    world, caller, provider = pair()
    call(world, caller)
    with refused(codes.DUPLICATE_ID):
        call(world, caller)
    other = world.join("other")
    call(world, other)  # another session's tags are its own
    world.core.result(provider.session, provider.told[0][1], Payload(1), more=False)
    call(world, caller)
    assert len(provider.told) == 3


def test_open_calls_of_a_session_are_bounded() -> None:
    world, caller, _ = pair(calls_per_session=2)
    call(world, caller, "a")
    call(world, caller, "b")
    with refused(codes.LIMIT_REACHED):
        call(world, caller, "c")
    world.core.cancel(caller.session, "a")
    call(world, caller, "c")


# ---- offers -------------------------------------------------------------------------------------------------


def test_offers_are_made_once_and_withdrawn_once() -> None:
    world, caller, provider = pair()
    with refused(codes.ALREADY_PROVIDED):
        world.core.provide(provider.session, "sum")
    with refused(codes.NOT_PROVIDED):
        world.core.unprovide(caller.session, "sum")
    world.core.unprovide(provider.session, "sum")
    with refused(codes.NOT_PROVIDED):
        world.core.unprovide(provider.session, "sum")
    with refused(codes.NO_PROVIDER):
        call(world, caller)


def test_offers_of_a_session_are_bounded() -> None:
    world, _, provider = pair(procedures_per_session=2)
    world.core.provide(provider.session, "b")
    with refused(codes.LIMIT_REACHED):
        world.core.provide(provider.session, "c")
    world.core.unprovide(provider.session, "b")
    world.core.provide(provider.session, "c")


def test_calls_in_progress_outlive_a_withdrawn_offer() -> None:
    world, caller, provider = pair()
    call(world, caller, "1")
    call(world, caller, "2")
    world.core.unprovide(provider.session, "sum")
    world.core.provide(provider.session, "sum", 1)
    first, second = (entry[1] for entry in provider.peer.of("invoke"))
    world.core.result(provider.session, first, Payload(1), more=False)
    call(world, caller, "3")  # the new offer's only place was not affected by the old calls
    world.core.result(provider.session, second, Payload(2), more=False)
    with refused(codes.PROVIDER_BUSY):
        call(world, caller, "4")
    assert [entry[1] for entry in caller.told] == ["1", "2"]


# ---- fairness -----------------------------------------------------------------------------------------------


def test_calls_one_at_a_time_go_round() -> None:
    world = World()
    caller = world.join("caller")
    providers = [world.join(f"provider{i}") for i in range(3)]
    for provider in providers:
        world.core.provide(provider.session, "sum")
    order = []
    for number in range(9):
        call(world, caller, str(number))
        chosen = next(i for i, p in enumerate(providers) if p.session.invocations)
        order.append(chosen)
        world.core.result(providers[chosen].session, invoked(providers[chosen]), Payload(1), more=False)
    assert order == [0, 1, 2] * 3


def test_whoever_has_fewest_calls_in_progress_is_next() -> None:
    world = World()
    caller = world.join("caller")
    slow, quick = world.join("slow"), world.join("quick")
    world.core.provide(slow.session, "sum")
    world.core.provide(quick.session, "sum")
    for number in range(20):
        call(world, caller, str(number))
        for call_id in list(quick.session.invocations):
            world.core.result(quick.session, call_id, Payload(1), more=False)
    assert len(slow.session.invocations) == 1
    assert len(quick.peer.of("invoke")) == 19


def test_many_calls_at_once_are_spread_evenly() -> None:
    world = World()
    caller = world.join("caller")
    providers = [world.join(f"provider{i}") for i in range(4)]
    for provider in providers:
        world.core.provide(provider.session, "sum")
    for number in range(40):
        call(world, caller, str(number))
    assert [len(provider.session.invocations) for provider in providers] == [10] * 4


def test_no_offer_is_taken_beyond_its_capacity_and_none_is_forgotten() -> None:
    world = World()
    session = world.join().session
    providers = Providers()
    offers = [Offer(session, "sum", capacity) for capacity in (1, 2, 3)]
    for offer in offers:
        providers.add(offer)
    taken = [providers.take() for _ in range(7)]
    assert taken[-1] is None
    assert Counter(taken[:-1]) == {offers[0]: 1, offers[1]: 2, offers[2]: 3}
    for offer in taken[:-1]:
        assert offer is not None
        providers.release(offer)
    assert [offer.calls for offer in offers] == [0, 0, 0]
    for offer in offers:
        providers.remove(offer)
    assert providers.take() is None
    assert len(providers) == 0


# ---- forged answers -----------------------------------------------------------------------------------------


@pytest.mark.threat("T55")
@pytest.mark.threat("T27")
def test_an_answer_counts_only_from_the_session_that_was_chosen() -> None:
    world, caller, provider = pair()
    rival = world.join("rival")
    twin = world.join("provider")  # the same user in another session
    call(world, caller)
    world.core.provide(rival.session, "sum")
    call_id = invoked(provider)
    for forger in (rival, twin, caller):
        with refused(codes.UNKNOWN_CALL):
            world.core.result(forger.session, call_id, Payload("forged"), more=False)
        with refused(codes.UNKNOWN_CALL):
            world.core.error(forger.session, call_id, Payload("forged"))
    assert caller.told == []
    world.core.result(provider.session, call_id, Payload("real"), more=False)
    assert [entry[2].value for entry in caller.told] == ["real"]
    with refused(codes.UNKNOWN_CALL):
        world.core.result(provider.session, call_id, Payload("again"), more=False)
    assert len(caller.told) == 1


@pytest.mark.threat("T55")
def test_a_provider_learns_nothing_about_its_caller_unless_the_caller_wants_it() -> None:
    world, caller, provider = pair()
    call(world, caller, tag="my-secret-tag")
    told = repr(provider.told)
    assert "my-secret-tag" not in told
    assert caller.session.id not in told
    assert "'caller'" not in told


@pytest.mark.threat("T55")
def test_providing_needs_a_permission_of_its_own() -> None:
    from trio_router.permissions.decision import Action

    world = World(FixedRules({Action.RPC_REQUEST: True, Action.RPC_PROVIDE: ["echo"]}))
    squatter = world.join("squatter")
    with refused(codes.DENIED):
        world.core.provide(squatter.session, "sum")
    world.core.provide(squatter.session, "echo")
    assert list(squatter.session.offers) == ["echo"]


@pytest.mark.threat("T33")
def test_a_call_at_an_offer_that_was_withdrawn_ends_when_the_rules_do_not_allow_it_any_more() -> None:
    world, caller, provider = pair()
    call(world, caller)
    world.core.unprovide(provider.session, "sum")
    world.door.replace_rules(FixedRules({Action.RPC_REQUEST: True}))
    assert world.core.reconsider() == 1
    assert caller.told == [("call_failed", "1", codes.PROVIDER_LOST, "", ABSENT)]
    assert provider.told[-2] == ("interrupt", invoked(provider), "cancelled")
    assert is_settled(world, caller, provider)


# ---- accepting and rejecting --------------------------------------------------------------------------------


def several(count: int, **limits: Any) -> tuple[World, Member, list[Member]]:
    """A world with a caller and ``count`` providers of ``sum``, chosen in that order."""
    world = World(limits=Limits(**limits))
    caller = world.join("caller")
    providers = [world.join(f"p{number}") for number in range(count)]
    for provider in providers:
        world.core.provide(provider.session, "sum")
    return world, caller, providers


def test_a_caller_is_told_that_its_call_was_accepted() -> None:
    world, caller, provider = pair()
    call(world, caller)
    world.core.accept(provider.session, invoked(provider))
    assert caller.take() == [("call_accepted", "1")]
    with refused(codes.ALREADY_ACCEPTED):
        world.core.accept(provider.session, invoked(provider))
    assert caller.told == []
    world.core.result(provider.session, invoked(provider), Payload(3), more=False)
    assert caller.told[0][0] == "result"
    with refused(codes.UNKNOWN_CALL):
        world.core.accept(provider.session, invoked(provider))


def test_a_rejected_call_goes_to_those_who_have_not_had_it_and_then_fails() -> None:
    world, caller, providers = several(3)
    call(world, caller)
    ids = []
    for place, provider in enumerate(providers):
        assert [len(each.peer.of("invoke")) for each in providers] == [1] * (place + 1) + [0] * (2 - place)
        ids.append(invoked(provider))
        assert caller.told == []
        world.core.reject(provider.session, ids[-1])
    assert caller.told == [("call_failed", "1", codes.NO_PROVIDER, "", ABSENT)]
    assert len(set(ids)) == 3
    assert is_settled(world, caller, *providers)
    assert world.sample("trio_router_calls_total", outcome="rejected") == 1
    assert world.sample("trio_router_rejected_calls_total") == 3
    assert all(provider.session.offers["sum"].calls == 0 for provider in providers)
    assert caller.session.kept == 0


@pytest.mark.threat("T55")
def test_nothing_of_who_rejected_a_call_counts_any_more() -> None:
    world, caller, providers = several(2)
    call(world, caller, progress=True)
    first = invoked(providers[0])
    world.core.reject(providers[0].session, first)
    second = invoked(providers[1])
    for late in (first, second):
        for answer in (world.core.accept, world.core.reject):
            with refused(codes.UNKNOWN_CALL):
                answer(providers[0].session, late)
        with refused(codes.UNKNOWN_CALL):
            world.core.result(providers[0].session, late, Payload(1), more=False)
        with refused(codes.UNKNOWN_CALL):
            world.core.error(providers[0].session, late, Payload(1))
    world.core.detach(providers[0].session)  # and that it leaves is nothing to the call
    assert caller.told == []
    world.core.result(providers[1].session, second, Payload(3), more=False)
    assert [entry[0] for entry in caller.told] == ["result"]


def test_the_next_provider_gets_the_same_call_and_the_time_that_is_left() -> None:
    world, caller, providers = several(2)
    call(world, caller, timeout=10, disclose=True, progress=True)
    world.timers.advance(4)
    world.core.accept(providers[0].session, invoked(providers[0]))
    world.core.reject(providers[0].session, invoked(providers[0]))
    (_, _, procedure, data, timeout, progress, who) = providers[1].told[0]
    assert (procedure, data.value, timeout, progress, who.user) == ("sum", [1, 2], 6.0, True, "caller")
    world.core.accept(providers[1].session, invoked(providers[1]))
    assert caller.take() == [("call_accepted", "1")] * 2
    world.timers.advance(6)
    assert caller.told == [("call_failed", "1", codes.CALL_TIMEOUT, "", ABSENT)]
    assert providers[1].told[-1] == ("interrupt", invoked(providers[1]), "timeout")
    assert is_settled(world, caller, *providers)


def test_a_provider_that_came_back_is_not_asked_again() -> None:
    world, caller, (first, second) = several(2)
    call(world, caller)
    world.core.reject(first.session, invoked(first))
    world.core.unprovide(first.session, "sum")
    world.core.provide(first.session, "sum")
    world.core.reject(second.session, invoked(second))
    assert caller.told[-1][2] == codes.NO_PROVIDER


def test_if_all_others_are_at_their_limit_that_is_said() -> None:
    world, caller, (first, second) = several(2)
    world.core.unprovide(second.session, "sum")
    world.core.provide(second.session, "sum", 1)
    call(world, caller, "1")
    call(world, caller, "2")
    world.core.reject(first.session, invoked(first))
    assert caller.told == [("call_failed", "1", codes.PROVIDER_BUSY, "", ABSENT)]
    assert world.sample("trio_router_calls_total", outcome="provider_busy") == 1


def test_what_has_partial_results_cannot_be_given_back() -> None:
    world, caller, providers = several(2)
    call(world, caller, progress=True)
    world.core.result(providers[0].session, invoked(providers[0]), Payload(1), more=True)
    with refused(codes.UNEXPECTED_MESSAGE):
        world.core.reject(providers[0].session, invoked(providers[0]))
    world.core.result(providers[0].session, invoked(providers[0]), Payload(2), more=False)
    assert [entry[0] for entry in caller.told] == ["result", "result"]


def test_a_direct_offer_that_is_rejected_has_no_other() -> None:
    world = World()
    program, client, other = world.join("program"), world.join("client"), world.join("other")
    program.session.identity = attrs.evolve(program.session.identity, key="k", grants=Grants(), is_server=True)
    for member in (client, other):
        world.core.provide(member.session, "sum", direct=True)
    call(world, program, provider=client.session.id)
    world.core.reject(client.session, invoked(client))
    assert program.told[-1][2] == codes.NO_PROVIDER
    assert other.told == []


@pytest.mark.threat("T12")
def test_data_that_found_no_room_to_be_kept_cannot_go_to_another_provider() -> None:
    world, caller, (first, second) = several(2, call_data_size=len(b"[1,2]"))
    call(world, caller, "1")
    call(world, caller, "2")  # its data is not kept
    assert caller.session.kept == 5
    world.core.reject(second.session, invoked(second))
    assert caller.take() == [("call_failed", "2", codes.NO_PROVIDER, "", ABSENT)]
    world.core.reject(first.session, invoked(first))
    assert second.peer.of("invoke")[-1][3].value == [1, 2]
    world.core.result(second.session, invoked(second), Payload(3), more=False)
    assert caller.session.kept == 0


def test_who_promised_to_accept_in_time_and_does_not_loses_the_call() -> None:
    world, caller, (other, *_) = several(1)
    world.core.unprovide(other.session, "sum")
    slow = world.join("slow")
    world.core.provide(slow.session, "sum", accept_within=1.0)
    world.core.provide(other.session, "sum", accept_within=1.0)
    call(world, caller)
    world.timers.advance(0.9)
    assert caller.told == []
    world.timers.advance(0.1)
    assert caller.told == [("call_failed", "1", codes.ACCEPT_TIMEOUT, "", ABSENT)]
    assert slow.told[-1] == ("interrupt", invoked(slow), "timeout")
    assert other.told == []  # it may be at it
    with refused(codes.UNKNOWN_CALL):
        world.core.result(slow.session, invoked(slow), Payload(1), more=False)
    assert is_settled(world, caller, slow, other)
    assert world.sample("trio_router_calls_total", outcome="accept_timeout") == 1


@pytest.mark.parametrize("how", ["accept", "partial", "result", "error", "reject", "leave"])
def test_any_answer_in_time_will_do(how: str) -> None:
    world = World()
    caller = world.join("caller")
    provider, other = world.join("provider"), world.join("other")
    for member in (provider, other):
        world.core.provide(member.session, "sum", accept_within=1.0)
    call(world, caller, progress=True)
    call_id = invoked(provider)
    world.timers.advance(0.9)
    match how:
        case "accept":
            world.core.accept(provider.session, call_id)
        case "partial":
            world.core.result(provider.session, call_id, Payload(1), more=True)
        case "result":
            world.core.result(provider.session, call_id, Payload(1), more=False)
        case "error":
            world.core.error(provider.session, call_id, Payload(1))
        case "reject":
            world.core.reject(provider.session, call_id)
        case "leave":
            world.core.detach(provider.session)
    caller.take()
    world.timers.advance(0.9)
    assert caller.told == []
    world.timers.advance(0.2)
    expected = [("call_failed", "1", codes.ACCEPT_TIMEOUT, "", ABSENT)] if how == "reject" else []
    assert caller.told == expected  # the next provider has a second of its own


def test_clientdata_is_for_providers_of_callers_who_want_to_be_known() -> None:
    world = World()
    provider = world.join("provider")
    world.core.provide(provider.session, "sum")
    caller = Member(
        world.core.attach(Identity("main", new_session_id(), User("ann")), (peer := RecordingPeer()), client_data={"n": 1}),
        peer,
    )  # fmt: skip
    call(world, caller, "1", disclose=True)
    call(world, caller, "2")
    assert [entry[7:] for entry in provider.peer.of("invoke")] == [({"n": 1},), ()]


@pytest.mark.threat("T62")
def test_what_is_on_its_way_does_not_show_what_it_carries() -> None:
    world, caller, provider = pair()
    call(world, caller)
    (open_call,) = provider.session.invocations.values()
    assert repr(open_call) == "<call>"
    assert repr(Delivery("private/channel", Payload("secret"))) == "<delivery>"
