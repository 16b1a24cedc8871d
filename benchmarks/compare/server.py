"""What a server is to the benchmark: how it is installed, started and spoken to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from benchmarks.generator import ROOT

BESIDE: Final = "beside"
"""The file in a server's folder that holds the port of the service it asks."""


class Missing(Exception):
    """This server cannot be had here; the text says why."""


@attrs.frozen
class Server:
    """``command`` makes what is needed in a folder and gives the command line for a port. ``offers`` are the kinds of work it can do.

    ``beside`` is the command line of a service that the server asks, which takes its port from the environment (``PORT``). It is
    started before ``command`` is called, which finds that port in the file ``BESIDE``; it is not on the server's core and not counted.

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
    beside: tuple[str, ...] = ()


def offers(*words: str) -> frozenset[str]:
    return frozenset(words)


COUNTING_WEBHOOK: Final = (sys.executable, str(ROOT / "benchmarks" / "counting_webhook.py"))
"""Lets everybody in, at little cost. The name in what a client logs in with is who it is."""

NAMED: Final = '{"name":"user%d"}'
"""What the generator's clients log in with there, each with its own name."""
