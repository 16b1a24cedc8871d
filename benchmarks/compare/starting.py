"""Starts a server in a folder of its own, together with the service that it asks, if it asks one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.compare.processes import START_TIMEOUT, Running, running
from benchmarks.compare.server import BESIDE, Server
from trio_router.testing.process import free_port


@contextmanager
def started(
    server: Server,
    core: int | None,
    beside_core: int | None,
    under: Sequence[str] = (),
    patience: float = START_TIMEOUT,
) -> Iterator[tuple[Running, Path]]:
    """``server`` during the block, on core ``core``, and its folder. ``{folder}`` in ``under``, what it runs under, is that folder.
    ``patience``: seconds in which it has to listen.

    Raises:
        ServerFailed: it, or what it asks, did not start.
        Missing: it cannot be had here.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # servers that give up root still read their files
        if server.beside:
            asked, place = free_port(), folder / "asked"
            place.mkdir()
            environ = {"PORT": str(asked)}
            stack.enter_context(running(list(server.beside), asked, place, beside_core, environ))
            (folder / BESIDE).write_text(str(asked))
        port = free_port()
        command = [word.format(folder=folder) for word in under] + server.command(folder, port)
        yield stack.enter_context(running(command, port, folder, core, server.environ, patience)), folder
