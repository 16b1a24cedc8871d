"""Whole sessions over lines in memory, in virtual time, in the order of a seed: clients that come, work, stall and vanish.

One seed decides what happens, when, and in which order Trio runs its tasks; so it happens again exactly. Everything a client is told goes
into its log, and the oracle judges the logs when it is over: order, no duplicate, no gap, nothing that the rules did not give,
one outcome for each call, nobody there who is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

import attrs
import structlog
import trio
import trio._core._run as trio_run
import trio.testing

from tests.simulation.bytes import ByteLine
from tests.simulation.line import Line
from tests.simulation.oracle import Oracle, watched
from tests.simulation.test_reload import CHANNELS, PROCEDURES, USERS, WILDCARDS, random_rules
from tests.unit.session.conftest import World, body
from trio_router.auth.strategy import Accepted, Answer, Denied, LoginRequest
from trio_router.identity import User
from trio_router.limits import Limits
from trio_router.protocols import codes
from trio_router.routing import callids

STEPS = 120
WALL = 1_700_000_000.0
LIMITS = Limits(
    call_timeout=8.0, ping_interval=10.0, pong_timeout=5.0, login_timeout=6.0, expiry_grace=1.0, outbox_size=16_384
)
RECHECK = 5.0 + 0.1
"""Seconds after which a session has ended whose token and grace are over by the wall clock, which is looked at that often."""


class WallClock:
    """Virtual time, and a wall that somebody sets."""

    def __init__(self) -> None:
        self.offset = 0.0

    def wall(self) -> float:
        return WALL + trio.current_time() + self.offset

    def monotonic(self) -> float:
        return trio.current_time()


@attrs.define(eq=False)
class Client:
    """What one client has asked for and heard, from one connection to its end."""

    name: int
    user: str
    line: Line
    session: str = ""
    expires: float | None = None
    events: list[tuple[int, str, str | None]] = attrs.field(factory=list)
    asked: dict[str, str] = attrs.field(factory=dict)  # what each request was, by its id
    answered: Counter[str] = attrs.field(factory=Counter)
    calls: list[str] = attrs.field(factory=list)  # given to it as a provider
    live: bool = False
    over_since: float | None = None  # its token, by the wall clock
    silent_since: float | None = None
    log: list[Any] = attrs.field(factory=list)


class Logins:
    """Who names itself is that user, after a while or never; some tokens expire."""

    name = "logins"

    def __init__(self, rng: random.Random, clock: WallClock) -> None:
        self._rng = rng
        self._clock = clock

    async def start(self, request: LoginRequest) -> Answer:
        await trio.sleep(self._rng.choice((0.0, 0.0, 0.3, 2.0)))
        auth = request.auth or {}
        if auth["user"] == "nobody":
            return Denied("no")
        return Accepted(User(auth["user"]), expires_at=auth.get("expires"))


class Simulation:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.oracle = Oracle(random_rules(self.rng))
        self.clock = WallClock()
        self.clients: list[Client] = []
        self.everybody: list[Client] = []
        self.number = 0
        self.happened: Counter[str] = Counter()
        self._answers: set[tuple[int, int]] = set()  # who answered whose call
        self.world: World

    # ---- what clients do --------------------------------------------------------------------------------------

    def arrive(self) -> None:
        if len(self.clients) >= 7:
            return
        line = ByteLine(self.rng) if self.rng.random() < 0.2 else Line(self.rng)
        user = self.rng.choice((*USERS, "nobody") if self.rng.random() < 0.1 else USERS)
        client = Client(len(self.everybody), user, line)
        self.clients.append(client)
        self.everybody.append(client)
        if isinstance(line, ByteLine):
            self.world.nursery.start_soon(line.serve_by, self.world.server, LIMITS)
            self.happened["byte lines"] += 1
        else:
            self.world.nursery.start_soon(self.world.server.serve, line)
        auth: dict[str, Any] = {"user": user}
        if self.rng.random() < 0.25:
            client.expires = auth["expires"] = round(self.clock.wall() + self.rng.uniform(3, 60))
        if self.rng.random() < 0.95:  # or it never says a word
            self._ask(client, "login", auth=auth)

    def _ask(self, client: Client, verb: str, **fields: Any) -> None:
        self.number += 1
        request = str(self.number)
        client.asked[request] = verb
        client.line.say(type=verb, id=request, **fields)

    def _settle_in(self, client: Client) -> None:
        client.live = True
        for name in self.rng.sample(CHANNELS + WILDCARDS, 5):
            self._ask(client, "subscribe", channel=name)
        for name in PROCEDURES:
            self._ask(client, "provide", procedure=name)

    def act(self, client: Client) -> None:
        rng = self.rng
        verb = rng.choice(("subscribe", "subscribe", "unsubscribe", "publish", "publish", "publish", "provide", "call"))
        match verb:
            case "subscribe" | "unsubscribe":
                self._ask(client, verb, channel=rng.choice(CHANNELS + WILDCARDS))
            case "publish":
                self.number += 1
                for _ in range(rng.choice((1, 1, 1, 5, 30))):
                    self.number += 1
                    self._ask(client, verb, channel=rng.choice(CHANNELS), data=self.number, echo=rng.random() < 0.8)
            case "provide":
                self._ask(client, verb, procedure=rng.choice(PROCEDURES), concurrency=rng.choice((1, 3)))
            case "call":
                self._ask(client, verb, procedure=rng.choice(PROCEDURES), data=client.name)

    def hear(self, client: Client) -> None:
        for frame in client.line.heard():
            if frame[0] == 0x89:
                client.line.answer_ping()
                continue
            message = json.loads(body(frame))
            client.log.append(message)
            match message["type"]:
                case "hello":
                    client.session = message["session"]
                case "event":
                    client.events.append((message["data"], message["channel"], message.get("subscription")))
                case "invoke":
                    self._answer(client, message["call"], message["data"])
                case "welcome":
                    client.answered[message["id"]] += 1
                    self._settle_in(client)
                case "done":
                    client.answered[message["id"]] += 1
                case "result":
                    client.answered[message["id"]] += 1
                    answerer, caller = message["data"]
                    assert caller == client.name
                    assert (answerer, caller) in self._answers
                case "error" if "id" in message:
                    client.answered[message["id"]] += 1

    def _answer(self, client: Client, call: str, caller: int) -> None:
        """What a provider does with a call: mostly its work; and whatever else one might."""
        client.calls.append(call)
        line, data = client.line, [client.name, caller]
        self._answers.add((client.name, caller))
        match self.rng.randrange(8):
            case 0:
                line.say(type="reject", call=call)
            case 1:
                line.say(type="error", call=call, data=data)
            case 2:
                pass
            case 3:  # twice, and for others
                line.say(type="result", call=call, data=data)
                line.say(type="result", call=call, data=data)
                for other in self.clients:
                    for given in other.calls[-2:]:
                        if other is not client:
                            line.say(type="result", call=given, data=["forged", caller])
            case _:
                line.say(type="result", call=call, data=data)

    # ---- what happens to them ---------------------------------------------------------------------------------

    def fault(self) -> None:
        kind = self.rng.choice(
            ("leave", "cut", "silence", "silence", "speak", "revoke", "rules", "rules", "wall", "drain")
        )
        client = self.rng.choice(self.clients) if self.clients else None
        match kind:
            case "rules":
                self.reload()
            case "wall":
                self.clock.offset += self.rng.choice((-3600, -5, 5, 3600))
            case "drain" if self.rng.random() < 0.1:
                self.world.core.close_all(codes.RESTART)
            case _ if client is None:
                return
            case "leave":
                client.line.leave()
            case "cut":
                client.line.cut()
            case "silence" if client.silent_since is None:
                client.line.fall_silent()
                client.silent_since = trio.current_time()
            case "speak" if client.silent_since is not None:
                client.line.speak_again()
                client.silent_since = None
            case "revoke":
                self.revoke(client.user)
            case _:
                return
        self.happened[kind] += 1

    def revoke(self, user: str) -> None:
        """End every session of a user, as a revocation does: nothing published from now on reaches it."""
        core = self.world.core
        for session in tuple(core.sessions.values()):
            if session.identity.user.id == user:
                core.end(session, codes.REVOKED)
        assert all(session.identity.user.id != user for session in core.sessions.values())
        assert user not in self.oracle.online()

    def reload(self) -> None:
        rules = random_rules(self.rng)
        core = self.world.core
        if self.rng.random() < 0.5:
            core.door.replace_rules(rules)
            core.reconsider()
        else:
            with core.reconsidering(rules) as ahead:
                core.adopt(ahead)
            while core.tell_losses(2):
                pass
        self.oracle.replace(rules)

    # ---- what has to hold at every moment ---------------------------------------------------------------------

    def check(self) -> None:
        assert self.oracle.wrong == []
        now = trio.current_time()
        for client in self.clients:
            there = client.session in self.world.core.sessions
            if there and client.silent_since is not None:
                silent = now - max(client.silent_since, self.oracle.books[client.session].since)
                assert silent <= LIMITS.ping_interval + LIMITS.pong_timeout, "a silent peer is still a session"  # T11
            if client.expires is None or self.clock.wall() < client.expires + LIMITS.expiry_grace:
                client.over_since = None
            elif client.over_since is None:
                client.over_since = now
            assert not there or client.over_since is None or now - client.over_since <= RECHECK, (
                "outlives its token"
            )  # T48
        self.clients = [client for client in self.clients if not client.line.gone]
        assert self.oracle.online() == Counter(s.identity.user.id for s in self.world.core.sessions.values())

    # ---- one run ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._router)
            for _ in range(STEPS):
                draw = self.rng.random()
                if draw < 0.005:
                    await self._crash(nursery)
                elif draw < 0.15 or not self.clients:
                    self.arrive()
                elif draw < 0.27:
                    self.fault()
                else:
                    live = [client for client in self.clients if client.live]
                    self.act(self.rng.choice(live if live and draw < 0.95 else self.clients))
                await trio.sleep(self.rng.choice((0.0, 0.0, 0.001, 0.1, 1.0, 4.0)))
                for client in self.clients:
                    self.hear(client)
                self.check()
            await self._calm()
            self._judge()
            await self._empty()
            nursery.cancel_scope.cancel()

    async def _router(self, task_status: trio.TaskStatus[None]) -> None:
        """One life of the router."""
        async with trio.open_nursery() as nursery:
            self.world = World(
                nursery,
                limits=LIMITS,
                strategy=Logins(self.rng, self.clock),
                rules=self.oracle.rules,
                clock=self.clock,  # type: ignore[arg-type]
                core_class=watched(self.oracle),
                jitter=self.rng.random,
            )
            task_status.started()
            await trio.sleep_forever()

    async def _crash(self, nursery: trio.Nursery) -> None:
        """The router is gone in the middle of everything, and there again, with nothing in its memory."""
        self._count_closes()
        self.world.nursery.cancel_scope.cancel()
        for client in self.clients:
            client.line.cut()
        for books in self.oracle.books.values():
            books.ended = True
        self.happened["crash"] += 1
        await nursery.start(self._router)

    def _count_closes(self) -> None:
        assert self.world.closes("internal") == 0
        for slug in ("slow", "ping_timeout", "session_expired", "revoked", "login_timeout"):
            self.happened[slug] += int(self.world.closes(slug))

    async def _calm(self) -> None:
        """Everybody may speak again; whatever is on its way arrives, and every call comes to its end."""
        for client in self.everybody:
            client.line.speak_again()
            client.silent_since = None
        for _ in range(30):
            await trio.sleep(0.5)
            for client in self.everybody:
                self.hear(client)
        self.check()

    def _judge(self) -> None:
        for client in self.everybody:
            alive = client.session in self.world.core.sessions
            if client.session in self.oracle.books:
                self.oracle.judge(client.session, client.events, complete=alive)
            else:
                assert client.events == []
            assert all(times == 1 for times in client.answered.values()), client.answered
            assert set(client.answered) <= set(client.asked)
            if alive:
                assert set(client.asked) == set(client.answered), client.asked
            self.happened["events"] += len(client.events)
            self.happened["answers"] += client.answered.total()
            self.happened["calls answered"] += sum(message["type"] == "result" for message in client.log)
        self._count_closes()
        self.happened["rights ended"] = self.oracle.ended_rights

    async def _empty(self) -> None:
        """Everybody leaves: nothing is left of them."""
        for client in self.everybody:
            client.line.leave()
        await trio.sleep(30)
        core = self.world.core
        assert self.world.server.sessions == 0
        assert not core.sessions
        assert not len(core.events)
        assert not len(core.rpc)
        assert not len(core.presence)

    def digest(self) -> str:
        """Of everything that every client heard: the same for the same seed."""
        logs = [(client.name, client.user, client.log) for client in self.everybody]
        return hashlib.sha256(json.dumps(logs, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Whatever is random otherwise, Trio's order of tasks and the router's ids included, comes from ``seed``."""
    rng = random.Random(seed)
    state, scheduler = random.getstate(), trio_run._r.getstate()
    random.seed(seed)
    callids._made.clear()  # drawn before
    trio_run._r.seed(seed)
    try:
        with (
            mock.patch.object(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
            mock.patch("secrets.token_urlsafe", lambda size=32: f"{rng.getrandbits(size * 8):x}"),
            mock.patch("secrets.token_bytes", rng.randbytes),
            structlog.testing.capture_logs(),
        ):
            yield
    finally:
        random.setstate(state)
        trio_run._r.setstate(scheduler)


def run(seed: int) -> Simulation:
    """One simulation, to its end. What it finds is an ``AssertionError``."""
    with seeded(seed):
        simulation = Simulation(seed)
        trio.run(simulation.run, clock=trio.testing.MockClock(autojump_threshold=0))
    return simulation
