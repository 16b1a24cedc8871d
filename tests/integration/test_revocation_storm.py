"""Revoke a user with many sessions while somebody publishes; a checker reads the logs and decides.

What each client got goes to a log of its own, with the time; so does the moment in which the revocation returned. The
checker (:func:`check`) sees only these files. A hundred sessions by default; ``TRIO_ROUTER_STORM=500`` for more.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import trio

from tests.integration.test_access_tokens import Tokens, router, seal, tokens  # noqa: F401 - fixtures
from trio_router.client import ConnectionEnded, connect

SESSIONS = int(os.environ.get("TRIO_ROUTER_STORM", "100"))
LATEST = 1.0
"""Seconds after the call returned in which nothing may be delivered any more."""


def check(folder: Path) -> list[str]:
    """What is wrong with the logs in ``folder``: "revoked.log" holds a time, each other one lines of (time, what, value)."""
    revoked = json.loads((folder / "revoked.log").read_text())
    faults = []
    for path in sorted(folder.glob("client-*.log")):
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        events = [(at, value) for at, what, value in entries if what == "event"]
        ends = [(at, value) for at, what, value in entries if what == "end"]
        is_bystander = path.name.startswith("client-other")
        if not events or events[0][0] > revoked:
            faults.append(f"{path.name}: got nothing before the revocation, so it shows nothing")
        numbers = [value for _, value in events]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers)) if numbers else []):
            faults.append(f"{path.name}: events are missing or out of order")
        late = [at for at, _ in events if at > revoked + LATEST]
        if is_bystander and (ends or not late):
            faults.append(f"{path.name}: was disturbed")
        if not is_bystander and late:
            faults.append(f"{path.name}: {len(late)} events after the revocation")
        if not is_bystander and [value for at, value in ends if at <= revoked + LATEST] != ["revoked_for_good"]:
            faults.append(f"{path.name}: did not end in time as revoked: {ends}")
    return faults


def test_the_checker_finds_faults(tmp_path: Path) -> None:
    (tmp_path / "revoked.log").write_text("10.0")
    (tmp_path / "client-1.log").write_text('[9, "event", 1]\n[11.5, "event", 2]\n[11.6, "end", "revoked_for_good"]\n')
    (tmp_path / "client-2.log").write_text('[9, "event", 1]\n[9.5, "event", 3]\n[10.5, "end", "revoked_for_good"]\n')
    (tmp_path / "client-3.log").write_text('[9, "event", 1]\n[10.5, "end", "revoked_for_good"]\n')
    (tmp_path / "client-other.log").write_text('[9, "event", 1]\n')
    assert [fault.split(":")[0] for fault in check(tmp_path)] == [
        "client-1.log", "client-1.log", "client-2.log", "client-other.log",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.threat("T33", "T52")
async def test_a_revoked_user_gets_nothing_any_more(router: Tokens, tmp_path: Path) -> None:  # noqa: F811
    rest, logs, ready = router.rest(), tmp_path / "logs", []
    logs.mkdir()
    john, other = await rest.generate_token("John"), await rest.generate_token("Other")
    every_one_ready, stop = trio.Event(), trio.Event()

    async def client(name: str, token: str) -> None:
        with (logs / f"client-{name}.log").open("w") as log:
            async with (
                connect(router.url, {"token": token}, reconnect=False) as me,
                me.subscribe("c", buffer=10_000) as feed,
            ):
                ready.append(name)
                if len(ready) == SESSIONS + 1:
                    every_one_ready.set()
                try:
                    async for event in feed:
                        log.write(json.dumps([trio.current_time(), "event", event.data]) + "\n")
                except ConnectionEnded as ended:
                    log.write(json.dumps([trio.current_time(), "end", ended.slug]) + "\n")

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
        answer = await router.revoke("user", "John", for_good=True)
        (logs / "revoked.log").write_text(json.dumps(trio.current_time()))
        assert answer.json() == {"ended": SESSIONS}
        await trio.sleep(2 * LATEST)
        stop.set()
        nursery.cancel_scope.cancel()
    assert check(logs) == []
