"""``trio-router apps``: which apps there are, and those that are made at run time, straight in the store the config names.

The work is ``auth.apps``. Running routers follow within ``storage.poll_interval``. The rule that keeps it honest: what stands in the
config is changed in the config; a command never writes to that file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from trio_router.auth.apps import AppRefused, Apps
from trio_router.cli import output
from trio_router.cli.output import Failure, config_option, json_option, line, safe_json, table
from trio_router.clock import SystemClock
from trio_router.config.load import load, with_made
from trio_router.config.schema import Config, Space
from trio_router.storage.apps import AppRecord
from trio_router.storage.opening import open_app_store

T = TypeVar("T")


def with_apps(config_path: str, work: Callable[[Apps], Awaitable[T]]) -> T:
    """What ``work`` gives for the apps in the config's store.

    Raises:
        Failure: the config is refused, the store does not answer, or the work was not carried out.
    """

    async def main() -> T:
        config = load(config_path)
        store = open_app_store(config.storage.url, config.base)
        try:
            others = [(app.name, app.path) for app in await store.list()]

            def fault(app: AppRecord) -> str:
                return with_made(config, [*others, (app.name, app.path)])[1].get(app.name, "")

            return await work(Apps(store, SystemClock(), of_config=config.names_of_file, fault=fault))
        finally:
            await store.aclose()

    try:
        return output.run(main)
    except AppRefused as error:
        raise Failure(str(error), code=f"app_{error.slug}") from None


@click.group()
def apps() -> None:
    """Look at the apps of a router; make, disable and remove those that do not stand in its config.

    How they are served says `new_apps` in the config. Running routers follow within half a second.
    """


@apps.command("list")
@config_option
@json_option
def list_apps(*, config_path: str, as_json: bool) -> None:
    """List the apps: where clients connect, how they log in, and which were made at run time."""

    async def main() -> tuple[Config, dict[str, AppRecord], dict[str, str]]:
        config = load(config_path)
        if config.new_apps is None:
            return config, {}, {}
        store = open_app_store(config.storage.url, config.base)
        try:
            made = {app.name: app for app in await store.list()}
        finally:
            await store.aclose()
        whole, faults = with_made(config, [(app.name, app.path) for app in made.values()])
        return whole, made, faults

    config, made, faults = output.run(main)
    if as_json:
        for space in config.spaces():
            line(safe_json(_shown(space, made.get(space.name) if space.name in config.made else None)))
        return
    rows = [
        (space.name, space.path, ", ".join(step.strategy for step in space.login), _state(config, space, made))
        for space in config.spaces()
    ]
    rows += [(name, made[name].path, "", f"not served: {fault}") for name, fault in faults.items()]
    table(("APP", "PATH", "LOGIN", "STATE"), rows)


@apps.command()
@click.argument("name")
@click.option("--path", help="Where its clients connect; by default / and the name.")
@config_option
@json_option
def create(*, name: str, path: str | None, config_path: str, as_json: bool) -> None:
    """Make the app NAME, without users and keys: `keys create --app NAME` and `users add --app NAME` are next."""
    app = with_apps(config_path, lambda found: found.create(name, path=path))
    _tell(app, f"created, at {app.path}", as_json=as_json)


@apps.command()
@click.argument("name")
@config_option
@json_option
def disable(*, name: str, config_path: str, as_json: bool) -> None:
    """Serve NAME no more; its sessions end, its users and keys are kept."""
    _tell(with_apps(config_path, lambda found: found.disable(name)), "disabled", as_json=as_json)


@apps.command()
@click.argument("name")
@config_option
@json_option
def enable(*, name: str, config_path: str, as_json: bool) -> None:
    """Serve NAME again."""
    _tell(with_apps(config_path, lambda found: found.enable(name)), "enabled", as_json=as_json)


@apps.command()
@click.argument("name")
@config_option
@json_option
def remove(*, name: str, config_path: str, as_json: bool) -> None:
    """Forget NAME with its users and keys; its sessions end."""
    with_apps(config_path, lambda found: found.remove(name))
    line(safe_json({"app": name, "removed": True}) if as_json else f"{name}: removed")


def _shown(space: Space, made: AppRecord | None) -> dict[str, Any]:
    login = [step.strategy for step in space.login]
    disabled = made is not None and made.disabled
    shown = {"app": space.name, "path": space.path, "login": login, "rules": str(space.rules)}
    return {**shown, "made": made is not None, "disabled": disabled}


def _state(config: Config, space: Space, made: dict[str, AppRecord]) -> str:
    if space.name not in config.made:
        return "in the config"
    return "disabled" if made[space.name].disabled else "made"


def _tell(app: AppRecord, what: str, *, as_json: bool) -> None:
    line(safe_json({"app": app.name, "path": app.path, "disabled": app.disabled}) if as_json else f"{app.name}: {what}")
