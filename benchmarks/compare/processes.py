"""Servers as processes pinned to one core: started, watched through /proc, ended.

Knows nothing of what they serve. Linux only, like the pinning of the whole benchmark.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

START_TIMEOUT: Final = 60.0
STOP_TIMEOUT: Final = 10.0
_TICK: Final = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server did not start; the text is the end of what it wrote."""


@attrs.define(eq=False)
class Running:
    """A server that listens on ``port`` of loopback; what it writes goes to ``output``."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path

    @property
    def pids(self) -> list[int]:
        """The process and all it started."""
        return [self.process.pid, *_descendants(self.process.pid)]

    def cpu(self) -> float:
        """Seconds of CPU that all of them have used."""
        return sum(_cpu(pid) for pid in self.pids)


@contextmanager
def running(
    command: list[str],
    port: int,
    folder: Path,
    core: int | None,
    environ: Mapping[str, str],
    patience: float = START_TIMEOUT,
) -> Iterator[Running]:
    """The server ``command`` during the block, on core ``core`` (None: on any), with ``folder`` as its working directory.

    Raises:
        ServerFailed: it ended, or nothing listened on ``port`` within ``patience`` seconds.
    """
    output = folder / "output"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environ},
            start_new_session=True,  # what it starts can be ended with it
            preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509 - this program has no threads
        )
    try:
        _listens(process, port, output, patience)
        yield Running(process, port, output)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def core_busy(core: int) -> float:
    """Seconds for which core ``core`` has been working, for whomever."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
            return (user + nice + system + irq + softirq + steal) / _TICK
    raise LookupError(f"/proc/stat has no core {core}")


def _listens(process: subprocess.Popen[bytes], port: int, output: Path, patience: float) -> None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ServerFailed(output.read_text(errors="replace")[-2000:] or f"nothing listens on {port}")


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    left = [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICK if fields else 0.0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
