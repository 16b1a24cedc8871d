"""A scripted router at the other end of a stream in memory: it speaks the real protocol and does what a test says.

Every connection logs in and has its requests granted unless the test put a function of its own into ``on``. What was heard is
kept in order. It uses the router's own codec, so that a test also proves that the two sides understand each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from trio_router.protocols import messages
from trio_router.protocols.frames import text_frame
from trio_router.protocols.native import codec

Handler = Callable[["Peer", Any], Awaitable[None]]


class Gone(Exception):
    """The client closed or cut the connection."""


class Peer:
    """One connection, seen from the router."""

    def __init__(self, router: FakeRouter, stream: trio.abc.Stream, number: int) -> None:
        self.router = router
        self.stream = stream
        self.number = number
        self.session = f"session-{number}"
        self.ws = WSConnection(ConnectionType.SERVER)
        self.heard: list[messages.Message] = []
        self.upgrade: Request | None = None
        self.pongs: list[bytes] = []
        self.close_code: int | None = None
        self.gone = trio.Event()
        self.ready = trio.Event()
        self._texts: deque[str] = deque()
        self._parts = ""
        self._sending = trio.Lock()

    async def send(self, reply: messages.Reply) -> None:
        await self.send_text(codec.encode(reply))

    async def send_text(self, text: bytes | str) -> None:
        await self.raw(text_frame(text if isinstance(text, bytes) else text.encode()))

    async def raw(self, data: bytes) -> None:
        try:
            async with self._sending:
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Gone from None

    async def ping(self, payload: bytes) -> None:
        await self.raw(self.ws.send(Ping(payload)))

    async def close(self, code: int) -> None:
        await self.raw(self.ws.send(CloseConnection(code)))

    async def cut(self) -> None:
        await trio.aclose_forcefully(self.stream)

    def of(self, cls: type[messages.Message]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, cls)]

    async def wait_for(self, cls: type[messages.Message], count: int = 1) -> Any:
        while len(self.of(cls)) < count:
            await self.router.changed()
        return self.of(cls)[count - 1]

    async def receive(self) -> str:
        while not self._texts:
            if self.close_code is not None:
                raise Gone
            try:
                data = await self.stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise Gone from None
            if not data:
                raise Gone
            self.ws.receive_data(bytes(data))
            for event in self.ws.events():
                if isinstance(event, TextMessage):
                    self._parts += event.data
                    if event.message_finished:
                        self._texts.append(self._parts)
                        self._parts = ""
                elif isinstance(event, Pong):
                    self.pongs.append(bytes(event.payload))
                    self.router.poke()
                elif isinstance(event, CloseConnection):
                    self.close_code = event.code
                    if self.ws.state.name == "REMOTE_CLOSING":
                        await self.raw(self.ws.send(event.response()))
                elif isinstance(event, BytesMessage):
                    raise AssertionError("a binary message")
        return self._texts.popleft()


class FakeRouter:
    """Accepts connections through :meth:`open_stream`, which is given to the client."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._changed = trio.Event()
        self.peers: list[Peer] = []
        self.attempts: list[float] = []
        self.on: dict[type[messages.Message], Handler] = {}
        self.refuse: Callable[[int], Exception | None] = lambda _attempt: None
        self.reject: int | None = None
        self.subprotocol: str | None = "trio-router.v1+json"
        self.greet: Callable[[Peer], Awaitable[None]] = greet
        self.message_size = 65_536
        self.ping_interval = 25_000

    async def open_stream(self) -> trio.abc.Stream:
        self.attempts.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        error = self.refuse(len(self.attempts))
        if error is not None:
            raise error
        ours, theirs = trio.testing.memory_stream_pair()
        peer = Peer(self, ours, len(self.peers) + 1)
        self.peers.append(peer)
        self._nursery.start_soon(self._serve, peer)
        self.poke()
        return theirs

    async def peer(self, number: int = 1) -> Peer:
        """The ``number``-th connection, once it is logged in."""
        while len(self.peers) < number:
            await self.changed()
        await self.peers[number - 1].ready.wait()
        return self.peers[number - 1]

    def poke(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def changed(self) -> None:
        await self._changed.wait()

    async def _serve(self, peer: Peer) -> None:
        try:
            await self._upgrade(peer)
            await self.greet(peer)
            while True:
                message = codec.decode(await peer.receive())
                peer.heard.append(message)
                self.poke()
                handler = self.on.get(type(message), DEFAULTS.get(type(message)))
                if handler is not None:
                    await handler(peer, message)
        except Gone:
            pass
        finally:
            await trio.aclose_forcefully(peer.stream)
            peer.gone.set()
            self.poke()

    async def _upgrade(self, peer: Peer) -> None:
        while peer.upgrade is None:
            data = await peer.stream.receive_some(65_536)
            if not data:
                raise Gone
            peer.ws.receive_data(bytes(data))
            for event in peer.ws.events():
                assert isinstance(event, Request)
                peer.upgrade = event
        if self.reject is not None:
            await peer.raw(peer.ws.send(RejectConnection(status_code=self.reject)))
            raise Gone
        await peer.raw(peer.ws.send(AcceptConnection(subprotocol=self.subprotocol)))


async def greet(peer: Peer) -> None:
    await peer.send(messages.Hello(peer.session, 15_000, peer.router.message_size, peer.router.ping_interval))


async def welcome(peer: Peer, message: messages.Login) -> None:
    await peer.send(messages.Welcome(message.id, peer.session, "ann", {"colour": "red"}, 2e9))
    peer.ready.set()


async def done(peer: Peer, message: Any) -> None:
    if message.id is not None:
        await peer.send(messages.Done(message.id))


DEFAULTS: dict[type[messages.Message], Handler] = {
    messages.Login: welcome,
    messages.Subscribe: done,
    messages.Unsubscribe: done,
    messages.Publish: done,
    messages.Listen: done,
    messages.Unlisten: done,
    messages.Provide: done,
    messages.Unprovide: done,
    messages.PresenceSubscribe: done,
    messages.PresenceUnsubscribe: done,
}
