from __future__ import annotations

from typing import Any

import pytest

from tests.unit.routing.world import World, refused
from trio_router.clock import ManualClock
from trio_router.payload import Payload
from trio_router.permissions.decision import Action, Decision
from trio_router.protocols import codes
from trio_router.routing.shadow import LINES, Shadow
from trio_router.testing.rules import FixedRules

SUBSCRIBE, PUBLISH = Action.EVENT_SUBSCRIBE, Action.EVENT_PUBLISH


class Lines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))


@pytest.fixture
def lines() -> Lines:
    return Lines()


def shadowed(lines: Lines, shadow: Any, rules: Any = None, clock: ManualClock | None = None) -> World:
    world = World(rules or FixedRules({SUBSCRIBE: ["a", "b*"], PUBLISH: True}))
    world.door.replace_shadow(Shadow(shadow, world.metrics, clock or ManualClock(), lines))
    return world


def differences(world: World, direction: str, action: str = "event.subscribe") -> float:
    return world.sample("trio_router_shadow_differences_total", action=action, direction=direction)


def test_differences_are_counted_and_logged_and_nothing_is_enforced(lines: Lines) -> None:
    world = shadowed(lines, FixedRules({SUBSCRIBE: ["c"], PUBLISH: True}))
    member = world.join()
    world.core.subscribe(member.session, "a")
    world.core.subscribe(member.session, "b*")
    with refused(codes.DENIED):
        world.core.subscribe(member.session, "c")
    with refused(codes.DENIED):
        world.core.subscribe(member.session, "d")
    world.core.publish(member.session, "a", Payload("canary-of-the-payload"))
    assert len(member.peer.events) == 1
    assert (differences(world, "would_deny"), differences(world, "would_allow")) == (2, 1)
    assert [(fields["direction"], fields["name"]) for _, fields in lines.lines] == [
        ("would_deny", "a"),
        ("would_deny", "b*"),
        ("would_allow", "c"),
    ]
    assert "canary" not in str(lines.lines)


def test_what_no_rule_decides_is_not_compared(lines: Lines) -> None:
    shadow = FixedRules.everything()
    world = shadowed(lines, shadow)
    member = world.join()
    shadow.asked.clear()
    for name, code in (("a//b", codes.INVALID_NAME), ("sys:x", codes.RESERVED)):
        with refused(code):
            world.core.subscribe(member.session, name)
    assert shadow.asked == []


@pytest.mark.parametrize("broken", ["raises", "answers nonsense"])
def test_a_shadow_that_fails_changes_nothing(lines: Lines, broken: str) -> None:
    class Broken(FixedRules):
        def decide(self, *_: Any, **__: Any) -> Decision:
            if broken == "raises":
                raise RuntimeError("canary")
            return None  # type: ignore[return-value]

    world = shadowed(lines, Broken({}))
    member = world.join()
    world.core.subscribe(member.session, "a")
    with refused(codes.DENIED):
        world.core.subscribe(member.session, "c")
    assert differences(world, "failed") == 2
    assert [event for event, _ in lines.lines if event != "shadow_failed"] == []
    assert "canary" not in str(lines.lines)


def test_the_log_of_differences_is_bounded(lines: Lines) -> None:
    clock = ManualClock()
    world = shadowed(lines, FixedRules({}), clock=clock)
    member = world.join()
    count = LINES * 3
    for _ in range(count):
        world.core.publish(member.session, "a", Payload(1))
    assert len(lines.lines) == LINES
    assert differences(world, "would_deny", "event.publish") == count
    clock.advance(60)
    world.core.publish(member.session, "a", Payload(1))
    assert lines.lines[-1][1]["left_out"] == count - LINES


def test_without_a_shadow_nobody_is_asked(lines: Lines) -> None:
    shadow = FixedRules({})
    world = shadowed(lines, shadow)
    world.door.replace_shadow(None)
    world.core.subscribe(world.join().session, "a")
    assert lines.lines == []
    assert shadow.asked == []
