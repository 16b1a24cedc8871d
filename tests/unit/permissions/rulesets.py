"""What the tests of rules share: how to make rules, people and a single expression's value."""

from __future__ import annotations

from typing import Any

from trio_router.clock import ManualClock
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.compiler import compile_expression
from trio_router.permissions.grammar import Scope, parse
from trio_router.permissions.loader import load_rules
from trio_router.permissions.records import NoRecords, World
from trio_router.permissions.ruleset import CompiledRules

EGON = User("egon", {"role": "admin", "level": 3, "tags": ["a", "b"]})


def somebody(user: User = EGON) -> Identity:
    return Identity("shop", "session", user)


def rules(text: str) -> CompiledRules:
    return load_rules(text, "rules.yml", clock=ManualClock())


def one_rule(pattern: str, action: str, rule: object, section: str = "event") -> CompiledRules:
    """A file with one rule, spelled as JSON so that no quoting gets in the way."""
    import json

    return rules(json.dumps({section: {pattern: {action: rule}}}))


def value_of(
    source: str,
    *,
    data: Any = ABSENT,
    user: User = EGON,
    variables: dict[str, str] | None = None,
    name: str = "news",
) -> Any:
    """The value of one expression, as a rule for publishing would see it."""
    bound = variables or {}
    tree = parse(source, Scope(tuple(bound), data=True, action="event publish"))
    evaluate = compile_expression(tree, variables=tuple(bound), action="publish", label="test")
    payload = data if data is ABSENT else Payload(data)
    world = World(lambda: 1_700_000_000_000, NoRecords())
    return evaluate(somebody(user), name, payload, ABSENT, world, tuple(bound.values()))
