"""Log lines: structured, escaped, capped, without secrets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router import log
from trio_router.secret import Secret


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def written(form: Any, write: Callable[[Any], None], level: Any = "info") -> list[str]:
    stream = io.StringIO()
    log.configure(level, form, stream)
    write(log.get("test"))
    return stream.getvalue().splitlines()


def test_an_event_is_one_json_object_with_its_part() -> None:
    (line,) = written("json", lambda logger: logger.info("started", port=7000, items=["a"]))
    fields = json.loads(line)
    assert (fields["event"], fields["part"], fields["level"], fields["port"]) == ("started", "test", "info", 7000)
    assert fields["timestamp"].endswith("Z")


def test_levels_below_the_configured_one_are_left_out() -> None:
    assert written("json", lambda logger: logger.info("quiet"), level="warning") == []
    assert len(written("json", lambda logger: logger.error("loud"), level="warning")) == 1


HOSTILE = [
    'x\n{"event": "login_accepted"}',
    "x\r\nlevel=error forged",
    "\x1b[2J\x1b[31m",
    "\u202eevil\u2066",
    "a\u2028b\u2029c",
    "\u009b31m",
    "\ud800",
    "zero\u200bwidth",
    "nul\0",
]


@pytest.mark.threat("T63")
@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("place", ["field", "nested", "list", "event", "exception"])
def test_no_text_from_outside_starts_a_line_or_hides_one(form: str, value: str, place: str) -> None:
    def write(logger: Any) -> None:
        if place == "field":
            logger.info("seen", name=value)
        elif place == "nested":
            logger.info("seen", fields={"name": {value: value}})
        elif place == "list":
            logger.info("seen", names=[value, (value,)])
        elif place == "event":
            logger.info(value)
        else:
            try:
                raise ValueError(value)
            except ValueError:
                logger.exception("failed")

    lines = written(form, write)
    assert lines
    assert all(line.isprintable() for line in lines)
    assert all(line.startswith("    | ") for line in lines[1:])
    assert len(lines) == 1 or (place == "exception" and form == "text")


@pytest.mark.threat("T63")
def test_a_long_text_is_cut() -> None:
    (line,) = written(
        "json",
        lambda logger: logger.info("seen", name="x" * 1_000_000, many=["y" * 100_000] * 3, deep={"a": ["z" * 100_000]}),
    )
    assert len(line) < 10_000


@pytest.mark.threat("T63")
@given(st.text(st.characters()))
@settings(deadline=None)
def test_printable_is_printable_and_bounded(text: str) -> None:
    shown = log.printable(text)
    assert shown.isprintable()
    assert len(shown) <= 10 * log.MAX_VALUE + 3
    if text.isprintable() and len(text) <= log.MAX_VALUE:
        assert shown == text


@pytest.mark.threat("T62")
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_secret_shows_itself_as_one(form: str) -> None:
    canary = Secret("canary-in-a-log")

    def write(logger: Any) -> None:
        try:
            local = canary.reveal()
            raise ValueError("no")
        except ValueError:
            logger.exception("x", token=canary, nested={"a": [canary]}, text=f"{canary} {canary!r}")
        assert local

    lines = written(form, write)
    assert "canary-in-a-log" not in "\n".join(lines)
    assert "<secret>" in "\n".join(lines)
