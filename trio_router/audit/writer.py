"""Writes a decision log: entries come from the event loop without waiting, a thread seals them and puts them on disk.

Owns the file (mode 0600), its head file and the queue between. A batch is written with one ``write`` and one ``fsync``; while
the disk works, the next batch gathers, so an entry is on disk at most two syncs after its decision. A crash of the process
loses what is in the queue, a power failure at most what was not synced; the chain stays whole in both cases, because a torn
last line is taken off at the next start, which says so.

The rule that keeps it honest: what cannot be written is counted, logged and, as soon as writing is possible again, written
down as a gap; a decision itself never depends on any of this. A file that was moved away (log rotation) is followed by a
new one that continues the chain.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from trio_router.audit.chain import MAX_LINE, BrokenLine, Link, seal, unseal
from trio_router.audit.verify import head_of
from trio_router.clock import Clock
from trio_router.errors import ConfigError, Problem
from trio_router.storage.files import check_private, create_private

QUEUE: Final = 10_000  # entries that wait for the disk; about 1 KiB each
BATCH: Final = 1_000
RETRY: Final = 1.0  # seconds between attempts while the disk refuses
WHAT: Final = "the decision log"

Fields = Mapping[str, Any]


class DecisionLog:
    """One log. :meth:`open`, then :meth:`start`; :meth:`write` from the event loop; :meth:`close` at the end."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        on_dropped: Callable[[int], None] | None = None,
        queue: int = QUEUE,
    ) -> None:
        self._path = path
        self._clock = clock
        self._log = log
        self._on_dropped = on_dropped
        self._limit = queue
        self._file = -1
        self._size = 0
        self._link = Link()
        self._changed = threading.Condition()
        self._queue: deque[Fields] = deque()
        self._dropped = 0
        self._closing = False
        self._closed = threading.Event()
        self._failing = False
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Open or create the file and continue its chain.

        Raises:
            ConfigError: others may use the file, its end is no entry of a decision log, or the system refuses.
        """
        try:
            check_private(self._path, WHAT)
            self._attach("new")
        except OSError as error:
            raise ConfigError(Problem(f"{WHAT} cannot be opened: {error.strerror}", str(self._path))) from None

    def start(self) -> None:
        """Begin to write, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="decision-log", daemon=True)
        self._thread.start()

    def write(self, fields: Fields) -> None:
        """Queue an entry: never waits, never fails. With a full queue the entry is dropped and counted."""
        with self._changed:
            if len(self._queue) < self._limit and not self._closing:
                self._queue.append(fields)
                self._changed.notify()
                return
            self._dropped += 1
            first = self._dropped == 1
        if first:
            self._log.error("decisions_dropped", reason="the queue is full", path=str(self._path))
        if self._on_dropped is not None:
            self._on_dropped(1)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued and close; waits at most ``timeout`` seconds. Harmless if never opened."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                self._lost(len(self._queue), "the disk does not answer")
                return
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # ---- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._queue or self._dropped or self._closing):
                    self._changed.wait()
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                dropped = 0 if self._queue else self._dropped
                self._dropped -= dropped
                closing = self._closing and not self._queue
            entries = list(batch)
            if dropped:
                entries.append({"kind": "gap", "time": self._time(), "dropped": dropped})
            if closing:
                entries.append({"kind": "stop", "time": self._time()})
            if not self._persist(entries, len(batch)) or closing:
                return

    def _persist(self, entries: list[Fields], decisions: int) -> bool:
        """Write until it succeeds; False if the log was closed meanwhile and the entries are lost."""
        while True:
            try:
                self._follow_rotation()
                self._append(entries)
            except (OSError, ConfigError) as error:
                if not self._failing:
                    self._failing = True
                    reason = error.strerror if isinstance(error, OSError) else str(error)
                    self._log.error("decision_log_failed", reason=reason, path=str(self._path))
                if self._closed.wait(RETRY):
                    with self._changed:
                        decisions += len(self._queue)
                        self._queue.clear()
                    self._lost(decisions, "the disk refuses")
                    return False
            else:
                if self._failing:
                    self._failing = False
                    self._log.info("decision_log_recovered", path=str(self._path))
                return True

    def _lost(self, number: int, reason: str) -> None:
        if number:
            self._log.error("decisions_dropped", number=number, reason=reason, path=str(self._path))
            if self._on_dropped is not None:
                self._on_dropped(number)

    def _append(self, entries: list[Fields]) -> None:
        """Either all of ``entries`` are in the file and synced, or the file is as long as before."""
        link = self._link
        lines = bytearray()
        for fields in entries:
            line, link = seal(link, fields)
            lines += line
        try:
            os.ftruncate(self._file, self._size)  # the rest of an attempt that failed
            at = self._size
            while at < self._size + len(lines):
                at += os.pwrite(self._file, lines[at - self._size :], at)
            os.fsync(self._file)
        except OSError:
            self._shorten()
            raise
        self._size += len(lines)
        self._link = link
        self._write_head()

    def _shorten(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError as error:  # the next attempt begins with the same step
            self._log.error("decision_log_torn", reason=error.strerror, path=str(self._path))

    def _write_head(self) -> None:
        head = head_of(self._path)
        create_private(head)
        descriptor = os.open(head, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.pwrite(descriptor, f"{self._link.seq:018d} {self._link.hash}\n".encode(), 0)
        finally:
            os.close(descriptor)

    # ---- files ------------------------------------------------------------------------------------------------

    def _follow_rotation(self) -> None:
        if self._file >= 0:
            mine = os.fstat(self._file)
            try:
                there = self._path.stat()
            except FileNotFoundError:
                there = None
            if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return
            os.close(self._file)
            self._file = -1
        check_private(self._path, WHAT)
        self._attach("rotated")

    def _attach(self, why: str) -> None:
        """Open the file and begin a stretch of the chain with an entry that says what it follows."""
        create_private(self._path)
        file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            notes = self._take_over(file, why)
        except BaseException:
            os.close(file)
            raise
        self._file = file
        try:
            self._append([{"kind": "start", "time": self._time(), **notes}])
        except OSError:
            os.close(file)
            self._file = -1
            raise

    def _take_over(self, file: int, why: str) -> dict[str, Any]:
        head = self._link if why == "rotated" else _read_head(head_of(self._path))
        end = os.fstat(file).st_size
        last, size = _last_line(file, end)
        self._size = size
        torn: dict[str, Any] = {"torn_bytes": end - size} if end > size else {}
        if last is None:
            self._link = head or Link()
            return {"why": why, "previous": self._link.hash, **torn}
        try:
            _, link = unseal(last)
        except BrokenLine as error:
            message = f"{error}; verify it and move it away, the router will not write behind it"
            raise ConfigError(
                Problem(f"the last line is no entry of a decision log: {message}", str(self._path))
            ) from None
        self._link = link
        if head is not None and head.seq > link.seq:
            self._log.error("decision_log_cut", path=str(self._path), found=link.seq, expected=head.seq)
            torn["cut"] = {"seq": head.seq, "hash": head.hash}
        return {"why": "resumed", "previous": link.hash, **torn}

    def _time(self) -> str:
        return timestamp(self._clock.wall())


def timestamp(seconds: float) -> str:
    """A time as ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_head(path: Path) -> Link | None:
    try:
        return Link.parse(path.read_text("ascii", "replace"))
    except (FileNotFoundError, ValueError):
        return None


def _last_line(file: int, end: int) -> tuple[bytes | None, int]:
    """The last whole line, without its break, and where it ends; (None, 0) if there is none."""
    start = max(0, end - 2 * MAX_LINE)
    tail = os.pread(file, end - start, start)
    whole = tail.rfind(b"\n") + 1
    if not whole:
        return (tail, end) if start else (None, 0)  # so much without a line break is no torn entry
    before = tail.rfind(b"\n", 0, whole - 1) + 1
    return tail[before : whole - 1], start + whole
