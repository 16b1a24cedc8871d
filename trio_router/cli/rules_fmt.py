"""``trio-router rules fmt``: rewrite rules files in the one way. The rewriting is ``permissions.formatting``.

The rule that keeps it honest: a file is replaced whole or not at all, and only if its rules are the same after as before.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from trio_router.cli.output import REFUSED, json_option, line, problems_failure, safe_json, stop
from trio_router.config.check import MAX_RULES
from trio_router.config.load import read_text
from trio_router.errors import ProblemsError
from trio_router.log import printable
from trio_router.permissions.formatting import format_rules


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a file would change.")
@json_option
def fmt(*, files: Sequence[Path], check: bool, as_json: bool) -> None:
    """Rewrite rules FILES with the order, indentation, quotes and spacing that all rules files share.

    Comments stay, and so does what the rules mean. A file in JSON becomes YAML, so it is refused.
    """
    changed = []
    for path in files:
        if path.suffix == ".json":
            raise click.UsageError(f"{path} is JSON, which has one way to be written already")
        try:
            text = read_text(path, MAX_RULES)
            made = format_rules(text, str(path))
        except ProblemsError as error:
            raise problems_failure(error) from None
        if made != text:
            changed.append(str(path))
            if not check:
                _replace(path, made)
    if as_json:
        line(safe_json({"changed": changed, "written": not check}))
    else:
        for name in changed:
            line(f"{printable(name)}: {'would change' if check else 'formatted'}")
    if check and changed:
        stop(REFUSED)


def _replace(path: Path, text: str) -> None:
    """Puts a new file in the place of the old one, in one step and with its mode."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(target.stat().st_mode & 0o7777)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
