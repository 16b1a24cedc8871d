"""The entry point ``trio-router``: which commands there are, and what their exit codes mean.

Owns the list of commands and loads only the one that is called, so that ``publish`` does not wait for a database library.
Knows nothing of what they do. The rule that keeps it honest: every command ends with one of these codes, and an error is
one line on standard error (or one JSON object with ``--json``), never a traceback.

0 done · 1 refused, or problems were found · 2 wrong usage · 3 unavailable: no router, no store · 130 interrupted
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

COMMANDS: Final = {
    "apps": "trio_router.cli.apps:apps",
    "audit": "trio_router.cli.audit:audit",
    "call": "trio_router.cli.calls:call",
    "check": "trio_router.cli.check:check",
    "hash-password": "trio_router.cli.passwords:hash_password",
    "init": "trio_router.cli.init:init",
    "keys": "trio_router.cli.keys:keys",
    "listen": "trio_router.cli.events:listen",
    "provide": "trio_router.cli.calls:provide",
    "publish": "trio_router.cli.events:publish",
    "revoke": "trio_router.cli.revoke:revoke",
    "rules": "trio_router.cli.rules:rules",
    "serve": "trio_router.cli.serve:serve",
    "subscribe": "trio_router.cli.events:subscribe",
    "token": "trio_router.cli.token:token",
    "users": "trio_router.cli.users:users",
    "version": "trio_router.cli.version:version",
}


class Commands(click.Group):
    """Finds a command by name in ``table`` and imports its module then."""

    table: Mapping[str, str] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - overrides
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - overrides
        target = self.table.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """The realtime router that knows who may do what.

    Exit codes: 0 done, 1 refused or problems found, 2 wrong usage, 3 unavailable, 130 interrupted.
    """


def main() -> None:
    """What the console script runs."""
    cli.main(prog_name="trio-router")
