"""Rules that change while sessions do everything they can, in the order of a seed, held against a plain oracle.

One run: sessions come, subscribe, watch, provide, publish, call and go; rules files are swapped in between, some at once and
some in slices with everything else going on meanwhile. The oracle keeps no books of the core's: it asks a ruleset of its own
what each right was decided to be, and checks every single thing a session is told. A failure names its seed; run one
again with ``TRIO_ROUTER_SEED=...``.
"""

from __future__ import annotations

import json
import os
import random
from contextlib import ExitStack
from typing import Any

import pytest

from tests.unit.routing.world import Member, World
from trio_router.clock import ManualClock
from trio_router.errors import Refused
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import CompiledRules
from trio_router.protocols import codes
from trio_router.routing.standing import Reconsideration

SEEDS = [int(os.environ["TRIO_ROUTER_SEED"])] if "TRIO_ROUTER_SEED" in os.environ else range(200)
STEPS = 200
USERS = ("ann", "bob", "cleo")
CHANNELS = ("a", "a/x", "a/y", "b", "b/ann", "b/bob")
WILDCARDS = ("*", "a*", "a/*", "b/*", "b/ann*")
PROCEDURES = ("p", "p/q")
LISTENED = ("a", "^a/", "b/.*", "^b/ann$", "[ab]")
RULES: tuple[Any, ...] = (
    True,
    True,
    False,
    "user.id === 'ann'",
    "user.id !== 'bob'",
    {"rule": "user.id === 'cleo'", "reason": "cleo alone"},
    "user.data.missing.deep",
)
PATTERNS = ("*", "a", "a/*", "a/$x", "b/*", "b/$user", "$x")


def random_rules(rng: random.Random) -> CompiledRules:
    def actions(*verbs: str) -> dict[str, Any]:
        return {verb: rng.choice(RULES) for verb in verbs if rng.random() < 0.8} or {verbs[0]: True}

    event = {pattern: actions("subscribe") for pattern in PATTERNS if rng.random() < 0.6}
    event = {**event, "b/$user": {"subscribe": "user.id === $user"}} if rng.random() < 0.3 else event
    event.setdefault("*", {})
    for rules in event.values():
        rules["publish"] = True
        if rng.random() < 0.7:
            rules["listen"] = rng.choice((True, True, *RULES))
    sections = {
        "event": event,
        "rpc": {"*": {**actions("provide"), "request": True}},
        "presence": {"*": actions("allow"), "bob": actions("allow")},
    }
    return load_rules(json.dumps(sections), "rules.json", clock=ManualClock())


