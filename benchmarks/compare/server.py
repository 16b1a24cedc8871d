"""What a server is to the benchmark: how it is installed, started and spoken to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs


class Missing(Exception):
    """This server cannot be had here; the text says why."""


@attrs.frozen
class Server:
    """``command`` makes what is needed in a folder and gives the command line for a port. ``offers`` are the kinds of work it can do.

    ``options`` go to the generator. ``install`` puts it into ``.bench`` or raises ``Missing``; it is called only if asked to.
    ``check`` raises ``Missing`` if it is not there.
    """

    name: str
    about: str
    command: Callable[[Path, int], list[str]]
    offers: frozenset[str]
    options: dict[str, str] = attrs.field(factory=dict)
    install: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None
    environ: dict[str, str] = attrs.field(factory=dict)


def offers(*words: str) -> frozenset[str]:
    return frozenset(words)
