"""What a session needs of the WebSocket under it. The transport implements it; tests implement it in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol

import attrs

from trio_router.protocols.codes import CloseCode

Take = Callable[[str | bytes], Awaitable[None] | None]
"""What a live session does with one whole message, at once; what cannot be done at once is returned, to be awaited."""


class LinkClosed(Exception):
    """The connection is gone, from either side.

    ``code`` is the peer's close code, or None without a close frame. ``ours`` is why the link ended the connection by itself
    (slow, flood, too big, ...), or None.
    """

    def __init__(self, code: int | None = None, ours: CloseCode | None = None) -> None:
        super().__init__(code, ours)
        self.code = code
        self.ours = ours


@attrs.frozen
class Upgrade:
    """The accepted upgrade request: header names in lower case. ``subprotocol`` is the one chosen, or None.

    ``protocol`` is what is spoken at its path. ``secure``: it came over this router's own TLS; a proxy's word for it does not count.
    """

    remote_address: str
    path: str
    query: str = attrs.field(repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    subprotocols: tuple[str, ...] = attrs.field(repr=False)
    subprotocol: str | None = None
    secure: bool = False
    protocol: str = "native"


class Lane(Protocol):
    """What links share that can be sent to in one go."""

    def together(self, links: Sequence[Link]) -> Callable[[bytes], None]:
        """Sends one whole frame to all of these links, which are this lane's, like ``Link.send`` to each."""


class Link(Protocol):
    """One open WebSocket. ``lane``: the one it shares with others, if any."""

    upgrade: Upgrade

    lane: Lane | None

    on_slow: Callable[[], None] | None
    """Called, if set, in the moment the link gives the peer up as too slow, so that nothing is routed to it any more."""

    @property
    def heard_at(self) -> float:
        """When the peer's last bytes came, in Trio's time."""

    async def receive(self) -> str | bytes:
        """The next whole message: text or binary. Raises ``LinkClosed``."""

    async def serve(self, take: Take) -> NoReturn:
        """Give each whole message to ``take``, in order, until the link ends: then raise ``LinkClosed``.

        If ``take`` returns an awaitable, that is awaited in this task before the next message of this link is given; no other link
        waits for it. What ``take`` raises is raised from here. ``take`` may be called in any task, but never while another
        call of it, or what it returned, is under way.
        """

    def set_message_limit(self, size: int) -> None:
        """A message of more than ``size`` bytes ends the connection with close code 1009."""

    def send(self, frame: bytes) -> None:
        """Queue one whole WebSocket frame. Never blocks, never raises.

        When the queue passes its bound in bytes, or its oldest byte the write timeout, the link ends itself
        as ``slow`` and ``receive`` raises ``LinkClosed``.
        """

    async def close(self, code: CloseCode, reason: str = "") -> None:
        """Flush what is queued, send a close frame, wait briefly for the peer's, drop the socket. Bounded in time; never raises but ``Cancelled``."""


async def serve_in_turn(receive: Callable[[], Awaitable[str | bytes]], take: Take) -> NoReturn:
    """:meth:`Link.serve` for a link that can only ``receive``, which must let other tasks run each time."""
    while True:
        pause = take(await receive())
        if pause is not None:
            await pause
