"""A publish, a call and a login do not come to cost more instructions than they do: the guard against getting slower unseen.

Instructions do not depend on how busy the machine is. They do on Python's version, the compiler and how many messages arrive together;
the bounds are twice what was counted. Whoever needs more than that raises a bound here, in the commit that says what for.
"""

from __future__ import annotations

import os
import shutil

import attrs
import pytest

from benchmarks.compare.servers import BY_NAME
from benchmarks.instructions import UNIT, WORK, available, count

pytestmark = [
    pytest.mark.skipif(not available(), reason="no valgrind"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

COMPILED = os.environ.get("TRIO_ROUTER_TESTS") == "compiled"
BOUNDS = {
    "publish to 1": 55 if COMPILED else 92,
    "publish to 100": 65 if COMPILED else 105,
    "publish to 100, alone": 460 if COMPILED else 700,
    "call": 120 if COMPILED else 200,
    "login": 3500,
}
"""In publishes of the C floor to one subscriber."""


def test_no_kind_of_work_takes_more_instructions_than_it_may() -> None:
    assert set(BOUNDS) == set(WORK)
    unit = count(BY_NAME["floor-coalesced"], UNIT)[UNIT]
    assert unit > 0
    router = attrs.evolve(BY_NAME["router-interpreted"], environ={})  # the one that is installed, as all tests have it
    taken = {name: instructions / unit for name, instructions in count(router, *WORK).items()}
    assert {name: ratio for name, ratio in taken.items() if ratio > BOUNDS[name]} == {}, taken
    # What nobody executes any more would be no guard: a kind of work that is not carried out costs nothing.
    assert all(ratio > 1 for ratio in taken.values()), taken
