"""Whether decision logs are as they were written: nothing changed, taken out, put in or moved.

Reads files and changes nothing. Several files are one chain in the order given, oldest first. The end of the last file is
checked against its head file (``FILE.head``, which the writer keeps beside the log) or against a hash that was kept
elsewhere; without either, a cut of the tail cannot show, and the report says that it was not checked.

The rule that keeps it honest: reading goes on after a finding, and every finding names file and line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from trio_router.audit.chain import GENESIS, MAX_LINE, BrokenLine, Link, unseal
from trio_router.errors import Problem

HEAD_SUFFIX: Final = ".head"
BEGINNINGS: Final = frozenset({"new", "rotated"})
"""``why`` of the start entry with which a file begins; "resumed" stands where a router went on with a file."""

MAX_FINDINGS: Final = 1_000


@attrs.frozen
class Verified:
    """What ``verify`` saw. ``tail_checked``: the end was compared with a head file or an expected hash.

    ``dropped`` counts decisions that the writer itself could not write and said so; ``restarts`` its starts. More than 0
    in ``begins_after``: the first file continues another one, whose last entry had this number.
    """

    entries: int = 0
    decisions: int = 0
    dropped: int = 0
    restarts: int = 0
    begins_after: int = 0
    last: Link = attrs.field(factory=Link)
    tail_checked: bool = False
    problems: tuple[Problem, ...] = ()


def head_of(path: Path) -> Path:
    """The file beside the log that holds the last entry's number and hash."""
    return path.with_name(path.name + HEAD_SUFFIX)


def verify(paths: Sequence[Path], *, expect: str | None = None) -> Verified:
    """Check ``paths`` as one chain, oldest first. ``expect`` is the hash that some entry must have, kept elsewhere.

    Raises:
        OSError: a file cannot be read.
    """
    head_path = head_of(paths[-1])
    head = _head(head_path)
    reader = _Reader({target for target in (expect, getattr(head, "hash", None)) if target is not None})
    for path in paths:
        reader.file(path)
    if expect is not None and expect not in reader.seen:
        reader.problem("no entry has the expected hash: the end was cut, or everything was written anew")
    if isinstance(head, Problem):
        reader.problems.append(head)
    elif head is not None and head.hash not in reader.seen:
        reader.problem(f"the end is cut: {head_path.name} knows entry {head.seq}, which is not here")
    return Verified(
        reader.entries,
        reader.decisions,
        reader.dropped,
        reader.restarts,
        reader.begins_after,
        reader.link or Link(),
        expect is not None or isinstance(head, Link),
        tuple(reader.problems),
    )


def _head(path: Path) -> Link | Problem | None:
    """What the head file says; None if there is none. It may be behind the log (after a crash), never ahead."""
    try:
        return Link.parse(path.read_text("ascii", "replace"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        return Problem(f"is no head file: {error}", str(path))


class _Reader:
    def __init__(self, targets: set[str]) -> None:
        self.entries = self.decisions = self.dropped = self.restarts = 0
        self.begins_after = 0
        self.link: Link | None = None
        self.problems: list[Problem] = []
        self.seen = targets & {GENESIS}
        self._targets = targets
        self._file = ""
        self._line = 0

    def file(self, path: Path) -> None:
        """Check one file as the continuation of those before it."""
        self._file, self._line = str(path), 0
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE + 2):  # a file without line breaks fits memory too
                self._line += 1
                self._entry(line)

    def problem(self, message: str) -> None:
        """A finding at the line that was read last."""
        if len(self.problems) < MAX_FINDINGS:
            self.problems.append(Problem(message, self._file, self._line))

    def _entry(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            self.problem("the last line has no end: it is cut, or was being written")
        try:
            fields, link = unseal(line.removesuffix(b"\n"))
        except BrokenLine as error:
            self.problem(str(error))
            return
        if self._line == 1 and not (fields.get("kind") == "start" and fields.get("why") in BEGINNINGS):
            self.problem("the file does not begin with the entry that begins a file: its head was cut")
        self._follows(fields["prev"], link)
        self.entries += 1
        self.link = link
        if link.hash in self._targets:
            self.seen.add(link.hash)
        self._count(fields)

    def _follows(self, prev: str, link: Link) -> None:
        before = self.link
        if before is None:
            self.begins_after = link.seq - 1
        elif link.seq != before.seq + 1:
            missing = link.seq - before.seq - 1
            what = f"{missing} missing before it" if missing > 0 else "it stands in the wrong place"
            self.problem(f"entry {link.seq} follows entry {before.seq}: {what}")
        elif prev != before.hash:
            self.problem(f"entry {link.seq} does not fit the entry before it")

    def _count(self, fields: dict[str, object]) -> None:
        match fields.get("kind"):
            case "decision":
                self.decisions += 1
            case "gap":
                dropped = fields.get("dropped")
                self.dropped += dropped if isinstance(dropped, int) else 0
            case "start":
                self.restarts += 1
                if "cut" in fields:
                    self.problem("the file was cut before the router started: the entry that ended it was not here")
