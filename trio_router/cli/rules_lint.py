"""``trio-router rules lint``: find rules that hardly do what their author meant. The finding is ``permissions.lint``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from trio_router.cli.output import REFUSED, json_option, line, problems_failure, safe_json, stop
from trio_router.config.check import MAX_RULES
from trio_router.config.load import read_text
from trio_router.errors import ProblemsError
from trio_router.log import printable
from trio_router.permissions.lint import lint as find
from trio_router.permissions.lint_codes import CODES, HINT, WARNING

_COLOURS = {WARNING: "yellow", HINT: "cyan"}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--no-fail", is_flag=True, help="Exit with 0 whatever is found.")
@click.option("--no-hints", is_flag=True, help="Leave out what may well be meant.")
@json_option
def lint(*, files: Sequence[Path], no_fail: bool, no_hints: bool, as_json: bool) -> None:
    """Find what looks wrong in rules FILES that load: unreachable patterns, parts that are always true, results that are no booleans.

    Exits with 1 if there is a warning; hints alone do not fail.
    """
    found = []
    for path in files:
        try:
            found += [(str(path), finding) for finding in find(read_text(path, MAX_RULES), str(path))]
        except ProblemsError as error:
            raise problems_failure(error) from None
    if no_hints:
        found = [(source, finding) for source, finding in found if finding.severity != HINT]
    warnings = sum(finding.severity == WARNING for _, finding in found)
    if as_json:
        listed = [
            {"source": source, **attrs.asdict(finding), "severity": finding.severity, "fix": CODES[finding.code].fix}
            for source, finding in found
        ]
        line(safe_json({"warnings": warnings, "hints": len(found) - warnings, "findings": listed}))
    else:
        for source, finding in found:
            text = printable(f"{source}:{finding.line}:{finding.column}: {finding}")
            line(click.style(text, fg=_COLOURS[finding.severity]) if finding.severity == HINT else text)
        line(f"{_count(warnings, 'warning')}, {_count(len(found) - warnings, 'hint')}")
    if warnings and not no_fail:
        stop(REFUSED)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
