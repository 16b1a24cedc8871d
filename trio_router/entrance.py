"""Where clients and administrators come in: the sockets, and what listens on them from the start to the drain.

It must not know what is served. The rule that keeps it honest: everything is bound before anybody is let in, and whoever is
accepted is judged by one policy, which is replaced in one step (T69).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from trio_router.config.schema import Config
from trio_router.http.listener import serve_admin
from trio_router.http.serve import HttpServer
from trio_router.inheritance import ADMIN, LISTEN, Inheritance, Place
from trio_router.listening import authority, open_sockets, place_of, policy_of, port_of
from trio_router.transport.listener import Listener, Policy

ADMIN_BACKLOG: Final = 64


class Entrance:
    """The sections ``listen`` and ``admin`` of ``config``. Raises ``ConfigError``: a certificate is refused."""

    def __init__(self, config: Config, inherited: Inheritance) -> None:
        self._listen, self._admin = config.listen, config.admin
        self._inherited = inherited
        self._policy = policy_of(config)
        self._clients: list[trio.SocketListener] = []
        self._administrators: list[trio.SocketListener] = []
        self._administration = trio.CancelScope()
        self._listeners: tuple[Listener, ...] = ()

    @property
    def policy(self) -> Policy:
        """What is let in."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._policy = policy
        for listener in self._listeners:
            listener.policy = policy

    async def open(self) -> None:
        """Bind, or take what was inherited; nobody is accepted yet. Raises ``ConfigError``."""
        listen, admin = self._listen, self._admin
        place = self._inherited.place(LISTEN, listen.host, listen.port)
        self._clients = await open_sockets(listen.host, listen.port, listen.backlog, LISTEN, place)
        if admin is not None:
            place = self._inherited.place(ADMIN, admin.host, admin.port)
            self._administrators = await open_sockets(admin.host, admin.port, ADMIN_BACKLOG, ADMIN, place)

    def places(self) -> dict[str, Place]:
        """Copies of the sockets for a next router; the caller closes them. Raises ``OSError``: no descriptors are left."""
        listen, admin = self._listen, self._admin
        clients = place_of(self._clients, listen.host, listen.port)
        if admin is None:
            return {LISTEN: clients}
        try:
            return {LISTEN: clients, ADMIN: place_of(self._administrators, admin.host, admin.port)}
        except OSError:
            clients.close()
            raise

    async def let_in_administrators(self, nursery: trio.Nursery, server: HttpServer) -> str:
        """Accept them; gives the URL."""
        assert self._admin is not None  # noqa: S101 - without the section there is nothing to serve them with
        await nursery.start(serve_admin, server, self._administrators, self._administration)
        return f"http://{authority(self._admin.host, port_of(self._administrators[0]))}"

    async def let_in(self, nursery: trio.Nursery, make: Callable[..., Listener]) -> str:
        """Accept clients by what ``make`` makes of a socket and a ``policy``; gives the URL."""
        self._listeners = tuple(make(socket, policy=self._policy) for socket in self._clients)
        for listener in self._listeners:
            await nursery.start(listener.run)
        scheme = "wss" if self._listen.tls else "ws"
        return f"{scheme}://{authority(self._listen.host, port_of(self._clients[0]))}{self._listen.path}"

    def stop(self) -> None:
        """Accept no further client."""
        for listener in self._listeners:
            listener.stop()

    async def finish(self, patience: float) -> None:
        """Let those who were accepted last come to their end; they have ``patience`` seconds for their handshake."""
        for listener in self._listeners:
            await listener.finish(patience)

    def dismiss_administrators(self) -> None:
        """Nobody is answered by this administration any more."""
        self._administration.cancel()
