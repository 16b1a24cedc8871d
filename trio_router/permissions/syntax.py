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
class SessionField:
    """``session.id``, ``session.remoteAddress``, ``session.strategy`` or ``session.app``; ``name`` is the part after the dot."""

    start: int
    end: int
    name: str


@attrs.frozen
class Name:
    """``data``, ``oldData``, ``name``, ``action`` or ``now``."""

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
class Regex:
    """``/pattern/flags``, or the text that stands for it as the argument of ``match``.

    Stands nowhere but before ``.test(...)`` and inside ``.match(...)``.
    """

    start: int
    end: int
    pattern: str
    flags: str


@attrs.frozen
class Array:
    """``[item, ...]``."""

    start: int
    end: int
    items: tuple[Node, ...]


@attrs.frozen
class Template:
    """A text in back-quotes: ``texts[0]``, the value of ``parts[0]``, ``texts[1]`` and so on, ending with a text."""

    start: int
    end: int
    texts: tuple[str, ...]
    parts: tuple[Node, ...]


@attrs.frozen
class Reference:
    """``_(record)``: the content of the record with this name."""

    start: int
    end: int
    record: Node


@attrs.frozen
class Member:
    """``object.key``, ``object["key"]`` or ``object[0]``; with ``?.`` if ``optional``."""

    start: int
    end: int
    object: Node
    key: str | int
    optional: bool = False


@attrs.frozen
class Index:
    """``object[key]`` with a key that is computed; with ``?.`` if ``optional``."""

    start: int
    end: int
    object: Node
    key: Node
    optional: bool = False


@attrs.frozen
class MethodCall:
    """``object.method(arguments)``, the method out of ``methods.METHODS``; with ``?.`` before its name if ``optional``."""

    start: int
    end: int
    object: Node
    method: str
    arguments: tuple[Node, ...]
    optional: bool = False


@attrs.frozen
class Group:
    """Parentheses that end a chain with ``?.`` in it: in ``(a?.b).c`` what is skipped ends with them."""

    start: int
    end: int
    operand: Node


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
class Sign:
    """``+operand`` or ``-operand``; a number with its sign is a constant."""

    start: int
    end: int
    operator: str
    operand: Node


@attrs.frozen
class Arithmetic:
    """Two operands with one of ``+ - * / %``."""

    start: int
    end: int
    operator: str
    left: Node
    right: Node


@attrs.frozen
class Compare:
    """Two operands with one of ``=== !== == != < <= > >= in``."""

    start: int
    end: int
    operator: str
    left: Node
    right: Node


@attrs.frozen
class Junction:
    """Two or more operands joined by ``&&``, by ``||`` or by ``??``, read from left to right."""

    start: int
    end: int
    operator: str
    operands: tuple[Node, ...]


@attrs.frozen
class Conditional:
    """``test ? yes : no``."""

    start: int
    end: int
    test: Node
    yes: Node
    no: Node


Node = (
    Constant
    | UserField
    | SessionField
    | Name
    | PatternVariable
    | Regex
    | Array
    | Template
    | Reference
    | Member
    | Index
    | MethodCall
    | Group
    | Not
    | TypeOf
    | Sign
    | Arithmetic
    | Compare
    | Junction
    | Conditional
)


def may_skip(node: Node) -> bool:
    """Whether the chain of members and calls that ends with ``node`` has a ``?.`` in it."""
    while isinstance(node, Member | Index | MethodCall):
        if node.optional:
            return True
        node = node.object
    return False


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below ``node``, from left to right."""
    match node:
        case Array():
            return node.items
        case Template():
            return node.parts
        case Reference():
            return (node.record,)
        case Member():
            return (node.object,)
        case Index():
            return (node.object, node.key)
        case MethodCall():
            return (node.object, *node.arguments)
        case Not() | TypeOf() | Sign() | Group():
            return (node.operand,)
        case Arithmetic() | Compare():
            return (node.left, node.right)
        case Junction():
            return node.operands
        case Conditional():
            return (node.test, node.yes, node.no)
        case _:
            return ()
