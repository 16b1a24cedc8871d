"""Decisions a second next to others who decide: ``python -m benchmarks.rules_peers``.

The question is the same for all: ``user.id === $userid``. *After lookup*: the rule is known, so is what its variable stands
for, and only the rule itself runs. *With lookup*: one of many patterns (``--patterns``) is to be found by the name first.

All contenders run one after another on one processor (the benchmark ties itself and Node to it), each for the same time of that
processor, so that what else the machine does counts little; the best of five rounds counts. What each one does:

* ours, after lookup: the compiled rule is called and its result compared with ``true``.
* ours, decide: ``CompiledRules.decide``, names seen before: name to rule to decision, as the router's door asks it.
* ours, new names: the same for names never seen before, so that the search runs each time.
* Node: a function made by ``new Function`` with the parameters Valve gives it; with lookup, the path is chosen as Valve does, by the
  regular expression of each path. One process, started before and left out of the time.
* CEL for Python: a program compiled once, run with the values of ``user`` and ``userid``. *Same values*: converted once and the
  same ones each time, which no server's decisions are; the other line gives each decision its own. No lookup: it has none.
* pycasbin: a model with ``r.sub == r.name``; with lookup a policy line for each pattern, matched by ``keyMatch2``.

The peers are optional: ``tox -e bench-rules`` installs them, and one that is not there is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from trio_router.clock import SystemClock
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import REMEMBERED_NAMES

ROUNDS: Final = 5
SCRIPT: Final = Path(__file__).with_suffix(".js")
WHO: Final = Identity("main", "session", User("egon"))
AFTER, WITH = "after_lookup", "with_lookup"

Rates = dict[str, float]


def rate(batch: Callable[[], int], seconds: float) -> float:
    """``batch`` makes decisions and returns how many; the best round's decisions a second of the processor."""
    best = 0.0
    for _ in range(ROUNDS):
        done, start = 0, time.process_time()
        while (spent := time.process_time() - start) < seconds / ROUNDS:
            done += batch()
        best = max(best, done / spent)
    return best


def right(answer: object) -> None:
    if answer is not True:
        raise SystemExit(f"the benchmark is wrong: {answer!r}")


def ours(patterns: int, seconds: float) -> dict[str, Rates]:
    section = {f"rooms{number}/$userid": {"subscribe": "user.id === $userid"} for number in range(patterns)}
    rules = load_rules(json.dumps({"event": section}), "rules.json", clock=SystemClock())
    action = Action.EVENT_SUBSCRIBE
    found = rules.find(action, "rooms1/egon")
    if found is None or found[0].evaluate is None:
        raise SystemExit("the benchmark is wrong: no rule")
    evaluate, bound = found[0].evaluate, tuple(found[1].values())
    world: Any = None  # the rule asks for nothing out there
    names = [f"rooms{number * 37 % patterns}/egon" for number in range(2_000)]
    right(rules.decide(WHO, action, names[5]).allowed)

    def run_rule() -> int:
        for _ in range(10_000):
            if evaluate(WHO, "rooms1/egon", ABSENT, ABSENT, world, bound) is not True:
                raise SystemExit("the benchmark is wrong")
        return 10_000

    decide = rules.decide

    def decide_known() -> int:
        for name in names:
            decide(WHO, action, name)
        return len(names)

    fresh = [f"rooms{number % patterns}/n{number}" for number in range(2 * REMEMBERED_NAMES)]

    def decide_new() -> int:
        for name in fresh:
            decide(WHO, action, name)
        return len(fresh)

    return {
        "ours, the rule alone": {AFTER: rate(run_rule, seconds)},
        "ours, decide": {AFTER: rate(decide_known, seconds), WITH: rate(decide_known, seconds)},
        "ours, new names": {WITH: rate(decide_new, seconds)},
    }


def node(patterns: int, seconds: float) -> dict[str, Rates]:
    program = shutil.which("node")
    if program is None:
        return {}
    options = json.dumps({"patterns": patterns, "seconds": seconds})
    answer = json.loads(subprocess.run([program, str(SCRIPT), options], check=True, capture_output=True).stdout)
    return {f"Node {answer['version']}, as Valve": {key: answer[key] for key in (AFTER, WITH)}}


