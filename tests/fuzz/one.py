"""One target in atheris's hands: it takes over the process and ends it. ``python -m tests.fuzz`` starts this."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["trio_router", "tests.fuzz", "h11", "wsproto", "yaml", "jose"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """``one TARGET FOLDER [libFuzzer's options]``."""
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
