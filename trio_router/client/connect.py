"""How a program gets a client: one context manager, whose end is the end of everything the client did."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from trio_router.client.backoff import Backoff
from trio_router.client.client import Client
from trio_router.client.errors import RequestRefused
from trio_router.client.nursery import own_nursery
from trio_router.client.options import Answer, Login, Options
from trio_router.client.supervisor import Supervisor
from trio_router.client.token_auth import TokenAuth
from trio_router.client.trust import AccessToken
from trio_router.client.websocket import Target


@asynccontextmanager
async def connect(
    url: str,
    login: Login | TokenAuth = None,
    *,
    answer: Answer | None = None,
    access_token: AccessToken | None = None,
    headers: Sequence[tuple[str, str]] = (),
    tls: ssl.SSLContext | None = None,
    reconnect: bool = True,
    wait: bool = False,
    connect_timeout: float = 20.0,
    silence: float = 10.0,
    max_message: int = 4 * 1024 * 1024,
    backoff: Backoff | None = None,
    on_error: Callable[[RequestRefused], None] | None = None,
    open_stream: Callable[[], Awaitable[trio.abc.Stream]] | None = None,
) -> AsyncIterator[Client]:
    """Connect to the router at ``url`` (``ws://`` or ``wss://``), log in, and stay connected during the block.

    ``login`` is what the router's strategies expect (a mapping), or a function, plain or async, that gives it; the function is
    called for every login, so that it can fetch a fresh token. A :class:`~trio_router.client.token_auth.TokenAuth` fetches access
    tokens and prolongs the login with new ones; a :class:`~trio_router.client.key_auth.KeyAuth` logs a server program in.
    ``answer`` answers a strategy that asks back. ``access_token(channel, session_id, action)``, plain or async, gives the
    trust-token for a ``pvt:``, ``prs:`` or ``sys:`` name; it is called whenever one is opened, also after a reconnect and when the
    token of one has expired (:class:`~trio_router.client.trust.TokenEndpoint` is one).
    ``headers`` are added to the upgrade request; ``tls`` replaces the default TLS settings.

    A lost connection is made anew unless ``reconnect`` is False, the router says to stop, or it denies the login: ``backoff``
    says how long to wait between attempts. ``wait`` treats the first connection the same way; otherwise its failure is raised here.
    ``silence`` is how many seconds beyond the router's ping interval it may say nothing before it counts as gone;
    ``max_message`` bounds what it may send in one piece (bytes). ``on_error`` gets refusals of what nobody waits for;
    by default they are logged. ``open_stream`` replaces TCP and TLS altogether, for example by a Unix socket.

    Raises:
        LoginDenied: the router refused the credentials.
        LoginUnavailable: the router cannot check logins at the moment.
        ConnectFailed: there is no router, or it does not speak this protocol.
        ValueError: ``url`` is not a WebSocket URL.
    """
    tokens = login if isinstance(login, TokenAuth) else None
    options = Options(
        login=login.login if isinstance(login, TokenAuth) else login,
        spent=tokens.forget if tokens else None,
        answer=answer,
        access_token=access_token,
        headers=tuple(headers),
        tls=tls,
        reconnect=reconnect,
        wait=wait,
        connect_timeout=connect_timeout,
        silence=silence,
        max_message=max_message,
        backoff=backoff or Backoff(),
        on_error=on_error,
        open_stream=open_stream,
    )
    supervisor = Supervisor(Target.parse(url), options)
    await supervisor.first()
    client = Client(supervisor, on_error, tokens.expiring if tokens else None)
    async with AsyncExitStack() as stack:
        if tokens:
            await stack.enter_async_context(tokens.used())
        nursery = await stack.enter_async_context(own_nursery())
        nursery.start_soon(supervisor.keep, client.received, client.interrupted)
        if tokens:
            nursery.start_soon(tokens.keep, supervisor)
        try:
            yield client
        finally:
            await supervisor.close()
