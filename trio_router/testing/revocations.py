"""For tests of revocations: revoke as an administrator does, keep what each client got, and judge by these records alone.

A :class:`Delivered` is one client's record in a file of its own; :func:`faults` reads nothing but the files, so that a
mistake of the test program cannot hide what was delivered. It knows no router from the inside. The rule that keeps it honest: a
record that shows nothing (no event before the revocation, or a bystander without one after it) is itself a fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from trio_router.client import ConnectionEnded, Event, Feed
from trio_router.client.http import post_json

REVOKED: Final = "revoked.log"
"""The file that holds the time at which the revocation had returned."""
LATEST: Final = 1.0
"""Seconds after that in which the last event may arrive and every revoked session must have ended."""


async def revoke(
    admin: str, token: str, kind: str, value: str = "", *, app: str = "default", for_good: bool = False
) -> int:
    """Revoke over the administration at ``admin`` (``RouterProcess.admin``) with its ``token``; gives how many sessions it ended.

    When it returns, the revocation is in force and those sessions are ended. ``kind`` and ``value`` as in
    ``POST /admin/revocations``.

    Raises:
        HttpFailed: it was refused, or there was no answer; its ``status`` says which.
    """
    body = {"kind": kind, "value": value, "app": app, "for_good": for_good}
    reply = await post_json(f"{admin}/admin/revocations", body, headers=[("Authorization", f"Bearer {token}")])
    ended: int = reply.json()["ended"]
    return ended


@attrs.frozen
class Delivered:
    """What the client ``name`` got, in a file in ``folder``: one line of (time, "event" or "end", value) each.

    Times are those of ``trio.current_time()``, so all records that are judged together come from one run. A ``bystander`` must not
    notice the revocation; everybody else must be ended by it.
    """

    folder: Path
    name: str
    bystander: bool = False

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / f"{'bystander' if self.bystander else 'client'}-{self.name}.log"

    async def follow(self, feed: Feed[Event]) -> None:
        """Record every event of ``feed`` (whose data are numbers that count up by one) until its connection ends."""
        with self.path.open("w") as log:
            try:
                async for event in feed:
                    _write(log.write, "event", event.data)
            except ConnectionEnded as ended:
                _write(log.write, "end", ended.slug)


def mark_revoked(folder: Path) -> None:
    """Record that the revocation has returned now."""
    (folder / REVOKED).write_text(json.dumps(trio.current_time()))


def faults(folder: Path, *, end: str = "revoked_for_good", latest: float = LATEST) -> list[str]:
    """What is wrong with the records in ``folder``, each fault with the name of its file; empty if nothing is.

    ``end`` is the slug that revoked sessions must end with, once and within ``latest`` seconds. Raises ``OSError`` without
    :func:`mark_revoked`.
    """
    revoked = json.loads((folder / REVOKED).read_text())
    paths = sorted([*folder.glob("client-*.log"), *folder.glob("bystander-*.log")])
    found = [] if paths else [f"{folder.name}: nobody recorded anything"]
    for path in paths:
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        found += [f"{path.name}: {fault}" for fault in _faults(entries, revoked, end, latest, path.name[0] == "b")]
    return found


def _faults(entries: list[Any], revoked: float, end: str, latest: float, bystander: bool) -> list[str]:
    events = [(at, value) for at, what, value in entries if what == "event"]
    ends = [(at, value) for at, what, value in entries if what == "end"]
    numbers = [value for _, value in events]
    late = [at for at, _ in events if at > revoked + latest]
    found = []
    if not events or events[0][0] > revoked:
        found.append("got nothing before the revocation, so it shows nothing")
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        found.append("events are missing or out of order")
    if bystander:
        return [*found, "was disturbed"] if ends or not late else found
    if late:
        found.append(f"{len(late)} events after the revocation")
    if [value for at, value in ends if at <= revoked + latest] != [end]:
        found.append(f"did not end in time as {end}: {ends}")
    return found


def _write(write: Callable[[str], object], what: str, value: Any) -> None:
    write(json.dumps([trio.current_time(), what, value]) + "\n")
