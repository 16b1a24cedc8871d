"""``trio-router check``: what is wrong with config and rules files, and what is unsafe.

The judging is ``config.check`` and ``permissions.loader``; here it is only shown. The rule that keeps it honest: exit code 1
if anything is wrong, whatever else is said; what is merely unsafe never fails the command unless asked to (``--strict``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from trio_router.cli.output import REFUSED, json_option, line, problem_lines, safe_json, stop
from trio_router.clock import SystemClock
from trio_router.config.check import MAX_RULES, Report
from trio_router.config.check import check as check_config
from trio_router.config.load import read_text
from trio_router.documents import DocumentError, read
from trio_router.errors import ConfigError, ProblemsError
from trio_router.permissions.loader import load_rules

_SECTIONS = frozenset({"event", "rpc", "presence", "record"})


@click.command()
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 for unsafe settings too.")
@json_option
def check(*, files: Sequence[Path], strict: bool, as_json: bool) -> None:
    """Check config and rules FILES (config.yml by default) and list what is wrong and what is unsafe.

    A config is checked with every file it names. A file with the sections of a rules file is checked as rules.
    """
    reports = [_judge(path) for path in files or (Path("config.yml"),)]
    problems = tuple(problem for report in reports for problem in report.problems)
    unsafe = tuple(problem for report in reports for problem in report.unsafe)
    if as_json:
        fields = {"problems": problems, "unsafe": unsafe}
        line(safe_json({"ok": not problems, **{k: [attrs.asdict(p) for p in found] for k, found in fields.items()}}))
    else:
        problem_lines(problems, "red", "error:")
        problem_lines(unsafe, "yellow", "unsafe:")
        line(f"{_count(len(problems), 'problem')}, {_count(len(unsafe), 'unsafe setting')}")
    if problems or (strict and unsafe):
        stop(REFUSED)


def _judge(path: Path) -> Report:
    try:
        text = read_text(path, MAX_RULES)
    except ConfigError as error:
        return Report(error.problems)
    if not _looks_like_rules(text, path):
        return check_config(path)
    try:
        load_rules(text, str(path), clock=SystemClock())
    except ProblemsError as error:
        return Report(error.problems)
    return Report()


def _looks_like_rules(text: str, path: Path) -> bool:
    try:
        document = read(text, str(path))
    except DocumentError:
        return path.name.startswith("rules")
    return isinstance(document.value, dict) and bool(_SECTIONS & set(document.value))


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"
