"""Runs the suite's client, which is a Python 2.7 program, and reads its verdicts.

It owns: where Python 2.7 is, a virtual environment with ``autobahntestsuite`` in it, one run per lane with a deadline (the client
waits for ever on a server that says nothing) and what counts as a failure. The exit status of the client says nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = "autobahntestsuite==25.10.1"
AGENT: Final = "trio_router"

PASSED: Final = frozenset({"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"})
"""``UNIMPLEMENTED``: what the case is about was not negotiated."""

CASES: Final = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
"""All but 12 and 13, which are about compression: it is never negotiated (T05). There is no section 8 or 11."""


class Missing(Exception):
    """There is no Python 2.7 here, so the suite cannot run."""


class Broken(Exception):
    """The client could not be installed, or left no report; says why."""


def python27(environ: Mapping[str, str], home: Path) -> Path | None:
    """A Python 2.7 that answers: ``PYTHON27``, ``python2.7`` on the path, or the newest that pyenv keeps."""
    named = environ.get("PYTHON27")
    if named:
        return Path(named)
    root = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    kept = sorted(
        root.glob("versions/2.7*/bin/python2.7"), key=lambda path: [int(n) for n in path.parts[-3].split(".")]
    )
    found = shutil.which("python2.7", path=environ.get("PATH"))
    return next(filter(_answers, [*([Path(found)] if found else []), *reversed(kept)]), None)


def _answers(python: Path) -> bool:
    """Whether it is there in truth: pyenv puts a stand-in on the path that only says what else to call."""
    try:
        version = subprocess.run([str(python), "-V"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return version.returncode == 0 and "Python 2.7" in version.stdout + version.stderr


def install(folder: Path) -> Path:
    """The suite's client, installed into ``folder`` unless it is there. Raises :class:`Missing` or :class:`Broken`."""
    program = folder / "bin" / "wstest"
    if program.exists():
        return program
    python = python27(os.environ, Path.home())
    if python is None:
        raise Missing("there is no Python 2.7 here, and the Autobahn suite needs it; PYTHON27 may say where one is")
    for command in (
        [sys.executable, "-m", "virtualenv", "--quiet", "--python", str(python), str(folder)],
        [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", PACKAGE],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise Broken(f"{PACKAGE} could not be installed: {done.stderr.strip() or done.stdout.strip()}")
    return program


def run(program: Path, url: str, reports: Path, cases: Sequence[str] = CASES, timeout: float = 900.0) -> dict[str, Any]:
    """One run of the client against the server at ``url``: its index of cases. Raises ``TimeoutExpired`` or :class:`Broken`."""
    reports.mkdir(parents=True, exist_ok=True)
    index = reports / "index.json"
    index.unlink(missing_ok=True)
    spec = reports / "spec.json"
    spec.write_text(
        json.dumps(
            {
                "outdir": str(reports),
                "servers": [{"agent": AGENT, "url": url, "options": {"version": 18}}],
                "cases": list(cases),
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
        )
    )
    with (reports / "client.log").open("w") as log:
        command = [str(program), "-m", "fuzzingclient", "-s", str(spec)]
        subprocess.run(command, stdout=log, stderr=log, timeout=timeout, check=False, cwd=reports)
    if not index.exists():
        raise Broken(f"the client has left no report, see {reports / 'client.log'}")
    return dict(json.loads(index.read_text())[AGENT])


def failures(cases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What went wrong, case by case: the case's own verdict and that on the way it was closed. No cases at all are a failure."""
    if not cases:
        return ["no case was run"]
    return [
        f"{case}: {verdict['behavior']}, close {verdict['behaviorClose']}"
        for case, verdict in sorted(cases.items(), key=lambda item: [int(part) for part in item[0].split(".")])
        if not {verdict["behavior"], verdict["behaviorClose"]} <= PASSED
    ]
