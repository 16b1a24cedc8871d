"""A real router in a process of its own, for tests and examples: started, ready, and ended in good order.

It runs the same command a user runs, so what it shows is what a user gets. Everything the router writes is kept, so that a
test can look for what must not be there.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 30.0

# Linux gives the ports above to outgoing connections, other systems those from 49152 on.
_PORTS: Final = range(16384, 32768)
_TRIES: Final = 100


class RouterFailed(Exception):
    """The router ended before it was ready; the text is what it wrote."""


@attrs.define(eq=False)
class RouterProcess:
    """A running router. ``url`` is where clients connect; ``admin`` is the administration's URL, or None."""

    url: str
    admin: str | None
    process: trio.Process
    output: bytearray = attrs.field(repr=False)
    _silent: trio.Event = attrs.field(repr=False)

    @property
    def http_url(self) -> str:
        """The clients' port as an HTTP URL without a path."""
        scheme, _, rest = self.url.partition("://")
        return f"{'https' if scheme == 'wss' else 'http'}://{rest.partition('/')[0]}"

    @property
    def log(self) -> str:
        """Everything it has written to standard output and error."""
        return self.output.decode(errors="replace")

    async def wait(self) -> int:
        """Wait until it has ended and all it wrote is in ``output``; gives its exit status."""
        status = await self.process.wait()
        await self._silent.wait()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)


@asynccontextmanager
async def router_process(
    config: Path | str, *, environ: Mapping[str, str] | None = None, module: str | None = None
) -> AsyncIterator[RouterProcess]:
    """A router of the config file ``config`` during the block; SIGTERM ends it, and SIGKILL after ``STOP_TIMEOUT`` seconds.

    ``environ`` is added to this process's environment. ``module`` is run with the config file as its argument in place of the
    command ``trio-router serve``, for a router that does more; it must log as that does.

    Raises:
        RouterFailed: it did not start.
    """
    serve = ["trio_router", "serve", "--log-format", "json", "--config"]
    command = [sys.executable, "-m", *([module] if module else serve), str(config)]
    output = bytearray()
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(_run, command, {**os.environ, **(environ or {})})
        ready, silent = trio.Event(), trio.Event()
        found: dict[str, str | None] = {}
        nursery.start_soon(_collect, process, output, ready, silent, found)
        try:
            with trio.fail_after(START_TIMEOUT):
                await ready.wait()
            url = found.get("url")
            if url is None:
                raise RouterFailed(output.decode(errors="replace"))
            yield RouterProcess(url, found.get("admin"), process, output, silent)
        finally:
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    process.terminate()
                with trio.move_on_after(STOP_TIMEOUT):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
                    await process.wait()


class ServiceFailed(Exception):
    """The service did not start; the text says why, or is what it wrote."""


@attrs.define(eq=False)
class ServiceProcess:
    """A running service: a program of its own that listens on ``port`` of loopback."""

    port: int
    process: trio.Process

    @property
    def url(self) -> str:
        """Its HTTP URL, without a path."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def service_process(script: Path | str, environ: Mapping[str, str]) -> AsyncIterator[ServiceProcess]:
    """A Python program that serves on the port ``environ["PORT"]``, from its first answer to the block's end.

    ``environ`` is added to this process's environment. What the program writes is read and not shown.

    Raises:
        ServiceFailed: somebody else has the port, or the program ended.
        trio.TooSlowError: nothing answered on that port within ``START_TIMEOUT`` seconds.
    """
    port = int(environ["PORT"])
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise ServiceFailed(f"port {port}: {os.strerror(error.errno or 0)}") from None
    output = bytearray()
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(_run, [sys.executable, str(script)], {**os.environ, **environ})
        silent = trio.Event()
        nursery.start_soon(_keep, process, output, silent)
        try:
            with trio.fail_after(START_TIMEOUT):
                await _answers(port, process)
            if process.returncode is not None:
                await silent.wait()
                raise ServiceFailed(output.decode(errors="replace") or f"it ended with status {process.returncode}")
            yield ServiceProcess(port, process)
        finally:
            process.kill()


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment, of those that no system gives to outgoing connections by default: who
    leaves it and comes back to it, as a service that is restarted does, finds it free again."""
    for port in random.sample(_PORTS, _TRIES):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:  # taken
            continue
    raise OSError(f"no port of {_PORTS[0]} to {_PORTS[-1]} is free")


async def _answers(port: int, process: trio.Process) -> None:
    """Returns as soon as somebody listens on ``port``, or the process has ended."""
    while process.returncode is None:
        try:
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
        except OSError:
            await trio.sleep(0.05)
        else:
            return


async def _run(command: list[str], environ: dict[str, str], *, task_status: trio.TaskStatus[trio.Process]) -> None:
    await trio.run_process(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        task_status=task_status,
    )


async def _keep(process: trio.Process, output: bytearray, silent: trio.Event) -> None:
    """Reads all it writes, so that it never waits for a reader."""
    if process.stdout is not None:
        async for chunk in process.stdout:
            output += chunk
    silent.set()


async def _collect(
    process: trio.Process, output: bytearray, ready: trio.Event, silent: trio.Event, found: dict[str, str | None]
) -> None:
    """Reads all it writes, so that it never waits for a reader, and looks for the line that says it listens."""
    stream = process.stdout
    if stream is None:
        raise RouterFailed("its output is not piped")
    seen = 0
    async for chunk in stream:
        output += chunk
        while not ready.is_set() and (end := output.find(b"\n", seen)) >= 0:
            line, seen = bytes(output[seen:end]), end + 1
            event = _event(line)
            if event.get("event") == "listening":
                found.update(url=event["url"], admin=event["admin"])
                ready.set()
    ready.set()
    silent.set()


def _event(line: bytes) -> dict[str, str]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
