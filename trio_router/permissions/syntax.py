"""The tree of an expression: a closed list of nodes.

Whoever walks a tree handles every class of :data:`Node` and nothing else; there is no node for calling a function,
reading an attribute of an object of ours, or making anything but a value (T29). ``start`` is the offset of a node's
first character in the expression's text. Nodes know nothing of files, values or evaluation.
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
    value: str | int | float | bool | Undefined | None


@attrs.frozen
class UserField:
    """``user.id``, ``user.data`` or ``user.isAuthenticated``; ``name`` is the part after the dot."""

    start: int
    name: str


@attrs.frozen
class Name:
    """``data``, ``name``, ``action`` or ``now``."""

    start: int
    name: str


@attrs.frozen
class PatternVariable:
    """``$name``; ``name`` is without the ``$``."""

    start: int
    name: str


@attrs.frozen
class Member:
    """``object.key``, ``object["key"]`` or ``object[0]``; ``start`` is where the key stands."""

    start: int
    object: Node
    key: str | int


@attrs.frozen
class MethodCall:
    """``object.method(arguments)``, the method out of ``methods.METHODS``; ``start`` is where its name stands."""

    start: int
    object: Node
    method: str
    arguments: tuple[Node, ...]


@attrs.frozen
class Not:
    """``!operand``."""

    start: int
    operand: Node


@attrs.frozen
class TypeOf:
    """``typeof operand``."""

    start: int
    operand: Node


@attrs.frozen
class Compare:
    """Two operands with one of ``=== !== == != < <= > >=``; ``start`` is where the operator stands."""

    start: int
    operator: str
    left: Node
    right: Node


@attrs.frozen
class Junction:
    """Two or more operands joined by ``&&`` or by ``||``, read from left to right."""

    start: int
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
