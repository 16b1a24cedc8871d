"""Tries the changes that mutmut has made: each in a process of its own, forked from one that has found the tests.

Called by ``scripts/mutation`` in the copy that mutmut has filled. What is done once is what takes long: to import (also what is imported
only when a test runs), to find the tests, to read what mutmut has measured of them. Of the tests that come by the changed function the
quickest are asked first, and none after one that has failed. A loop without an end shows in the processor's time, however busy the
machine is.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from mutmut.mutation import trampoline

SURVIVED, NOTICED, TOO_LONG = 0, 1, 36
"""How the process of one change ends."""

LEAST_SECONDS = 5
"""Of the processor's, after which a test is said to run for ever, beside three times what it takes otherwise. A test that is the first one to
do something takes longer than it did when it was measured behind others."""

STATUSES = {SURVIVED: "survived", NOTICED: "killed", TOO_LONG: "timeout"}


class Loop:
    """Takes the place of pytest's own loop; adds a line to the file ``tried`` for each change: its name and what became of it."""

    def __init__(self, mutants: list[str], tried: Path) -> None:
        self._mutants = mutants
        self._tried = tried

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        measured = json.loads(Path("mutmut-stats.json").read_text())
        seconds = measured["duration_by_test"]
        items = sorted(session.items, key=lambda item: seconds.get(item.nodeid, 0))
        late = self._tried.with_suffix(".modules")
        if _try("", [(item, seconds[item.nodeid]) for item in items], late) != STATUSES[SURVIVED]:
            raise pytest.UsageError("in this order the tests do not pass, though nothing is changed")
        for module in json.loads(late.read_text()):
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        gc.freeze()
        for mutant in self._mutants:
            names = set(measured["tests_by_mangled_function_name"].get(mutant.partition("__mutmut_")[0], ()))
            status = _try(mutant, [(item, seconds[item.nodeid]) for item in items if item.nodeid in names])
            with self._tried.open("a") as file:
                file.write(json.dumps([mutant, status]) + "\n")
        return True


def _try(mutant: str, tests: list[tuple[pytest.Item, float]], late: Path | None = None) -> str:
    """What becomes of the change; ``late`` is for the names of the modules that were imported in the meantime."""
    if not tests:
        return "no tests"
    child = os.fork()
    if not child:
        code = NOTICED  # also of a change that brings down pytest itself
        try:
            before = set(sys.modules)
            code = _outcome(mutant, tests)
            if late is not None:
                late.write_text(json.dumps(sorted(set(sys.modules) - before)))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return STATUSES.get(os.waitstatus_to_exitcode(status), "crashed")


def _outcome(mutant: str, tests: list[tuple[pytest.Item, float]]) -> int:
    trampoline.get_mutant_under_test = lambda: mutant
    signal.signal(signal.SIGPROF, lambda *_: os._exit(TOO_LONG))
    for (item, seconds), following in itertools.zip_longest(tests, [item for item, _ in tests[1:]]):
        signal.setitimer(signal.ITIMER_PROF, LEAST_SECONDS + 3 * seconds)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return NOTICED
    return SURVIVED


def main() -> None:
    """Arguments: the file of the changes' names, the file for what became of them, and the test files."""
    mutants, tried, *files = sys.argv[1:]
    loop = Loop(json.loads(Path(mutants).read_text()), Path(tried))
    settings = ["--rootdir=.", "--tb=no", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "timeout=0"]
    sys.exit(pytest.main([*settings, *files], plugins=[loop]))


if __name__ == "__main__":
    main()
