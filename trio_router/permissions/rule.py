"""One rule as it was loaded: where it stands, what it says, and how to ask it.

Data alone: which rule applies is for ``index``, asking it for ``ruleset``.

The rule that keeps this honest: the decisions a rule can give that depend on nothing are made once, here, and only
``allowed`` allows.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from trio_router.patterns import Pattern
from trio_router.permissions.compiler import Evaluate, compile_expression
from trio_router.permissions.decision import Decision, Reason, RuleRef
from trio_router.permissions.syntax import Name, Node, PatternVariable, children


@attrs.frozen(eq=False)
class Rule:
    """One pattern's rule for one action: a boolean (``evaluate`` and ``tree`` are None) or an expression.

    ``text`` is the expression as the file spells it ("" for a boolean), ``reason`` what a client may be told when the
    rule denies ("" if the file says nothing). ``action_value`` is what ``action`` stands for in the expression.
    ``references`` give the names of the records that the expression refers to.
    """

    pattern: Pattern
    ref: RuleRef
    order: int
    constant: bool = False
    tree: Node | None = None
    evaluate: Evaluate | None = None
    text: str = ""
    reason: str = ""
    action_value: str | int = ""
    references: tuple[Evaluate, ...] = ()
    allowed: Decision = attrs.field(init=False)
    refused: Decision = attrs.field(init=False)
    names: frozenset[str] = attrs.field(init=False)
    """``data``, ``oldData``, ``name``, ``now``, ``action`` and ``$variables`` that the expression reads."""

    @allowed.default
    def _allowed(self) -> Decision:
        return Decision(True, Reason.ALLOWED, self.ref)

    @refused.default
    def _refused(self) -> Decision:
        return Decision(False, Reason.RULE_FALSE, self.ref, reason_text=self.reason)

    @names.default
    def _names(self) -> frozenset[str]:
        return frozenset(_names_in(self.tree)) if self.tree is not None else frozenset()

    @property
    def rank(self) -> tuple[bool, int, int, int, int]:
        """Orders rules by how specific they are; the greater one wins."""
        pattern = self.pattern
        return (pattern.is_literal, pattern.literal_length, -pattern.stars, len(pattern.variables), self.order)

    def compiled(self, part: Node) -> Evaluate:
        """A function that evaluates a part of the expression, called as ``evaluate`` is."""
        label = f"{self.ref.source}:{self.ref.line}"
        return compile_expression(part, variables=self.pattern.variables, action=self.action_value, label=label)


def _names_in(node: Node) -> Iterator[str]:
    if isinstance(node, Name):
        yield node.name
    elif isinstance(node, PatternVariable):
        yield "$" + node.name
    for child in children(node):
        yield from _names_in(child)
