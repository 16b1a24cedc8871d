"""Throw mutated deepstream frames at a router, in protobuf and in JSON, before and after a login.

What has to come out: every connection that ends, ends with a code; nothing fails inside; clients next door, of both protocols, get
their answers all the while; and what the process holds does not grow.

    python -m benchmarks.fuzz_deepstream --count 1000000
"""

from __future__ import annotations

import argparse
import json
import random
import re
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from trio_router.client import connect
from trio_router.protocols.deepstream import binary, jsontext
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import ACTIONS, AuthAction, ConnectionAction, EventAction, Topic
from trio_router.testing.process import RouterProcess, router_process

CONFIG: Final = """
rules: rules.yml
login: [{strategy: open, allow_username: true, ignore_credentials: true}]
listen: {port: 0}
deepstream: {auth_attempts: 100}
limits: {invalid_messages: 500, login_attempts: 100, subscriptions_per_session: 50, procedures_per_session: 50}
"""
RULES: Final = """
event:
  "*": {publish: true, subscribe: true, listen: true}
  "neighbour/*": {publish: "user.id === 'neighbour'", subscribe: "user.id === 'neighbour'", listen: false}
rpc:
  "*": {provide: true, request: true}
presence:
  "*": {allow: true}
"""
BATCH: Final = 200
"""Frames sent in one write."""

CODES: Final = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 4000, 4500, 4501, 4502})
"""With which a connection may end that misbehaves. 1011, a fault of the router, is none of them."""

WARM: Final = 0.3
"""After this part of the frames the memory is looked at for the first time."""

GROWTH: Final = 24 * 1024 * 1024
"""Bytes that the process may hold more at the end: what an allocator keeps of peaks, and no more for more frames."""

PATIENCE: Final = 30.0


@attrs.define
class Found:
    """What a run found out. Memory is the process's resident set in bytes."""

    frames: int = 0
    connections: int = 0
    closes: Counter[int] = attrs.field(factory=Counter)
    checks: int = 0
    slowest_check: float = 0.0
    warm: int = 0
    end: int = 0
    faults: list[str] = attrs.field(factory=list)


