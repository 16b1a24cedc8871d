"""Rules with their test cases: lint, test with coverage, then a change that breaks something. Needs no router. Ends by itself."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def rules(*arguments: str) -> None:
    """Runs one command, as a person or a build would, and shows what it says."""
    command = [sys.executable, "-m", "trio_router", "rules", *arguments]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    print(
        f"$ trio-router rules {' '.join(arguments)}\n{done.stdout}{done.stderr}(exit code {done.returncode})\n",
        flush=True,
    )


def main() -> None:
    rules("fmt", "--check", "rules.yml")
    rules("lint", "--no-hints", "rules.yml")
    rules("test", "cases.yml", "--coverage", "--fail-under", "90")

    print("Now somebody wants nurses to publish results, and edits the rule in a hurry:\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        hasty = Path(folder) / "hasty.yml"
        text = (HERE / "rules.yml").read_text()
        hasty.write_text(
            text.replace("user.data?.role === 'doctor' && typeof", "user.data?.role !== 'porter' && typeof")
        )
        rules("test", "cases.yml", "--rules", str(hasty))
    print("the change is found before anybody is affected by it")


if __name__ == "__main__":
    main()
