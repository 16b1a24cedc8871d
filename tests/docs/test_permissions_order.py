"""docs/reference/permissions-order.md is a truth table: every row of it is done, and has the answer it says."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from tests.unit.routing.test_trust import VERBS, TrustWorld
from tests.unit.routing.world import Member
from trio_router.errors import Refused
from trio_router.grants import Grants
from trio_router.identity import Identity, User, new_session_id
from trio_router.payload import Payload
from trio_router.protocols import codes
from trio_router.scope import Scope
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "permissions-order.md").read_text()
ROWS = [
    tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))
    for line in PAGE.splitlines()
    if re.match(r"\| (no key|client|server) ", line)
]
SCOPES = {"-": None, "here": Scope.of(["*"], ["pvt:x"]), "elsewhere": Scope.of(["*"], ["pvt:y"])}


def enter(world: TrustWorld, who: str, grants: str, scope: str) -> Member:
    peer = RecordingPeer()
    identity = Identity("main", new_session_id(), User("egon"), scope=SCOPES[scope])
    if who != "no key":
        bound = Grants() if grants == "all" else Grants.only([])
        identity = attrs.evolve(identity, key="k1", grants=bound, is_server=who == "server")
    return Member(world.core.attach(identity, peer), peer)


def test_there_are_rows() -> None:
    assert len(ROWS) > 30
    assert len(set(ROWS)) == len(ROWS)
    assert {row[3] for row in ROWS} == {*VERBS, "publish", "listen"}


@pytest.mark.threat("T26")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row))
def test_a_row(row: tuple[str, ...]) -> None:
    who, grants, name, use, token, scope, rules, answer = row
    world = TrustWorld()
    member, provider = enter(world, who, grants, scope), enter(world, "server", "all", "-")
    if use == "call":
        world.core.provide(provider.session, name)
    text = None
    if token in {"valid", "receive"}:
        text = world.token(
            member, name.replace("*", "x").replace("//", "/").replace("a/", "pvt:a/"), publish=token == "valid"
        )
    elif token == "forged":
        text = world.token(member, name)[:-8] + "AAAAAAAA"
    if use == "publish" and text is not None:
        world.core.subscribe(member.session, name, text)
    if rules == "no":
        world.door.replace_rules(FixedRules({}))
    try:
        if use == "publish":
            world.core.publish(member.session, name, Payload(1))
        elif use == "listen":
            world.core.listen(member.session, name)
        else:
            VERBS[use](world, member, name, text)
        got = "done"
    except Refused as refused:
        got = codes.error(refused.code).slug
    assert got == answer
