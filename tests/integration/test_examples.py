"""Every example runs as its README says, from its own folder's files, and shows what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SHOWN = {
    "quickstart": [
        "egon received on room/kitchen from rosa: tea is ready",
        "egon received on announcements: the kitchen closes at ten",
        "egon may not publish 'free cake' to announcements: ",
        "egon may not publish {'text': 42} to room/kitchen: denied",
        "egon may not publish {} to cellar: denied",
        "online: egon (1), rosa (1)",
    ],
    "jwt_roles": [
        "nora is logged in with {'role': 'editor'}",
        "omar read: One nil",
        "nora may not publish to articles/politics: denied",
        "omar may not publish to articles/sports: denied",
        "omar may not read nora's drafts: denied",
        "a forged token is refused: login_denied",
    ],
    "rpc_workers": [
        "shared: anna did 2, bert did 2",
        "width 640: provider_lost, trying again",
        "bert died",
        "after the failure: anna answers",
        "a width of 10000 is not allowed: denied",
    ],
    "token_server": [
        "ann is logged in with a token of her own server",
        "ann received: published over REST",
        "ann may not publish: the token does not permit this action",
        "seven seconds later: another token True, the same connection True",
        "ann received: still here",
        "the token she gave up is refused: {'error': 'revoked'}",
    ],
    "webhook_login": [
        "alice is logged in; the service told the client {'greeting': 'Hello alice'}",
        "a wrong password is denied: {'error': 'wrong user name or password'}",
        "with the service down, logins are unavailable",
        "alice, who was logged in before, still receives: still here",
    ],
    "dashboard": [
        *(f"{name} may not see pvt:L1: this is not your level" for name in ("vera", "dirk", "mona", "sven", "emil")),
        *(
            f"{name} (L{level}) sees: {{'level': 'L{level}', 'orders': 42}}"
            for level, name in enumerate(("ceo", "vera", "dirk", "mona", "sven", "emil"), 1)
        ),
    ],
    "presence_room": [
        "ada sees: ben (Ben F.) joined",
        "in the room: Ada L., Ben F.",
        "ada received: tea is ready",
        "ben may not publish 42: denied",
        "ada sees: ben (Ben F.) left",
        "in the room: Ada L.\n",
        "eve stays outside: you are not invited to this room",
        "eve may not see who is there: not_open",
    ],
    "rules_tested": [
        "0 warnings, 0 hints",
        "rules.yml: 39 of 39 outcomes seen (100.0 %)",
        "26 passed, 0 failed",
        "25 passed, 1 failed",
    ],
}

LAST = {"rules_tested": "the change is found before anybody is affected by it"}


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if (path / "run.py").exists()} == set(SHOWN)
    assert all((EXAMPLES / name / "README.md").exists() for name in SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_shows_what_it_promises(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=EXAMPLES / name, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in SHOWN[name] if line not in done.stdout] == [], done.stdout
    assert done.stdout.rstrip().endswith(LAST.get(name, "router stopped"))
