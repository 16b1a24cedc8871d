"""A soak: many people at a router for as long as asked, with everything that happens to one in production meanwhile.

It starts, disturbs and stops; what came of it is in the logs, and ``checker`` says whether that is in order.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import attrs
import httpx
import trio

from tests.soak.clients import Caller, Frozen, Log, Person, Provider, Publisher, Subscriber
from trio_router.testing.process import RouterProcess, free_port, router_process, service_process

CONFIG: Final = """
rules: rules.yml
login: [{{strategy: webhook, url: "http://127.0.0.1:{port}/", timeout: 5}}]
listen: {{port: 0}}
admin: {{port: 0, token: "{token}"}}
limits: {{drain_window: 3, connections_per_ip: 10000, rates: {{publishes_per_session: 1000, calls_per_session: 1000}}}}
"""
RULES: Final = """
event:
  "room/$n": {{subscribe: "true", publish: "true"}}
  "flood/$n": {{subscribe: "true", publish: "true"}}
  "gate/$n": {{subscribe: "{gate}", publish: "true"}}
rpc:
  "*": {{provide: "true", request: "true"}}
"""


@attrs.frozen
class Plan:
    """How long (seconds), how many of each, and how often (seconds) something happens; 0 for never."""

    seconds: float
    rooms: int = 8
    subscribers: int = 24
    slow: int = 4
    frozen: int = 4
    callers: int = 4
    providers: int = 3
    webhook_restarts: float = 90.0
    reloads: float = 20.0
    restarts: float = 150.0
    restarts_until: float = 0.34  # of the time: the last router is to be there for long
    seed: int = 1


def short(seconds: float) -> Plan:
    """A soak of a minute or so, in which everything happens too."""
    return Plan(
        seconds, subscribers=12, webhook_restarts=12, reloads=5, restarts=seconds / 3, restarts_until=0.7, frozen=2
    )


class Soak:
    """One soak in ``folder``."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir()
        folder.chmod(0o700)
        self._token = os.urandom(24).hex()
        self._chance = random.Random(plan.seed)
        self._gate = True
        self._events = Log(folder, "events")
        self._pids: list[int] = []

    async def run(self) -> None:
        port = free_port()
        (self.folder / "config.yml").write_text(CONFIG.format(port=port, token=self._token))
        self._write_rules()
        environ = {"PORT": str(port)}
        script = Path(__file__).with_name("webhook.py")
        async with router_process(self.folder / "config.yml", module="tests.soak.router") as router:
            self._pids.append(router.process.pid)
            try:
                async with trio.open_nursery() as background:
                    background.start_soon(self._webhook, script, environ)
                    await trio.sleep(2)
                    await self._warm(router)
                    self._events("base")
                    await trio.sleep(6)
                    async with trio.open_nursery() as people:
                        for person in self._people(router.url):
                            people.start_soon(person.run)
                        people.start_soon(self._every, self.plan.reloads, self._reload, router)
                        people.start_soon(self._every, self.plan.restarts, self._restart, router)
                        self._events("began")
                        await trio.sleep(self.plan.seconds)
                        self._events("end")
                        people.cancel_scope.cancel()
                    await trio.sleep(12)
                    self._events("after")
                    await trio.sleep(6)
                    background.cancel_scope.cancel()
            finally:
                (self.folder / "router.log").write_text(router.log)
                if len(self._pids) > 1:
                    os.kill(self._pids[-1], signal.SIGTERM)
                self._events.close()

    def _people(self, url: str) -> list[Person]:
        plan, chance = self.plan, self._chance
        rooms = [f"room/{n}" for n in range(plan.rooms)]

        def of(name: str) -> tuple[Path, str, str, random.Random]:
            return self.logs, name, url, random.Random(chance.random())

        people: list[Person] = []
        for n, room in enumerate(rooms):
            people.append(Publisher(*of(f"publisher{n}"), channel=room, every=0.2))
        people.append(Publisher(*of("gatekeeper"), channel="gate/a", every=0.1))
        people.append(Publisher(*of("flooder"), channel="flood/a", every=0.05, size=8_000))
        for n in range(plan.subscribers):
            channels = [rooms[(n + k) % plan.rooms] for k in range(3)]
            people.append(Subscriber(*of(f"subscriber{n}"), channels=channels, stay=chance.choice([5, 30, 120])))
        for n in range(4):
            people.append(Subscriber(*of(f"guest{n}"), channels=["gate/a"], stay=15))
        for n in range(plan.slow):
            people.append(Subscriber(*of(f"slow{n}"), channels=["flood/a", rooms[0]], stay=60, pause=0.1))
        for n in range(plan.frozen):
            people.append(Frozen(*of(f"frozen{n}"), channel="flood/a", stay=90))
        people += [Provider(*of(f"provider{n}")) for n in range(plan.providers)]
        people += [Caller(*of(f"caller{n}"), every=0.3) for n in range(plan.callers)]
        return people

    async def _warm(self, router: RouterProcess) -> None:
        """Everybody once, so that what is loaded on first use is part of the base."""
        with trio.move_on_after(6):
            async with trio.open_nursery() as nursery:
                for kind, extra in ((Publisher, {"channel": "room/w", "every": 0.05}), (Provider, {})):
                    folder = self.folder / "warm"
                    folder.mkdir(exist_ok=True)
                    person = kind(folder, f"warm-{kind.__name__}", router.url, self._chance, **extra)
                    nursery.start_soon(person.run)

    async def _every(
        self, seconds: float, do: Callable[[RouterProcess], Awaitable[None]], router: RouterProcess
    ) -> None:
        if not seconds:
            return
        began = time.monotonic()
        while True:
            await trio.sleep(seconds * self._chance.uniform(0.7, 1.3))
            if do == self._restart and time.monotonic() - began > self.plan.seconds * self.plan.restarts_until:
                return
            await do(router)

    async def _webhook(self, script: Path, environ: dict[str, str]) -> None:
        """The login service: killed now and then, and away for some seconds."""
        while True:
            async with service_process(script, environ):
                self._events("webhook", up=True)
                every = self.plan.webhook_restarts
                await trio.sleep(every * self._chance.uniform(0.7, 1.3) if every else float("inf"))
            self._events("webhook", up=False)
            await trio.sleep(self._chance.uniform(2, 6))

    def _write_rules(self) -> None:
        (self.folder / "rules.yml").write_text(RULES.format(gate="true" if self._gate else "false"))

    async def _reload(self, router: RouterProcess) -> None:
        """The gate opens or closes."""
        self._gate = not self._gate
        self._write_rules()
        began = time.monotonic()
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                headers = {"authorization": f"Bearer {self._token}"}
                answer = await client.post(f"{router.admin}/admin/reload", headers=headers)
            self._events("reload", gate=self._gate, began=round(began, 4), status=answer.status_code)
        except httpx.HTTPError as error:
            self._events("reload", gate=self._gate, began=round(began, 4), status=0, why=repr(error))

    async def _restart(self, router: RouterProcess) -> None:
        os.kill(self._pids[-1], signal.SIGUSR2)
        known = len(self._pids)
        with trio.move_on_after(90, shield=True):  # who follows has to be known, to be ended
            while True:
                lines = [json.loads(line) for line in router.log.splitlines() if '"handed_over"' in line]
                if len(lines) >= known:
                    self._pids.append(int(lines[-1]["successor"]))
                    self._events("restart", pid=self._pids[-1])
                    return
                await trio.sleep(0.1)
        self._events("restart", pid=0)
