"""Which app a command is about: one of the config, or one that was made at run time.

The store is opened for apps made at run time alone. The rule that keeps it honest: an app that does not exist is refused by name, so
that nothing is stored for an app that nobody serves.
"""

from __future__ import annotations

from typing import Final

import click

from trio_router.cli import output
from trio_router.cli.output import Failure
from trio_router.config.load import with_made
from trio_router.config.schema import APP, Config, Space
from trio_router.storage.opening import open_app_store

app_option: Final = click.option("--app", default=APP, show_default=True, help="The app.")


async def with_stored(config: Config) -> Config:
    """``config`` with the apps that were made at run time, those that are disabled included. Raises ``StorageUnavailable``."""
    if config.new_apps is None:
        return config
    store = open_app_store(config.storage.url, config.base)
    try:
        apps = await store.list()
    finally:
        await store.aclose()
    return with_made(config, [(app.name, app.path) for app in apps])[0]


async def find_space(config: Config, app: str) -> Space:
    """The app of this name. Raises ``Failure`` and ``StorageUnavailable``."""
    if app not in config.names_of_file():
        config = await with_stored(config)
    for space in config.spaces():
        if space.name == app:
            return space
    known = ", ".join([space.name for space in config.spaces()][:20])
    raise Failure(f"there is no app {app!r} (there are {known})", code="app_unknown")


def space_of(config: Config, app: str) -> Space:
    """The same for commands that have no Trio run of their own. Raises ``Failure``."""
    return output.run(lambda: find_space(config, app))
