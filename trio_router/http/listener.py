"""The administration listener: a few plain TCP connections, each handed to an :class:`HttpServer`.

Knows sockets and no route. Clients never come here; their listener is ``trio_router.transport``. The rule that keeps it
honest: at most ``CONNECTIONS`` at a time, so that whoever reaches this port can take nothing from the clients' side.
"""

from __future__ import annotations

from typing import Final

import trio

from trio_router import log
from trio_router.http.serve import Address, HttpServer

CONNECTIONS: Final = 64

_log = log.get("admin")


async def serve_admin(
    server: HttpServer,
    listeners: list[trio.SocketListener],
    accepting: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Accept connections until ``accepting`` is cancelled; those there are are served on until this is."""
    places = trio.Semaphore(CONNECTIONS)

    async def handle(stream: trio.SocketStream) -> None:
        try:
            places.acquire_nowait()
        except trio.WouldBlock:
            _log.warning("admin_full", connections=CONNECTIONS)
            await trio.aclose_forcefully(stream)
            return
        try:
            ends = (_address(stream.socket.getpeername()), _address(stream.socket.getsockname()))
            await server.serve(stream, client=ends[0], server=ends[1])
        except OSError:
            await trio.aclose_forcefully(stream)  # gone before it was looked at
        finally:
            places.release()

    async with trio.open_nursery() as nursery:
        with accepting:
            task_status.started()
            await trio.serve_listeners(handle, listeners, handler_nursery=nursery)


def _address(name: tuple[object, ...]) -> Address:
    return str(name[0]), int(str(name[1]))
