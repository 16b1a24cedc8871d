"""Where parts of the rules stand in their file, for those who report on rules that were loaded.

The loader forgets the YAML it read; this reads the same text again and finds each rule by the place its reference names.
"""

from __future__ import annotations

import attrs

from trio_router import documents
from trio_router.documents import Node
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import OPTIONS
from trio_router.permissions.places import SourceMap
from trio_router.permissions.rule import Rule


@attrs.frozen
class _Found:
    section: str
    pattern: Node
    scalar: Node


class RuleSources:
    """The text of one rules file that loads, for asking where characters of its expressions stand."""

    def __init__(self, text: str, source: str) -> None:
        self._map = SourceMap(text)
        self._found: dict[tuple[int, int], _Found] = {}
        for section, _, patterns in documents.read(text, source).entries():
            if section in OPTIONS:
                continue
            for _, pattern, actions in patterns.entries():
                for _, _, value in actions.entries():
                    inner = value.get("rule") if isinstance(value.value, dict) else None
                    for node in (value, inner or value):
                        self._found[node.line, node.column] = _Found(section, pattern, inner or value)

    def place(self, rule: Rule, offset: int | None = None) -> tuple[int, int]:
        """(line, column), from 1, of character ``offset`` of the rule's expression; of the rule itself where that is unknown."""
        scalar = self._of(rule).scalar
        found = self._map.place(scalar, offset) if offset is not None and isinstance(scalar.value, str) else None
        return found or (scalar.line, scalar.column)

    def pattern_place(self, rule: Rule, offset: int | None = None) -> tuple[int, int]:
        """(line, column), from 1, of character ``offset`` of the rule's pattern; of the pattern itself where that is unknown."""
        key = self._of(rule).pattern
        found = None if offset is None else self._map.place(key, offset)
        return found or (key.line, key.column)

    def action(self, rule: Rule) -> Action:
        """What the rule is for."""
        return Action((self._of(rule).section, rule.ref.action))

    def named(self, rule: Rule) -> str:
        """The rule in the words of its file, such as ``event "news/*" publish``."""
        return f'{self._of(rule).section} "{rule.ref.pattern}" {rule.ref.action}'

    def _of(self, rule: Rule) -> _Found:
        return self._found[rule.ref.line, rule.ref.column]
