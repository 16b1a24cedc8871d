"""The servers that logins are measured with let in who they should, each in its own way, and nobody else."""

from __future__ import annotations

import shutil
from typing import Any

import attrs
import httpx
import pytest

from benchmarks.compare.server import BESIDE, Server
from benchmarks.compare.servers import BY_NAME
from benchmarks.compare.starting import started
from benchmarks.generator import LoadFailed, build_load, measure

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")

CONNECTIONS = 30


def installed(name: str) -> Server:
    """The server, with the router that the tests have."""
    return attrs.evolve(BY_NAME[name], environ={})


def log_in(port: int, options: dict[str, Any]) -> dict[str, Any]:
    """All connections log in, are dropped and log in again."""
    load, _ = build_load()
    wanted = {"scenario": "logins", "connections": CONNECTIONS, "concurrent": 10, "hold": 1, "port": port, **options}
    return measure(load, wanted, watch=[], core=-1, patience=60)


@pytest.mark.parametrize("name", ["router-jwt", "router-key", "router-key-proof", "router-access"])
def test_everybody_is_let_in_again_and_again(name: str) -> None:
    with started(installed(name), None, None) as (target, _):
        result = log_in(target.port, BY_NAME[name].options)
    assert (result["operations"], result["connections"], result["failures"]) == (CONNECTIONS, 2 * CONNECTIONS, 0)


@pytest.mark.parametrize(("name", "times"), [("router-webhook", 2), ("router-webhook-cached", 1)])
def test_the_webhook_is_asked_about_each_of_them(name: str, times: int) -> None:
    with started(installed(name), None, None) as (target, folder):
        assert log_in(target.port, BY_NAME[name].options)["operations"] == CONNECTIONS
        asked = httpx.get(f"http://127.0.0.1:{(folder / BESIDE).read_text()}/", trust_env=False).json()
    assert asked == {"asked": times * CONNECTIONS, "most": times}


def test_a_proof_of_another_secret_is_refused() -> None:
    server = installed("router-key-proof")
    with started(server, None, None) as (target, _), pytest.raises(LoadFailed, match="login"):
        log_in(target.port, {**server.options, "secret": "x" * 43})
