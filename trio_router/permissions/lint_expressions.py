"""What looks wrong inside one expression: parts that never change, results that are no booleans, traps of the language.

Judges trees by what is certain from them alone: constants, and types where the compiler knows them. Nothing is guessed about
what users or data look like.

The rule that keeps this honest: a part is called always true or always false only if it is so for all values, an error aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from trio_router.errors import RouterError
from trio_router.identity import Identity, User
from trio_router.names import NAME_CHARACTERS
from trio_router.payload import ABSENT
from trio_router.permissions.compiler import type_of
from trio_router.permissions.records import NoRecords, World
from trio_router.permissions.rule import Rule
from trio_router.permissions.syntax import (
    Compare,
    Conditional,
    Constant,
    Group,
    Index,
    Junction,
    Member,
    MethodCall,
    Name,
    Node,
    Not,
    PatternVariable,
    Reference,
    Regex,
    SessionField,
    Template,
    TypeOf,
    Undefined,
    UserField,
    children,
)
from trio_router.permissions.trees import same, shown, walk
from trio_router.permissions.values import truthy

TYPES: Final = ("string", "number", "boolean", "object", "undefined")

_EQUALITY: Final = frozenset({"===", "!==", "==", "!="})
_NOBODY: Final = Identity("", "", User("nobody"))
_WORLD: Final = World(lambda: 0, NoRecords())
_WORDS: Final = {"string": "a text", "number": "a number", "boolean": "true or false"}

Found = tuple[str, Node, str]
"""A code, the part it is about, and what is to be said of it."""


def findings(rule: Rule) -> Iterator[Found]:
    """What is found in the expression of ``rule``."""
    if rule.tree is None or isinstance(rule.tree, Constant):
        return
    reader = _Reader(rule)
    special = list(reader.comparisons())
    yield from special
    places = [node for _, node, _ in special]
    yield from reader.decided(places)
    yield from reader.results(rule.tree)
    yield from reader.failing(rule.tree)
    yield from reader.texts()


class _Reader:
    def __init__(self, rule: Rule) -> None:
        assert rule.tree is not None  # noqa: S101 - for the type checker
        self._rule = rule
        self._tree: Node = rule.tree

    def _shown(self, node: Node) -> str:
        return f"`{shown(node, self._rule.text)}`"

    def comparisons(self) -> Iterator[Found]:
        """Comparisons that say less than they seem to."""
        for node in walk(self._tree):
            if not isinstance(node, Compare) or node.operator not in _EQUALITY:
                continue
            answer = "true" if node.operator[0] == "!" else "false"
            sides = node.left, node.right
            why = self._never_equal(*sides) or self._never_equal(*sides[::-1])
            if why is not None and len(node.operator) == 3:
                yield why[0], node, f"{self._shown(node)} is always {answer}: {why[1]}"
            elif same(*sides) and _is_plain(node.left):
                yield "R207", node, f"{self._shown(node)} compares something with itself"
            elif len(node.operator) == 2 and not any(map(_is_nothing, sides)):
                yield "R304", node, f"{self._shown(node)} converts its sides before it compares them"

    def _never_equal(self, one: Node, other: Node) -> tuple[str, str] | None:
        """(code, why) if the two are never strictly equal, as far as ``one`` tells."""
        mine, theirs = type_of(one), _type_of(other)
        if mine and theirs and mine != theirs:
            return "R204", f"{self._shown(one)} is {_WORDS[mine]}, {self._shown(other)} is {_WORDS.get(theirs, theirs)}"
        if not isinstance(other, Constant) or not isinstance(other.value, str):
            return None
        text = other.value
        if isinstance(one, TypeOf) and text not in TYPES:
            return "R205", f"typeof gives one of {', '.join(TYPES)}"
        if isinstance(one, Name) and one.name == "name" and not self._rule.pattern.matches(text):
            return "R206", f"the pattern {self._rule.pattern.text!r} does not match {text!r}"
        if isinstance(one, PatternVariable) and not (
            text and NAME_CHARACTERS.issuperset(text.replace("|", "")) and "/" not in text
        ):
            return "R206", f"${one.name} is one segment of a name"
        if isinstance(one, Name) and one.name == "action" and text != self._rule.action_value:
            return "R206", f"action is {self._rule.action_value!r} here"
        return None

    def decided(self, told: list[Node]) -> Iterator[Found]:
        """The rule, or else its largest parts, that do not depend on anything."""
        truth = self._truth(self._tree)
        if truth is not None:
            if not (_holds(self._tree, told) or (truth and type_of(self._tree) != "boolean")):
                code, answer = ("R201", "always true") if truth else ("R202", "never true")
                yield code, self._tree, f"{self._shown(self._tree)} is {answer}"
            return
        for node in _conditions(self._tree):
            truth = self._truth(node)
            if truth is not None and not _holds(node, told):
                told.append(node)
                yield "R203", node, f"{self._shown(node)} is always {str(truth).lower()}"

    def _truth(self, node: Node) -> bool | None:
        """Whether a condition always takes ``node`` for true, or always for false; None if that depends."""
        match node:
            case Junction(operator="&&" | "||"):
                absorbing = node.operator == "||"
                parts = [self._truth(operand) for operand in node.operands]
                if absorbing in parts:
                    return absorbing
                return None if None in parts else not absorbing
            case Not():
                inner = self._truth(node.operand)
                return None if inner is None else not inner
            case Conditional():
                test = self._truth(node.test)
                if test is not None:
                    return self._truth(node.yes if test else node.no)
                one, other = self._truth(node.yes), self._truth(node.no)
                return one if one is other else None
            case Compare(operator="===" | "!=="):
                if self._never_equal(node.left, node.right) or self._never_equal(node.right, node.left):
                    return node.operator == "!=="
        return self._constant_truth(node)

    def _constant_truth(self, node: Node) -> bool | None:
        if not all(map(_is_constant, walk(node))):
            return None
        try:
            bound = tuple("" for _ in self._rule.pattern.variables)
            return truthy(self._rule.compiled(node)(_NOBODY, "", ABSENT, ABSENT, _WORLD, bound))
        except RouterError:
            return False  # it fails, always

    def results(self, tree: Node) -> Iterator[Found]:
        """The parts whose value may become the rule's, and that need not be true or false."""
        for node in results(tree):
            kind = _type_of(node)
            if kind in ("string", "number"):
                yield "R301", node, f"{self._shown(node)} is {_WORDS[kind]}, and only true allows"
            elif not kind:
                yield (
                    "R302",
                    node,
                    f"{self._shown(node)} allows only if it is exactly true; Valve denies only what is exactly false",
                )

    def failing(self, tree: Node) -> Iterator[Found]:
        """Operands of ``||`` that may fail, after which the next operand is not asked."""
        for node in walk(tree):
            if isinstance(node, Junction) and node.operator == "||":
                for operand in node.operands[:-1]:
                    part = self._may_fail(operand, frozenset())
                    if part is not None:
                        yield "R303", part, f"where {self._shown(part)} fails, what follows || is not asked"
                        break

    def _may_fail(self, node: Node, safe: frozenset[str]) -> Node | None:
        """The first part of ``node`` that reads a key of what may be missing. ``safe``: texts that were asked before."""
        if isinstance(node, Junction):
            for operand in node.operands:
                part = self._may_fail(operand, safe)
                if part is not None:
                    return part
                if node.operator == "&&":
                    safe |= {self._shown(inner) for inner in walk(operand)}
            return None
        for child in children(node):
            part = self._may_fail(child, safe)
            if part is not None:
                return part
        if isinstance(node, Member | Index | MethodCall) and not node.optional:
            missing = isinstance(node.object, Member | Index | Reference | UserField) or (
                isinstance(node.object, Name) and node.object.name == "oldData"
            )
            chained = any(getattr(inner, "optional", False) for inner in walk(node.object))
            if missing and not chained and not type_of(node.object) and self._shown(node.object) not in safe:
                return node
        return None

    def texts(self) -> Iterator[Found]:
        """Texts in quotes that hold the name of a variable of the pattern."""
        for node in walk(self._tree):
            if isinstance(node, Constant) and isinstance(node.value, str):
                for variable in self._rule.pattern.variables:
                    if f"${variable}" in node.value:
                        yield (
                            "R403",
                            node,
                            f"{self._shown(node)} is a text; it does not hold what ${variable} stands for",
                        )
                        break


