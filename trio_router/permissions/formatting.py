"""The one way to write a rules file: order of sections, indentation, quotes and spacing; comments stay.

Text in, text out. The tree gives keys and values, a scan of the same text gives the comments, and each comment goes with the
key it stands beside, above, or below at a deeper column.

The rule that keeps this honest: what was written is read again, and unless it has the same rules in the same order it is
thrown away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import yaml

from trio_router import documents
from trio_router.clock import ManualClock
from trio_router.documents import DocumentError, Node
from trio_router.errors import Problem, RuleError
from trio_router.permissions.decision import Action
from trio_router.permissions.layout import broken, lay_out
from trio_router.permissions.loader import OPTIONS, SECTIONS, load_rules
from trio_router.permissions.rule import Rule
from trio_router.permissions.sources import RuleSources
from trio_router.permissions.trees import same

WIDTH: Final = 110
INDENT: Final = "  "

_BLOCK_COMMENT: Final = re.compile(r"[|>][-+0-9]*[ \t]+(#[^\r\n]*)")
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@attrs.frozen
class _Comment:
    text: str
    line: int
    column: int
    alone: bool
    """Whether nothing else stands in its line."""
    blank: bool
    """Whether the line above is empty."""


@attrs.define(eq=False)
class _Item:
    """One key with what stands behind it, and the comments that go with it."""

    depth: int
    line: int
    column: int
    blank: bool
    head: str
    body: list[str] = attrs.field(factory=list)
    above: list[_Comment] = attrs.field(factory=list)
    beside: str = ""
    below: list[tuple[int, _Comment]] = attrs.field(factory=list)


def format_rules(text: str, source: str) -> str:
    """``text`` written in the one way.

    Raises:
        RuleError: it is not a valid rules file, or it holds something that cannot be written again as it was.
    """
    rules = _rules(text, source)
    try:
        root = documents.read(text, source)
        comments = list(_comments(text))
    except (DocumentError, yaml.YAMLError):
        raise RuleError(Problem("this YAML cannot be formatted", source)) from None
    for write in (lay_out, _as_it_is):
        made = _written(root, comments, text, write)
        if _same_rules(rules, made, source) and len(list(_comments(made))) == len(comments):
            return made
    raise RuleError(Problem("the file cannot be formatted without changing what it means", source))


def _as_it_is(expression: str) -> str:
    return expression


def _rules(text: str, source: str) -> list[tuple[Action, Rule]]:
    """The rules of the file, section by section."""
    rules = load_rules(text, source, clock=ManualClock()).rules
    sources = RuleSources(text, source)
    sections = list(SECTIONS)
    return sorted(((sources.action(rule), rule) for rule in rules), key=lambda pair: sections.index(pair[0].section))


def _same_rules(rules: list[tuple[Action, Rule]], text: str, source: str) -> bool:
    try:
        made = _rules(text, source)
    except RuleError:
        return False
    return len(made) == len(rules) and all(
        (one_action, one.pattern.text, one.constant, one.reason, one.action_value)
        == (other_action, other.pattern.text, other.constant, other.reason, other.action_value)
        and same(one.tree, other.tree)
        for (one_action, one), (other_action, other) in zip(rules, made, strict=True)
    )


def _written(root: Node, comments: list[_Comment], text: str, write: Any) -> str:
    lines = _BREAK.split(text)
    items = list(_items(root, lines, write))
    header, footer = _attach(items, comments)
    groups: list[list[_Item]] = []
    for item in items:
        if item.depth == 0:
            groups.append([])
        groups[-1].append(item)
    order = [*OPTIONS, *SECTIONS]
    groups.sort(key=lambda group: order.index(group[0].head.partition(":")[0]))
    out: list[str] = []
    for comment in header:
        _blank(out, wanted=comment.blank)
        out.append(comment.text)
    for group in groups:
        before = None
        for item in group:
            _write_item(out, item, first=before is not None and before.depth < item.depth)
            before = item
    for number, comment in enumerate(footer):
        _blank(out, wanted=comment.blank or not number)
        out.append(comment.text)
    return "\n".join(out) + "\n"


def _write_item(out: list[str], item: _Item, *, first: bool) -> None:
    indent = INDENT * item.depth
    wanted = item.depth == 0
    for number, comment in enumerate(item.above):
        _blank(out, wanted=(wanted if not number else False) or (comment.blank and not (first and not number)))
        out.append(indent + comment.text)
    if not item.above:
        _blank(out, wanted=wanted or (item.blank and not first))
    elif item.blank:
        _blank(out, wanted=True)
    out.append(indent + item.head + (f"  {item.beside}" if item.beside else ""))
    out.extend(indent + INDENT + line for line in item.body)
    for depth, comment in item.below:
        _blank(out, wanted=comment.blank)
        out.append(INDENT * depth + comment.text)


def _blank(out: list[str], *, wanted: bool) -> None:
    if wanted and out and out[-1]:
        out.append("")


def _items(root: Node, lines: list[str], write: Any) -> Iterator[_Item]:
    def item(depth: int, key: Node, head: str, body: Sequence[str] = ()) -> _Item:
        starts_line = not lines[key.line - 1][: key.column - 1].strip()
        blank = starts_line and key.line > 1 and not lines[key.line - 2].strip()
        return _Item(depth, key.line, key.column, blank, head, list(body))

    for section, section_key, patterns in root.entries():
        if section in OPTIONS:
            yield item(0, section_key, f"{section}: {patterns.value}")
            continue
        yield item(0, section_key, f"{section}:")
        for pattern, pattern_key, actions in patterns.entries():
            yield item(1, pattern_key, f'"{pattern}":')
            for action, action_key, value in actions.entries():
                if not isinstance(value.value, dict):
                    yield item(2, action_key, *_scalar(action, value, 2, write))
                    continue
                yield item(2, action_key, f"{action}:")
                for part, part_key, content in value.entries():
                    yield item(3, part_key, *_scalar(part, content, 3, write if part == "rule" else _as_it_is))


def _scalar(key: str, value: Node, depth: int, write: Any) -> tuple[str, list[str]]:
    """The line of ``key`` with its value, and the lines below it if the value is long."""
    if isinstance(value.value, bool):
        return f"{key}: {str(value.value).lower()}", []
    text = write(value.value)
    line = f"{key}: {_quoted(text)}"
    if len(INDENT) * depth + len(line) <= WIDTH or not text.isprintable() or write is _as_it_is:
        return line, []
    pieces = broken(text)
    if len(pieces) == 1 or " ".join(pieces) != text:
        return line, []
    return f"{key}: >-", pieces


def _quoted(text: str) -> str:
    if text.isprintable() and '"' in text and "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter if letter.isprintable() else _escape(letter) for letter in escaped) + '"'


def _escape(letter: str) -> str:
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    code = ord(letter)
    return named.get(letter) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def _attach(items: list[_Item], comments: list[_Comment]) -> tuple[list[_Comment], list[_Comment]]:
    """Gives each comment to its item; returns those at the top and those at the end of the file."""
    header: list[_Comment] = []
    footer: list[_Comment] = []
    at = 0  # how many items stand before the comment
    for comment in comments:
        while at < len(items) and (items[at].line, items[at].column) < (comment.line, comment.column):
            at += 1
        before = items[at - 1] if at else None
        after = items[at] if at < len(items) else None
        if not comment.alone and before:
            if before.beside:
                before.above.append(comment)
            else:
                before.beside = comment.text
        elif after is not None and not (before and _stands_below(comment, before, after)):
            after.above.append(comment)
        else:
            depth = _depth_at(items[:at], comment.column)
            if (after is None and depth == 0) or footer:
                footer.append(comment)
            else:
                items[at - 1].below.append((depth, comment))
    if items:
        first = items[0]
        split = 0
        for at in range(1, len(first.above) + 1):
            if first.above[at].blank if at < len(first.above) else first.blank:
                split = at
        header, first.above = first.above[:split], first.above[split:]
    return header, footer


def _stands_below(comment: _Comment, before: _Item, after: _Item) -> bool:
    """Whether the comment belongs to what stands above it and not to the key after it."""
    return after.depth < before.depth and comment.column > after.column and not after.above


def _depth_at(before: list[_Item], column: int) -> int:
    """How deep a comment at ``column`` stands below the last item: as deep as the deepest key around it not beyond it."""
    depth = before[-1].depth
    for item in reversed(before):
        if item.depth <= depth:
            if item.column <= column or item.depth == 0:
                return item.depth
            depth = item.depth - 1
    return 0


def _comments(text: str) -> Iterator[_Comment]:
    """The comments of a YAML text: what follows a ``#`` outside of scalars."""
    spans: list[tuple[int, int]] = []
    found: list[int] = []
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken):
            start = token.start_mark.index
            spans.append((start, token.end_mark.index))
            if header := _BLOCK_COMMENT.match(text, start):
                found.append(header.start(1))
    at = 0
    for start, end in [*spans, (len(text), len(text))]:
        while (at := text.find("#", at, start)) >= 0:
            found.append(at)
            newline = _BREAK.search(text, at)
            at = newline.end() if newline else len(text)
        at = end
    starts = [0, *(match.end() for match in _BREAK.finditer(text))]
    lines = _BREAK.split(text)
    number = 0
    for place in sorted(found):
        while number + 1 < len(starts) and starts[number + 1] <= place:
            number += 1
        line = lines[number]
        column = place - starts[number]
        blank = number > 0 and not lines[number - 1].strip()
        yield _Comment(line[column:].rstrip(), number + 1, column + 1, not line[:column].strip(), blank)
