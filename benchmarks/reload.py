"""How long a reload holds everybody up: ``python -m benchmarks.reload``.

Sessions with many subscriptions each; other rules come. *At once*: every right is decided in one go after the swap. *Ahead*: decided in
slices before it, with others served in between; ``slice`` is the longest of these, ``swap`` the moment of the change
itself, without rights that end and with half of them ending. Times in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import time

from trio_router.apps import RIGHTS_AT_ONCE
from trio_router.clock import SystemClock
from trio_router.identity import Identity, User, new_session_id
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import CompiledRules
from trio_router.routing.core import Core
from trio_router.routing.door import Door
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.timers import ManualTimers


def rules(expression: str) -> CompiledRules:
    text = json.dumps({"event": {"room/$room/$user": {"subscribe": expression}}})
    return load_rules(text, "rules.json", clock=SystemClock())


def milliseconds(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 1)


def core_with(sessions: int, each: int) -> Core:
    metrics = Metrics()
    core = Core("main", Door(rules("user.isAuthenticated"), metrics), ManualTimers(), Limits(), metrics)
    for number in range(sessions):
        user = f"{'ab'[number % 2]}{number}"
        session = core.attach(Identity("main", new_session_id(), User(user)), RecordingPeer())
        for room in range(each):
            core.subscribe(session, f"room/{room}/{user}")
    return core


def ahead(core: Core, new: CompiledRules) -> tuple[float, float]:
    longest = 0.0
    with core.reconsidering(new) as reconsideration:
        going = True
        while going:
            start = time.perf_counter()
            going = reconsideration.advance(RIGHTS_AT_ONCE)
            longest = max(longest, milliseconds(start))
        start = time.perf_counter()
        core.adopt(reconsideration)
        return longest, milliseconds(start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--subscriptions", type=int, default=1_000, help="of each session")
    options = parser.parse_args()
    core = core_with(options.sessions, options.subscriptions)
    core.door.replace_rules(rules("user.id === $user"))
    start = time.perf_counter()
    core.reconsider()
    print(f"{options.sessions * options.subscriptions:,} rights, at once: {milliseconds(start)}")
    for text, what in (("$user === user.id", "none ends"), ("user.id.startsWith('a')", "half ends")):
        longest, swap = ahead(core, rules(text))
        print(f"ahead, {what}: longest slice {longest}, swap {swap}")


if __name__ == "__main__":
    main()
