"""``trio-router rules import``: make a rules file of a deepstream permissions file. The judging is ``permissions.deepstream``.

The rule that keeps it honest: nothing is written over, and every difference is told on standard error, wherever the rules go.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import click

from trio_router.cli.output import Failure, json_option, line, problems_failure, safe_json
from trio_router.config.check import MAX_RULES
from trio_router.config.load import read_text
from trio_router.errors import ProblemsError
from trio_router.log import printable
from trio_router.permissions.deepstream import import_permissions


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rules here, not to standard output.",
)
@click.option("--force", is_flag=True, help="Write over the output file if it is there.")
@json_option
def import_rules(*, file: Path, output: Path | None, force: bool, as_json: bool) -> None:
    """Make a rules file of the deepstream permissions FILE (YAML or JSON), and tell where rules mean something else here.

    What does not exist here is an error; nothing is written then.
    """
    try:
        made = import_permissions(read_text(file, MAX_RULES), str(file))
    except ProblemsError as error:
        raise problems_failure(error) from None
    if output is not None:
        try:
            with output.open("w" if force else "x", encoding="utf-8") as target:
                target.write(made.text)
        except FileExistsError:
            raise Failure(f"{output} is already there; --force writes over it", code="exists") from None
        except OSError as error:
            raise Failure(f"{output} cannot be written: {error.strerror}", code="unwritable") from None
    if as_json:
        found = [attrs.asdict(difference) for difference in made.differences]
        line(safe_json({"output": str(output) if output else None, "differences": found, "rules": made.text}))
        return
    if output is None:
        click.echo(made.text, nl=False)
    for difference in made.differences:
        click.echo(printable(f"{file}:{difference.line}:{difference.column}: {difference}"), err=True)
    count = len(made.differences)
    click.echo(f"{count} difference{'' if count == 1 else 's'}", err=True)
