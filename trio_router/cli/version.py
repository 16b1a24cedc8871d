"""``trio-router version``: which router this is, and on what it runs. Knows no configuration."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed

import click

from trio_router import __version__
from trio_router.cli.output import json_option, line, safe_json


@click.command()
@json_option
def version(*, as_json: bool) -> None:
    """Print the version of the router, of Python and of Trio."""
    facts = {"trio_router": __version__, "python": platform.python_version(), "trio": installed("trio")}
    line(safe_json(facts) if as_json else ", ".join(f"{name} {number}" for name, number in facts.items()))
