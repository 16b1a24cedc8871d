"""The decision log on a real disk: what is written, what a crash, a rotation and a full disk leave, and what verify finds."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trio_router import log
from trio_router.audit import writer
from trio_router.audit.chain import GENESIS, Link, seal
from trio_router.audit.verify import head_of, verify
from trio_router.audit.writer import DecisionLog, timestamp
from trio_router.clock import ManualClock
from trio_router.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "decisions.log"


class Dropped:
    def __init__(self) -> None:
        self.number = 0

    def __call__(self, number: int) -> None:
        self.number += number


def opened(path: Path, **options: Any) -> DecisionLog:
    made = DecisionLog(path, clock=ManualClock(), log=log.get("decisions"), **options)
    made.open()
    return made


def written(path: Path, names: list[str], **options: Any) -> None:
    made = opened(path, **options)
    made.start()
    for name in names:
        made.write({"kind": "decision", "name": name})
    made.close()


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def kinds(path: Path) -> list[str]:
    return [f"{entry['kind']} {entry.get('name') or entry.get('why') or ''}".strip() for entry in entries(path)]


def messages(path: Path, **options: Any) -> list[str]:
    return [str(problem).removeprefix(str(path)) for problem in verify([path], **options).problems]


def test_entries_are_written_in_order_and_verify(path: Path) -> None:
    written(path, ["a", "b", "c"])
    assert kinds(path) == ["start new", "decision a", "decision b", "decision c", "stop"]
    assert [entry["seq"] for entry in entries(path)] == [1, 2, 3, 4, 5]
    assert entries(path)[0]["prev"] == GENESIS
    found = verify([path])
    assert (found.problems, found.entries, found.decisions, found.tail_checked) == ((), 5, 3, True)
    assert head_of(path).read_text() == f"{5:018d} {found.last.hash}\n"


def test_the_files_are_their_owners_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        written(path, ["a"])
    finally:
        os.umask(before)
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path, head_of(path))] == [0o600, 0o600]


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_log_others_can_use_is_refused(path: Path, mode: int) -> None:
    path.touch()
    path.chmod(mode)
    with pytest.raises(ConfigError, match="decision log is"):
        opened(path)


def test_a_file_that_is_no_log_is_not_written_behind(path: Path) -> None:
    path.write_text("something else\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="no entry of a decision log"):
        opened(path)
    assert path.read_text() == "something else\n"


def test_a_restart_goes_on_with_the_chain(path: Path) -> None:
    written(path, ["a"])
    written(path, ["b"])
    assert kinds(path) == ["start new", "decision a", "stop", "start resumed", "decision b", "stop"]
    assert entries(path)[3]["previous"] == entries(path)[2]["hash"]
    assert verify([path]).restarts == 2
    assert messages(path) == []


def test_a_torn_last_line_is_taken_off_and_said(path: Path) -> None:
    written(path, ["a"])
    with path.open("ab") as file:
        file.write(b'{"seq":4,"pr')
    assert "was being written" in " ".join(messages(path))
    written(path, [])
    assert entries(path)[3]["torn_bytes"] == 12
    assert messages(path) == []


def test_a_rotated_log_goes_on_in_a_new_file(path: Path) -> None:
    old = path.with_name("decisions.log.1")
    made = opened(path)
    made.start()
    made.write({"kind": "decision", "name": "a"})
    made.close()
    path.rename(old)
    written(path, ["b"])
    first = entries(path)[0]
    assert (first["why"], first["previous"]) == ("new", entries(old)[-1]["hash"])
    together = verify([old, path])
    assert (together.problems, together.begins_after) == ((), 0)
    alone = verify([path])
    assert (alone.problems, alone.begins_after) == ((), 3)
    assert any("entry 1 follows entry 6" in str(problem) for problem in verify([path, old]).problems)


def test_a_running_writer_follows_a_rotation(path: Path) -> None:
    old = path.with_name("decisions.log.1")
    made = opened(path)
    path.rename(old)
    made._persist([{"kind": "decision", "name": "b"}], 1)
    made.close()
    assert kinds(old) == ["start new"]
    assert kinds(path) == ["start rotated", "decision b"]
    assert verify([old, path]).problems == ()


def tampered(path: Path, change: Any) -> list[str]:
    written(path, ["a", "b", "c", "d"])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))
    return messages(path)


def test_an_edit_is_found_at_its_line(path: Path) -> None:
    found = tampered(path, lambda lines: [line.replace(b'"b"', b'"x"') for line in lines])
    assert found[0] == ":3: the entry was changed: its hash does not fit"


def test_an_entry_taken_out_is_found_where_it_was(path: Path) -> None:
    assert tampered(path, lambda lines: lines[:2] + lines[3:])[0] == (
        ":3: entry 4 follows entry 2: 1 missing before it"
    )


def test_entries_put_in_another_order_are_found(path: Path) -> None:
    found = tampered(path, lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]])
    assert found[:2] == [
        ":3: entry 4 follows entry 2: 1 missing before it",
        ":4: entry 3 follows entry 4: it stands in the wrong place",
    ]


def test_an_entry_twice_is_found(path: Path) -> None:
    assert "wrong place" in tampered(path, lambda lines: [*lines[:2], lines[1], *lines[2:]])[0]


def test_an_entry_made_up_is_found(path: Path) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        return [*lines[:2], seal(Link(2, "f" * 64), {"kind": "decision", "name": "x"})[0], *lines[3:]]

    assert tampered(path, change)[0] == ":3: entry 3 does not fit the entry before it"


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_a_cut_of_the_tail_is_found_by_the_head_file(path: Path, kept: int) -> None:
    found = tampered(path, lambda lines: lines[:kept])
    assert found == [f":{kept}: the end is cut: decisions.log.head knows entry 6, which is not here"]


def test_a_cut_of_the_beginning_is_found(path: Path) -> None:
    assert tampered(path, lambda lines: lines[1:]) == [
        ":1: the file does not begin with the entry that begins a file: its head was cut"
    ]


def test_a_cut_tail_without_a_head_file_shows_by_a_hash_kept_elsewhere(path: Path) -> None:
    written(path, ["a", "b"])
    last = verify([path]).last
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    head_of(path).unlink()
    assert messages(path) == []
    assert not verify([path]).tail_checked
    assert messages(path, expect=last.hash) == [
        ":3: no entry has the expected hash: the end was cut, or everything was written anew"
    ]


def test_a_cut_while_the_router_was_down_is_told_for_ever(path: Path) -> None:
    written(path, ["a", "b"])
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    written(path, ["c"])
    assert messages(path) == [":3: the file was cut before the router started: the entry that ended it was not here"]


def test_a_head_file_that_is_behind_after_a_crash_is_no_finding(path: Path) -> None:
    written(path, ["a"])
    first = entries(path)[0]
    head_of(path).write_text(f"{1:018d} {first['hash']}\n")
    assert messages(path) == []
    written(path, [])
    assert messages(path) == []


def test_a_broken_head_file_is_a_finding(path: Path) -> None:
    written(path, ["a"])
    head_of(path).write_text("nonsense")
    assert verify([path]).problems[0].source == str(head_of(path))


def test_a_full_queue_drops_counts_and_leaves_a_gap(path: Path) -> None:
    dropped = Dropped()
    made = opened(path, queue=2, on_dropped=dropped)
    for name in "abcde":
        made.write({"kind": "decision", "name": name})
    made.start()
    made.close()
    assert dropped.number == 3
    assert kinds(path) == ["start new", "decision a", "decision b", "gap", "stop"]
    found = verify([path])
    assert (found.dropped, found.problems) == (3, ())


def test_after_the_end_entries_are_counted_as_dropped(path: Path) -> None:
    dropped = Dropped()
    made = opened(path, on_dropped=dropped)
    made.start()
    made.close()
    made.write({"kind": "decision", "name": "late"})
    assert dropped.number == 1


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that takes half of what is written and then nothing, while the event is set."""
    full = threading.Event()
    real = os.pwrite

    def pwrite(file: int, data: bytes, at: int) -> int:
        if not full.is_set():
            return real(file, data, at)
        if len(data) > 10:
            return real(file, data[: len(data) // 2], at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writer.os, "pwrite", pwrite)
    monkeypatch.setattr(writer, "RETRY", 0.01)
    yield full
    full.clear()


def test_a_full_disk_leaves_no_half_entry_and_what_waited_is_written_later(
    path: Path, full_disk: threading.Event
) -> None:
    made = opened(path)
    before = path.read_bytes()
    full_disk.set()
    with pytest.raises(OSError, match="No space"):
        made._append([{"kind": "decision", "name": "a"}])
    assert path.read_bytes() == before
    made.start()
    made.write({"kind": "decision", "name": "b"})
    full_disk.clear()
    made.close()
    assert kinds(path)[:2] == ["start new", "decision b"]
    assert messages(path) == []


def test_what_a_full_disk_never_took_is_counted_at_the_end(path: Path, full_disk: threading.Event) -> None:
    dropped = Dropped()
    made = opened(path, on_dropped=dropped)
    full_disk.set()
    made.write({"kind": "decision", "name": "a"})
    made.write({"kind": "decision", "name": "b"})
    made.start()
    made.close()
    assert dropped.number == 2
    assert kinds(path) == ["start new"]


def test_times_are_utc_with_milliseconds() -> None:
    assert timestamp(1_700_000_000.0625) == "2023-11-14T22:13:20.062Z"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1_000_000), st.booleans())
def test_wherever_a_crash_cut_the_file_the_chain_goes_on_and_a_cut_entry_is_told(
    tmp_path_factory: pytest.TempPathFactory, at: int, head: bool
) -> None:
    path = tmp_path_factory.mktemp("log", numbered=True) / "decisions.log"
    path.parent.chmod(0o700)
    written(path, ["a", "b", "c"])
    text = path.read_bytes()
    at %= len(text) + 1
    path.write_bytes(text[:at])
    whole = text[:at].count(b"\n")
    if not head:
        head_of(path).unlink()
    written(path, ["d"])
    found = verify([path])
    cut = head and 0 < whole < 5
    assert [problem.line for problem in found.problems] == ([whole + 1] if cut else [])
    assert found.begins_after == (5 if head and whole == 0 else 0)
    assert entries(path)[whole].get("torn_bytes", 0) == at - (text.rfind(b"\n", 0, at) + 1)
    assert [entry["name"] for entry in entries(path) if entry["kind"] == "decision"][-1] == "d"