class Simulation:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rules = random_rules(self.rng)
        self.world = World(self.rules)
        self.members: list[Member] = []
        self.reloading: tuple[ExitStack, Reconsideration] | None = None
        self.number = 0
        self.ended = 0
        self.owed: dict[int, set[tuple[str, str]]] = {}  # by member: what it lost and was not told yet
        self.told_later = 0

    # ---- the oracle ------------------------------------------------------------------------------------------

    def may(self, member: Member, action: Action, name: str) -> bool:
        rules, who = self.rules, member.session.identity
        if action is Action.EVENT_LISTEN:
            return rules.decide(who, action, name.removeprefix("^").removesuffix("$")).allowed
        return (rules.decide_pattern if "*" in name else rules.decide)(who, action, name).allowed

    def check(self) -> None:
        """Nobody has a right standing that the rules in force do not give, or was told of a loss twice, or of none."""
        for member in self.members:
            session = member.session
            self._hear(member)
            standing = [
                *((Action.EVENT_SUBSCRIBE, name) for name in session.subscriptions),
                *((Action.EVENT_LISTEN, name) for name in session.listens),
                *((Action.EVENT_LISTEN, name) for listen in session.listens.values() for name in listen.provided),
                *((Action.RPC_PROVIDE, name) for name in session.offers),
                *((Action.PRESENCE_ALLOW, name) for name in session.watches),
            ]
            assert [right for right in standing if not self.may(member, *right)] == []
        self.check_questions()

    def check_questions(self) -> None:
        """Whoever was asked may listen with the pattern, and may know the channel (T22); each channel has one provider."""
        for member in self.members:
            for _, pattern, channel in member.peer.of("listen_found"):
                assert self.may(member, Action.EVENT_LISTEN, pattern)
                assert self.may(member, Action.EVENT_LISTEN, channel)
            member.peer.told[:] = [entry for entry in member.told if entry[0] != "listen_found"]
        listens = [listen for member in self.members for listen in member.session.listens.values()]
        busy = [channel for listen in listens for channel in (*listen.provided, *listen.asked)]
        assert len(busy) == len(set(busy))

    # ---- what can happen -------------------------------------------------------------------------------------

    def join(self) -> None:
        if len(self.members) < 8:
            self.members.append(self.world.join(self.rng.choice(USERS)))

    def leave(self) -> None:
        if self.members and self.rng.random() < 0.3:
            member = self.members.pop(self.rng.randrange(len(self.members)))
            self.world.core.detach(member.session)
            member.take()
            self.owed.pop(id(member), None)

    def subscribe(self, member: Member) -> None:
        name = self.rng.choice(CHANNELS + WILDCARDS)
        self._asks(member, Action.EVENT_SUBSCRIBE, name, lambda: self.world.core.subscribe(member.session, name))

    def listen(self, member: Member) -> None:
        pattern = self.rng.choice(LISTENED)
        self._asks(member, Action.EVENT_LISTEN, pattern, lambda: self.world.core.listen(member.session, pattern))

    def reply(self, member: Member) -> None:
        """Somebody answers a question; or, if there is none, what it is not asked."""
        member = next((each for each in self.members if each.session.asks), member)
        questions = [(source, name) for source, listen in member.session.listens.items() for name in listen.asked]
        pattern, channel = self.rng.choice(questions or [(LISTENED[0], CHANNELS[0])])
        answer = self.world.core.listen_accept if self.rng.random() < 0.8 else self.world.core.listen_reject
        try:
            answer(member.session, pattern, channel)
        except Refused as error:
            assert error.code == codes.NOT_ASKED
            assert not questions or not self.may(member, Action.EVENT_LISTEN, channel)
        else:
            assert questions or answer == self.world.core.listen_reject  # which gives up what it provides

    def provide(self, member: Member) -> None:
        name = self.rng.choice(PROCEDURES)
        self._asks(member, Action.RPC_PROVIDE, name, lambda: self.world.core.provide(member.session, name))

    def watch(self, member: Member) -> None:
        name = self.rng.choice(USERS)
        try:
            denied = self.world.core.presence_subscribe(member.session, [name])
        except Refused as error:
            assert error.code == codes.ALREADY_SUBSCRIBED
            return
        assert (name not in denied) == self.may(member, Action.PRESENCE_ALLOW, name)

    def _asks(self, member: Member, action: Action, name: str, ask: Any) -> None:
        try:
            ask()
        except Refused as error:
            if error.code not in (codes.ALREADY_SUBSCRIBED, codes.ALREADY_PROVIDED, codes.ALREADY_LISTENING):
                assert not self.may(member, action, name)
        else:
            assert self.may(member, action, name)
        self._hear(member)
        assert not self.owed[id(member)]  # what it lost comes before what it asked for

    def publish(self, member: Member) -> None:
        channel = self.rng.choice(CHANNELS)
        self.number += 1
        for each in self.members:
            each.peer.events.clear()
        self.world.core.publish(member.session, channel, Payload(self.number))
        for each in self.members:
            for delivery in each.peer.events:
                assert delivery.data.value == self.number
                # T22: the wildcard was allowed, and so is this very name
                assert self.may(each, Action.EVENT_SUBSCRIBE, delivery.subscription or channel)
                assert self.may(each, Action.EVENT_SUBSCRIBE, channel)

    def call(self, member: Member) -> None:
        procedure = self.rng.choice(PROCEDURES)
        self.number += 1
        for each in self.members:
            each.take()
        try:
            self.world.core.call(
                member.session, str(self.number), procedure, Payload(1), timeout=9, progress=False, disclose=False
            )
        except Refused as error:
            assert error.code in (codes.NO_PROVIDER, codes.PROVIDER_BUSY)
            return
        (provider,) = [each for each in self.members if each.peer.of("invoke")]
        assert self.may(provider, Action.RPC_PROVIDE, procedure)
        if self.rng.random() < 0.7:
            (invoke,) = provider.peer.of("invoke")
            self.world.core.result(provider.session, invoke[1], Payload(2), more=False)

    # ---- reloads ---------------------------------------------------------------------------------------------

    def reload(self) -> None:
        if self.reloading is not None:
            return
        rules = random_rules(self.rng)
        if self.rng.random() < 0.3:
            self._swap(rules, None)
        else:
            stack = ExitStack()
            self.reloading = stack, stack.enter_context(self.world.core.reconsidering(rules))

    def advance(self) -> None:
        if self.reloading is None:
            return
        stack, reconsideration = self.reloading
        if self.rng.random() < 0.1:  # it fails for another reason, e.g. an unreadable file
            stack.close()
            self.reloading = None
        elif not reconsideration.advance(self.rng.randrange(1, 5)) or self.rng.random() < 0.2:
            self._swap(reconsideration.rules, reconsideration)
            stack.close()
            self.reloading = None

    def _swap(self, rules: Any, ahead: Reconsideration | None) -> None:
        before = {id(member): self._standing(member) for member in self.members}
        for member in self.members:
            self._hear(member)
            member.take()
        self.rules = rules
        if ahead is None:
            self.world.door.replace_rules(rules)
            ended = self.world.core.reconsider()
        else:
            ended = self.world.core.adopt(ahead)
        told = 0
        for member in self.members:
            lost = before[id(member)] - self._standing(member)
            owed = self.owed.setdefault(id(member), set())
            assert not owed & lost
            owed |= lost
            told += len(lost)
            if ahead is None:
                self._hear(member)
                assert not owed & lost
        removed = sum(len(member.peer.of("listen_removed")) for member in self.members)
        assert told <= ended <= told + removed
        self.ended += ended
        self.check()

    def _hear(self, member: Member) -> None:
        """What it was told of losses: each once, and only what it lost."""
        owed = self.owed.setdefault(id(member), set())
        for _, verb, name, code, *_ in member.peer.of("revoked"):
            owed.remove((verb, name))
            assert code in (codes.DENIED, codes.RULE_FAILED)
        member.peer.told[:] = [entry for entry in member.peer.told if entry[0] != "revoked"]

    def tell(self) -> None:
        owing = sum(map(len, self.owed.values()))
        left = self.world.core.tell_losses(self.rng.randrange(1, 4))
        for member in self.members:
            self._hear(member)
        self.told_later += owing - sum(map(len, self.owed.values()))
        assert left or not any(self.owed.values())

    @staticmethod
    def _standing(member: Member) -> set[tuple[str, str]]:
        session = member.session
        kinds = (
            ("subscribe", session.subscriptions),
            ("listen", session.listens),
            ("provide", session.offers),
            ("presence_subscribe", session.watches),
        )
        return {(verb, name) for verb, names in kinds for name in names}

    def run(self) -> None:
        acts = [
            self.subscribe,
            self.subscribe,
            self.listen,
            self.listen,
            self.reply,
            self.reply,
            self.provide,
            self.watch,
            self.publish,
            self.publish,
            self.call,
        ]
        self.join()
        for _ in range(STEPS):
            draw = self.rng.random()
            if draw < 0.1:
                self.join()
            elif draw < 0.15:
                self.leave()
            elif draw < 0.22:
                self.reload()
            elif draw < 0.4:
                self.advance()
            elif draw < 0.43:
                self.tell()
            elif draw < 0.48:
                self.world.timers.advance(self.rng.random() * 10)
            elif self.members:
                member = self.rng.choice(self.members)
                self.rng.choice(acts)(member)
            self.check()
        if self.reloading is not None:
            self.reloading[0].close()
        for member in self.members:
            self.world.core.detach(member.session)
        assert self.world.is_empty()


@pytest.mark.threat("T22", "T33", "T69")
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_around_a_reload_nobody_keeps_what_the_rules_do_not_give(seed: int) -> None:
    print(f"TRIO_ROUTER_SEED={seed}")
    Simulation(seed).run()


def test_the_simulation_does_end_rights() -> None:
    simulations = [Simulation(seed) for seed in range(10)]
    for simulation in simulations:
        simulation.run()
    assert sum(simulation.ended for simulation in simulations) > 50
    assert sum(simulation.told_later for simulation in simulations) > 20
    accepted = [
        simulation.world.sample("trio_router_listen_answers_total", answer="accepted") for simulation in simulations
    ]
    assert sum(accepted) > 5
