"""The fast lane: what all its connections share, and how one of them is served.

A lane has one cork and, where the system allows, one pump. :meth:`Lane.run` runs both; each connection lives in the task that calls
:meth:`Lane.serve`. It knows neither sessions nor routes.

The rule that keeps it honest: the lane's own tasks raise nothing because of a connection, and a connection that ends is forgotten
by both before its descriptor is closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from trio_router.limits import Limits
from trio_router.protocols.codes import NORMAL, SLOW
from trio_router.routing.peer import Timers
from trio_router.session.link import Link
from trio_router.transport import pump
from trio_router.transport.cork import Cork
from trio_router.transport.fastlink import FastLink
from trio_router.transport.group import Group
from trio_router.transport.handshake import Handshake, close_frame
from trio_router.transport.outbox import Outbox
from trio_router.transport.pipe import Pipe


class Lane:
    """The fast lane of one router. ``timers`` must be running. ``pumped``: with a pump, where there can be one."""

    def __init__(self, timers: Timers, *, pumped: bool = True) -> None:
        self._timers = timers
        self._cork = Cork()
        self._pump = pump.Pump(self._cork) if pumped and pump.available() else None

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cork.run)
            if self._pump is not None:
                nursery.start_soon(self._pump.run)

    async def serve(
        self,
        pipe: Pipe,
        handshake: Handshake,
        *,
        limits: Limits,
        handler: Callable[[Link], Awaitable[None]],
    ) -> None:
        """Answer ``handshake`` and hand the open link to ``handler``; close what it leaves open. The pipe is closed in every case."""
        try:
            async with trio.open_nursery() as nursery:
                outbox = Outbox(
                    pipe,
                    self._cork,
                    nursery,
                    size=limits.outbox_size,
                    timeout=limits.write_timeout,
                    farewell=close_frame(SLOW.number, SLOW.text),
                )
                link = FastLink(
                    pipe, handshake, outbox, nursery, limits=limits, timers=self._timers, pump=self._pump, lane=self
                )
                outbox.put(handshake.answer())
                try:
                    await handler(link)
                    await link.close(NORMAL)
                finally:
                    link.drop()
                nursery.cancel_scope.cancel()
        finally:
            pipe.close()

    def together(self, links: Sequence[Link]) -> Callable[[bytes], None]:
        """Send one frame to all of these links of this lane at once: what runs they share are joined once."""
        return Group(self._cork, [link.outbox for link in links if isinstance(link, FastLink)]).send
