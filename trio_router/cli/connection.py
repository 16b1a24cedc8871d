"""How commands that talk to a router get a client: where it is, who we are, and errors as one line.

Knows ``trio_router.client`` and nothing of the router's inside. The rule that keeps it honest: credentials come from the
terminal, the environment or a private file, never from an argument or the URL (T62, T70).
"""

from __future__ import annotations

import functools
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import click

from trio_router.cli import output
from trio_router.cli.output import REFUSED, UNAVAILABLE, Failure
from trio_router.client.client import Client
from trio_router.client.connect import connect
from trio_router.client.errors import ClientError, ConnectFailed, ConnectionLost, LoginUnavailable, RequestRefused
from trio_router.config.references import ReferenceFailed, read_private
from trio_router.errors import RemoteProtocolError
from trio_router.protocols import strictjson
from trio_router.secret import Secret

DEFAULT_URL: Final = "ws://127.0.0.1:7000/"
PASSWORD_VARIABLE: Final = "TRIO_ROUTER_PASSWORD"  # noqa: S105 - the name of a variable
_LONGEST_INPUT: Final = 16 * 1024 * 1024

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@attrs.frozen
class Connection:
    """What the options said. ``tls`` is None for the system's authorities."""

    url: str
    login: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def open(self, *, reconnect: bool = False) -> AsyncIterator[Client]:
        """A client that is logged in."""
        async with connect(self.url, self.login, tls=self.tls, reconnect=reconnect) as client:
            yield client


def connection_options(command: F) -> F:
    """Adds the options and hands the command one ``connection``."""

    @click.option("--url", default=DEFAULT_URL, envvar="TRIO_ROUTER_URL", show_default=True, show_envvar=True)
    @click.option(
        "--username",
        "-u",
        envvar="TRIO_ROUTER_USERNAME",
        show_envvar=True,
        help=f"Log in with a password, asked for or taken from {PASSWORD_VARIABLE}.",
    )
    @click.option(
        "--token-file", type=click.Path(dir_okay=False, path_type=Path), help="Log in with the token in a file."
    )
    @click.option(
        "--ca-file", type=click.Path(dir_okay=False, path_type=Path), help="Trust these authorities (PEM) instead."
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any, url: str, username: str | None, token_file: Path | None, ca_file: Path | None, **rest: Any
    ) -> Any:
        if username is not None and token_file is not None:
            raise click.UsageError("choose one of --username and --token-file")
        login: Mapping[str, Any] | None = None
        if username is not None:
            login = {"username": username, "password": _password().reveal()}
        elif token_file is not None:
            login = {"token": _token(token_file).reveal()}
        return command(*args, connection=Connection(url, login, _tls(ca_file)), **rest)

    return wrapped  # type: ignore[return-value]


def talk(main: Callable[[], Awaitable[T]]) -> T:
    """Run ``main``; what goes wrong with the router ends the command with one line and its code."""
    try:
        return output.run(main)
    except ValueError as error:
        raise Failure(str(error), code="invalid_value", exit_code=REFUSED) from None
    except ClientError as error:
        raise failure(error) from None
    except ExceptionGroup as group:
        found = _client_errors(group)
        if found is None:
            raise
        raise failure(found) from None


def failure(error: ClientError) -> Failure:
    """The command's end for an error of the client library."""
    if isinstance(error, RequestRefused):
        exit_code = UNAVAILABLE if isinstance(error, LoginUnavailable) else REFUSED
        return Failure(f"{error} [{error.code}]", code=error.slug, exit_code=exit_code, detail=error.data)
    if isinstance(error, ConnectFailed | ConnectionLost):
        return Failure(str(error), code=getattr(error, "slug", "") or "no_connection", exit_code=UNAVAILABLE)
    return Failure(str(error), code="client_error")


def payload(text: str | None, *, as_text: bool) -> Any:
    """The value of a DATA argument: JSON (``-`` reads it from standard input), or text as it is.

    Raises:
        Failure: it is not JSON.
    """
    if text == "-":
        text = sys.stdin.read(_LONGEST_INPUT)
        if as_text:
            text = text.removesuffix("\n")
    if as_text or text is None:
        return text
    try:
        return strictjson.decode(text)
    except RemoteProtocolError as error:
        message = f"DATA is not JSON ({error.detail}); text is written '\"text\"', or use --text"
        raise Failure(message, code="invalid_data") from None


def child_environment() -> dict[str, str]:
    """The environment for a program we start: ours without our password (T62)."""
    return {name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE}


def _password() -> Secret:
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None:
        return Secret(given)
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is no terminal to ask for the password at: set {PASSWORD_VARIABLE}")
    return Secret(click.prompt("Password", hide_input=True, err=True))


def _token(path: Path) -> Secret:
    try:
        return Secret(read_private(path, str(path)).strip())
    except ReferenceFailed as error:
        raise Failure(str(error), code="token_file") from None


def _tls(ca_file: Path | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise Failure(f"{ca_file}: cannot be read as certificates in PEM", code="ca_file") from None


def _client_errors(group: BaseExceptionGroup[BaseException]) -> ClientError | None:
    for error in group.exceptions:
        if isinstance(error, ClientError):
            return error
        if isinstance(error, BaseExceptionGroup) and (found := _client_errors(error)):
            return found
    return None
