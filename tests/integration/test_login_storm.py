"""The benchmark of a storm of logins runs, and the bound on memory holds with the real parameters of argon2id."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.threat("T57")
def test_a_storm_is_served_within_the_memory_of_its_threads() -> None:
    command = [sys.executable, "-m", "benchmarks.login_storm", "--logins=60", "--threads=2", "--floor=0.2", "--json"]
    # The figure that counts is the benchmark's own; here the gate only has to tell "in threads" from "on the loop".
    done = subprocess.run(
        [*command, "--gate=1000"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["accepted"] == 60
    assert figures["rss_growth_mib"] < 2 * 19 + 40  # 60 at once would be 1140
    assert figures["floor_verifications_per_second"] > 0
