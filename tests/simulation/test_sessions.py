"""Two hundred simulations of whole sessions hold; the same seed is the same run; and what is broken on purpose is found.

``tox run -e simulation`` takes ten thousand. One again: ``python -m tests.simulation --seed N``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.sessions import run
from trio_router.routing.core import Core
from trio_router.routing.events import Events
from trio_router.routing.rights import Rights
from trio_router.routing.rpc import Rpc
from trio_router.session.expiry import Expiry
from trio_router.session.keepalive import Keepalive

ROOT = Path(__file__).parents[2]
SEEDS = [int(os.environ["TRIO_ROUTER_SEED"])] if "TRIO_ROUTER_SEED" in os.environ else range(200)


@pytest.mark.threat("T09", "T11", "T12", "T21", "T33", "T48", "T52", "T55")
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_everybody_hears_what_they_may_once_and_in_order(seed: int) -> None:
    print(f"again: python -m tests.simulation --seed {seed}")
    run(seed)


def test_everything_does_happen() -> None:
    happened: Counter[str] = Counter()
    for seed in range(40):
        happened += run(seed).happened
    rare = {name: happened[name] for name in ("slow", "crash", "speak", "drain") if not happened[name]}
    assert rare == {}
    often = (
        *("events", "answers", "calls answered", "rights ended", "ping_timeout", "session_expired", "revoked"),
        *("login_timeout", "cut", "leave", "silence", "rules", "wall"),
    )
    assert {name: happened[name] for name in often if happened[name] < 20} == {}


def test_a_seed_is_the_same_run_again_in_any_process() -> None:
    program = "import sys; sys.path.append('.'); from tests.simulation.sessions import run; print(*[run(seed).digest() for seed in (3, 4, 5)])"
    digests = {" ".join(run(seed).digest() for seed in (3, 4, 5))}
    for hashes in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": hashes}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert len(set(digests.pop().split())) == 3


def twice(self: Events, *arguments: Any, **options: Any) -> None:
    PUBLISH(self, *arguments, **options)
    PUBLISH(self, *arguments, **options)


def to_the_name_alone(self: Events, session: Any, channel: str, *arguments: Any, **options: Any) -> None:
    if "/" not in channel:
        PUBLISH(self, session, channel, *arguments, **options)


def nothing(*_: Any, **__: Any) -> int:
    return 0


def swap_rules_alone(self: Rights, reconsideration: Any) -> int:
    self._door.replace_rules(reconsideration.rules)
    return 0


PUBLISH = Events.publish


@pytest.mark.interpreted  # methods are replaced
@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        pytest.param(Events, "publish", twice, id="events are delivered twice"),
        pytest.param(Events, "publish", to_the_name_alone, id="some events are not delivered"),
        pytest.param(Rights, "reconsider", nothing, id="rights outlive the rules"),
        pytest.param(Rights, "adopt", swap_rules_alone, id="rights outlive the rules that were decided ahead"),
        pytest.param(Core, "end", nothing, id="a revocation ends nothing"),
        pytest.param(Keepalive, "start", nothing, id="nobody looks for silent peers"),
        pytest.param(Expiry, "_check", nothing, id="nobody looks at the wall clock"),
        pytest.param(Rpc, "leave", nothing, id="calls of those who left are forgotten"),
    ],
)
def test_what_is_broken_is_found(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, broken: Any) -> None:
    monkeypatch.setattr(owner, name, broken)
    for seed in range(60):
        try:
            run(seed)
        except BaseExceptionGroup as found:
            assert found.subgroup(AssertionError) is not None
            return
    pytest.fail("nothing was found in 60 seeds")
