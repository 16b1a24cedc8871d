"""Text of a rules file in, compiled rules out, or every problem the file has.

Owns the shape of the file: sections, patterns, actions, rules. A section, pattern or action that is not there is
denied; a file, section or pattern that is there and says nothing is an error, as is every word that is not
understood (T31).

The rule that keeps this honest: there is no half of a ruleset. Either all of the file was understood or
:class:`RuleError` names all that was not.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Final, TypedDict

from trio_router import documents
from trio_router.clock import Clock
from trio_router.documents import DocumentError, Node
from trio_router.errors import Problem, RuleError
from trio_router.patterns import Pattern, PatternError
from trio_router.permissions.compiler import Evaluate, compile_expression
from trio_router.permissions.decision import Action, RuleRef
from trio_router.permissions.grammar import Scope, closest, parse
from trio_router.permissions.lexer import ExpressionError
from trio_router.permissions.namespace import check_pattern
from trio_router.permissions.places import SourceMap
from trio_router.permissions.records import NoRecords, Records
from trio_router.permissions.rule import Rule
from trio_router.permissions.ruleset import CompiledRules
from trio_router.permissions.syntax import Node as Tree
from trio_router.permissions.syntax import Reference, children

SECTIONS: Final[dict[str, dict[str, Action]]] = {}
for _action in Action:
    SECTIONS.setdefault(_action.section, {})[_action.verb] = _action

WITH_DATA: Final = frozenset({Action.EVENT_PUBLISH, Action.RPC_REQUEST, Action.RECORD_WRITE})
"""The actions that carry data a rule can read."""

WITH_OLD_DATA: Final = frozenset({Action.RECORD_READ, Action.RECORD_WRITE, Action.RECORD_DELETE})
"""The actions on a record as it is, which a rule can read as ``oldData``."""

NUMBERS: Final = {
    Action.EVENT_PUBLISH: 2,
    Action.EVENT_SUBSCRIBE: 3,
    Action.EVENT_LISTEN: 5,
    Action.RPC_PROVIDE: 8,
    Action.RPC_REQUEST: 2,
    Action.PRESENCE_ALLOW: 10,
    Action.RECORD_CREATE: 15,
    Action.RECORD_READ: 3,
    Action.RECORD_WRITE: 18,
    Action.RECORD_DELETE: 9,
    Action.RECORD_LISTEN: 27,
    Action.RECORD_NOTIFY: 2,
}
"""What ``action`` is in a file that says ``actions: numeric``: the numbers of deepstream's protocol, where several of its
messages need one action that of the plainest (query and subscribe: subscribe; read, head and subscribe: read)."""

OPTIONS: Final = {"actions": ("names", "numeric")}
"""What may stand beside the sections, with the values it may have."""

MAX_REASON: Final = 200  # characters
NO_RECORDS: Final = NoRecords()


def load_rules(text: str, source: str, *, clock: Clock, records: Records = NO_RECORDS) -> CompiledRules:
    """The rules that ``text`` spells; ``source`` names the file in errors and decisions, ``records`` is what ``_()`` reads.

    Raises:
        RuleError: the text is not a rules file; holds every problem found, in file order.
    """
    try:
        root = documents.read(text, source)
    except DocumentError as error:
        raise RuleError(error.problems) from None
    loader = _Loader(text, source)
    loader.file(root)
    if loader.problems:
        raise RuleError(sorted(loader.problems, key=lambda problem: (problem.line, problem.column)))
    return CompiledRules(text, loader.rules, clock, records)


class _Compiled(TypedDict):
    tree: Tree
    evaluate: Evaluate
    references: tuple[Evaluate, ...]


class _Loader:
    def __init__(self, text: str, source: str) -> None:
        self.problems: list[Problem] = []
        self.rules: dict[Action, list[Rule]] = {}
        self._map = SourceMap(text)
        self._source = source
        self._order = 0
        self._shapes: dict[tuple[Action, tuple[str, ...]], RuleRef] = {}
        self._numeric = False
        self._compiled: dict[tuple[str, Scope], _Compiled] = {}

    def file(self, root: Node) -> None:
        if root.value is None or root.value == {}:
            self._problem(root, f"the file is empty; expected sections {_listed(SECTIONS)}")
            return
        if not self._is_mapping(root, f"the file must hold sections {_listed(SECTIONS)}"):
            return
        if set(root.value) <= set(OPTIONS):
            self._problem(root, f"the file has no sections; expected {_listed(SECTIONS)}")
        actions = root.get("actions")
        self._numeric = actions is not None and actions.value == "numeric"
        for section, key, value in root.entries():
            if section in OPTIONS:
                self._option(section, value)
            elif section not in SECTIONS:
                self._unknown(key, "section", section, SECTIONS)
            elif self._is_mapping(value, "a section maps name patterns to actions", section):
                for text, pattern_key, actions in value.entries():
                    self._pattern(section, text, pattern_key, actions)

    def _option(self, name: str, value: Node) -> None:
        if value.value not in OPTIONS[name]:
            self._problem(value, f"{name} is one of {_listed(OPTIONS[name])}", name)

    def _pattern(self, section: str, text: str, key: Node, actions: Node) -> None:
        field = f'{section} "{text}"'
        pattern = None
        try:
            pattern = Pattern.parse(text, variables=True)
            check_pattern(section, pattern)
        except PatternError as error:
            self._problem_within(key, error.position, error.message, field)
        if not self._is_mapping(actions, f"a pattern maps actions ({_listed(SECTIONS[section])}) to rules", field):
            return
        for verb, verb_key, rule in actions.entries():
            action = SECTIONS[section].get(verb)
            if action is None:
                self._unknown(verb_key, f"action of {section}", verb, SECTIONS[section], field)
            elif pattern is not None:
                self._rule(pattern, action, verb_key, rule, f"{field} {verb}")

    def _rule(self, pattern: Pattern, action: Action, key: Node, value: Node, field: str) -> None:
        reason = ""
        if isinstance(value.value, dict) and value.value:
            unpacked = self._with_reason(value, field)
            if unpacked is None:
                return
            value, reason = unpacked
        self._order += 1
        ref = RuleRef(self._source, value.line, value.column, pattern.text, action.verb)
        twin = self._shapes.setdefault((action, pattern.shape), ref)
        if twin is not ref:
            again = f'the pattern "{twin.pattern}" matches the same names and has a rule for {action.verb} in line'
            self._problem(key, f"{again} {twin.line}; only one of the two could apply", field)
        if isinstance(value.value, bool):
            self._add(action, Rule(pattern, ref, self._order, constant=value.value, reason=reason))
        elif isinstance(value.value, str):
            text = value.value
            words = f"{action.section} {action.verb}"
            scope = Scope(pattern.variables, action in WITH_DATA, words, action in WITH_OLD_DATA)
            named = NUMBERS[action] if self._numeric else action.verb
            try:
                made = self._expression(text, scope, named, ref)
            except ExpressionError as error:
                self._problem_within(value, error.position, error.message, field)
            else:
                self._add(action, Rule(pattern, ref, self._order, text=text, reason=reason, action_value=named, **made))
        else:
            self._problem(value, f"a rule is true, false or an expression in quotes, not a {value.kind}", field)

    def _with_reason(self, mapping: Node, field: str) -> tuple[Node, str] | None:
        """The rule and the reason of ``{rule: ..., reason: ...}``."""
        for word, key, _ in mapping.entries():
            if word not in ("rule", "reason"):
                self._unknown(key, "part of a rule", word, ("rule", "reason"), field)
                return None
        rule = mapping.get("rule")
        if rule is None:
            self._problem(mapping, "there is a reason but no rule", field)
            return None
        reason = mapping.get("reason")
        if reason is None:
            return rule, ""
        if not isinstance(reason.value, str) or not reason.value.strip():
            self._problem(reason, "a reason is a text that is not empty", field)
            return None
        if len(reason.value) > MAX_REASON:
            self._problem(reason, f"a reason has at most {MAX_REASON} characters", field)
            return None
        return rule, reason.value.strip()

    def _expression(self, text: str, scope: Scope, named: str | int, ref: RuleRef) -> _Compiled:
        """The same text in the same scope is compiled once: large files repeat a few rules."""
        made = self._compiled.get((text, scope))
        if made is None:
            tree = parse(text, scope)
            compiled = functools.partial(
                compile_expression, variables=scope.variables, action=named, label=f"{ref.source}:{ref.line}"
            )
            references = tuple(compiled(node) for node in _records_named(tree))
            made = _Compiled(tree=tree, evaluate=compiled(tree), references=references)
            self._compiled[text, scope] = made
        return made

    def _add(self, action: Action, rule: Rule) -> None:
        self.rules.setdefault(action, []).append(rule)

    def _is_mapping(self, node: Node, expected: str, field: str = "") -> bool:
        if isinstance(node.value, dict) and node.value:
            return True
        if node.value is None or node.value == {}:
            self._problem(node, "nothing stands here; leave it out to deny everything in it", field)
        else:
            self._problem(node, f"{expected}, but here is a {node.kind}", field)
        return False

    def _unknown(self, key: Node, what: str, word: str, known: Iterable[str], field: str = "") -> None:
        hint = closest(word, known) or f"; expected {_listed(known)}"
        self._problem(key, f"unknown {what} {word!r}{hint}", field)

    def _problem(self, node: Node, message: str, field: str = "") -> None:
        self.problems.append(Problem(message, self._source, node.line, node.column, field))

    def _problem_within(self, scalar: Node, position: int, message: str, field: str) -> None:
        """A problem at character ``position`` of the scalar's text."""
        place = self._map.place(scalar, position)
        if place is None:
            place = scalar.line, scalar.column
            message = f"{message} (in the expression at character {position + 1})"
        self.problems.append(Problem(message, self._source, *place, field))


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _records_named(tree: Tree) -> Iterator[Tree]:
    """What stands in the parentheses of every ``_()``."""
    if isinstance(tree, Reference):
        yield tree.record
    for child in children(tree):
        yield from _records_named(child)
