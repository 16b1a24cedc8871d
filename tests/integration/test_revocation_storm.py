"""Revoke a user with many sessions while somebody publishes; a checker reads the logs and decides.

What each client got goes to a log of its own, with the time; so does the moment in which the revocation returned. The
checker (:func:`trio_router.testing.revocations.faults`) sees only these files. A hundred sessions by default;
``TRIO_ROUTER_STORM=500`` for more.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from tests.integration.test_access_tokens import Tokens, router, seal, tokens  # noqa: F401 - fixtures
from trio_router.client import connect
from trio_router.client.http import HttpFailed
from trio_router.testing.revocations import LATEST, Delivered, faults, mark_revoked, revoke

SESSIONS = int(os.environ.get("TRIO_ROUTER_STORM", "100"))


def test_the_checker_finds_faults(tmp_path: Path) -> None:
    (tmp_path / "revoked.log").write_text("10.0")
    (tmp_path / "client-1.log").write_text('[9, "event", 1]\n[11.5, "event", 2]\n[11.6, "end", "revoked_for_good"]\n')
    (tmp_path / "client-2.log").write_text('[9, "event", 1]\n[9.5, "event", 3]\n[10.5, "end", "revoked_for_good"]\n')
    (tmp_path / "client-3.log").write_text('[9, "event", 1]\n[10.5, "end", "revoked_for_good"]\n')
    (tmp_path / "bystander-other.log").write_text('[9, "event", 1]\n')
    assert [fault.split(":")[0] for fault in faults(tmp_path)] == [
        "bystander-other.log", "client-1.log", "client-1.log", "client-2.log",
    ]  # fmt: skip


def test_no_records_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "revoked.log").write_text("10.0")
    assert len(faults(tmp_path)) == 1


async def test_a_refused_revocation_is_no_revocation(router: Tokens) -> None:  # noqa: F811
    admin, token = router.site.address.admin or "", router.site.admin_token
    with pytest.raises(HttpFailed) as refused:
        await revoke(admin, "not the token", "user", "John")
    assert refused.value.status == 401
    with pytest.raises(HttpFailed) as invalid:
        await revoke(admin, token, "user")
    assert invalid.value.status == 422
    assert (await router.site.admin("GET", "/admin/revocations")).json() == {"revocations": []}


@pytest.mark.slow
@pytest.mark.threat("T33", "T52")
async def test_a_revoked_user_gets_nothing_any_more(router: Tokens, tmp_path: Path) -> None:  # noqa: F811
    rest, logs, ready = router.rest(), tmp_path / "logs", []
    logs.mkdir()
    john, other = await rest.generate_token("John"), await rest.generate_token("Other")
    every_one_ready, stop = trio.Event(), trio.Event()

    async def client(name: str, token: str) -> None:
        async with (
            connect(router.url, {"token": token}, reconnect=False) as me,
            me.subscribe("c", buffer=10_000) as feed,
        ):
            ready.append(name)
            if len(ready) == SESSIONS + 1:
                every_one_ready.set()
            await Delivered(logs, name, bystander=name == "other").follow(feed)

    async def publish() -> None:
        async with connect(router.url, {"token": (await rest.generate_token("Source")).text}) as source:
            number = 0
            while not stop.is_set():
                await source.publish("c", number)
                number += 1
                await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client, "other", other.text)
        for number in range(SESSIONS):
            nursery.start_soon(client, str(number), john.text)
        with trio.fail_after(60):
            await every_one_ready.wait()
        nursery.start_soon(publish)
        await trio.sleep(1)
        ended = await revoke(router.site.address.admin or "", router.site.admin_token, "user", "John", for_good=True)
        mark_revoked(logs)
        assert ended == SESSIONS
        await trio.sleep(2 * LATEST)
        stop.set()
        nursery.cancel_scope.cancel()
    assert len(list(logs.glob("client-*.log"))) == SESSIONS
    assert faults(logs) == []