def cel_rust(seconds: float) -> dict[str, Rates]:
    cel: Any = importlib.import_module("cel")
    program = cel.compile("user.id == userid")
    execute = program.execute
    same = cel.Context({"user": {"id": "egon"}, "userid": "egon"})
    right(execute(same))

    def with_the_same_values() -> int:
        for _ in range(1_000):
            execute(same)
        return 1_000

    def with_values_of_its_own() -> int:
        for _ in range(1_000):
            execute({"user": {"id": "egon"}, "userid": "egon"})
        return 1_000

    name = "CEL (common-expression-language)"
    return {
        name: {AFTER: rate(with_values_of_its_own, seconds)},
        f"{name}, same values": {AFTER: rate(with_the_same_values, seconds)},
    }


def cel_python(seconds: float) -> dict[str, Rates]:
    celpy: Any = importlib.import_module("celpy")
    found = 0.0
    for runner in (celpy.InterpretedRunner, celpy.CompiledRunner):
        types = {"user": celpy.celtypes.MapType, "userid": celpy.celtypes.StringType}
        celpy.CELParser.CEL_PARSER = None  # each runner wants a parser of its own
        environment = celpy.Environment(annotations=types, runner_class=runner)
        program = environment.program(environment.compile("user.id == userid"))
        values = {"user": celpy.json_to_cel({"id": "egon"}), "userid": celpy.celtypes.StringType("egon")}  # made once
        right(bool(program.evaluate(values)))

        def batch(evaluate: Callable[[Any], Any] = program.evaluate, values: Any = values) -> int:
            for _ in range(50):
                evaluate(values)
            return 50

        found = max(found, rate(batch, seconds))
    return {"CEL (cel-python)": {AFTER: found}}


def casbin(patterns: int, seconds: float) -> dict[str, Rates]:
    module: Any = importlib.import_module("casbin")
    logging.disable(logging.INFO)  # it writes a line for every decision

    def enforcer(matcher: str, policy: list[list[str]]) -> Any:
        model = module.model.Model()
        model.add_def("r", "r", "sub, obj, act, name")
        model.add_def("p", "p", "obj, act")
        model.add_def("e", "e", "some(where (p.eft == allow))")
        model.add_def("m", "m", matcher)
        made = module.Enforcer(model)
        made.add_policies(policy)
        return made

    def batch(made: Any, obj: str, count: int) -> Callable[[], int]:
        right(made.enforce("egon", obj, "subscribe", "egon"))

        def run() -> int:
            for _ in range(count):
                made.enforce("egon", obj, "subscribe", "egon")
            return count

        return run

    alone = enforcer("r.sub == r.name && r.act == p.act", [["private", "subscribe"]])
    policy = [[f"/rooms{number}/:userid", "subscribe"] for number in range(patterns)]
    many = enforcer("r.sub == r.name && r.act == p.act && keyMatch2(r.obj, p.obj)", policy)
    return {
        "pycasbin": {
            AFTER: rate(batch(alone, "private/egon", 50), seconds),
            WITH: rate(batch(many, f"/rooms{patterns // 2}/egon", 1), seconds),
        }
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patterns", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # Node inherits it
    results = ours(options.patterns, options.seconds)
    for contender in (
        lambda: node(options.patterns, options.seconds),
        lambda: cel_rust(options.seconds),
        lambda: cel_python(options.seconds),
        lambda: casbin(options.patterns, options.seconds),
    ):
        try:
            results |= contender()
        except ModuleNotFoundError as error:
            print(f"left out: {error.name} is not installed")
    if options.json:
        print(json.dumps({"patterns": options.patterns, "decisions_per_second": results}))
        return
    print(f"{'decisions a second':<36} {'after lookup':>14} {f'of {options.patterns:,}':>14}")
    for name, rates in results.items():
        cells = [f"{rates[key]:,.0f}" if key in rates else "" for key in (AFTER, WITH)]
        print(f"{name:<36} {cells[0]:>14} {cells[1]:>14}")
    for name, rates in results.items():
        if name.startswith("CEL"):
            times = [results[mine][AFTER] / rates[AFTER] for mine in ("ours, the rule alone", "ours, decide")]
            print(f"{name}, times {times[0]:.1f} is the rule alone, times {times[1]:.1f} decide")


if __name__ == "__main__":
    main()
