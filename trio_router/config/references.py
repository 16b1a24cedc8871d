"""``${NAME}`` and ``${file:path}`` inside the config's texts: where they are replaced and what is refused.

Knows environment variables, files and their modes; knows nothing of the config's shape. A text that came out of a
reference is marked as :class:`Expanded` from here on, because it may be a secret: no message ever repeats it (T62).
A file that other users of the machine can read or replace is refused, not warned about (T70).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from trio_router.documents import Node
from trio_router.errors import Problem

MAX_FILE: Final = 1024 * 1024
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_FILE: Final = "file:"
_READABLE_BY_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP

FieldPath = tuple[str | int, ...]


class Expanded(str):
    """Text that came, at least in part, out of a reference. It is never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<expanded>"


class ReferenceFailed(Exception):
    """A reference cannot be replaced; the text says why, without any value."""


@attrs.frozen
class Resolver:
    """Replaces references. ``base`` is the folder that relative file names count from."""

    base: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    source: str = ""

    def resolve(self, node: Node) -> tuple[Any, dict[FieldPath, Problem]]:
        """The value of ``node`` without positions, and the problems by the path of the text they are in.

        A text that could not be resolved stands as an empty ``Expanded`` in the value.
        """
        problems: dict[FieldPath, Problem] = {}
        return self._value(node, (), problems), problems

    def expand(self, text: str) -> str:
        """``text`` with its references replaced. Raises ``ReferenceFailed``."""
        if "${" not in text:
            return text
        found = False

        def replace(match: re.Match[str]) -> str:
            nonlocal found
            if match[0] == "$${":
                return "${"
            found = True
            if not match[2]:
                raise ReferenceFailed("a reference is not closed: write ${NAME} or ${file:path}, or $${ for a plain ${")
            return self._replacement(match[1])

        result = _REFERENCE.sub(replace, text)
        return Expanded(result) if found else result

    def _value(self, node: Node, path: FieldPath, problems: dict[FieldPath, Problem]) -> Any:
        if isinstance(node.value, dict):
            return {key: self._value(value, (*path, key), problems) for key, _, value in node.entries()}
        if isinstance(node.value, list):
            return [self._value(item, (*path, index), problems) for index, item in enumerate(node.value)]
        if not isinstance(node.value, str):
            return node.value
        try:
            return self.expand(node.value)
        except ReferenceFailed as error:
            problems[path] = Problem(str(error), self.source, node.line, node.column, dotted(path))
            return Expanded()

    def _replacement(self, reference: str) -> str:
        if reference.startswith(_FILE):
            return self._file(reference[len(_FILE) :])
        if not _NAME.match(reference):
            raise ReferenceFailed("a reference is neither ${NAME} nor ${file:path}; write $${ for a plain ${")
        value = self.environ.get(reference)
        if value is None:
            raise ReferenceFailed(f"the environment variable {reference} is not set")
        return value

    def _file(self, name: str) -> str:
        if not name or "\0" in name:
            raise ReferenceFailed("a ${file:path} reference names no file")
        return read_private(self.base / name, name)


def read_private(path: Path, name: str) -> str:
    """The text of a file that must be private, without its last newline. ``name`` is how messages call it.

    The file is opened once and judged by its descriptor, so that what was checked is what is read.

    Raises:
        ReferenceFailed: it cannot be read, is too large, is no text, or others can read or replace it (T70).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ReferenceFailed(f"the file {name} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ReferenceFailed(f"{name} is not a regular file")
        fault = exposure(status, path.parent)
        if fault:
            raise ReferenceFailed(f"the file {name} {fault}")
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ReferenceFailed(f"the file {name} is larger than {MAX_FILE} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ReferenceFailed(f"the file {name} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def exposure(status: os.stat_result, folder: Path) -> str:
    """Why a file with this status in this folder is not private (T70), or an empty text.

    Its group may read it (a service account often shares one), nobody else may; only its owner may write it; and its folder
    must not be one where everybody can put another file in its place.
    """
    mode = stat.S_IMODE(status.st_mode)
    if mode & _READABLE_BY_OTHERS:
        return f"is open to other users (mode {mode:04o}): chmod 600 it"
    if status.st_uid not in {0, os.geteuid()}:
        return "belongs to another user"
    try:
        folder_mode = folder.stat().st_mode
    except OSError:
        return "is in a folder that cannot be read"
    if folder_mode & stat.S_IWOTH and not folder_mode & stat.S_ISVTX:
        return "is in a folder that everybody may write to"
    return ""


def dotted(path: FieldPath) -> str:
    """``("login", 0, "strategy")`` as ``login[0].strategy``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
