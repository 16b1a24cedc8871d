"""What a program can choose about its connection. Plain data, no behaviour but checking."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
import trio

from trio_router.client.backoff import Backoff
from trio_router.client.errors import RequestRefused
from trio_router.client.key_auth import KeyAuth
from trio_router.client.trust import AccessToken

Credentials = Mapping[str, Any]
Login = KeyAuth | Credentials | Callable[[], Credentials | Awaitable[Credentials | None] | None] | None
Answer = Callable[[str], str | Awaitable[str]]


@attrs.frozen
class Options:
    """See :func:`trio_router.client.connect`. Times are seconds, sizes are bytes."""

    login: Login = attrs.field(default=None, repr=False)
    spent: Callable[[], None] | None = attrs.field(default=None, repr=False)  # called when credentials hold no longer
    answer: Answer | None = attrs.field(default=None, repr=False)
    access_token: AccessToken | None = attrs.field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    tls: ssl.SSLContext | None = None
    reconnect: bool = True
    wait: bool = False
    connect_timeout: float = 20.0
    silence: float = 10.0  # beyond the ping interval the router announces
    max_message: int = 4 * 1024 * 1024
    steady: float = 10.0  # a connection that lasted this long lets the waits begin small again
    close_timeout: float = 2.0
    backoff: Backoff = attrs.field(factory=Backoff)
    on_error: Callable[[RequestRefused], None] | None = None
    open_stream: Callable[[], Awaitable[trio.abc.Stream]] | None = attrs.field(default=None, repr=False)
