"""How commands speak: JSON or a table on standard output, problems on standard error, one exit code.

Owns the form and no content. The rule that keeps it honest: what came from elsewhere reaches a terminal with every control
character escaped (T63), and an error is a text written for people, never ``repr`` of an exception.
"""

from __future__ import annotations

import json as jsonlib
from collections.abc import Awaitable, Callable, Sequence
from typing import IO, Any, Final, NoReturn, TypeVar

import attrs
import click
import trio

from trio_router.errors import Problem, ProblemsError, StorageUnavailable
from trio_router.log import printable

T = TypeVar("T")

REFUSED: Final = 1
UNAVAILABLE: Final = 3
INTERRUPTED: Final = 130

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")
config_option = click.option(
    "--config",
    "-c",
    "config_path",
    default="config.yml",
    envvar="TRIO_ROUTER_CONFIG",
    show_default=True,
    show_envvar=True,
    type=click.Path(dir_okay=False),
    help="The config file.",
)


class Failure(click.ClickException):
    """Ends a command: one line for people, one object for programs. ``code`` is a slug."""

    def __init__(self, message: str, *, code: str, exit_code: int = REFUSED, detail: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance
        self.detail = detail
        context = click.get_current_context(silent=True)
        self._as_json = bool(context and context.params.get("as_json"))

    def show(self, file: IO[Any] | None = None) -> None:
        if self._as_json:
            error = {"code": self.code, "text": self.message}
            if self.detail is not None:
                error["detail"] = self.detail
            click.echo(safe_json({"error": error}), err=True, file=file)
            return
        click.echo(f"trio-router: {self.message}", err=True, file=file)


def problems_failure(error: ProblemsError) -> Failure:
    """The failure for a refused file: every problem on a line of its own."""
    lines = [printable(str(problem)) for problem in error.problems]
    detail = [attrs.asdict(problem) for problem in error.problems]
    return Failure("\n".join(lines), code="invalid_file", detail=detail)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """``trio.run`` for a command.

    Raises:
        Failure: a file was refused, or the store does not answer; also where tasks ended together because of it.
    """
    try:
        return trio.run(main)
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        cause = _leaf(error)
        if isinstance(cause, KeyboardInterrupt):
            stop(INTERRUPTED)
        if isinstance(cause, ProblemsError):
            raise problems_failure(cause) from None
        if isinstance(cause, StorageUnavailable):
            raise Failure("the store does not answer", code="storage_unavailable", exit_code=UNAVAILABLE) from None
        if isinstance(cause, click.ClickException | OSError):  # click knows what a closed pipe means
            raise cause from None
        raise


def _leaf(error: BaseException) -> BaseException:
    """The one exception inside a group of one; anything else as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def stop(exit_code: int) -> NoReturn:
    """End the command with this exit code."""
    click.get_current_context().exit(exit_code)


def safe_json(value: Any) -> str:
    """``value`` as one line of JSON in which no character can move a cursor or hide text (T63)."""
    text = jsonlib.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else jsonlib.dumps(letter)[1:-1] for letter in text)


def line(text: str = "") -> None:
    """One line of text, at once even into a pipe."""
    click.echo(text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be."""
    cells = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for number, row in enumerate(cells):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)


def problem_lines(problems: Sequence[Problem], colour: str, word: str) -> None:
    """Findings for people."""
    for problem in problems:
        click.echo(f"{click.style(word, fg=colour)} {printable(str(problem))}")
