"""Where in the file a character of a YAML scalar stands.

An expression is parsed as the text YAML made of it; its author looks for the error in the file, where the text may
be quoted, escaped or folded over lines. A :class:`SourceMap` walks both side by side.

The rule that keeps this honest: a place is given only if the walk explains the scalar from its first character to
its last; otherwise the answer is "unknown" and the caller names the scalar's start instead.
"""

from __future__ import annotations

import re
from typing import Final

from trio_router.documents import Node

_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_BLANK: Final = frozenset(" \t\r\n\x85\u2028\u2029")
_BREAKS: Final = frozenset("\r\n\x85\u2028\u2029")
_ESCAPE_LENGTHS: Final = {"x": 4, "u": 6, "U": 10}


class SourceMap:
    """The text of one file, for asking where characters of its scalars stand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = [0, *(match.end() for match in _BREAK.finditer(text))]

    def place(self, scalar: Node, position: int) -> tuple[int, int] | None:
        """(line, column), from 1, of character ``position`` (from 0) of the text of ``scalar``; None if unknown."""
        if not scalar.value:
            return scalar.line, scalar.column
        if scalar.line > len(self._lines):
            return None
        start = self._lines[scalar.line - 1] + scalar.column - 1
        offsets = self._offsets(scalar.value, start) if scalar.quoted else self._walk(scalar.value, start, "")
        if offsets is None:
            return None
        offset = offsets[position] if position < len(offsets) else offsets[-1] + 1
        line = self._line_of(offset)
        return line + 1, offset - self._lines[line] + 1

    def _line_of(self, offset: int) -> int:
        low, high = 0, len(self._lines)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._lines[middle] <= offset else (low, middle)
        return low

    def _offsets(self, value: str, start: int) -> list[int] | None:
        style = self._text[start : start + 1]
        if style in ("'", '"'):
            return self._walk(value, start + 1, style)
        if style in ("|", ">"):
            body = _BREAK.search(self._text, start)
            return self._walk(value, body.end(), "") if body else None
        return None

    def _walk(self, value: str, at: int, quote: str) -> list[int] | None:
        """The offset in the file of each character of ``value``. Blank runs over a line's end stand for each other."""
        text = self._text
        offsets: list[int] = []
        done = 0
        while done < len(value):
            end = self._after_blanks(at)
            if end > at and (not _BREAKS.isdisjoint(text[at:end]) or not offsets):
                blanks = done
                while blanks < len(value) and value[blanks] in _BLANK:
                    blanks += 1
                offsets.extend([at] * (blanks - done))
                at, done = end, blanks
                if done == len(value):
                    break
            if quote == '"' and text[at : at + 1] == "\\":
                if text[at + 1 : at + 2] in _BREAKS:  # a line's end that the author escaped stands for nothing
                    at = self._after_blanks(at + 1)
                    continue
                after = at + _ESCAPE_LENGTHS.get(text[at + 1 : at + 2], 2)
            elif quote == "'" and text.startswith("''", at):
                after = at + 2
            else:
                after = at + 1
            if after == at + 1 and text[at : at + 1] != value[done]:
                return None
            offsets.append(at)
            at = after
            done += 1
        return offsets or None

    def _after_blanks(self, at: int) -> int:
        while at < len(self._text) and self._text[at] in _BLANK:
            at += 1
        return at