def _conditions(node: Node) -> Iterator[Node]:
    """The parts that are asked for true or false, the larger ones first; constants a ``?:`` chooses from are none."""
    if isinstance(node, Junction) and node.operator != "??":
        for operand in node.operands:
            yield operand
            yield from _conditions(operand)
        return
    if isinstance(node, Conditional):
        yield node.test
        yield from _conditions(node.test)
        for branch in (node.yes, node.no):
            if isinstance(branch, Compare | Not):
                yield branch
            yield from _conditions(branch)
        return
    for child in children(node):
        yield from _conditions(child)


def results(node: Node) -> Iterator[Node]:
    """The parts of ``node`` whose value it may have, apart from what ``&&`` stops at."""
    match node:
        case Junction(operator="&&"):
            yield from results(node.operands[-1])
        case Junction():
            for operand in node.operands:
                yield from results(operand)
        case Conditional():
            yield from results(node.yes)
            yield from results(node.no)
        case Group():
            yield from results(node.operand)
        case _:
            yield node


def _type_of(node: Node) -> str:
    if isinstance(node, Constant) and isinstance(node.value, Undefined | None):
        return "undefined" if isinstance(node.value, Undefined) else "null"
    return type_of(node)


def _is_constant(node: Node) -> bool:
    if isinstance(node, Name):
        return node.name == "action"
    return not isinstance(node, UserField | SessionField | PatternVariable | Reference | Regex)


def _is_nothing(node: Node) -> bool:
    return _type_of(node) in ("null", "undefined")


def _is_plain(node: Node) -> bool:
    """Whether it is a value that is read and not worked out, so that it is equal to itself."""
    return all(
        isinstance(part, Member | UserField | SessionField | Name | PatternVariable | Constant | Template)
        for part in walk(node)
    )


def _holds(node: Node, told: list[Any]) -> bool:
    """Whether something of which was told already is a part of ``node`` or the other way round."""
    return any(
        (inner.start >= node.start and inner.end <= node.end) or (node.start >= inner.start and node.end <= inner.end)
        for inner in told
    )
