"""``trio-router audit``: whether decision logs are as the router wrote them.

The checking is ``audit.verify``; here it is only shown. The rule that keeps it honest: 0 only if nothing was found, and what
could not be checked (the end of a log without a head file) is said.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import click

from trio_router.audit.verify import Verified
from trio_router.audit.verify import verify as verify_files
from trio_router.cli.output import REFUSED, UNAVAILABLE, Failure, json_option, line, problem_lines, safe_json, stop


@click.group()
def audit() -> None:
    """Check decision logs."""


@audit.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE...")
@click.option("--expect", metavar="HASH", help="Some entry must have this hash, which was kept elsewhere.")
@json_option
def verify(*, files: tuple[Path, ...], expect: str | None, as_json: bool) -> None:
    """Check the decision logs FILE..., oldest first, as one chain: no entry changed, missing, added or moved.

    The end is compared with the head file beside the last FILE, or with --expect.
    """
    if expect is not None and not re.fullmatch("[0-9a-f]{64}", expect):
        raise click.UsageError("--expect takes a SHA-256, 64 digits in hexadecimal")
    try:
        found = verify_files(files, expect=expect)
    except OSError as error:
        message = f"{error.filename}: cannot be read: {error.strerror}"
        raise Failure(message, code="log_unreadable", exit_code=UNAVAILABLE) from None
    if as_json:
        line(safe_json({"ok": not found.problems, **attrs.asdict(found)}))
    else:
        problem_lines(found.problems, "red", "broken:")
        for text in _summary(found):
            line(text)
    if found.problems:
        stop(REFUSED)


def _summary(found: Verified) -> list[str]:
    state = "broken" if found.problems else "whole"
    lines = [f"{state}: {found.entries} entries, {found.decisions} decisions, last {found.last.seq} {found.last.hash}"]
    if found.begins_after:
        lines.append(f"begins after entry {found.begins_after}, which is in an earlier file")
    if found.dropped:
        lines.append(f"{found.dropped} decisions could not be written, as the log itself says")
    if not found.tail_checked:
        lines.append("the end was not checked: there is no head file, and no --expect")
    return lines
