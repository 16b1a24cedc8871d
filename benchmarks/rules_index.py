"""Whether finding the rule for a name stays flat as the rules file grows: ``python -m benchmarks.rules_index``.

For each form of pattern, files of 10, 1,000 and 100,000 patterns (or ``--sizes``). Columns: reading and compiling the file,
the memory its rules keep, a decision about a name never seen before, one about a name seen before, and a decision
about a wildcard that starts literally. Each figure of time is the processor's, and the best of several rounds over the same number of names
spread over the whole file; ``ratio`` is the largest file's figure over the smallest one's. Fresh names are asked through the same
door to the rules as all others; they are more than the rules remember, so none is known when it is asked again.

The last form mixes all others, and a ``*`` that denies.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, Final

from trio_router.clock import SystemClock
from trio_router.identity import Identity, User
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import REMEMBERED_NAMES, CompiledRules

SIZES: Final = (10, 1_000, 100_000)
FRESH: Final = 2 * REMEMBERED_NAMES  # more than are remembered
KNOWN: Final = 200
ROUNDS: Final = 5
WHO: Final = Identity("main", "session", User("egon"))

FORMS: Final[dict[str, tuple[str, str, str]]] = {
    # form of pattern, a name it matches ({0}: number of the pattern, {1}: something new), a wildcard below it
    "rooms/{0}/$x": ("rooms/{0}/$x", "rooms/{0}/n{1}", "rooms/{0}/a*"),
    "rooms/{0}/*": ("rooms/{0}/*", "rooms/{0}/n{1}", "rooms/{0}/*"),
    "$x/room{0}/*": ("$x/room{0}/*", "n{1}/room{0}/chat", "egon/room{0}/*"),
    "*/room{0}": ("*/room{0}", "n{1}/x/room{0}", "egon/*/room{0}"),
    "*/room{0}/$x": ("*/room{0}/$x", "n{1}/y/room{0}/chat", "egon/*/room{0}/chat"),
    "room{0}-$x": ("room{0}-$x", "room{0}-n{1}", "room{0}-a*"),
    "$x-room{0}": ("$x-room{0}", "n{1}-room{0}", "egon*-room{0}"),
}
MIXED: Final = "all of them"


def patterns(form: str, size: int) -> list[tuple[str, str, str]]:
    """(pattern, form of its names, wildcard) for each rule."""
    forms = list(FORMS.values()) if form == MIXED else [FORMS[form]]
    made = []
    for number in range(size):
        pattern, name, wildcard = forms[number % len(forms)]
        made.append((pattern.format(number), name.format(number, "{}"), wildcard.format(number)))
    return made


def text_of(made: Sequence[tuple[str, str, str]], *, deny_else: bool) -> str:
    section: dict[str, Any] = {pattern: {"subscribe": "user.isAuthenticated"} for pattern, _, _ in made}
    if deny_else:
        section["*"] = {"subscribe": False}
    return json.dumps({"event": section})


def best_seconds(work: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def microseconds(rules: CompiledRules, names: Sequence[str]) -> float:
    def work() -> None:
        for name in names:
            rules.decide(WHO, Action.EVENT_SUBSCRIBE, name)

    return best_seconds(work) / len(names) * 1e6


def spread(made: Sequence[tuple[str, str, str]], count: int) -> list[tuple[str, str, str]]:
    """``count`` of them, evenly over the file; small files several times."""
    return [made[index * len(made) // count % len(made)] for index in range(count)]


def measure(form: str, size: int) -> dict[str, Any]:
    made = patterns(form, size)
    text = text_of(made, deny_else=form == MIXED)
    start = time.process_time()
    rules = load_rules(text, "rules.json", clock=SystemClock())
    loading = time.process_time() - start
    fresh = [name.format(number) for number, (_, name, _) in enumerate(spread(made, FRESH))]
    for name in fresh[:: FRESH // 100]:
        if not rules.decide(WHO, Action.EVENT_SUBSCRIBE, name).allowed:
            raise SystemExit(f"{name} is not allowed: the benchmark is wrong")
    known = fresh[:KNOWN]
    known_us = microseconds(rules, known * 20)
    fresh_us = microseconds(rules, fresh)
    wildcards = [wildcard for _, _, wildcard in spread(made, KNOWN)]

    def ask_wildcards() -> None:
        for wildcard in wildcards:
            rules.decide_pattern(WHO, Action.EVENT_SUBSCRIBE, wildcard)

    wildcard_us = best_seconds(ask_wildcards) / len(wildcards) * 1e6
    return {
        "form": form,
        "patterns": size,
        "load_s": round(loading, 3),
        "fresh_us": round(fresh_us, 2),
        "known_us": round(known_us, 3),
        "wildcard_us": round(wildcard_us, 1),
    }


def kept_bytes(form: str, size: int) -> int:
    """What the rules keep once loaded; measured apart, for measuring makes everything slow."""
    text = text_of(patterns(form, size), deny_else=form == MIXED)
    gc.collect()
    tracemalloc.start()
    rules = load_rules(text, "rules.json", clock=SystemClock())
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del rules
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--forms", nargs="+", choices=[*FORMS, MIXED], default=[*FORMS, MIXED])
    parser.add_argument("--memory", action="store_true", help="measure the memory too; takes several times as long")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    if not options.json:
        print(
            f"{'form':<16} {'patterns':>8} {'load s':>8} {'fresh us':>9} {'known us':>9} {'wildcard us':>12} {'MiB':>7}"
        )
    for form in options.forms:
        rows = []
        for size in options.sizes:
            row = measure(form, size)
            row["mib"] = round(kept_bytes(form, size) / 2**20, 1) if options.memory else None
            rows.append(row)
            if options.json:
                print(json.dumps(row), flush=True)
            else:
                mib = "" if row["mib"] is None else row["mib"]
                print(f"{form:<16} {size:>8} {row['load_s']:>8} {row['fresh_us']:>9} {row['known_us']:>9} "
                      f"{row['wildcard_us']:>12} {mib:>7}", flush=True)  # fmt: skip
        if not options.json:
            fresh, known = (rows[-1][key] / rows[0][key] for key in ("fresh_us", "known_us"))
            print(f"{'':<16} {'ratio':>8} {'':>8} {fresh:>9.2f} {known:>9.2f}")


if __name__ == "__main__":
    main()
