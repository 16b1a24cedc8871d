"""Packages of the npm registry for tests: installed and built once in a folder, however many workers want them."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

TIMEOUT: Final = 240.0
SOURCES: Final = ("package.json", "package-lock.json", ".npmrc", "web/*")


class NpmMissing(Exception):
    """npm is not there."""


def installed(folder: Path, *, build: bool = False) -> Path:
    """``folder`` with what its package-lock.json names in ``node_modules``; and with ``npm run build`` done, if that is asked for.

    Raises:
        NpmMissing: there is no npm here.
        RuntimeError: npm failed; the text is what it wrote.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NpmMissing("not installed: npm (package npm)")
    folder = folder.resolve()
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    with Path(tempfile.gettempdir(), f"trio-router-npm-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, wanted = folder / "node_modules" / ".stamp", _digest(folder, build)
        if not stamp.exists() or stamp.read_text() != wanted:
            _run(folder, npm, "ci")
            if build:
                _run(folder, npm, "run", "build")
            stamp.write_text(wanted)
    return folder


def _digest(folder: Path, build: bool) -> str:
    digest = hashlib.sha256(f"{build}".encode())
    for pattern in SOURCES:
        for path in sorted(folder.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
