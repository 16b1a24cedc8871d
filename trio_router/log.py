"""Structured logs: one event name and its fields per line.

Secrets are redacted by type (``Secret`` shows itself as ``<secret>``) and never passed as text. Texts that came from
outside are escaped and capped here, so that no value can start a line of its own (T63).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

MAX_VALUE: Final = 1_000  # characters
MAX_ITEMS: Final = 100
MAX_DEPTH: Final = 5
MAX_LINES: Final = 200  # of a traceback, its last ones

Processor = Callable[[Any, str, MutableMapping[str, Any]], Any]


def configure(
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["json", "text"] = "json",
    stream: TextIO | None = None,
) -> None:
    """Sends logs of ``level`` and above to ``stream`` (standard error), one event a line."""
    out = stream or sys.stderr
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            escape,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )


def escape(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Caps every text, however deep, and shows what is invisible in it as escapes; a traceback keeps its lines, marked (T63)."""
    for key, value in list(event.items()):
        event[key] = _traceback(value) if key == "exception" and isinstance(value, str) else _escaped(value)
    return event


def _escaped(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return printable(value)
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return value
    if depth == MAX_DEPTH:
        return "..."
    if isinstance(value, dict):
        pairs = list(value.items())[:MAX_ITEMS]
        return {_escaped(key, depth + 1): _escaped(item, depth + 1) for key, item in pairs}
    return [_escaped(item, depth + 1) for item in list(value)[:MAX_ITEMS]]


def _traceback(text: str) -> str:
    """No line of it begins like a line of the log, whatever an exception says."""
    return "\n".join(f"    | {printable(line)}" for line in text.split("\n")[-MAX_LINES:])


def printable(text: str) -> str:
    """``text`` with everything unprintable escaped, cut at ``MAX_VALUE`` characters."""
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE] + "..."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose events carry ``part=name`` (``logger`` is a parameter of structlog itself)."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(part=name)
    return logger
