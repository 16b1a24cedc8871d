"""``trio-router rules ...``: what can be asked of rules files. Owns the list of these commands, each in a module of its own."""

from __future__ import annotations

from typing import Final

import click

from trio_router.cli.main import Commands

COMMANDS: Final = {
    "explain": "trio_router.cli.rules_explain:explain",
    "test": "trio_router.cli.rules_test:test",
    "lint": "trio_router.cli.rules_lint:lint",
    "fmt": "trio_router.cli.rules_fmt:fmt",
    "import": "trio_router.cli.rules_import:import_rules",
    "diff": "trio_router.cli.rules_diff:diff",
    "who": "trio_router.cli.rules_who:who",
    "can": "trio_router.cli.rules_who:can",
}


class RulesCommands(Commands):
    """The commands below ``rules``."""

    table = COMMANDS


@click.group(cls=RulesCommands)
def rules() -> None:
    """Explain, test and compare rules files."""
