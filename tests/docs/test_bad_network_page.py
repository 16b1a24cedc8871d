"""The program on the page about bad networks runs as it stands there, and every fault has its line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import attrs

from trio_router.testing.chaos import Faults

TEXT = (Path(__file__).parents[2] / "docs" / "howto" / "test-over-a-bad-network.md").read_text(encoding="utf-8")


def test_the_program_runs(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "first\nsecond over 2 connections\n"


def test_every_fault_is_described() -> None:
    described = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)))
    assert sorted(described) == sorted(field.name for field in attrs.fields(Faults))
