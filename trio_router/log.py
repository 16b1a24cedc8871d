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

MAX_VALUE: Final = 1_000

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
    """Caps every text and shows its control, bidirectional and other invisible characters as escapes (T63)."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = printable(value)
    return event


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
