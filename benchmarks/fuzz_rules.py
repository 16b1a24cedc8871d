"""Throw expressions at the rules: valid ones, broken ones and noise.

For each: only ``RuleError`` refuses, a decision is total, both are quick, and what the process holds does not grow.

    python -m benchmarks.fuzz_rules --count 100000
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import time
import tracemalloc
from collections import Counter
from typing import Any, Final

import attrs
import re2

from trio_router.clock import SystemClock
from trio_router.errors import RuleError
from trio_router.identity import Identity, User
from trio_router.payload import Payload
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.loader import load_rules
from trio_router.permissions.regexes import compile_regex

SLOW: Final = 0.05  # seconds
GROWTH: Final = 8 * 1024 * 1024  # bytes

ATOMS: Final = (
    "true", "false", "null", "undefined", "user.id", "user.data", "user.data.tags", "session.id", "data", "oldData", "now", "action",
    "name", "$x", "0", "1", "-1", "1.5", "1e308", "5e-324", "9007199254740993", "'a'", "''", "'10'", "'\\u00df'", "'\\u{1F600}'",
    "data.text", "data.list", "data.deep", "data.big", "[]", "['a', 1]", "`x`", "_('doc')",
)  # fmt: skip
BINARY: Final = ("===", "!==", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "??", "+", "-", "*", "/", "%", "in")
KEYS: Final = ("a", "text", "length", "__class__", "constructor", "list", "deep", "0", "groups", "index")
CALLS: Final = (
    "startsWith", "endsWith", "includes", "indexOf", "toUpperCase", "toLowerCase", "trim", "match", "test", "replace",
)  # fmt: skip
PIECES: Final = (
    "a", "b", "\\d", "\\w", "\\s", ".", "[a-z]", "[^a]", "(", ")", "(?:", "(?<n>", "*", "+", "?", "{2}", "{1,40}", "|", "^", "$", "\\b",
    "\\1", "(?=", "(?!", "[", "]", "\\", "\\u00e9", "(a+)+", "(a|a)*", "(a{0,20}){0,20}",
)  # fmt: skip
NOISE: Final = "()[]{}'\"`$.,;:?!<>=+-*/%&|\\ \n\tax01_e\u00e9\U0001f600\x00\ud800"
DATA: Final[tuple[Any, ...]] = (
    None, 0, -1.5, "text", "\U0001f600" * 50, [], {}, [1, "a", None, [2]], 10**30,
    {"text": "aab" * 40, "list": [1, 2, "a"], "deep": {"a": {"text": "b"}}, "big": "a" * 60_000},
    {"text": "a" * 20_000 + "!", "list": ["x" * 100] * 700, "deep": [[[[["a"]]]]], "big": 1e308},
)  # fmt: skip


@attrs.define
class Found:
    """What a run found out. ``slowest`` is (seconds, expression)."""

    outcomes: Counter[str] = attrs.field(factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    slow: list[tuple[float, str]] = attrs.field(factory=list)
    faults: list[str] = attrs.field(factory=list)


class Fuzzer:
    """Makes expressions from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def expression(self) -> str:
        """A valid expression, one that was broken, or noise."""
        kind = self._random.random()
        if kind < 0.05:
            return "".join(self._random.choices(NOISE, k=self._random.randint(0, 60)))
        made = self._valid(self._random.choice((1, 2, 2, 3, 3, 4)))
        if kind < 0.15:
            made = self._many(made)
        return self._broken(made) if kind > 0.6 else made

    def _valid(self, depth: int) -> str:
        choose = self._random
        if depth == 0 or choose.random() < 0.1:
            return choose.choice(ATOMS)
        kind = choose.randrange(10)
        inner = self._valid(depth - 1)
        if kind < 4:
            return f"({inner}) {choose.choice(BINARY)} ({self._valid(depth - 1)})"
        if kind == 4:
            return f"({inner}){choose.choice(('.', '?.'))}{choose.choice(KEYS)}"
        if kind == 5:
            return f"({inner}){choose.choice(('', '?.'))}[{self._valid(depth - 1)}]"
        if kind == 6:
            call = choose.choice(CALLS)
            regex = (
                f"/{''.join(choose.choices(PIECES, k=choose.randint(1, 8)))}/{choose.choice(('', 'i', 's', 'm', 'g'))}"
            )
            if call == "test":
                return f"{regex}.test({inner})"
            argument = regex if call == "match" else "" if call[0] == "t" else self._valid(depth - 1)
            return f"({inner}).{call}({argument})"
        if kind == 7:
            return choose.choice(("!", "-", "+", "typeof ")) + f"({inner})"
        if kind == 8:
            return f"{self._valid(0)} ? {inner} : {self._valid(depth - 1)}"
        return choose.choice((f"[{inner}, {self._valid(0)}]", f"`${{{inner}}}-${{{self._valid(0)}}}`", f"_({inner})"))

    def _many(self, made: str) -> str:
        """The same again and again: wide, deep or long."""
        times = self._random.choice((3, 20, 70, 300))
        return self._random.choice((
            f" {self._random.choice(BINARY)} ".join([made] * times),
            "(" * times + made + ")" * times,
            f"{self._random.choice(('!', '- ', 'typeof '))}" * times + made,
            f"({made})" + ".trim()" * times,
            f"[{', '.join([made] * times)}]",
            "`" + f"${{{made}}}" * times + "`",
            "true ? " * times + made + f" : {made}" * times,
        ))  # fmt: skip

    def _broken(self, made: str) -> str:
        choose = self._random
        for _ in range(choose.randint(1, 3)):
            at = choose.randint(0, len(made))
            cut = choose.choice((0, 0, 1, 3))
            put = choose.choice((choose.choice(NOISE), choose.choice(ATOMS), choose.choice(BINARY), ""))
            made = made[:at] + put + made[at + cut :]
        return made


