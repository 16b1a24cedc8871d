"""``trio-router users``: the built-in users, straight in the store the config names.

The work is ``auth.accounts``. A running router sees every change at the next login; to end sessions at once, use its
REST interface instead. The rule that keeps it honest: no password comes from an argument or goes into an answer, except a
generated one, once (T62).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from trio_router.auth import userfile
from trio_router.auth.accounts import MAX_PAGE, AccountError, Accounts, Imported, public
from trio_router.auth.passwords import PasswordHasher
from trio_router.cli import output
from trio_router.cli.output import UNAVAILABLE, Failure, config_option, json_option, line, safe_json, table
from trio_router.cli.passwords import obtain, password_options
from trio_router.cli.spaces import app_option, find_space
from trio_router.clock import SystemClock
from trio_router.config.load import load
from trio_router.config.schema import APP
from trio_router.errors import RemoteProtocolError
from trio_router.protocols import strictjson
from trio_router.secret import Secret
from trio_router.storage.opening import open_user_store
from trio_router.storage.users import UserRecord

T = TypeVar("T")

_EXIT: Final = {"busy": UNAVAILABLE}


class JsonType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """An argument in JSON, as strict as everywhere."""

    name = "JSON"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return strictjson.decode(value)
        except RemoteProtocolError as error:
            self.fail(f"not JSON: {error.detail}", param, ctx)


JSON: Final = JsonType()


def with_accounts(config_path: str, work: Callable[[Accounts], Awaitable[T]], app: str = APP) -> T:
    """What ``work`` gives for the users of ``app`` in the config's store.

    Raises:
        Failure: the config is refused, has no such app, the store does not answer, or the work was not carried out.
    """

    async def main() -> T:
        config = load(config_path)
        await find_space(config, app)
        store = open_user_store(config.storage.url, config.base)
        try:
            return await work(Accounts(store, app, PasswordHasher(), SystemClock()))
        finally:
            await store.aclose()

    try:
        return output.run(main)
    except AccountError as error:
        raise Failure(str(error), code=f"user_{error.slug}", exit_code=_EXIT.get(error.slug, 1)) from None


@click.group()
def users() -> None:
    """Administer the built-in users.

    A running router sees changes at the next login. To end the sessions a user has, use its REST interface.
    """


@users.command()
@click.argument("user_id")
@password_options
@click.option("--no-password", is_flag=True, help="Nobody can log in as this user until a password is set.")
@click.option("--data", type=JSON, help="What rules see as user.data, a JSON object.")
@click.option("--client-data", type=JSON, help="What the client is handed at login, in JSON.")
@click.option("--disabled", is_flag=True, help="The user cannot log in until enabled.")
@app_option
@config_option
@json_option
def add(
    *,
    user_id: str,
    generate: bool,
    from_stdin: bool,
    no_password: bool,
    data: Any,
    client_data: Any,
    disabled: bool,
    app: str,
    config_path: str,
    as_json: bool,
) -> None:
    """Add the user USER_ID. The password is asked for, or see --generate and --stdin."""
    if no_password and (generate or from_stdin):
        raise click.UsageError("--no-password goes with neither --generate nor --stdin")
    password = None if no_password else obtain(generate=generate, from_stdin=from_stdin)
    user = with_accounts(
        config_path,
        lambda accounts: accounts.add(user_id, password, data=data, client_data=client_data, disabled=disabled),
        app,
    )
    _tell(user, "added", as_json=as_json, generated=password if generate else None)


@users.command("list")
@app_option
@config_option
@json_option
def list_users(*, app: str, config_path: str, as_json: bool) -> None:
    """List all users."""

    async def work(accounts: Accounts) -> list[UserRecord]:
        found: list[UserRecord] = []
        while page := await accounts.list(after=found[-1].id if found else "", limit=MAX_PAGE):
            found += page
        return found

    found = with_accounts(config_path, work, app)
    if as_json:
        for user in found:
            line(safe_json(public(user)))
        return
    rows = [
        (
            user.id,
            "disabled" if user.disabled else "active" if user.password_hash else "no password",
            dt.datetime.fromtimestamp(user.created_at, dt.UTC).strftime("%Y-%m-%d %H:%M"),
            "" if user.data is None else safe_json(user.data),
        )
        for user in found
    ]
    table(("USER", "STATE", "CREATED (UTC)", "DATA"), rows)


@users.command()
@click.argument("user_id")
@app_option
@config_option
@json_option
def disable(*, user_id: str, app: str, config_path: str, as_json: bool) -> None:
    """Let USER_ID log in no more."""
    _tell(with_accounts(config_path, lambda accounts: accounts.disable(user_id), app), "disabled", as_json=as_json)


@users.command()
@click.argument("user_id")
@app_option
@config_option
@json_option
def enable(*, user_id: str, app: str, config_path: str, as_json: bool) -> None:
    """Let USER_ID log in again."""
    _tell(with_accounts(config_path, lambda accounts: accounts.enable(user_id), app), "enabled", as_json=as_json)


@users.command()
@click.argument("user_id")
@app_option
@config_option
@json_option
def remove(*, user_id: str, app: str, config_path: str, as_json: bool) -> None:
    """Forget USER_ID."""
    with_accounts(config_path, lambda accounts: accounts.remove(user_id), app)
    line(safe_json({"id": user_id, "removed": True}) if as_json else f"{user_id}: removed")


@users.command("set-password")
@click.argument("user_id")
@password_options
@app_option
@config_option
@json_option
def set_password(*, user_id: str, generate: bool, from_stdin: bool, app: str, config_path: str, as_json: bool) -> None:
    """Give USER_ID a new password: asked for, or see --generate and --stdin."""
    password = obtain(generate=generate, from_stdin=from_stdin)
    user = with_accounts(config_path, lambda accounts: accounts.set_password(user_id, password), app)
    _tell(user, "new password set", as_json=as_json, generated=password if generate else None)


@users.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--update", is_flag=True, help="Change users who exist to what the file says.")
@app_option
@config_option
@json_option
def import_users(*, file: Path, update: bool, app: str, config_path: str, as_json: bool) -> None:
    """Import the users of the YAML FILE. Users who exist already stay as they are, unless --update."""

    async def work(accounts: Accounts) -> Imported:
        return await accounts.import_users(userfile.load(file), update=update)

    done = with_accounts(config_path, work, app)
    if as_json:
        line(safe_json({"added": done.added, "updated": done.updated, "unchanged": done.unchanged}))
        return
    line(f"{len(done.added)} added, {len(done.updated)} updated, {len(done.unchanged)} unchanged")


def _tell(user: UserRecord, what: str, *, as_json: bool, generated: Secret | None = None) -> None:
    if as_json:
        shown = public(user)
        if generated is not None:
            shown["password"] = generated.reveal()
        line(safe_json(shown))
        return
    line(f"{user.id}: {what}")
    if generated is not None:
        line(f"password (shown this once): {generated.reveal()}")
