"""An echo on exactly our transport: the listener, its guard and its links as a router has them, with sessions that send back.

The bounds are wider than a router's, because the suite sends messages of 16 MiB, of 65,536 fragments, and many pings at once.
Nothing else differs. Run it: ``python -m tests.autobahn.echo fast 9001``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import structlog
import trio

from trio_router.limits import MIB, Limits
from trio_router.metrics import Metrics
from trio_router.protocols.frames import binary_frame, text_frame
from trio_router.session.link import Link, LinkClosed
from trio_router.session.timers import TrioTimers
from trio_router.transport.admission import Admission
from trio_router.transport.lane import Lane
from trio_router.transport.listener import Listener, Policy

LANES: Final = ("fast", "unpumped", "off")
"""How messages travel: in the fast lane, in it without a pump, or through trio-websocket alone."""

LIMITS: Final = Limits(
    login_message_size=32 * MIB,
    message_size=32 * MIB,
    outbox_size=64 * MIB,
    frames_per_message=100_000,
    control_frames_per_second=100_000,
    fragment_timeout=60.0,
)


async def echo(link: Link) -> None:
    """Send every message back as it came, until the peer leaves."""

    def take(message: str | bytes) -> None:
        link.send(text_frame(message.encode()) if isinstance(message, str) else binary_frame(message))

    with contextlib.suppress(LinkClosed):
        await link.serve(take)


async def no_http(stream: trio.abc.Stream, **_: object) -> None:
    """There is nothing but WebSockets here."""
    await stream.aclose()


@contextlib.asynccontextmanager
async def serving(lane: str, port: int = 0) -> AsyncIterator[int]:
    """Serve on loopback while this is open; the port."""
    if lane not in LANES:
        raise ValueError(f"there is no lane {lane!r}, only {', '.join(LANES)}")
    log = structlog.get_logger()
    timers = TrioTimers(log)
    fast = None if lane == "off" else Lane(timers, pumped=lane == "fast")
    (listening,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    listener = Listener(
        listening,
        policy=Policy(limits=LIMITS),
        admission=Admission(LIMITS),
        serve=echo,
        http=no_http,
        metrics=Metrics(),
        log=log,
        lane=fast,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        if fast is not None:
            nursery.start_soon(fast.run)
        await nursery.start(listener.run)
        yield listening.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def forever(lane: str, port: int) -> None:
    """Serve until interrupted, and say where."""
    async with serving(lane, port) as bound:
        print(f"ws://127.0.0.1:{bound}/", flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(partial(forever, sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
