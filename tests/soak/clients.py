"""The people of a soak: each keeps a log of what it did and saw, with times of one clock, and judges nothing.

They speak the protocol themselves, so that a log says what the router did and no library hides a duplicate or a gap.
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, open_websocket_url

from trio_router.client.backoff import Backoff
from trio_router.protocols.native.shapes import SUBPROTOCOL

ANSWER: Final = 60.0
"""Seconds a request may take before its sender gives it up."""


class Lost(Exception):
    """The connection ended; ``code`` is the router's close code, if it came to one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Log:
    """One person's log: a JSON object a line."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._file = (folder / f"{name}.jsonl").open("w")

    def __call__(self, kind: str, **fields: Any) -> None:
        self._file.write(json.dumps({"t": round(time.monotonic(), 4), "k": kind, **fields}) + "\n")

    def close(self) -> None:
        self._file.close()


class Line:
    """A logged-in connection."""

    def __init__(self, ws: WebSocketConnection) -> None:
        self._ws = ws

    async def say(self, **message: Any) -> None:
        try:
            await self._ws.send_message(json.dumps(message))
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    async def hear(self) -> dict[str, Any]:
        try:
            heard: dict[str, Any] = json.loads(await self._ws.get_message())
        except ConnectionClosed as closed:
            raise _lost(closed) from None
        return heard

    async def answer(self, request_id: str) -> dict[str, Any]:
        """What answers this request; for those who expect nothing else meanwhile."""
        with trio.fail_after(ANSWER):
            while True:
                message = await self.hear()
                if message.get("id") == request_id:
                    return message


def _lost(closed: ConnectionClosed) -> Lost:
    return Lost(None if closed.reason is None else closed.reason.code)


class Person:
    """Somebody who connects, does what they do, and comes back when they lose the connection."""

    def __init__(self, folder: Path, name: str, url: str, chance: random.Random) -> None:
        self.log = Log(folder, name)
        self.name = name
        self.url = url
        self.chance = chance

    async def run(self) -> None:
        backoff = Backoff(base=0.2, cap=5.0)
        try:
            while True:
                try:
                    async with self._connected() as line:
                        backoff.reset()
                        await self.do(line)
                except (Lost, HandshakeError, OSError, trio.TooSlowError) as error:
                    self.log("away", why=f"{type(error).__name__} {getattr(error, 'code', '')}")
                    await trio.sleep(backoff.next(0.0))
                except ExceptionGroup as group:
                    self.log("away", why=repr(group.exceptions[0]))
                    await trio.sleep(backoff.next(0.0))
        finally:
            self.log("over")
            self.log.close()

    async def do(self, line: Line) -> None:
        """Until the connection ends, or as long as they like."""
        raise NotImplementedError

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Line]:
        async with open_websocket_url(self.url, subprotocols=[SUBPROTOCOL], message_queue_size=64) as ws:
            line = Line(ws)
            with trio.fail_after(ANSWER):
                await line.hear()
                await line.say(type="login", id="l", auth={"name": self.name})
                answer = await line.hear()
            if answer["type"] != "welcome":
                self.log("login", error=answer.get("error"))
                raise Lost(None)
            self.log("login")
            yield line


class Publisher(Person):
    """Publishes numbers to its channel, one acknowledged after the other."""

    def __init__(self, *args: Any, channel: str, every: float, size: int = 0) -> None:
        super().__init__(*args)
        self._channel, self._every, self._fill = channel, every, "x" * size
        self._number = 0

    async def do(self, line: Line) -> None:
        while True:
            self._number += 1
            number = self._number
            self.log("pub", c=self._channel, n=number)
            await line.say(type="publish", id=str(number), channel=self._channel, data=[self.name, number, self._fill])
            answer = await line.answer(str(number))
            self.log("ack" if answer["type"] == "done" else "refused", c=self._channel, n=number)
            await trio.sleep(self._every * self.chance.uniform(0.5, 1.5))


class Subscriber(Person):
    """Subscribes to channels, reads for a while (``pause`` seconds between two messages), leaves and comes again."""

    def __init__(self, *args: Any, channels: list[str], stay: float, pause: float = 0.0) -> None:
        super().__init__(*args)
        self._channels, self._stay, self._pause = channels, stay, pause

    async def do(self, line: Line) -> None:
        for number, channel in enumerate(self._channels):
            await line.say(type="subscribe", id=f"s{number}", channel=channel)
        with trio.move_on_after(self._stay * self.chance.uniform(0.5, 1.5)):
            while True:
                self._note(await line.hear())
                if self._pause:
                    await trio.sleep(self._pause)
        self.log("leaving")
        await line.say(type="unsubscribe", id="u", channel=self._channels[0])
        with trio.move_on_after(ANSWER):
            while True:
                message = await line.hear()
                self._note(message)
                if message.get("id") == "u":
                    self.log("left")
                    return

    def _note(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "event":
            self.log("ev", c=message["channel"], p=message["data"][0], n=message["data"][1])
        elif kind == "done" and message["id"].startswith("s"):
            self.log("sub", c=self._channels[int(message["id"][1:])])
        elif kind == "revoked":
            self.log("revoked", c=message["name"])
        elif kind == "closing":
            self.log("closing", code=message["code"])


class Provider(Person):
    """Answers calls with the double of what they hold; leaves now and then."""

    async def do(self, line: Line) -> None:
        await line.say(type="provide", id="p", procedure="double")
        with trio.move_on_after(60 * self.chance.uniform(0.5, 1.5)):
            while True:
                message = await line.hear()
                if message["type"] == "invoke":
                    self.log("exec", n=message["data"][0], call=message["call"])
                    if self.chance.random() < 0.05:
                        await line.say(type="error", call=message["call"], data="no")
                    else:
                        await line.say(
                            type="result",
                            call=message["call"],
                            data=[message["data"][0], 2 * message["data"][1]],
                        )


class Caller(Person):
    """Calls, several at a time, and notes every outcome it hears of."""

    def __init__(self, *args: Any, every: float) -> None:
        super().__init__(*args)
        self._every = every
        self._number = 0

    async def do(self, line: Line) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear, line)
            while True:
                self._number += 1
                name = f"{self.name}-{self._number}"
                self.log("call", n=name, v=self._number)
                await line.say(type="call", id=name, procedure="double", data=[name, self._number], timeout=20_000)
                await trio.sleep(self._every * self.chance.uniform(0.5, 1.5))

    async def _hear(self, line: Line) -> None:
        while True:
            message = await line.hear()
            if message["type"] == "result":
                self.log("res", n=message["id"], v=message["data"][1])
            elif message["type"] == "error" and message.get("id"):
                self.log("err", n=message["id"], e=message["error"])


class Frozen(Person):
    """Subscribes to a busy channel and reads nothing more; the router has to put it away."""

    def __init__(self, *args: Any, channel: str, stay: float) -> None:
        super().__init__(*args)
        self._channel, self._stay = channel, stay

    async def run(self) -> None:
        while True:
            try:
                await self._once()
            except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                self.log("away", why=repr(error))
            await trio.sleep(self.chance.uniform(1, 5))

    async def _once(self) -> None:
        host, port = self.url.partition("//")[2].rstrip("/").split(":")
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.setblocking(False)
        sock = trio.socket.from_stdlib_socket(plain)
        with sock:
            with trio.fail_after(ANSWER):
                await sock.connect((host, int(port)))
                stream = trio.SocketStream(sock)
                await stream.send_all(
                    (
                        f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
                        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
                    ).encode()
                )
                for text in (
                    {"type": "login", "id": "l", "auth": {"name": self.name}},
                    {"type": "subscribe", "id": "s", "channel": self._channel},
                ):
                    await trio.sleep(2)
                    await stream.send_all(_masked(json.dumps(text).encode()))
            self.log("frozen")
            await trio.sleep(self._stay * self.chance.uniform(0.5, 1.5))
            self.log("gone")


def _masked(payload: bytes) -> bytes:
    """A text frame of a client, with a mask of zeroes."""
    return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload
