"""A permissions file of deepstream in, our rules file out, with every place where the two languages decide differently.

The shape of the files and most of the expressions are the same, so the text is read by our own loader, which names what
does not exist here, and written by our own formatter, which keeps comments. This module adds what only somebody who knows
both can say: rules that load here and mean something else there.

The rule that keeps this honest: it never makes a rule allow more than its text does here. What differs is told, not patched.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

import attrs

from trio_router import documents
from trio_router.clock import ManualClock
from trio_router.documents import DocumentError, Node
from trio_router.errors import Problem, RuleError
from trio_router.patterns import Overlap
from trio_router.permissions.compiler import type_of
from trio_router.permissions.decision import Action
from trio_router.permissions.formatting import format_rules
from trio_router.permissions.lint_expressions import results
from trio_router.permissions.loader import SECTIONS, load_rules
from trio_router.permissions.rule import Rule
from trio_router.permissions.sources import RuleSources
from trio_router.permissions.syntax import Compare, Constant, Junction, Name, Reference, UserField
from trio_router.permissions.syntax import Node as Tree
from trio_router.permissions.trees import shown, walk

MAX_PAIRED: Final = 2000
"""More rules for one action are not compared with each other, which would take their number squared."""

DIFFERENCES: Final = {
    "D101": "only false denies there, only true allows here",
    "D102": "a dot in a path stands for any character there, for itself here",
    "D103": "the longer path wins there, the more specific one here",
    "D104": "action is the number of the message there; here the one of the plainest message that needs the rule",
    "D105": "the variable's name ends before an underscore, there and here",
    "D106": "presence of everybody is asked for under the name undefined there, as * here",
    "D107": "a missing section is an error there, and denies everything here",
    "D108": "listen is asked for the text of the client's pattern there, and for each name it is told of here",
    "D109": "oldData at the very end of a rule is undefined there",
    "D110": "nested references are limited by runs of the rule there, by rounds of loading here",
    "D111": "texts with ${...} are replaced when the file is read there, and are themselves here",
    "D112": "whether a user is authenticated follows from the id open there, from the login strategy here",
    "D113": "an operand of && that is missing lets the rule allow there, and deny here",
}

_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}")
_ANY: Final = "\ue000"


@attrs.frozen(order=True)
class Difference:
    """One place where the same text means something else. ``line`` and ``column`` are those of the imported file."""

    line: int
    column: int
    code: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.rule}: {self.text}"


@attrs.frozen
class Imported:
    """``text`` is the rules file to write."""

    text: str
    differences: tuple[Difference, ...]


def import_permissions(text: str, source: str) -> Imported:
    """Our rules file for the deepstream permissions ``text`` (YAML or JSON), with what differs.

    Raises:
        RuleError: something in it does not exist here; every problem has line, column and path.
    """
    try:
        root = documents.read(text, source)
    except DocumentError as error:
        raise RuleError(error.problems) from None
    _refuse_twins(root, source)
    rules = load_rules(text, source, clock=ManualClock()).rules
    sources = RuleSources(text, source)
    found = [*_of_file(root), *_of_patterns(root)]
    by_action: dict[Action, list[Rule]] = {}
    for rule in rules:
        by_action.setdefault(sources.action(rule), []).append(rule)
        found += _of_rule(rule, sources)
    for group in by_action.values():
        found += _precedence(group, sources)
    made = format_rules(text, source)
    if any("action" in rule.names for rule in rules):
        made = f"actions: numeric\n\n{made}"
        load_rules(made, source, clock=ManualClock())
    return Imported(made, tuple(sorted(set(found))))


def _refuse_twins(root: Node, source: str) -> None:
    """Paths that differ in the names of variables alone: of two rules for one action the longer path's wins, so the other has to go.

    Raises:
        RuleError: there are some.
    """
    problems = []
    for section, _, patterns in root.entries() if isinstance(root.value, dict) else ():
        seen: dict[tuple[str, str], str] = {}
        for path, _, actions in patterns.entries() if isinstance(patterns.value, dict) else ():
            shape = re.sub(r"\$[A-Za-z0-9]+", "$", path)
            for verb, key, _ in actions.entries() if isinstance(actions.value, dict) else ():
                twin = seen.setdefault((verb, shape), path)
                if twin is not path:
                    winner = path if len(path) >= len(twin) else twin
                    message = f"{twin!r} matches the same names; deepstream uses {winner!r} alone, so remove the other"
                    problems.append(Problem(message, source, key.line, key.column, f'{section} "{path}" {verb}'))
    if problems:
        raise RuleError(problems)


def _of_file(root: Node) -> Iterator[Difference]:
    for section in SECTIONS:
        if section not in root.value:
            yield Difference(root.line, root.column, "D107", section, DIFFERENCES["D107"])
    presence = root.get("presence")
    if presence is not None:
        yield Difference(presence.line, presence.column, "D106", "presence", DIFFERENCES["D106"])
    for section in ("event", "record"):
        node = root.get(section)
        for path, _, actions in node.entries() if node is not None else ():
            for verb, key, _ in actions.entries():
                if verb == "listen":
                    yield Difference(key.line, key.column, "D108", f'{section} "{path}" listen', DIFFERENCES["D108"])


def _of_patterns(root: Node) -> Iterator[Difference]:
    for section, _, patterns in root.entries():
        for path, key, _ in patterns.entries():
            named = f'{section} "{path}"'
            if "." in path:
                yield Difference(key.line, key.column, "D102", named, DIFFERENCES["D102"])
            if re.search(r"\$[A-Za-z0-9]+_", path):
                yield Difference(key.line, key.column, "D105", named, DIFFERENCES["D105"])


def _of_rule(rule: Rule, sources: RuleSources) -> Iterator[Difference]:
    named = sources.named(rule)
    tree = rule.tree
    if tree is None:
        return

    def difference(code: str, node: Tree, text: str = "") -> Difference:
        part = f"`{shown(node, rule.text)}`: "
        return Difference(*sources.place(rule, node.start), code, named, part + DIFFERENCES[code] + text)

    for node in results(tree):
        if type_of(node) != "boolean":
            yield difference("D101", node)
    for node in walk(tree):
        if isinstance(node, Junction) and node.operator == "&&":
            for operand in node.operands[:-1]:
                for part in results(operand):
                    if type_of(part) != "boolean":
                        yield difference("D113", part)
        elif isinstance(node, Name) and node.name == "action":
            yield difference("D104", node, _action_hint(tree, node))
        elif isinstance(node, UserField) and node.name == "isAuthenticated":
            yield difference("D112", node)
        elif isinstance(node, Reference) and any(isinstance(inner, Reference) for inner in list(walk(node))[1:]):
            yield difference("D110", node)
        elif isinstance(node, Constant) and isinstance(node.value, str) and _PLACEHOLDER.search(node.value):
            yield difference("D111", node)
        elif isinstance(node, Name) and node.name == "oldData" and node.end == len(rule.text.rstrip()):
            yield difference("D109", node)


def _action_hint(tree: Tree, action: Name) -> str:
    for node in walk(tree):
        if isinstance(node, Compare) and action in (node.left, node.right):
            other = node.right if node.left is action else node.left
            if isinstance(other, Constant) and isinstance(other.value, str):
                return "; a comparison with a name is true neither there nor here"
    return ""


def _precedence(rules: list[Rule], sources: RuleSources) -> Iterator[Difference]:
    """Pairs of rules of one action that have names in common and of which another one applies here.

    Whether they have a name in common is taken for true when in doubt.
    """
    if len(rules) > MAX_PAIRED:
        return
    by_length = sorted(rules, key=lambda rule: (len(rule.pattern.text), rule.order))
    ranks = [rule.rank for rule in by_length]
    for (at, here), (later, there) in itertools.combinations(enumerate(by_length), 2):
        if ranks[at] > ranks[later] and Overlap(there.pattern)(here.pattern):
            text = (
                f"{here.ref.pattern!r} applies to the names it shares with {there.ref.pattern!r}, which applies there: "
            )
            yield Difference(*sources.pattern_place(there), "D103", sources.named(there), text + DIFFERENCES["D103"])
