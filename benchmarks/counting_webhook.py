"""A login service that costs little and counts: who ``authData`` names is let in. ``GET`` gives how often it was asked since the last time, as JSON.

A program of its own, started by a benchmark: ``PORT`` is where it listens on loopback.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter

ASKED: Counter[str] = Counter()


class Service(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            fields = dict(line.lower().partition(b":")[::2] for line in head.split(b"\r\n")[1:])
            size = int(fields.get(b"content-length", b"0"))
            if len(rest) < size:
                return
            body, self._buffer = rest[:size], rest[size:]
            self._transport.write(self._answer(head, body))  # type: ignore[attr-defined]

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET"):
            text = json.dumps({"asked": ASKED.total(), "most": max(ASKED.values(), default=0)}).encode()
            ASKED.clear()
        else:
            name = json.loads(body)["authData"]["name"]
            ASKED[name] += 1
            text = name.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", int(os.environ["PORT"]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