class Mutator:
    """Makes frames' payloads from one seed: packets of every topic and action, and what becomes of them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def frame(self, *, text: bool) -> bytes:
        """One payload; sometimes it is right."""
        body = self._json() if text else self._protobuf()
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 5))):
            body = self._mutated(body)
        if text and self._random.random() < 0.5:  # let it reach the parser behind the check for UTF-8
            body = body.decode("utf-8", "replace").encode()
        return body

    def _packet(self) -> Packet:
        pick = self._random
        topic = pick.choice(tuple(ACTIONS))
        action = pick.choice((*ACTIONS[topic], 3, 99, 2**31 - 1))
        packet = Packet(topic, action)
        for field, values in VALUES.items():
            if pick.random() < 0.4:
                packet = _with(packet, field, pick.choice(values))
        return packet

    def _protobuf(self) -> bytes:
        return _payload(binary.encode(self._packet()))

    def _json(self) -> bytes:
        body = _payload(jsontext.encode(self._packet()))
        if self._random.random() < 0.3:
            value = json.loads(body)
            value[self._random.choice((*value, "parsedData", "x"))] = self._random.choice(ODD)
            body = json.dumps(value).encode()
        return body

    def _mutated(self, body: bytes) -> bytes:
        pick = self._random
        at = pick.randrange(len(body) + 1)
        match pick.randrange(9):
            case 0:  # another byte
                return body[:at] + bytes((pick.randrange(256),)) + body[at + 1 :]
            case 1:  # one bit
                return body[:at] + bytes(byte ^ (1 << pick.randrange(8)) for byte in body[at : at + 1]) + body[at + 1 :]
            case 2:  # cut
                return body[:at]
            case 3:  # something in between
                return body[:at] + pick.choice(PIECES) + body[at:]
            case 4:  # something missing
                return body[:at] + body[at + pick.randrange(1, 9) :]
            case 5:  # twice
                return body[:at] + body[max(0, at - 8) : at] * pick.choice((2, 50)) + body[at:]
            case 6:  # another length
                return pick.choice((b"\x00", b"\x7f", b"\xff\xff\xff\xff\x0f", b"\x80", b"\xff" * 10)) + body[1:]
            case 7:  # noise
                return pick.randbytes(pick.randrange(60))
            case _:  # right inside, wrong outside
                return body + body


def _with(packet: Packet, field: str, value: Any) -> Packet:
    fields = {name: getattr(packet, name) for name in packet.__struct_fields__}
    return Packet(**{**fields, field: value})


VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "name": ("a", "a/b", "", "x*", "^a.*", "(", "gr\u00fcn", "neighbour/x", "trio-router/trust-token", "trio-router/session", "a" * 300, "\x00"),
    "names": (["a"], ["a", "a", "b"], [""], ["x"] * 60, ["x*", "\U0001f600"], [f"n{number}" for number in range(40)]),
    "data": ('{"a":1}', "{}", "null", "", "{", "[" * 40, '{"a":1,"a":2}', "1e999", '"\\ud800"', '{"username":"x"}', "[1,2,3]" * 500),
    "correlation_id": ("0", "1", "", "x" * 300, "c-1"),
    "is_ack": (True, False),
    "is_error": (True, False),
    "subscription": ("a", "a/b", ""),
    "original_action": (0, 3, -1),
    "requestor_name": ("neighbour",),
    "requestor_data": ("{}", "{"),
    "version": (0, -1, 2**31 - 1),
    "is_write_ack": (True,),
}  # fmt: skip
ODD: Final[tuple[Any, ...]] = (None, True, -1, 1.5, 2**70, "4", [], {}, [[[[[[[[]]]]]]]], {"__proto__": 1}, "\udfff")
PIECES: Final = (
    b"\x00", b"\xff" * 12, b"\x0a\x00", b"[" * 5000, b'{"a":' * 2000, b"\\ud800", b"1e999", b"NaN", b'"topic":4,', b"\xc3\x28", b"\x80" * 11,
    b"\x1a\xff\xff\xff\xff\x07",
)  # fmt: skip


def _payload(frame: bytes) -> bytes:
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame; its mask is zero, which changes nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, size)
    return head + b"\0\0\0\0" + payload


class Raw:
    """A WebSocket without a library, so that anything can be sent: writes bytes, reads frames."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._held = b""
        self.code: int | None = None

    @classmethod
    async def open(cls, url: str) -> Raw:
        parts = urlsplit(url)
        stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 0)
        raw = cls(stream)
        await stream.send_all(
            f"GET {parts.path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in raw._held:
            raw._held += await stream.receive_some() or _gone()
        head, _, raw._held = raw._held.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return raw

    async def frames(self) -> Any:
        """Every data frame's payload until the connection ends; ``code`` is then what it was closed with."""
        while True:
            found = re.match(rb"(.)(?:([\x00-\x7d])|\x7e(..)|\x7f(.{8}))", self._held, re.DOTALL)
            if found is not None:
                size = int.from_bytes(found[2] or found[3] or found[4])
                end = found.end() + size
                if len(self._held) >= end:
                    payload, self._held = self._held[found.end() : end], self._held[end:]
                    if found[1] == b"\x88":
                        self.code = int.from_bytes(payload[:2])
                        return
                    if found[1][0] & 0x0F in {1, 2}:
                        yield payload
                    continue
            try:
                data = await self.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            self._held += data


def _gone() -> bytes:
    raise trio.BrokenResourceError


class Attack:
    """One run against one router."""

    def __init__(self, url: str, count: int, seed: int, found: Found) -> None:
        self._url = url
        self._count = count
        self._random = random.Random(seed)
        self._mutator = Mutator(seed)
        self._found = found

    async def run(self) -> None:
        """Connections one after another until all frames are sent."""
        while self._found.frames < self._count:
            await self._connection()

    async def _connection(self) -> None:
        text = self._random.random() < 0.5
        raw = await Raw.open(f"{self._url}deepstream{'-json' if text else ''}")
        self._found.connections += 1
        async with raw.stream, trio.open_nursery() as nursery:
            ended = trio.Event()
            nursery.start_soon(self._drain, raw, ended)
            await self._speak(raw, ended, text=text)
            with trio.move_on_after(PATIENCE) as scope:
                await ended.wait()
            if scope.cancelled_caught:
                self._found.faults.append("a connection was neither answered nor ended")
            nursery.cancel_scope.cancel()
        self._judge(raw)

    def _judge(self, raw: Raw) -> None:
        if raw.code is None:
            self._found.faults.append("a connection ended without a code")
            return
        self._found.closes[raw.code] += 1
        if raw.code not in CODES:
            self._found.faults.append(f"a connection ended with {raw.code}")

    async def _speak(self, raw: Raw, ended: trio.Event, *, text: bool) -> None:
        opcode = 1 if text else 2
        codec = jsontext if text else binary
        greeting = [
            Packet(Topic.CONNECTION, ConnectionAction.CHALLENGE),
            Packet(Topic.AUTH, AuthAction.REQUEST, data='{"username":"fuzz"}'),
        ]
        logged_in = greeting[: self._random.choice((0, 1, 2, 2, 2, 2, 2))]
        start = b"".join(masked(opcode, _payload(codec.encode(packet))) for packet in logged_in)
        try:
            await raw.stream.send_all(start)
            for _ in range(self._random.choice((1, 3, 10))):
                if ended.is_set() or self._found.frames >= self._count:
                    break
                frames = [masked(opcode, self._mutator.frame(text=text)) for _ in range(BATCH)]
                self._found.frames += BATCH
                if self._random.random() < 0.05:  # the frame around it, too
                    frames.append(
                        self._random.choice(
                            (b"\x82\x05hello", b"\xc2\x80\0\0\0\0", b"\x82\xff" + b"\x7f" * 12, b"\x83\x80\0\0\0\0")
                        )
                    )
                await raw.stream.send_all(b"".join(frames))
            await raw.stream.send_all(masked(8, b"\x03\xe8"))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it was closed meanwhile: how, the reader knows

    async def _drain(self, raw: Raw, ended: trio.Event) -> None:
        async for _ in raw.frames():
            pass
        ended.set()


async def neighbours(url: str, found: Found, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """A native client and a deepstream client that talk to each other all the while; whoever waits too long is a fault."""
    raw = await Raw.open(f"{url}deepstream")
    async with raw.stream, connect(url, {"username": "neighbour"}, reconnect=False) as native:
        frames = raw.frames()
        for packet in (
            Packet(Topic.CONNECTION, ConnectionAction.CHALLENGE),
            Packet(Topic.AUTH, AuthAction.REQUEST, data='{"username":"neighbour"}'),
            Packet(Topic.EVENT, EventAction.SUBSCRIBE, names=["neighbour/x"], correlation_id="0"),
        ):
            await raw.stream.send_all(masked(2, _payload(binary.encode(packet))))
            await anext(frames)
        async with native.subscribe("neighbour/y") as feed:
            task_status.started()
            while True:
                began = time.monotonic()
                with trio.fail_after(PATIENCE):
                    await native.publish("neighbour/x", found.checks)
                    packet = binary.decode(await anext(frames))
                    assert packet.data == str(found.checks), packet
                    echo = Packet(Topic.EVENT, EventAction.EMIT, name="neighbour/y", data=packet.data)
                    await raw.stream.send_all(masked(2, _payload(binary.encode(echo))))
                    assert (await anext(feed)).data == found.checks
                found.checks += 1
                found.slowest_check = max(found.slowest_check, time.monotonic() - began)
                await trio.sleep(0.05)


def resident(process: RouterProcess) -> int:
    """The process's resident set in bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


async def fuzz(count: int, seed: int, *, at_once: int = 4) -> Found:
    """Send ``count`` frames over ``at_once`` connections at a time."""
    found = Found()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yml").write_text(RULES)
        (Path(folder) / "config.yml").write_text(CONFIG)
        async with router_process(Path(folder) / "config.yml") as router:
            async with trio.open_nursery() as nursery:
                await nursery.start(neighbours, router.url, found)
                await _attack(router.url, int(count * WARM), seed, found, at_once)
                found.warm = resident(router)
                await _attack(router.url, count, seed + 1_000, found, at_once)
                found.end = resident(router)
                nursery.cancel_scope.cancel()
            faults = [line for line in router.log.splitlines() if "_failed" in line or "Traceback" in line]
            found.faults += faults[:5]
    if found.end - found.warm > GROWTH:
        found.faults.append(f"the process grew by {(found.end - found.warm) / 2**20:.1f} MiB")
    return found


async def _attack(url: str, count: int, seed: int, found: Found, at_once: int) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(at_once):
            nursery.start_soon(Attack(url, count, seed + number, found).run)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000_000, help="frames")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    found = trio.run(lambda: fuzz(options.count, options.seed))
    print(f"{found.frames} frames over {found.connections} connections in {time.monotonic() - began:.0f} s")
    print("closed with", dict(sorted(found.closes.items())))
    print(f"neighbours: {found.checks} round trips, the slowest {found.slowest_check * 1000:.0f} ms")
    print(f"memory: {found.warm / 2**20:.1f} MiB warm, {found.end / 2**20:.1f} MiB at the end")
    for fault in found.faults:
        print("FAULT:", fault)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
