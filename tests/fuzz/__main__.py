"""Fuzzes the targets with atheris, one after another, each in a process of its own.

    python -m tests.fuzz                              every target for ten minutes
    python -m tests.fuzz --seconds 60 rules tokens    two of them for a minute each
    python -m tests.fuzz --keep                       take new inputs over into the corpus, if they reach new lines
    python -m tests.fuzz --replay rules FILE          one input once more, such as one that was found

What a run learns stays in ``.fuzz/TARGET`` and is where the next one begins; what was found is in ``.fuzz/found``. Ends with 1 if anything was.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.kept import worth_keeping
from tests.fuzz.target import ROOT, Target
from tests.fuzz.targets import TARGETS

WORK: Final = ROOT / ".fuzz"
FOUND: Final = WORK / "found"
SLOWEST: Final = 20
"""Seconds that one input may take before it is a finding. Instrumented code on a busy machine is slow."""

MEMORY: Final = 2048
"""MiB that a process may hold before it is a finding."""


def fuzz(target: Target, seconds: int) -> int:
    """Fuzz ``target`` for so long; how many findings there were (a fuzzer ends with the first)."""
    learned = WORK / target.name
    for folder in (learned, FOUND):
        folder.mkdir(parents=True, exist_ok=True)
    for data in target.seeds():
        (learned / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    words = WORK / f"{target.name}.words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    before = set(FOUND.iterdir())
    command = [
        sys.executable, "-m", "tests.fuzz.one", target.name, str(learned), f"-max_total_time={seconds}", f"-max_len={target.max_size}",
        f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={FOUND}/{target.name}-",
        "-print_final_stats=1", *([f"-dict={words}"] if target.words else []),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    output = done.stdout.decode("utf-8", "replace")
    new = sorted(set(FOUND.iterdir()) - before)
    if done.returncode or new:
        print(output[output.rfind("INFO: Instrumenting") :][-6000:])
        print(
            f"{target.name}: FOUND {', '.join(path.relative_to(ROOT).as_posix() for path in new) or 'something, see above'}"
        )
        return max(1, len(new))
    inputs = re.search(r"stat::number_of_executed_units: (\d+)", output)
    covered = re.findall(r"cov: (\d+)", output)
    count = int(inputs[1]) if inputs else 0
    print(
        f"{target.name}: {count} inputs in {seconds} s, {covered[-1] if covered else 0} branches, nothing found",
        flush=True,
    )
    return 0 if count else 1


def keep(target: Target) -> int:
    """Take over into the corpus what the runs have learned; how many inputs that is."""
    learned = WORK / target.name
    inputs = [path.read_bytes() for path in learned.iterdir()] if learned.is_dir() else []
    new = worth_keeping(target, inputs)
    target.folder.mkdir(parents=True, exist_ok=True)
    for data in new:
        (target.folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()[:12]).write_bytes(data)
    return len(new)


def _escaped(word: str) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word.encode())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (default: %(default)s)")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--replay", type=Path, metavar="FILE")
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if options.seconds <= 0:
        parser.error("--seconds must be more than 0")
    targets = [TARGETS[name] for name in options.targets or TARGETS]
    if options.replay:
        data = options.replay.read_bytes()
        for target in targets:
            print(f"{target.name}: {'accepted' if target.run(data) else 'refused'}")
        return 0
    if options.keep:
        for target in targets:
            print(f"{target.name}: {keep(target)} taken over")
        return 0
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed; tox -e fuzz installs it")
    return 1 if sum(fuzz(target, options.seconds) for target in targets) else 0


if __name__ == "__main__":
    sys.exit(main())
