"""Where commands get passwords from: the terminal, standard input, or a generator.

Never from an argument, which every user of the machine can read (T62). Knows no user and no store. The rule that keeps it
honest: a password is a ``Secret`` from the moment it is read; only a generated one is ever printed, and once.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from trio_router.auth.passwords import InvalidPassword, PasswordHasher, check_password
from trio_router.cli.output import Failure, json_option, line, run, safe_json
from trio_router.secret import Secret

GENERATED_BYTES: Final = 18  # 144 bits, 24 characters
_LONGEST_LINE: Final = 8 * 1024

F = TypeVar("F", bound=Callable[..., Any])


def password_options(command: F) -> F:
    """Adds ``--generate`` and ``--stdin``."""
    generate = click.option("--generate", is_flag=True, help="Make a random password and print it once.")
    stdin = click.option(
        "--stdin", "from_stdin", is_flag=True, help="Read the password from standard input (one line)."
    )
    return generate(stdin(command))


def generated() -> Secret:
    """A random password."""
    return Secret(secrets.token_urlsafe(GENERATED_BYTES))


def obtain(*, generate: bool, from_stdin: bool) -> Secret:
    """The password, from where the options say; by default from the terminal, asked for twice.

    Raises:
        Failure: this can be nobody's password.
        UsageError: the options contradict each other, or there is no terminal to ask at.
    """
    if generate and from_stdin:
        raise click.UsageError("choose one of --generate and --stdin")
    if generate:
        return generated()
    if from_stdin:
        password = Secret(sys.stdin.readline(_LONGEST_LINE).removesuffix("\n").removesuffix("\r"))
    elif not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask at: use --generate or --stdin")
    else:
        password = Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    try:
        check_password(password)
    except InvalidPassword as error:
        raise Failure(f"the password {error}", code="invalid_password") from None
    return password


@click.command("hash-password")
@password_options
@json_option
def hash_password(*, generate: bool, from_stdin: bool, as_json: bool) -> None:
    """Print the argon2id hash of a password, for a users file."""
    password = obtain(generate=generate, from_stdin=from_stdin)

    async def make() -> str:
        async with PasswordHasher().turn() as turn:
            return await turn.hash(password)

    hashed = run(make)
    if as_json:
        line(safe_json({"password_hash": hashed, **({"password": password.reveal()} if generate else {})}))
        return
    if generate:
        click.echo(f"password: {password.reveal()}", err=True)
    line(hashed)
