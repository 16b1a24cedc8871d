"""The router compiled (``setup.py``), in ``.bench``: built from this checkout, again whenever something of it has changed.

``BENCH_TREE`` in the environment names another place to measure in its stead: a checkout, or where a build was unpacked.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.compare.server import Missing
from benchmarks.generator import BUILT, ROOT


@cache
def tree() -> Path:
    """Where it is, or would be."""
    if "BENCH_TREE" in os.environ:
        return Path(os.environ["BENCH_TREE"])
    made_of = hashlib.sha256(sys.version.encode())
    for source in (ROOT / "setup.py", ROOT / "setup.cfg", *sorted((ROOT / "trio_router").rglob("*.py"))):
        made_of.update(source.read_bytes())
    return BUILT / f"router-{made_of.hexdigest()[:12]}"


def compile_it() -> None:
    """Build it if it is not there. Raises ``Missing`` with the end of what the compiler said."""
    if tree().exists():
        return
    BUILT.mkdir(exist_ok=True)
    unfinished = tree().with_suffix(".unfinished")
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--upgrade",
            "--target",
            str(unfinished),
            str(ROOT),
        ],
        env={**os.environ, "TRIO_ROUTER_COMPILE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise Missing(f"the router could not be compiled: {made.stderr[-2000:].strip()}")
    unfinished.rename(tree())


def check() -> None:
    """Raises ``Missing`` if it is not there."""
    if not tree().exists():
        raise Missing("the router has not been compiled: --install")
