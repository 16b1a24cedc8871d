"""Sockets that were open before this process was: from systemd, or from the router before it.

Owns the two conventions (``LISTEN_FDS`` of systemd, ``TRIO_ROUTER_HANDOVER`` of our own) and knows neither routers nor what is served. The
rule that keeps it honest: what is inherited is taken once and its variables go from the environment, so that no child takes it too.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Final

import attrs

from trio_router.errors import ConfigError, Problem

FIRST: Final = 3
"""The first descriptor of systemd's."""

VARIABLE: Final = "TRIO_ROUTER_HANDOVER"
ADMIN: Final = "admin"
LISTEN: Final = "listen"


@attrs.frozen
class Place:
    """Listening sockets, and the ``host`` and ``port`` of the config that they were opened for; "" from systemd, which decides itself."""

    sockets: tuple[socket.socket, ...]
    host: str = ""
    port: int = 0

    def close(self) -> None:
        """Close them here; whoever has copies listens on."""
        for one in self.sockets:
            one.close()

    def fits(self, host: str, port: int) -> bool:
        """Whether they are what a config with these wants."""
        return not self.host or (host, port) == (self.host, self.port)


@attrs.frozen
class Inheritance:
    """What there is, by the section of the config: ``listen``, ``admin``. ``channel`` leads to the router before, if there is one."""

    places: Mapping[str, Place] = attrs.field(factory=dict)
    channel: socket.socket | None = None

    def place(self, section: str, host: str, port: int) -> Place | None:
        """The sockets for ``section``, or None if it has to open its own."""
        place = self.places.get(section)
        return place if place is not None and place.fits(host, port) else None

    @classmethod
    def take(cls, environ: MutableMapping[str, str] = os.environ) -> Inheritance:
        """What this process was given. Raises ``ConfigError``: it is not what it should be."""
        handed = environ.pop(VARIABLE, "")
        pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
        if handed:
            return _handed(handed)
        if pid == str(os.getpid()) and count.isdecimal() and int(count):
            return _activated(int(count), names.split(":") if names else [])
        return cls()


def handed_over(places: Mapping[str, Place], channel: socket.socket) -> str:
    """What the next router finds in ``VARIABLE``."""
    value = {
        "channel": channel.fileno(),
        "places": {
            section: {"fds": [one.fileno() for one in place.sockets], "host": place.host, "port": place.port}
            for section, place in places.items()
        },
    }
    return json.dumps(value)


def _handed(text: str) -> Inheritance:
    try:
        value = json.loads(text)
        places = {
            section: Place(tuple(_listening(fd) for fd in place["fds"]), place["host"], place["port"])
            for section, place in value["places"].items()
        }
        return Inheritance(places, _open(value["channel"]))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _refused(f"{VARIABLE} does not name sockets of the router before: {error}") from None


def _activated(count: int, names: Sequence[str]) -> Inheritance:
    places: dict[str, list[socket.socket]] = {}
    for number in range(count):
        section = ADMIN if number < len(names) and names[number] == ADMIN else LISTEN
        try:
            places.setdefault(section, []).append(_listening(FIRST + number))
        except (ValueError, OSError) as error:
            raise _refused(f"socket {number + 1} of systemd cannot be used: {error}") from None
    return Inheritance({section: Place(tuple(sockets)) for section, sockets in places.items()})


def _open(fd: int) -> socket.socket:
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)


def _listening(fd: int) -> socket.socket:
    found = _open(fd)
    if found.family not in {socket.AF_INET, socket.AF_INET6} or found.type != socket.SOCK_STREAM:
        raise ValueError("it is no TCP socket")
    if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ValueError("it does not listen")
    return found


def _refused(message: str) -> ConfigError:
    return ConfigError(Problem(message, field=LISTEN))
