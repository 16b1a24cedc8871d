"""What the router lends to a strategy when it is built. Strategies take what they need and know nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import attrs
import structlog

from trio_router.clock import Clock
from trio_router.metrics import Metrics
from trio_router.storage.keys import KeyStore
from trio_router.storage.memorykeys import MemoryKeyStore
from trio_router.storage.users import UserStore


@attrs.frozen
class HttpAnswer:
    """A complete answer of an HTTP service: ``headers`` with names in lower case, ``body`` within the cap."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)


class OutboundError(Exception):
    """No usable answer. ``reason`` is a fixed slug.

    ``timeout``, ``connect``, ``tls``, ``protocol`` (broken off, or not HTTP), ``too_big``, ``encoded`` (compressed);
    ``header`` and ``url``: the request itself cannot be sent.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Outbound(Protocol):
    """The router's only way to talk HTTP to the outside (the module behind it is the only importer of httpx)."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        timeout: float,
        max_body: int,
    ) -> HttpAnswer:
        """One request: no redirects, no proxy or netrc from the environment, no compressed answers.

        ``timeout`` (seconds) bounds the whole exchange whatever the body does; ``max_body`` is in bytes.

        Raises:
            OutboundError: there is no usable answer; the slug says why.
        """


@attrs.frozen
class Services:
    """Handed to ``StrategyType.build``. ``base`` is the folder of the config file, for relative paths.

    ``users`` and ``keys`` open the stores of built-in users and of app keys on first use, so that a router that needs neither
    needs no database. ``keys`` may raise ``ConfigError``: secrets cannot be kept as things are configured.
    """

    app: str
    clock: Clock
    outbound: Outbound
    users: Callable[[], UserStore]
    base: Path
    log: structlog.stdlib.BoundLogger
    metrics: Metrics = attrs.field(factory=Metrics)
    keys: Callable[[], KeyStore] = MemoryKeyStore
