"""YAML text in, a tree with positions out: the one reader behind the config, rules and users files.

Strict on purpose (T20), so that a file means what it looks like:

* aliases and anchors, tags, merge keys, several documents and duplicate keys are refused;
* only the YAML 1.2 core scalars exist: ``true``/``false``, ``null``, decimal integers and floats; ``no``,
  ``on``, ``0o7``, ``1_000``, dates and base 60 are plain text;
* depth and size are bounded, and building the tree needs no recursion.

JSON is YAML here, so ``.json`` files read the same way, except that a character past U+FFFF is written as itself and
not as two escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
import yaml

from trio_router.errors import Problem, ProblemsError

MAX_DEPTH: Final = 32
_TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
MAX_SIZE: Final = 64 * 1024 * 1024

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT: Final = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?\Z")
_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_LONGEST_NUMBER: Final = 40


class DocumentError(ProblemsError):
    """The text is not a document this reader accepts."""


@attrs.frozen(eq=False)
class Node:
    """A value and where it stands. ``line`` and ``column`` count from 1.

    ``value`` is a scalar (str, bool, int, float, None), a list of nodes, or a dict from key text to ``Entry``.
    ``quoted`` tells a scalar written in quotes or as a block, which is text whatever it looks like.
    """

    value: Any
    line: int
    column: int
    quoted: bool = False

    @property
    def kind(self) -> str:
        """``mapping``, ``list``, ``text``, ``boolean``, ``number`` or ``null``: for messages and dispatch."""
        kinds = {dict: "mapping", list: "list", str: "text", bool: "boolean", type(None): "null"}
        return kinds.get(type(self.value), "number")

    def entries(self) -> Iterator[tuple[str, Node, Node]]:
        """(key text, key node, value node) of a mapping, in file order."""
        for key, entry in self.value.items():
            yield key, entry.key, entry.value

    def get(self, key: str) -> Node | None:
        """The value under ``key`` of a mapping, or None."""
        entry = self.value.get(key)
        return None if entry is None else entry.value

    def plain(self) -> Any:
        """The value without positions: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: entry.value.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@attrs.frozen(eq=False)
class Entry:
    """One key of a mapping with its value."""

    key: Node
    value: Node


@attrs.define(eq=False)
class _Open:
    """A mapping or list whose end was not read yet. ``key`` waits for its value."""

    node: Node
    key: Node | None = None


def read(text: str, source: str) -> Node:
    """The tree of the one document in ``text``; ``source`` names the file in errors. An empty text is a null node.

    Raises:
        DocumentError: it is not such a document; every problem has its line and column.
    """
    if len(text) > MAX_SIZE:
        raise DocumentError(Problem(f"the file is larger than {MAX_SIZE} bytes", source))
    try:
        return _Builder(source).build(text)
    except yaml.MarkedYAMLError as error:
        raise DocumentError(_explained(error, text, source)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        raise DocumentError(Problem("holds a character that YAML does not allow", source, line, column)) from None
    except UnicodeEncodeError:
        raise DocumentError(Problem("holds a character that YAML does not allow", source)) from None


def _explained(error: yaml.MarkedYAMLError, text: str, source: str) -> Problem:
    """The problem in words of the file's author; the parser names tokens."""
    context, message = error.context or "", error.problem or "not valid YAML"
    mark = error.problem_mark or error.context_mark
    if "alias" in context:
        message = "a text that starts with * needs quotes"
    elif "quoted scalar" in context and "end of stream" in message:
        message, mark = "the quote is never closed", error.context_mark or mark
    elif "nesting depth" in message:  # libyaml's own bound, which it may come to before ours, since it reads ahead
        message = _TOO_DEEP
    elif "character escape code" in message:
        message = "this is the escape of half a character; write the character itself"
    elif mark is not None:
        lines = text.splitlines()
        letter = lines[mark.line][mark.column : mark.column + 1] if mark.line < len(lines) else ""
        if letter == "\t":
            message = "a tab cannot indent; use spaces"
        elif letter and letter in "@`%":
            message = f"a text that starts with {letter} needs quotes"
    return Problem(message, source, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0)


class _Builder:
    def __init__(self, source: str) -> None:
        self._source = source
        self._stack: list[_Open] = []
        self._root: Node | None = None
        self._documents = 0

    def build(self, text: str) -> Node:
        for event in yaml.parse(text, Loader=_LOADER):
            self._take(event)
        return self._root or Node(None, 1, 1)

    def _take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        assert mark is not None  # noqa: S101 - parsers always give one
        line, column = mark.line + 1, mark.column + 1
        if isinstance(event, yaml.AliasEvent):
            raise self._refuse("aliases are not allowed; write the value out", line, column)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._refuse("only one document is allowed in a file", line, column)
        if getattr(event, "anchor", None):
            raise self._refuse("anchors are not allowed; write the value out", line, column)
        if getattr(event, "tag", None):
            raise self._refuse("tags are not allowed; a text that starts with ! needs quotes", line, column)
        if isinstance(event, yaml.ScalarEvent):
            quoted = not event.implicit[0]
            value = event.value if quoted else self._scalar(event.value, line, column)
            self._place(Node(value, line, column, quoted))
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(Node({}, line, column))
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(Node([], line, column))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._stack.pop()

    def _open(self, node: Node) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise self._refuse(_TOO_DEEP, node.line, node.column)
        self._place(node)
        self._stack.append(_Open(node))

    def _place(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif parent.key is None:
            parent.key = self._as_key(parent.node, node)
        else:
            parent.node.value[parent.key.value] = Entry(parent.key, node)
            parent.key = None

    def _as_key(self, mapping: Node, node: Node) -> Node:
        if isinstance(node.value, dict | list):
            raise self._refuse("a key must be text", node.line, node.column)
        if node.kind != "text":
            raise self._refuse(f"a key must be text, not a {node.kind}: put it in quotes", node.line, node.column)
        if node.value == "<<" and not node.quoted:
            raise self._refuse("merge keys are not allowed; write the values out", node.line, node.column)
        if node.value in mapping.value:
            first = mapping.value[node.value].key
            message = f"the key {node.value!r} is already there, in line {first.line}"
            raise self._refuse(message, node.line, node.column)
        return node

    def _scalar(self, text: str, line: int, column: int) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if len(text) <= _LONGEST_NUMBER:
            if _INTEGER.match(text):
                return int(text)
            if _FLOAT.match(text):
                number = float(text)
                if number in (float("inf"), float("-inf")):
                    raise self._refuse("the number is out of range", line, column)
                return number
        return text

    def _refuse(self, message: str, line: int, column: int) -> DocumentError:
        return DocumentError(Problem(message, self._source, line, column))
