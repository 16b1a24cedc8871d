"""A stream that gives back what was read of it too early. It owns those bytes and passes everything else through."""

from __future__ import annotations

import trio


class ReplayStream(trio.abc.Stream):
    """``inner``, with ``replay`` received first."""

    def __init__(self, inner: trio.abc.Stream, replay: bytes) -> None:
        self._inner = inner
        self._replay = replay

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if not self._replay:
            return bytes(await self._inner.receive_some(max_bytes))
        await trio.lowlevel.checkpoint()
        size = len(self._replay) if max_bytes is None else max_bytes
        data, self._replay = self._replay[:size], self._replay[size:]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._inner.aclose()
