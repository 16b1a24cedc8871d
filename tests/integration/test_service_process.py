"""A service for tests and examples that cannot start says why, at once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trio_router.testing import process
from trio_router.testing.process import ServiceFailed, free_port, service_process


async def test_a_port_that_somebody_else_has(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text("import time; time.sleep(60)")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceFailed, match=f"^port {port}: "):
            async with service_process(script, {"PORT": str(port)}):
                pass


async def test_a_program_that_ends(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text("raise SystemExit('no database')")
    with pytest.raises(ExceptionGroup) as failed:
        async with service_process(script, {"PORT": str(free_port())}):
            pass
    assert [(type(error), str(error)) for error in failed.value.exceptions] == [(ServiceFailed, "no database\n")]


def test_a_free_port_is_none_that_outgoing_connections_get_and_none_that_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    assert port < int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with socket.create_server(("127.0.0.1", port)):
        monkeypatch.setattr(process, "_PORTS", range(port, port + 1))
        monkeypatch.setattr(process, "_TRIES", 1)
        with pytest.raises(OSError, match=f"no port of {port} to {port} is free"):
            free_port()
    assert free_port() == port
