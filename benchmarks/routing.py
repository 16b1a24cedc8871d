"""How much the routing core adds to a publish: ``python -m benchmarks.routing``.

The floor is the least any router does for a publish: a loop that appends one object to a list per receiver. The core is
measured in the same run, alternating with the floor, with peers whose ``event`` appends to a list, and rules that
allow everything; the best of several rounds of each is reported, with their ratio. What the core adds per publish (the
door, counters, one delivery) is constant; what it adds per receiver is one method call.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from trio_router.identity import Identity, User, new_session_id
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import Payload
from trio_router.permissions.decision import Decision, Reason
from trio_router.routing.core import Core
from trio_router.routing.door import Door
from trio_router.routing.peer import Delivery
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.timers import ManualTimers

ALLOWED = Decision(allowed=True, reason=Reason.ALLOWED)
RECEIVERS = (1, 10, 100, 1_000)
ROUNDS = 7
DELIVERIES = 200_000  # per round


class Allow:
    """Rules without a rule, so that the core is measured and not the rules."""

    version = "allow"

    def decide(self, *_args: Any, **_kwargs: Any) -> Decision:
        return ALLOWED

    def forget(self) -> None:
        """It remembers nothing."""

    def decide_pattern(self, *_args: Any, **_kwargs: Any) -> Decision:
        return ALLOWED


class AppendingPeer(RecordingPeer):
    """Does with an event what the floor does."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Delivery] = []

    def event(self, delivery: Delivery) -> None:
        self.received.append(delivery)


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(receivers: int, subscription: str) -> dict[str, object]:
    metrics = Metrics()
    core = Core("main", Door(Allow(), metrics), ManualTimers(), Limits(), metrics)
    publisher = core.attach(Identity("main", new_session_id(), User("publisher")), AppendingPeer())
    peers = [AppendingPeer() for _ in range(receivers)]
    for number, peer in enumerate(peers):
        core.subscribe(core.attach(Identity("main", new_session_id(), User(f"user{number}")), peer), subscription)
    lists = [peer.received for peer in peers]
    publishes = max(1, DELIVERIES // max(receivers, 10))
    data = Payload({"text": "x" * 100})

    def floor() -> None:
        for _ in range(publishes):
            delivery = Delivery("news/x", data)
            for received in lists:
                received.append(delivery)

    def routed() -> None:
        for _ in range(publishes):
            core.publish(publisher, "news/x", data)

    best = {"floor": float("inf"), "core": float("inf")}
    for _ in range(ROUNDS):
        for name, work in (("floor", floor), ("core", routed)):
            best[name] = min(best[name], seconds(work))
            for received in lists:
                received.clear()
    return {
        "receivers": receivers,
        "subscription": subscription,
        "floor_us_per_publish": round(best["floor"] / publishes * 1e6, 2),
        "core_us_per_publish": round(best["core"] / publishes * 1e6, 2),
        "core_deliveries_per_second": round(publishes * receivers / best["core"]),
        "ratio": round(best["core"] / best["floor"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    as_json = parser.parse_args().json
    if not as_json:
        print(
            f"{'receivers':>9}  {'subscribed':<10}  {'floor us':>9}  {'core us':>9}  {'deliveries/s':>12}  {'ratio':>6}"
        )
    for subscription in ("news/x", "news/*"):
        for receivers in RECEIVERS:
            row = measure(receivers, subscription)
            if as_json:
                print(json.dumps(row))
            else:
                print("{:>9}  {:<10}  {:>9}  {:>9}  {:>12,}  {:>6}".format(*(row[key] for key in (
                    "receivers", "subscription", "floor_us_per_publish", "core_us_per_publish",
                    "core_deliveries_per_second", "ratio"))))  # fmt: skip


if __name__ == "__main__":
    main()
