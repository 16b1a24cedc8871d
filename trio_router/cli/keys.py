"""``trio-router keys``: app keys, straight in the store the config names.

The work is ``auth.keys``. Running routers follow within ``storage.poll_interval``, and know a new key at its first login. The rule
that keeps it honest: a secret is printed once, by the command that made it, and comes from no argument (T62).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click

from trio_router.auth.keys import GRACE, Issued, KeyRefused, Keys, public
from trio_router.cli import output
from trio_router.cli.output import Failure, config_option, json_option, line, safe_json, table
from trio_router.cli.spaces import find_space
from trio_router.clock import SystemClock
from trio_router.config.load import load
from trio_router.config.schema import APP
from trio_router.grants import GRANTS
from trio_router.storage.keys import KeyRecord
from trio_router.storage.opening import open_key_store

T = TypeVar("T")

app_option: Final = click.option("--app", default=APP, show_default=True, help="The app whose keys these are.")
grants_option: Final = click.option(
    "--grants", help=f"What the key may do at most, by commas: {', '.join(GRANTS)}; or none."
)


def with_keys(config_path: str, app: str, work: Callable[[Keys], Awaitable[T]]) -> T:
    """What ``work`` gives for the keys of ``app`` in the config's store.

    Raises:
        Failure: the config is refused, has no such app, the store does not answer, or the work was not carried out.
    """

    async def main() -> T:
        config = load(config_path)
        await find_space(config, app)
        store = open_key_store(config.storage.url, config.base, config.storage.encryption_key)
        try:
            return await work(Keys(store, app, SystemClock()))
        finally:
            await store.aclose()

    try:
        return output.run(main)
    except KeyRefused as error:
        raise Failure(str(error), code=f"key_{error.slug}") from None


@click.group()
def keys() -> None:
    """Administer app keys.

    Running routers follow within half a second: a key that is disabled, removed or restricted takes its sessions along.
    """


@keys.command()
@click.option("--id", "key_id", help="The key's id; one is made if it is left out.")
@click.option("--label", default="", help="What the key is for.")
@grants_option
@app_option
@config_option
@json_option
def create(*, key_id: str | None, label: str, grants: str | None, app: str, config_path: str, as_json: bool) -> None:
    """Make a key. Its secret is printed this once; clients need the key's name alone."""
    issued = with_keys(
        config_path,
        app,
        lambda found: found.create(key_id, label=label, grants=None if grants is None else _names(grants)),
    )
    _tell_secret(issued, "created", as_json=as_json)


@keys.command("list")
@app_option
@config_option
@json_option
def list_keys(*, app: str, config_path: str, as_json: bool) -> None:
    """List the keys of an app."""
    found = with_keys(config_path, app, lambda keys: keys.list())
    if as_json:
        for key in found:
            line(safe_json(public(key)))
        return
    rows = [
        (key.name, _state(key), ", ".join(key.grants.names()) or "nothing", _date(key.created_at), key.label)
        for key in found
    ]
    table(("KEY", "STATE", "MAY", "CREATED (UTC)", "LABEL"), rows)


@keys.command()
@click.argument("key_id")
@app_option
@config_option
@json_option
def disable(*, key_id: str, app: str, config_path: str, as_json: bool) -> None:
    """Let nobody log in by KEY_ID or with what it signed; its sessions end."""
    _tell(with_keys(config_path, app, lambda keys: keys.disable(key_id)), "disabled", as_json=as_json)


@keys.command()
@click.argument("key_id")
@app_option
@config_option
@json_option
def enable(*, key_id: str, app: str, config_path: str, as_json: bool) -> None:
    """Let KEY_ID be used again."""
    _tell(with_keys(config_path, app, lambda keys: keys.enable(key_id)), "enabled", as_json=as_json)


@keys.command()
@click.argument("key_id")
@click.option(
    "--grace", default=GRACE, show_default=True, help="Seconds the secret there is keeps working; 0 ends it now."
)
@app_option
@config_option
@json_option
def rotate(*, key_id: str, grace: float, app: str, config_path: str, as_json: bool) -> None:
    """Give KEY_ID a new secret, printed this once. The one before works for a grace period, an older one no more."""
    _tell_secret(with_keys(config_path, app, lambda keys: keys.rotate(key_id, grace=grace)), "rotated", as_json=as_json)


@keys.command()
@click.argument("key_id")
@click.argument("grants")
@app_option
@config_option
@json_option
def grant(*, key_id: str, grants: str, app: str, config_path: str, as_json: bool) -> None:
    """Let KEY_ID do at most GRANTS, separated by commas, or `none`; live sessions lose what is not among them."""
    _tell(
        with_keys(config_path, app, lambda keys: keys.grant(key_id, _names(grants))), "grants changed", as_json=as_json
    )


@keys.command()
@click.argument("key_id")
@app_option
@config_option
@json_option
def remove(*, key_id: str, app: str, config_path: str, as_json: bool) -> None:
    """Forget KEY_ID; its sessions end."""
    with_keys(config_path, app, lambda keys: keys.remove(key_id))
    name = f"{app}.{key_id}"
    line(safe_json({"key": name, "removed": True}) if as_json else f"{name}: removed")


def _names(grants: str) -> list[str]:
    return [] if grants == "none" else grants.split(",")


def _state(key: KeyRecord) -> str:
    if key.disabled:
        return "disabled"
    return "active" if key.expires_old is None else f"rotated, the old secret until {_date(key.expires_old)}"


def _date(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M")


def _tell(key: KeyRecord, what: str, *, as_json: bool) -> None:
    line(safe_json(public(key)) if as_json else f"{key.name}: {what}")


def _tell_secret(issued: Issued, what: str, *, as_json: bool) -> None:
    if as_json:
        shown: dict[str, Any] = {**public(issued.key), "secret": issued.secret.reveal()}
        line(safe_json(shown))
        return
    line(f"{issued.key.name}: {what}")
    line(f"secret (shown this once): {issued.secret.reveal()}")
