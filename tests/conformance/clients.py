"""Official deepstream clients in one Node process, driven from here: orders go out, answers and what the clients saw come back.

The Node process serves all tests of a worker, because it takes a while to start; each test gets clients of its own, which are
closed behind it. The rule that keeps it honest: a client is the unmodified package; it is used through its public interface alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio

FOLDER: Final = Path(__file__).parent

PATIENCE: Final = 10.0
"""Seconds a client has to see what it should see."""

QUIET: Final = 0.15
"""Seconds in which nothing must come where nothing should."""

OPTIONS: Final = {
    "subscriptionInterval": 0,
    "reconnectIntervalIncrement": 100,
    "maxReconnectAttempts": 50,
    "offlineBufferTimeout": 2000,
}
"""What differs from the client's defaults, so that tests are not slow."""

UNDEFINED: Final = {"undefined": True}
"""How JavaScript's ``undefined`` arrives here."""


class NodeMissing(Exception):
    """There is no Node here."""


class ClientError(Exception):
    """A client threw."""


def start_node() -> subprocess.Popen[bytes]:
    """The Node process, for as long as its standard input stays open. Raises ``NodeMissing``."""
    node = shutil.which("node")
    if node is None:
        raise NodeMissing("not installed: node (package nodejs)")
    return subprocess.Popen(
        [node, "driver.mjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


class Client:
    """One official client. Orders are its methods; what it saw is in ``saw``, in order."""

    def __init__(self, name: str, node: Node) -> None:
        self.name = name
        self.saw: list[tuple[Any, ...]] = []
        self._node = node
        self._changed = trio.Event()

    async def do(self, what: str, *args: Any) -> Any:
        """One order; waits for what comes of it. Raises ``ClientError``."""
        return await self._node.order(what, args, client=self.name)

    async def tell(self, what: str, *args: Any) -> None:
        """One order of which nothing need come."""
        await self._node.tell(what, args, client=self.name)

    def note(self, entry: tuple[Any, ...]) -> None:
        """It saw something."""
        self.saw.append(entry)
        self._changed.set()
        self._changed = trio.Event()

    async def sees(self, *expected: Any, times: int = 1) -> None:
        """Wait until it has seen ``expected`` (a beginning of an entry is enough) so often."""
        with trio.move_on_after(PATIENCE) as scope:
            while len(self.all(*expected)) < times:
                await self._changed.wait()
        assert not scope.cancelled_caught, f"{self.name} did not see {expected}, but {self.saw}"

    def all(self, *start: Any) -> list[tuple[Any, ...]]:
        """Every entry that begins so."""
        return [entry for entry in self.saw if entry[: len(start)] == start]

    def events(self, name: str) -> list[Any]:
        """The data of every event of this name."""
        return [entry[2] for entry in self.all("event", name)]

    def errors(self) -> list[tuple[Any, ...]]:
        """The errors it reported: event and topic by their names."""
        return [entry[1:3] for entry in self.all("error")]

    # ---- what tests do most -----------------------------------------------------------------------------------

    async def login(self, *details: Any) -> tuple[bool, Any]:
        """Whether it was let in, and the data that came with the answer."""
        success, data = await self.do("login", *details)
        return success, data

    async def subscribe(self, *names: str) -> None:
        """Subscribe, and wait until the router has done it."""
        for name in names:
            await self.do("subscribe", name)
        await self.settled()

    async def make(self, name: str, *data: Any) -> Any:
        """What a call comes to: ``(error, result)``."""
        told = await self.do("make", name, *data)
        return told["error"], told["result"]

    async def settled(self) -> None:
        """Wait until the router has answered everything this client said before: it answers in order."""
        told = await self.do("make", "trio-router/session", None)
        assert told["error"] is None, told


class Node:
    """The driver's two pipes, for one test."""

    def __init__(self, orders: trio.lowlevel.FdStream) -> None:
        self.clients: dict[str, Client] = {}
        self.faults: list[str] = []
        self._orders = orders
        self._sending = trio.Lock()
        self._waiting: dict[int, Callable[[dict[str, Any]], None]] = {}

    async def open(self, name: str, url: str, **options: Any) -> Client:
        """A client of this name that connects to ``url``."""
        client = self.clients[name] = Client(name, self)
        await self.order("open", (name, url, OPTIONS | options))
        return client

    async def order(self, what: str, args: tuple[Any, ...], *, client: str | None = None) -> Any:
        """One order and its answer. Raises ``ClientError``."""
        number = _next_number()
        done = trio.Event()
        answers: list[dict[str, Any]] = []

        def answered(answer: dict[str, Any]) -> None:
            answers.append(answer)
            done.set()

        self._waiting[number] = answered
        await self._send(number, what, args, client)
        with trio.fail_after(PATIENCE * 2):
            await done.wait()
        if "error" in answers[0]:
            raise ClientError(answers[0]["error"])
        return answers[0]["value"]

    async def tell(self, what: str, args: tuple[Any, ...], *, client: str | None = None) -> None:
        """One order, whatever comes of it."""
        await self._send(_next_number(), what, args, client)

    async def _send(self, number: int, what: str, args: tuple[Any, ...], client: str | None) -> None:
        order = {"id": number, "do": what, "args": args} | ({} if client is None else {"client": client})
        async with self._sending:
            await self._orders.send_all(json.dumps(order).encode() + b"\n")

    async def listen(self, output: trio.lowlevel.FdStream) -> None:
        """Take what the driver says, until cancelled."""
        rest = b""
        async for chunk in output:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        if "id" in said:
            if (waiting := self._waiting.pop(said["id"], None)) is not None:
                waiting(said)
        elif said["client"] is None:
            self.faults.append(said["saw"][1])
        elif (client := self.clients.get(said["client"])) is not None:
            client.note(tuple(said["saw"]))


_numbers = 0


def _next_number() -> int:
    """Unique in the Node process, so that a late answer is never taken for another test's."""
    global _numbers
    _numbers += 1
    return _numbers


@asynccontextmanager
async def clients_of(process: subprocess.Popen[bytes]) -> AsyncIterator[Node]:
    """The driver for one test; its clients are closed at the end, and a fault in any of them fails the test."""
    assert process.stdin is not None and process.stdout is not None
    orders, output = (trio.lowlevel.FdStream(os.dup(pipe.fileno())) for pipe in (process.stdin, process.stdout))
    async with orders, output, trio.open_nursery() as nursery:
        node = Node(orders)
        nursery.start_soon(node.listen, output)
        try:
            yield node
        finally:
            with trio.CancelScope(shield=True):
                for name in node.clients:
                    await node.order("forget", (name,))
            nursery.cancel_scope.cancel()
    assert not node.faults, node.faults
