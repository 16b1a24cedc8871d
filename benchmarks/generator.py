"""Builds the load generator and the C floor, and runs one measurement: ``python -m benchmarks.generator --help``.

The generator (``benchmarks/load``) and the floor (``benchmarks/floor``) are C without dependencies; with OpenSSL's headers there, the
generator speaks TLS too. They are built into ``.bench`` at the root of the repository, again whenever a source has changed.

    python -m benchmarks.generator --port 7000 --scenario events --subscribers 100 --window 64 --seconds 3

builds it and hands all arguments to it; ``benchmarks/load/main.c`` has the list with the defaults.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
BUILT: Final = ROOT / ".bench"
FLAGS: Final = ["-std=gnu11", "-O3", "-Wall", "-Wextra"]


class BuildFailed(Exception):
    """The compiler is missing or refused a source; the text is what it said."""


class LoadFailed(Exception):
    """A measurement did not come about; the text is what the generator said."""


def build_load() -> tuple[Path, bool]:
    """The generator, and whether it can speak TLS.

    Raises:
        BuildFailed: there is no C compiler, or it failed.
    """
    sources = sorted((ROOT / "benchmarks" / "load").glob("*.[ch]"))
    try:
        return _build("load-tls", sources, ["-DWITH_TLS"], ["-lssl", "-lcrypto"]), True
    except BuildFailed:
        return _build("load", sources), False


def build_floor() -> Path:
    """The floor.

    Raises:
        BuildFailed: there is no C compiler, or it failed.
    """
    return _build("floor", sorted((ROOT / "benchmarks" / "floor").glob("*.[ch]")))


def _build(name: str, sources: list[Path], flags: list[str] | None = None, libraries: list[str] | None = None) -> Path:
    # Named after what it was made of, so that two versions can be measured with one .bench.
    made_of = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    program = BUILT / f"{name}-{made_of}"
    if program.exists():
        return program
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BuildFailed("no C compiler: install gcc or set CC")
    BUILT.mkdir(exist_ok=True)
    inputs = [str(source) for source in sources if source.suffix == ".c"]
    command = [compiler, *FLAGS, *(flags or []), "-o", str(program), *inputs, *(libraries or [])]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise BuildFailed(made.stderr)
    return program


def measure(
    program: Path, options: Mapping[str, Any], *, watch: list[int], core: int, patience: float
) -> dict[str, Any]:
    """One run of the generator on core ``core``: what it measured, as ``main.c`` prints it.

    ``watch`` are the server's processes. ``patience`` is in seconds.

    Raises:
        LoadFailed: it failed, or did not end within its patience.
    """
    command = [str(program), "--core", str(core)]
    for number in watch:
        command += ["--watch", str(number)]
    for name, value in options.items():
        command += [f"--{name}", str(int(value) if isinstance(value, bool) else value)]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"no end after {patience:.0f} seconds") from None
    if ran.returncode:
        raise LoadFailed(ran.stderr.strip() or f"exit status {ran.returncode}")
    result: dict[str, Any] = json.loads(ran.stdout)
    if ran.stderr:
        result["said"] = ran.stderr.strip()
    return result


@contextmanager
def idle(program: Path, connections: int, options: Mapping[str, Any], *, core: int) -> Iterator[None]:
    """So many logged-in connections during the block, of a generator of their own on core ``core`` (-1: any), with its ``options``.

    Raises:
        LoadFailed: not all of them came in.
    """
    if not connections:
        yield
        return
    wanted = {"scenario": "idle", "hold": 1, "connections": connections, "core": core, **options}
    command = [str(program), *(word for name, value in wanted.items() for word in (f"--{name}", str(value)))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            if process.stdout.readline() != "settled\n":
                raise LoadFailed(process.stderr.read().strip())
            yield
            if process.poll() is not None:
                raise LoadFailed(f"the idle connections are gone: {process.stderr.read().strip()}")
        finally:
            process.kill()


def main() -> None:
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return
    program, _ = build_load()
    sys.exit(subprocess.run([str(program), *sys.argv[1:]], check=False).returncode)


if __name__ == "__main__":
    main()
