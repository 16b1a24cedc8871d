"""Providing the events of channels while somebody has them subscribed: one pattern, and its handler's runs.

Each channel runs the handler in a task of its own, in a nursery that belongs to the ``listen`` block: it is cancelled when nobody
has the channel subscribed any more, when the connection is lost (the router then asks again) and when the block ends.
A handler that fails hands its channel back, so that another provider may be found.

The rule that keeps it honest: every question is answered at once, and what runs is what the router believes to run.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from trio_router.client.errors import ClientError, ConnectionLost
from trio_router.client.session import Session
from trio_router.protocols import messages

ChannelHandler = Callable[[str], Awaitable[None]]
"""Gets a channel's name and publishes to it until it is cancelled."""

logger: Final = logging.getLogger("trio_router.client")


def every_channel(_: str) -> bool:
    """Takes every channel it is asked about."""
    return True


class Listening:
    """A pattern this client listens with. Yielded by ``Client.listen``; ``channels`` are those it provides now."""

    def __init__(
        self, pattern: str, handler: ChannelHandler, accepts: Callable[[str], bool], nursery: trio.Nursery
    ) -> None:
        self.pattern = pattern
        self.interruptions = 0
        self.error: ClientError | None = None
        self._handler = handler
        self._accepts = accepts
        self._nursery = nursery
        self._running: dict[str, trio.CancelScope] = {}
        self._ended = trio.Event()

    @property
    def channels(self) -> frozenset[str]:
        """The channels whose handler is running."""
        return frozenset(self._running)

    async def wait_ended(self) -> ClientError | None:
        """Wait until listening ends before its block does: the right was taken away, or the client ended."""
        await self._ended.wait()
        return self.error

    def finish(self, error: ClientError | None = None) -> None:
        self.error = error
        self._ended.set()
        self.stop()

    def found(self, session: Session, channel: str) -> None:
        """The router asks about ``channel``; called by the reader, which must not wait."""
        try:
            accepted = self._accepts(channel) is True
        except Exception:
            logger.exception("whether %s is provided could not be decided", channel)
            accepted = False
        answer = messages.ListenAccept if accepted else messages.ListenReject
        try:
            session.post(answer(self.pattern, channel))
        except ConnectionLost:
            return
        if accepted:
            self.removed(channel)
            scope = self._running[channel] = trio.CancelScope()
            self._nursery.start_soon(self._run, session, channel, scope)

    def removed(self, channel: str) -> None:
        """It is not to be provided any more."""
        scope = self._running.pop(channel, None)
        if scope is not None:
            scope.cancel()

    def stop(self) -> None:
        """None is to be provided any more: the session is gone, or the block ends."""
        for channel in self.channels:
            self.removed(channel)

    async def _run(self, session: Session, channel: str, scope: trio.CancelScope) -> None:
        failed = False
        with scope:
            try:
                await self._handler(channel)
            except ConnectionLost:  # and with it the right; the router asks again
                logger.info("the provider of %s was interrupted: the connection is gone", channel)
            except Exception:
                logger.exception("the provider of %s failed", channel)
                failed = True
        if failed and self._running.get(channel) is scope:
            del self._running[channel]
            try:
                session.post(messages.ListenReject(self.pattern, channel))
            except ConnectionLost:
                logger.info("%s could not be handed back: the connection is gone", channel)