class Books:
    """One record at hand, another one nowhere."""

    def peek(self, name: str) -> Any:
        """See ``permissions.records.Records``."""
        return {"doc": {"text": "a"}}.get(name)


def fuzz(count: int, seed: int) -> Found:
    """``count`` expressions from ``seed``, each decided with one value for ``data``."""
    made = Fuzzer(seed)
    choose = random.Random(seed)
    who = Identity("shop", "s1", User("egon", {"tags": ["a", "b"], "role": "admin"}), "users", "192.0.2.1")
    clock, books = SystemClock(), Books()
    found = Found()
    payloads = [Payload(value) for value in DATA]
    for number in range(count):
        source = made.expression()
        payload = choose.choice(payloads)
        started = time.thread_time()
        try:
            text = json.dumps({"record": {"a/$x": {"write": source}}}, ensure_ascii=False)
            rules = load_rules(text, "rules.yml", clock=clock, records=books)
            decision = rules.decide(who, Action.RECORD_WRITE, "a/b", payload)
            outcome = decision.reason.value
            if decision.allowed != (decision.reason is Reason.ALLOWED):
                found.faults.append(f"{number}: allowed for another reason: {source!r}")
            if decision.reason is Reason.RULE_ERROR and decision.detail in _FAULTS:
                found.faults.append(f"{number}: {decision.detail}: {source!r}")
        except RuleError:
            outcome = "refused"
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            outcome = "fault"
            found.faults.append(f"{number}: {error!r}: {source!r}")
        took = time.thread_time() - started
        if took > SLOW:  # once more: memory may have been cold
            took = min(took, *(_again(source, payload, who, clock, books) for _ in range(3)))
        found.outcomes[outcome] += 1
        found.slowest = max(found.slowest, (took, source))
        if took > SLOW:
            found.slow.append((took, source))
    return found


_FAULTS: Final = frozenset(
    {"TypeError", "AttributeError", "NameError", "KeyError", "IndexError", "ValueError", "AssertionError"}
)


def _again(source: str, payload: Payload, who: Identity, clock: SystemClock, books: Books) -> float:
    compile_regex.cache_clear()
    re2.purge()
    started = time.thread_time()
    try:
        text = json.dumps({"record": {"a/$x": {"write": source}}}, ensure_ascii=False)
        load_rules(text, "rules.yml", clock=clock, records=books).decide(who, Action.RECORD_WRITE, "a/b", payload)
    except RuleError:
        pass
    return time.thread_time() - started


def main() -> int:
    """Run and report; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    fuzz(2_000, options.seed + 1)  # what is remembered on purpose is filled
    gc.collect()
    tracemalloc.start()
    fuzz(1_000, options.seed + 2)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    fuzz(1_000, options.seed + 3)
    gc.collect()
    growth = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    started = time.perf_counter()
    found = fuzz(options.count, options.seed)
    print(f"{options.count} expressions in {time.perf_counter() - started:.1f} s: {dict(found.outcomes.most_common())}")
    print(f"slowest, loaded and decided: {found.slowest[0] * 1000:.1f} ms: {found.slowest[1][:200]!r}")
    print(
        f"over {SLOW * 1000:.0f} ms: {len(found.slow)}; growth over 1000 more: {growth / 1024:.0f} KiB; faults: {len(found.faults)}"
    )
    for fault in found.faults[:20]:
        print(fault[:400])
    for took, source in found.slow[:20]:
        print(f"{took * 1000:.1f} ms: {source[:300]!r}")
    return 1 if found.faults or found.slow or growth > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
