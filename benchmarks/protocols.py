"""What a second protocol on a channel costs: ``python -m benchmarks.protocols``.

One publisher and a channel with as many subscribers in each mixture: all native, or some of them speaking deepstream in protobuf
or JSON. Sessions are whole (quarantine, connection, core, codec); their links only count what they are given. For each mixture:
how often an event was encoded, which has to be once for each protocol whatever the number of subscribers, and what a broadcast
costs compared with native subscribers alone, the best of several rounds of each, alternating, in one run.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest.mock import patch

import structlog
import trio

from trio_router.auth.chain import Chain
from trio_router.auth.strategy import Accepted, LoginRequest
from trio_router.clock import SystemClock
from trio_router.identity import User
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.payload import Payload
from trio_router.protocols.codes import CloseCode
from trio_router.protocols.deepstream import binary, jsontext
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import PROTOCOL, PROTOCOL_JSON, AuthAction, ConnectionAction, Topic
from trio_router.protocols.native import codec
from trio_router.routing.core import Core
from trio_router.routing.door import Door
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.deepstream.protocol import DeepstreamProtocol
from trio_router.session.link import LinkClosed, Take, Upgrade, serve_in_turn
from trio_router.session.native import NativeProtocol
from trio_router.session.protocol import NATIVE
from trio_router.session.server import SessionServer
from trio_router.session.timers import TrioTimers
from trio_router.testing.rules import FixedRules

MIXTURES = (
    {NATIVE: 1.0},
    {NATIVE: 0.5, PROTOCOL: 0.5},
    {NATIVE: 0.34, PROTOCOL: 0.33, PROTOCOL_JSON: 0.33},
    {PROTOCOL: 1.0},
)
ROUNDS = 7
EVENTS = 200  # per round
DATA = {"temperature": 21.5, "unit": "C", "place": "roof"}
LOGINS: dict[str, list[str | bytes]] = {
    NATIVE: [json.dumps({"type": "login", "id": "1", "auth": {}})],
    PROTOCOL: [b"\x06\x10\x02\x1a\x02\x08\x05"],
    PROTOCOL_JSON: [json.dumps({"topic": Topic.CONNECTION, "action": ConnectionAction.CHALLENGE})],
}
LOGINS[PROTOCOL].append(binary.encode(Packet(Topic.AUTH, AuthAction.REQUEST, data="{}"))[2:])
LOGINS[PROTOCOL_JSON].append(json.dumps({"topic": Topic.AUTH, "action": AuthAction.REQUEST, "data": "{}"}))


class CountingLink:
    """A link to nobody: it says what the test wants said and counts what it is given."""

    def __init__(self, protocol: str) -> None:
        self.upgrade = Upgrade("192.0.2.1", "/", "", (), (), protocol=protocol)
        self.on_slow: Callable[[], None] | None = None
        self.heard_at = trio.current_time()
        self.sent = 0
        self._say, self._receive = trio.open_memory_channel[str | bytes](math.inf)
        for message in LOGINS[protocol]:
            self._say.send_nowait(message)

    async def receive(self) -> str | bytes:
        return await self._receive.receive()

    async def serve(self, take: Take) -> NoReturn:
        await serve_in_turn(self.receive, take)
        raise LinkClosed

    def set_message_limit(self, size: int) -> None:
        pass

    def send(self, frame: bytes) -> None:
        self.sent += 1

    async def close(self, code: CloseCode, reason: str = "") -> None:
        await trio.lowlevel.checkpoint()


class Anybody:
    """Lets everybody in."""

    name = "anybody"

    async def start(self, request: LoginRequest) -> Accepted:
        return Accepted(User("somebody"))


class Channel:
    """A channel ``c`` with its subscribers, in a core of its own."""

    def __init__(self, shares: dict[str, float], subscribers: int) -> None:
        self.shares = shares
        self.subscribers = subscribers
        self.best = math.inf
        self.encoded: Counter[str] = Counter()

    async def open(self, nursery: trio.Nursery) -> None:
        log, metrics, limits = structlog.get_logger(), Metrics(), Limits(unauthenticated_connections=100_000)
        timers = TrioTimers(log)
        self.core = Core("default", Door(FixedRules.everything()), timers, limits, metrics)
        options = DeepstreamOptions()
        server = SessionServer(
            app="default",
            core=self.core,
            chain=Chain([Anybody()], 10.0, metrics, log),
            limits=limits,
            metrics=metrics,
            clock=SystemClock(),
            timers=timers,
            log=log,
            protocols={NATIVE: NativeProtocol()}
            | {name: DeepstreamProtocol(name, options) for name in (PROTOCOL, PROTOCOL_JSON)},
        )
        self.links = [
            CountingLink(protocol)
            for protocol, share in self.shares.items()
            for _ in range(round(share * self.subscribers))
        ]
        for link in self.links:
            nursery.start_soon(server.serve, link)
        while len(self.core.sessions) < len(self.links):
            await trio.sleep(0.01)
        for session in self.core.sessions.values():
            self.core.subscribe(session, "c")
        self.publisher = next(iter(self.core.sessions.values()))

    def round(self) -> None:
        began = time.perf_counter()
        for _ in range(EVENTS):
            self.core.publish(self.publisher, "c", Payload(DATA))
        self.best = min(self.best, (time.perf_counter() - began) / EVENTS)

    def count(self) -> None:
        """How often each protocol encodes one event."""
        before = sum(link.sent for link in self.links)
        with counted(self.encoded):
            self.core.publish(self.publisher, "c", Payload(DATA))
        assert sum(link.sent for link in self.links) - before == len(self.links)


@contextmanager
def counted(encoded: Counter[str]) -> Iterator[None]:
    """Within the block, count the events that are encoded, by protocol."""

    def counting(name: str, encode: Callable[..., bytes]) -> Callable[..., bytes]:
        def wrapped(*args: Any) -> bytes:
            encoded[name] += 1
            return encode(*args)

        return wrapped

    places = ((NATIVE, codec), (PROTOCOL, binary), (PROTOCOL_JSON, jsontext))
    patches = [patch.object(module, "event_frame", counting(name, module.event_frame)) for name, module in places]
    try:
        for one in patches:
            one.start()
        yield
    finally:
        for one in patches:
            one.stop()


async def measure(subscribers: int) -> list[Channel]:
    channels = [Channel(shares, subscribers) for shares in MIXTURES]
    async with trio.open_nursery() as nursery:
        for channel in channels:
            await channel.open(nursery)
            channel.count()
        for _ in range(ROUNDS):
            for channel in channels:
                channel.round()
        nursery.cancel_scope.cancel()
    return channels


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--subscribers", type=int, default=1_000)
    subscribers = parser.parse_args().subscribers
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    channels = trio.run(measure, subscribers)
    for channel in channels:
        print(
            json.dumps(
                {
                    "subscribers": {
                        name: sum(link.upgrade.protocol == name for link in channel.links) for name in channel.shares
                    },
                    "encoded": dict(channel.encoded),
                    "cost": round(channel.best / channels[0].best, 2),
                }
            )
        )


if __name__ == "__main__":
    main()
