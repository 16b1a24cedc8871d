"""What is fuzzed: a name, a function of bytes that says whether they were accepted, and what a fuzzer may start from.

A target takes any bytes. The error class that its code documents means "refused"; every other exception is a finding, and so is a
failed assertion about what was accepted. Targets are functions of their input: no clock, no chance, no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]
CORPUS: Final = Path(__file__).parent / "corpus"


@attrs.frozen
class Target:
    """``words`` are pieces of its language; ``also`` are globs below the repository for files that are inputs too."""

    name: str
    run: Callable[[bytes], bool]
    words: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    max_size: int = 4096

    @property
    def folder(self) -> Path:
        """Where its corpus is kept."""
        return CORPUS / self.name

    def kept(self) -> Iterator[bytes]:
        """The corpus, in the order of its names."""
        return self._read(sorted(self.folder.iterdir()) if self.folder.is_dir() else [])

    def seeds(self) -> Iterator[bytes]:
        """The corpus, and what else there is."""
        yield from self.kept()
        for pattern in self.also:
            yield from self._read(sorted(ROOT.glob(pattern)))

    def _read(self, paths: list[Path]) -> Iterator[bytes]:
        return (path.read_bytes() for path in paths if path.stat().st_size <= self.max_size)


def text(data: bytes) -> str:
    """``data`` as a text that can be written as UTF-8, as everything is that a WebSocket or a file brings."""
    return data.decode("utf-8", "replace")
