"""From the config's ``listen`` to sockets and to what they let in.

It must not know what is served. The rule that keeps it honest: what cannot be bound or read is a ``ConfigError`` that names the
section, before anything listens.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence

import trio

from trio_router.config.schema import Config, Tls
from trio_router.errors import ConfigError, Problem
from trio_router.inheritance import Place
from trio_router.transport.addresses import TrustedProxies
from trio_router.transport.listener import Policy
from trio_router.transport.origin import OriginPolicy


async def open_sockets(
    host: str, port: int, backlog: int, section: str, inherited: Place | None = None
) -> list[trio.SocketListener]:
    """Listen on every address of ``host``, or on what was ``inherited``. ``section`` names it in errors. Raises ``ConfigError``."""
    if inherited is not None:
        return [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in inherited.sockets]
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    except OSError as error:
        raise cannot_bind(section, host, port, error) from None
    if port == 0:  # every address of the host would get a port of its own
        for extra in listeners[1:]:
            await extra.aclose()
        del listeners[1:]
    return listeners


def place_of(listeners: Sequence[trio.SocketListener], host: str, port: int) -> Place:
    """Copies of the sockets, to be handed on. Raises ``OSError``: there are no descriptors left."""
    copies: list[socket.socket] = []
    try:
        for listener in listeners:
            copies.append(socket.socket(fileno=os.dup(listener.socket.fileno())))  # noqa: PERF401 - those made are closed
    except OSError:
        for copy in copies:
            copy.close()
        raise
    return Place(tuple(copies), host, port)


def cannot_bind(section: str, host: str, port: int, error: OSError) -> ConfigError:
    """What to say about an address that cannot be listened on."""
    return ConfigError(Problem(f"cannot listen on {authority(host, port)}: {error.strerror or error}", field=section))


def policy_of(config: Config) -> Policy:
    """What the listener lets in. Raises ``ConfigError``: the certificate or its key cannot be used."""
    listen = config.listen
    return Policy(
        origins=OriginPolicy(listen.origins, require=listen.require_origin),
        proxies=TrustedProxies(listen.trusted_proxies),
        paths=paths_of(config),
        limits=config.limits,
        tls=_tls(listen.tls) if listen.tls else None,
    )


def paths_of(config: Config) -> dict[str, str]:
    """The paths of WebSockets of all apps, each with the protocol that is spoken there."""
    return {path: protocol for space in config.spaces() for path, protocol in config.endpoints(space).items()}


def _tls(files: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        message = f"certificate and key cannot be used: {error.strerror or 'not a pair in PEM'}"
        raise ConfigError(Problem(message, str(files.certificate), field="listen.tls")) from None
    return context


def authority(host: str, port: int) -> str:
    """``host:port`` as a URL spells it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def port_of(listener: trio.SocketListener) -> int:
    """The port it got."""
    port: int = listener.socket.getsockname()[1]
    return port
