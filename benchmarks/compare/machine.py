"""What the figures were measured on: machine, kernel, and the versions of all that took part."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.compare.peers import NGINX, NPM
from benchmarks.generator import BUILT, ROOT


def describe() -> dict[str, Any]:
    """The fields ``machine``, ``versions`` and ``commit`` of a result; no host name, no path."""
    return {
        "commit": _said(["git", "-C", os.environ.get("BENCH_TREE", str(ROOT)), "rev-parse", "--short", "HEAD"]),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "kernel": platform.release().split("-")[0]},
        "versions": {name: version for name, version in _versions().items() if version},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "node": _said(["node", "--version"]).removeprefix("v"),
        "nginx": _said([NGINX, "-v"]).rpartition("/")[2],
        **{package: _npm(package) for package in ("ws", "socket.io", "@oven/bun-linux-x64", "@deepstream/server")},
        **{package: _pip("starlette", package) for package in ("uvicorn", "starlette")},
        "crossbar": _pip("crossbar", "crossbar"),
    }


def _npm(package: str) -> str:
    try:
        return str(json.loads((NPM / "node_modules" / package / "package.json").read_text())["version"])
    except OSError:
        return ""


def _pip(venv: str, package: str) -> str:
    found = sorted((BUILT / venv).glob(f"lib/python*/site-packages/{package}-*.dist-info"))
    return found[0].name.removeprefix(f"{package}-").removesuffix(".dist-info") if found else ""


def _said(command: list[str]) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (ran.stdout or ran.stderr).strip() if ran.returncode == 0 else ""
