"""A deepstream client over a real socket, made of the router's own codec: it sends packets and waits for packets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from trio_router.protocols.deepstream import binary, jsontext
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import AuthAction, ConnectionAction, EventAction, RpcAction, Topic

PATIENCE = 10.0


class Peer:
    """``say`` sends, ``next`` waits for the next packet, ``until`` for the next of a topic and action."""

    def __init__(self, socket: WebSocketConnection, *, text: bool) -> None:
        self.socket = socket
        self._text = text
        self._number = 0

    async def say(self, topic: int, action: int, **fields: Any) -> None:
        frame = (jsontext if self._text else binary).encode(Packet(topic, action, **fields))
        body = frame[{126: 4, 127: 10}.get(frame[1], 2) :]
        await self.socket.send_message(body.decode() if self._text else body)

    async def next(self) -> Packet:
        with trio.fail_after(PATIENCE):
            frame = await self.socket.get_message()
        packet = jsontext.decode(frame) if isinstance(frame, str) else binary.decode(frame)
        packet.names = packet.names or None
        return packet

    async def until(self, topic: int, action: int) -> Packet:
        while True:
            packet = await self.next()
            if (packet.topic, packet.action) == (topic, action):
                return packet

    async def closed(self) -> int:
        """The code it is closed with, once everything before it was read."""
        with trio.fail_after(PATIENCE):
            try:
                while True:
                    await self.socket.get_message()
            except ConnectionClosed as closed:
                assert closed.reason is not None
                return int(closed.reason.code)

    # ---- what a client does -----------------------------------------------------------------------------------

    async def login(self, auth: Any) -> Packet:
        await self.say(Topic.CONNECTION, ConnectionAction.CHALLENGE, url="ws://x", protocol_version="0.1a")
        assert await self.next() == Packet(Topic.CONNECTION, ConnectionAction.ACCEPT)
        await self.say(Topic.AUTH, AuthAction.REQUEST, data=json.dumps(auth))
        return await self.next()

    async def bulk(self, topic: int, action: int, *names: str) -> list[Packet]:
        """Ask for all ``names``; what came before the acknowledgement."""
        self._number += 1
        await self.say(topic, action, names=list(names), correlation_id=str(self._number))
        told = []
        while not ((packet := await self.next()).is_ack and packet.correlation_id == str(self._number)):
            told.append(packet)
        return told

    async def subscribe(self, *names: str) -> list[Packet]:
        return await self.bulk(Topic.EVENT, EventAction.SUBSCRIBE, *names)

    async def emit(self, name: str, *data: Any) -> None:
        await self.say(Topic.EVENT, EventAction.EMIT, name=name, data=json.dumps(data[0]) if data else None)

    async def event(self) -> tuple[str | None, Any]:
        packet = await self.until(Topic.EVENT, EventAction.EMIT)
        return packet.name, None if packet.data is None else json.loads(packet.data)

    async def call(self, name: str, data: Any = None) -> Packet:
        """What a call comes to, acceptances passed over."""
        self._number += 1
        tag = f"call-{self._number}"
        await self.say(Topic.RPC, RpcAction.REQUEST, name=name, correlation_id=tag, data=json.dumps(data))
        while True:
            packet = await self.next()
            if packet.correlation_id == tag and packet.action != RpcAction.ACCEPT:
                return packet

    async def answer(self, make: Any) -> None:
        """Answer the next call."""
        request = await self.until(Topic.RPC, RpcAction.REQUEST)
        about = {"name": request.name, "correlation_id": request.correlation_id}
        await self.say(Topic.RPC, RpcAction.ACCEPT, **about)
        data = json.dumps(make(json.loads(request.data or "null")))
        await self.say(Topic.RPC, RpcAction.RESPONSE, data=data, **about)


@asynccontextmanager
async def deepstream(url: str, *, text: bool = False, headers: Any = ()) -> AsyncIterator[Peer]:
    """A connected peer that has not said anything."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    async with await trio.open_tcp_stream(parts.hostname, parts.port) as stream, trio.open_nursery() as nursery:
        socket = await wrap_client_stream(nursery, stream, parts.netloc, parts.path, extra_headers=list(headers))
        yield Peer(socket, text=text)
        with trio.move_on_after(1):
            await socket.aclose()
        nursery.cancel_scope.cancel()
