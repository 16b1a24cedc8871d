"""The tree of an expression: a closed list of nodes.

Whoever walks a tree handles every class of :data:`Node` and nothing else; there is no node for calling a function,
reading an attribute of an object of ours, or making anything but a value (T29). Of every node,
``text[start:end]`` is the whole sub-expression in the expression's text, without parentheses around it. Nodes know
nothing of files, values or evaluation.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Undefined:
    """The value of what is not there: JavaScript's undefined, which is not null."""

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED = Undefined()


@attrs.frozen
class Constant:
    """A value written out: text, number, true, false, null or undefined."""

    start: int
    end: int
    value: str | int | float | bool | Undefined | None


@attrs.frozen
class UserField:
    """``user.id``, ``user.data`` or ``user.isAuthenticated``; ``name`` is the part after the dot."""

    start: int
    end: int
    name: str


@attrs.frozen
class Name:
    """``data``, ``name``, ``action`` or ``now``."""

    start: int
    end: int
    name: str


@attrs.frozen
class PatternVariable:
    """``$name``; ``name`` is without the ``$``."""

    start: int
    end: int
    name: str


@attrs.frozen
class Member:
    """``object.key``, ``object["key"]`` or ``object[0]``."""

    start: int
    end: int
    object: Node
    key: str | int


@attrs.frozen
class MethodCall:
    """``object.method(arguments)``, the method out of ``methods.METHODS``."""

    start: int
    end: int
    object: Node
    method: str
    arguments: tuple[Node, ...]


@attrs.frozen
class Not:
    """``!operand``."""

    start: int
    end: int
    operand: Node


@attrs.frozen
class TypeOf:
    """``typeof operand``."""

    start: int
    end: int
    operand: Node


@attrs.frozen
class Compare:
    """Two operands with one of ``=== !== == != < <= > >=``."""

    start: int
    end: int
    operator: str
    left: Node
    right: Node


@attrs.frozen
class Junction:
    """Two or more operands joined by ``&&`` or by ``||``, read from left to right."""

    start: int
    end: int
    operator: str
    operands: tuple[Node, ...]


Node = Constant | UserField | Name | PatternVariable | Member | MethodCall | Not | TypeOf | Compare | Junction


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below ``node``, from left to right."""
    match node:
        case Member():
            return (node.object,)
        case MethodCall():
            return (node.object, *node.arguments)
        case Not() | TypeOf():
            return (node.operand,)
        case Compare():
            return (node.left, node.right)
        case Junction():
            return node.operands
        case _:
            return ()
