"""Which of many inputs are worth keeping: the smallest ones that together reach every line of the package that all of them reach."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final

import trio_router
from tests.fuzz.target import Target

_PACKAGE: Final = str(Path(trio_router.__file__).parent)


def lines(target: Target, data: bytes) -> frozenset[tuple[str, int]]:
    """The lines of the package that ``data`` reaches in ``target``, as (file, line)."""
    found: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        if event == "line":
            found.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with contextlib.suppress(Exception):
            target.run(data)
    finally:
        sys.settrace(before)
    return frozenset(found)


def worth_keeping(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Of ``inputs``, beyond what the seeds reach, smallest first."""
    reached = set().union(*(lines(target, data) for data in target.seeds()))
    kept = []
    for data in sorted(set(inputs), key=lambda each: (len(each), each)):
        new = lines(target, data) - reached
        if new:
            reached |= new
            kept.append(data)
    return kept
