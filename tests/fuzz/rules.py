"""Rules files and single expressions: read, asked, formatted and linted (T29, T30, T31)."""

from __future__ import annotations

import builtins
import json
from typing import Any, Final

from tests.fuzz.target import Target, text
from trio_router.clock import ManualClock
from trio_router.errors import RuleError
from trio_router.identity import Identity, User
from trio_router.payload import Payload
from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.permissions.formatting import format_rules
from trio_router.permissions.lint import lint
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import CompiledRules

SOURCE: Final = "rules.yml"
WHO: Final = Identity(
    "shop", "session", User("egon", {"role": "admin", "level": 3, "tags": ["a", "b"], "n": None, "o": {"a": [1.5]}})
)
DATA: Final = Payload(
    {"text": "gr\u00fcn \U0001f600", "n": 1.5, "list": [1, "a", None, {"b": []}], "flag": True, "long": "x" * 50}
)
OLD: Final = Payload({"text": "old", "n": 2})
NAMES: Final = ("news", "news/egon", "a/b/c", "egon", "undefined")
PATTERNS: Final = ("news/*", "*", "a/*/c")
_FOREIGN: Final = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
)


def rules_file(data: bytes) -> bool:
    """A file is taken whole or refused with every problem at its place; rules that were taken answer every question."""
    source = text(data)
    rules = _loaded(source)
    if rules is None:
        return False
    for action in Action:
        for name in NAMES:
            _judge(rules.decide(WHO, action, name, DATA, old=OLD))
        for pattern in PATTERNS:
            _judge(rules.decide_pattern(WHO, action, pattern))
    for finding in lint(source, SOURCE):
        assert finding.line > 0
    try:
        formatted = format_rules(source, SOURCE)
    except RuleError:
        return True
    assert format_rules(formatted, SOURCE) == formatted, "the one way to write a file is written in another way"
    return True


def expression(data: bytes) -> bool:
    """Any text as the one rule of a file: refused at a character of its own, or it comes out as something."""
    source = json.dumps(
        {"event": {"a/$x": {"publish": text(data)}}, "record": {"$y": {"write": text(data)}}}, ensure_ascii=True
    )
    rules = _loaded(source)
    if rules is None:
        return False
    decision = rules.decide(WHO, Action.EVENT_PUBLISH, "a/egon", DATA)
    _judge(decision)
    again = rules.decide(WHO, Action.EVENT_PUBLISH, "a/egon", DATA)
    assert decision == again
    _judge(rules.decide(WHO, Action.RECORD_WRITE, "egon", DATA, old=OLD))
    return True


def _loaded(source: str) -> CompiledRules | None:
    try:
        return load_rules(source, SOURCE, clock=ManualClock(wall=1_700_000_000.0))
    except RuleError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message
            assert problem.line >= 0
        return None


def _judge(decision: Decision) -> None:
    """Whatever fails inside is a denial, so that what should not fail inside has to be looked for."""
    assert decision.allowed == (decision.reason is Reason.ALLOWED)
    assert decision.reason is not Reason.RULE_ERROR or decision.detail not in _FOREIGN, decision


def _words() -> tuple[str, ...]:
    rules: list[Any] = [action.verb + ":" for action in Action] + [action.section + ":\n  " for action in Action]
    return tuple(dict.fromkeys((*rules, *EXPRESSION_WORDS)))


EXPRESSION_WORDS: Final = (
    "user.id", "user.data.", "user.isAuthenticated", "session.remoteAddress", "session.app", "data", "oldData", "name", "action", "now",
    "$x", "_(", "===", "!==", "&&", "||", "??", "?.", " in ", "typeof ", "? ", " : ", "`${", "}`", ".startsWith(", ".includes(", ".match(",
    ".test(", ".length", "/^a.*$/", ".split(", ".toUpperCase()", ".slice(", ".indexOf(", "undefined", "null", "true", "'a'", "(", ")", "[", "]",
    "1.5", " - ", " % ", " / ", "!", "reason:", "rule:", '"news/*":', "actions: numeric", "# lint: ignore",
)  # fmt: skip

TARGETS: Final = (
    Target("rules", rules_file, _words(), also=("tests/broken/rules/*.yml", "examples/*/rules.yml")),
    Target("expressions", expression, EXPRESSION_WORDS, max_size=1024),
)
