"""Finds rules that load and yet hardly do what their author meant: puts together what the other ``lint_`` modules find.

A comment ``# lint: ignore R302`` at the end of a line, or alone in the line above, silences a code there (without codes: all of
them); ``# lint: ignore-file R401`` does so in the whole file.

The rule that keeps this honest: what is silenced is named by the author, never guessed; and a file with an error is refused, not
linted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from trio_router.clock import ManualClock
from trio_router.permissions import lint_expressions, lint_patterns
from trio_router.permissions.decision import Action
from trio_router.permissions.index import RuleIndex
from trio_router.permissions.lint_codes import Finding
from trio_router.permissions.loader import load_rules
from trio_router.permissions.rule import Rule
from trio_router.permissions.sources import RuleSources

_IGNORE: Final = re.compile(r"(^|\s)#\s*lint:\s*ignore(-file)?((?:[\s,]+R\d+)*)\s*$")
_ALL: Final = frozenset({"all"})


def lint(text: str, source: str) -> list[Finding]:
    """What is found in the rules file ``text``, in file order, without what its comments silence.

    Raises:
        RuleError: the file is refused.
    """
    rules = load_rules(text, source, clock=ManualClock()).rules
    sources = RuleSources(text, source)
    silence = _Silence(text)
    return [finding for finding in sorted(set(_findings(rules, sources))) if not silence.covers(finding)]


def _findings(rules: tuple[Rule, ...], sources: RuleSources) -> Iterator[Finding]:
    by_action: dict[Action, list[Rule]] = {}
    by_pattern: dict[tuple[int, int], list[Rule]] = {}
    for rule in rules:
        by_action.setdefault(sources.action(rule), []).append(rule)
        by_pattern.setdefault(sources.pattern_place(rule), []).append(rule)
        for code, node, text in lint_expressions.findings(rule):
            yield Finding(*sources.place(rule, node.start), code, sources.named(rule), text)
    patterns: list[lint_patterns.Found] = []
    for action, group in by_action.items():
        patterns += lint_patterns.unreachable(group, action)
        if action in lint_patterns.WILDCARD_ACTIONS:
            patterns += lint_patterns.wildcards(group, RuleIndex(group))
    for group in by_pattern.values():
        patterns += lint_patterns.variables(group)
    for code, rule, offset, text in patterns:
        place = sources.place(rule) if offset is None else sources.pattern_place(rule, offset)
        named = sources.named(rule) if offset is None else f'{sources.action(rule).section} "{rule.ref.pattern}"'
        yield Finding(*place, code, named, text)


class _Silence:
    """What the comments of a file silence."""

    def __init__(self, text: str) -> None:
        self._file: set[str] = set()
        self._lines: dict[int, frozenset[str]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            found = _IGNORE.search(line)
            if found is None:
                continue
            codes = frozenset(re.findall(r"R\d+", found[3])) or _ALL
            if found[2]:
                self._file |= codes
            else:
                alone = not line[: found.start()].strip()
                self._lines[number + alone] = codes

    def covers(self, finding: Finding) -> bool:
        """Whether the author does not want to hear of it."""
        silenced = self._file | self._lines.get(finding.line, frozenset())
        return finding.code in silenced or "all" in silenced
