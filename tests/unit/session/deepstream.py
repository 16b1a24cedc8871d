"""A deepstream client at the other end of a link in memory, in either way of the protocol, and a router that speaks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import attrs

from tests.unit.session.conftest import MemoryLink, World, body, settle
from trio_router.protocols.deepstream import binary, jsontext
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import PROTOCOL, PROTOCOL_JSON, AuthAction, ConnectionAction, Topic
from trio_router.session.deepstream.options import DeepstreamOptions
from trio_router.session.deepstream.protocol import DeepstreamProtocol
from trio_router.session.native import NativeProtocol
from trio_router.session.protocol import NATIVE, SessionProtocol

Make = Callable[..., World]

WAYS: Final = [PROTOCOL, PROTOCOL_JSON]


def speaking(**options: Any) -> dict[str, SessionProtocol]:
    """The protocols of a world, with these options."""
    made = DeepstreamOptions(**options)
    return {NATIVE: NativeProtocol()} | {way: DeepstreamProtocol(way, made) for way in WAYS}


class Client:
    """``say`` sends a packet, ``told`` are those that came since the last look, ``all`` those that ever came."""

    def __init__(self, link: MemoryLink, way: str) -> None:
        self.link = link
        self.way = way
        self._seen = 0

    def put(self, packet: Packet) -> None:
        frame = (binary if self.way == PROTOCOL else jsontext).encode(packet)
        data = body(frame)
        self.link.put(data if self.way == PROTOCOL else data.decode())

    async def say(self, topic: int, action: int, **fields: Any) -> list[Packet]:
        """Send, and give what came back."""
        self.put(Packet(topic, action, **fields))
        await settle()
        return self.told()

    @property
    def all(self) -> list[Packet]:
        read: Callable[[bytes], Packet]
        read = binary.decode if self.way == PROTOCOL else lambda data: jsontext.decode(data.decode())
        packets = [read(body(frame)) for frame in self.link.frames]
        for packet in packets:
            packet.names = packet.names or None  # protobuf knows no difference
            packet.original_topic = None  # and has no such field
        return packets

    def told(self) -> list[Packet]:
        packets = self.all[self._seen :]
        self._seen += len(packets)
        return packets

    async def challenge(self) -> None:
        told = await self.say(Topic.CONNECTION, ConnectionAction.CHALLENGE, url="ws://x", protocol_version="0.1a")
        assert told == [Packet(Topic.CONNECTION, ConnectionAction.ACCEPT)]

    async def login(self, auth: Any) -> list[Packet]:
        data = auth if isinstance(auth, str) or auth is None else json.dumps(auth)
        return await self.say(Topic.AUTH, AuthAction.REQUEST, data=data)


async def connect(world: World, way: str = PROTOCOL) -> Client:
    """A client that has said nothing yet."""
    link = MemoryLink()
    link.upgrade = attrs.evolve(link.upgrade, protocol=way)
    world.nursery.start_soon(world.server.serve, link)
    await settle()
    assert link.frames == []  # the client speaks first
    return Client(link, way)


async def user(world: World, name: str = "guest", way: str = PROTOCOL) -> Client:
    """A client that is logged in."""
    client = await connect(world, way)
    await client.challenge()
    (answer,) = await client.login({"user": name})
    assert (answer.topic, answer.action) == (Topic.AUTH, AuthAction.AUTH_SUCCESSFUL)
    return client
