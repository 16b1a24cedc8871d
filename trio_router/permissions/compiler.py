"""Tree of an expression in, Python function out.

The one place of the package that calls ``compile``, and it is called on a syntax tree built here node by node from
our own closed list, never on text (T29). The function's globals are functions of this package and nothing else:
there are no builtins to reach. Where the type of an operand is known from the tree, the comparison becomes Python's
own, which is what makes ``user.id === $userid`` one comparison of two texts.

The function is called as ``rule(who, name, data, old, world, variables)``: an ``Identity``, the name, two ``Payload``
(``old`` absent: look the record up), a ``World`` and the texts of the pattern's variables in their order. It returns
the value of the expression or raises whatever the evaluation raised.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, Final

from trio_router.identity import Identity
from trio_router.payload import Payload
from trio_router.permissions import access, arithmetic, methods, regexes, values
from trio_router.permissions.records import World
from trio_router.permissions.syntax import (
    UNDEFINED,
    Arithmetic,
    Array,
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
    Sign,
    Template,
    TypeOf,
    Undefined,
    UserField,
    may_skip,
)

Evaluate = Callable[[Identity, str, Payload, Payload, World, tuple[str, ...]], Any]

_PARAMETERS: Final = ("who", "name", "data", "old", "world", "variables")
_USER_ATTRIBUTES: Final = {"id": "id", "data": "data", "isAuthenticated": "is_authenticated"}
_SESSION_ATTRIBUTES: Final = {
    "id": "session_id", "remoteAddress": "remote_address", "strategy": "strategy", "app": "app",
}  # fmt: skip
_ARITHMETIC: Final = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "remainder"}
_METHOD_PREFIX: Final = "method_"
_GLOBALS: Final[Mapping[str, Any]] = {
    "__builtins__": {},
    "UNDEFINED": UNDEFINED,
    "payload_value": values.payload_value,
    "type_name": values.type_name,
    "truthy": values.truthy,
    "present": values.present,
    "length": values.length,
    "strict_equal": values.strict_equal,
    "loose_equal": values.loose_equal,
    "less": values.less,
    "less_or_equal": values.less_or_equal,
    "member": access.member,
    "element": access.element,
    "item": access.item,
    "has": access.has,
    "record": access.record,
    "old_value": access.old_value,
    "add": arithmetic.add,
    "subtract": arithmetic.subtract,
    "multiply": arithmetic.multiply,
    "divide": arithmetic.divide,
    "remainder": arithmetic.remainder,
    "negative": arithmetic.negative,
    "positive": arithmetic.positive,
    "join": arithmetic.join,
    **{_METHOD_PREFIX + name: function for name, function in methods.IMPLEMENTATIONS.items()},
}
_TEXT_METHODS: Final = frozenset({"toUpperCase", "toLowerCase", "trim"})
_TRUTH_METHODS: Final = frozenset({"startsWith", "endsWith", "includes", "test"})


def compile_expression(tree: Node, *, variables: tuple[str, ...], action: str | int, label: str) -> Evaluate:
    """A function that evaluates ``tree``, a whole rule or any part of one.

    ``variables`` are those of the rule's pattern, ``action`` is what ``action`` stands for, ``label`` names the rule
    in tracebacks.
    """
    builder = _Builder(variables, action)
    function = ast.FunctionDef(
        name="rule",
        args=ast.arguments(
            posonlyargs=[ast.arg(arg=name) for name in _PARAMETERS],
            args=[],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        ),
        body=[ast.Return(value=builder.expression(tree))],
        decorator_list=[],
    )
    module = ast.fix_missing_locations(ast.Module(body=[function], type_ignores=[]))
    namespace: dict[str, Any] = {**_GLOBALS, **builder.regexes}
    exec(compile(module, f"<rule {label}>", "exec", dont_inherit=True), namespace)  # noqa: S102 - our own tree
    rule: Evaluate = namespace["rule"]
    return rule


def type_of(node: Node) -> str:
    """``string``, ``boolean`` or ``number`` if every value of ``node`` is of this type, else ``""``."""
    match node:
        case Constant(value=bool()) | Not() | Compare() | UserField(name="isAuthenticated"):
            return "boolean"
        case Constant(value=str()) | PatternVariable() | TypeOf() | Template() | SessionField():
            return "string"
        case UserField(name="id") | Name(name="name"):
            return "string"
        case Constant(value=int() | float()) | Name(name="now") | Sign():
            return "number"
        case Arithmetic():
            if node.operator != "+":
                return "number"
            types = {type_of(node.left), type_of(node.right)}
            return "string" if "string" in types else "number" if types == {"number"} else ""
        case MethodCall():
            return "" if may_skip(node) else _result_of(node.method)
        case Junction():
            return _common(*node.operands)
        case Conditional():
            return _common(node.yes, node.no)
        case _:
            return ""


def _common(*nodes: Node) -> str:
    types = {type_of(node) for node in nodes}
    return types.pop() if len(types) == 1 else ""


def _result_of(method: str) -> str:
    if method in _TEXT_METHODS:
        return "string"
    return "boolean" if method in _TRUTH_METHODS else "number" if method == "indexOf" else ""


class _Builder:
    def __init__(self, variables: tuple[str, ...], action: str | int) -> None:
        self._variables = variables
        self._action = action
        self._temporaries = 0
        self.regexes: dict[str, regexes.Regex] = {}

    def expression(self, node: Node) -> ast.expr:
        match node:
            case Constant():
                return _load("UNDEFINED") if isinstance(node.value, Undefined) else _constant(node.value)
            case UserField():
                return _attribute(_attribute(_load("who"), "user"), _USER_ATTRIBUTES[node.name])
            case SessionField():
                return _attribute(_load("who"), _SESSION_ATTRIBUTES[node.name])
            case Name():
                return self._name(node)
            case PatternVariable():
                index = self._variables.index(node.name)
                return ast.Subscript(value=_load("variables"), slice=_constant(index), ctx=ast.Load())
            case Regex():
                kept = f"regex{len(self.regexes)}"
                self.regexes[kept] = regexes.compile_regex(node.pattern, node.flags)
                return _load(kept)
            case Array():
                return ast.List(elts=[self.expression(item) for item in node.items], ctx=ast.Load())
            case Template():
                return self._template(node)
            case Reference():
                return _call("record", _load("world"), self.expression(node.record))
            case Member() | Index() | MethodCall():
                return self._chain(node)
            case Group():
                return self.expression(node.operand)
            case Not():
                return _not(self._condition(node.operand))
            case TypeOf():
                return _call("type_name", self.expression(node.operand))
            case Sign():
                return _call("negative" if node.operator == "-" else "positive", self.expression(node.operand))
            case Arithmetic():
                return _call(_ARITHMETIC[node.operator], self.expression(node.left), self.expression(node.right))
            case Compare():
                return self._compare(node)
            case Junction():
                return self._junction(node)
            case Conditional():
                yes, no = self.expression(node.yes), self.expression(node.no)
                return ast.IfExp(test=self._condition(node.test), body=yes, orelse=no)

    def _name(self, node: Name) -> ast.expr:
        match node.name:
            case "data":
                return _call("payload_value", _load("data"))
            case "oldData":
                return _call("old_value", _load("old"), _load("world"), _load("name"))
            case "now":
                return ast.Call(func=_attribute(_load("world"), "now"), args=[], keywords=[])
            case "action":
                return _constant(self._action)
            case _:
                return _load("name")

    def _template(self, node: Template) -> ast.expr:
        pieces: list[ast.expr] = [_constant(node.texts[0])]
        for part, text in zip(node.parts, node.texts[1:], strict=True):
            pieces += [self.expression(part), _constant(text)]
        return _call("join", *(piece for piece in pieces if not _is_empty_text(piece)))

    def _chain(self, node: Node) -> ast.expr:
        """Members and calls on a first object; where one with ``?.`` has nothing to look into, the rest is skipped."""
        links: list[Member | Index | MethodCall] = []
        while isinstance(node, Member | Index | MethodCall):
            links.append(node)
            node = node.object
        return self._linked(self.expression(node), links[::-1])

    def _linked(self, made: ast.expr, links: list[Member | Index | MethodCall]) -> ast.expr:
        for at, link in enumerate(links):
            if link.optional:
                kept = self._temporary()
                test = _call("present", _stored(kept, made))
                rest = self._linked(self._link(_load(kept), link), links[at + 1 :])
                return ast.IfExp(test=test, body=rest, orelse=_load("UNDEFINED"))
            made = self._link(made, link)
        return made

    def _link(self, made: ast.expr, link: Member | Index | MethodCall) -> ast.expr:
        match link:
            case Member(key="length") if type_of(link.object) == "string":
                return _call("length", made)
            case Member():
                return _call("member" if isinstance(link.key, str) else "element", made, _constant(link.key))
            case Index():
                return _call("item", made, self.expression(link.key))
            case MethodCall():
                return _call(_METHOD_PREFIX + link.method, made, *map(self.expression, link.arguments))

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"t{self._temporaries}"

    def _condition(self, node: Node) -> ast.expr:
        """Something that Python takes for true exactly when JavaScript takes ``node`` for true."""
        made = self.expression(node)
        return made if type_of(node) in ("boolean", "string") else _call("truthy", made)

    def _compare(self, node: Compare) -> ast.expr:
        left, right = self.expression(node.left), self.expression(node.right)
        types = (type_of(node.left), type_of(node.right))
        match node.operator:
            case "===" | "!==":
                return self._strict(node, left, right, types)
            case "==" | "!=":
                negated = node.operator == "!="
                if types == ("string", "string"):
                    return _python(left, ast.NotEq() if negated else ast.Eq(), right)
                made = _call("loose_equal", left, right)
                return _not(made) if negated else made
            case "in":
                return _call("has", left, right)
            case "<" | ">" | "<=" | ">=" if types == ("number", "number"):
                order: dict[str, ast.cmpop] = {"<": ast.Lt(), ">": ast.Gt(), "<=": ast.LtE(), ">=": ast.GtE()}
                return _python(left, order[node.operator], right)
            case _:
                # a > b asks b < a; the operands have no effects, so the order in which they are read is of no matter.
                first, second = (left, right) if node.operator[0] == "<" else (right, left)
                return _call("less_or_equal" if node.operator[1:] else "less", first, second)

    def _strict(self, node: Compare, left: ast.expr, right: ast.expr, types: tuple[str, str]) -> ast.expr:
        negated = node.operator == "!=="
        if any(map(_is_singleton, (left, right))) and not any(map(_is_text_or_number, (left, right))):
            return _python(left, ast.IsNot() if negated else ast.Is(), right)
        if "string" in types:  # a text is equal to an equal text alone, in both languages
            return _python(left, ast.NotEq() if negated else ast.Eq(), right)
        made = _call("strict_equal", left, right)
        return _not(made) if negated else made

    def _junction(self, node: Junction) -> ast.expr:
        """``&&``, ``||`` and ``??`` give one of their operands, as in Python, but other values count as true.

        Where they do not, ``a && b && c`` becomes ``t if not truthy(t := a) or not truthy(t := b) else c``, so that
        a long chain is not a deep tree.
        """
        if node.operator != "??" and all(type_of(operand) in ("boolean", "string") for operand in node.operands[:-1]):
            joined = ast.And() if node.operator == "&&" else ast.Or()
            return ast.BoolOp(op=joined, values=[self.expression(operand) for operand in node.operands])
        kept = self._temporary()
        conditions: list[ast.expr] = []
        for operand in node.operands[:-1]:
            condition = _call("present" if node.operator == "??" else "truthy", _stored(kept, self.expression(operand)))
            conditions.append(_not(condition) if node.operator == "&&" else condition)
        test = conditions[0] if len(conditions) == 1 else ast.BoolOp(op=ast.Or(), values=conditions)
        return ast.IfExp(test=test, body=_load(kept), orelse=self.expression(node.operands[-1]))


def _is_empty_text(made: ast.expr) -> bool:
    return isinstance(made, ast.Constant) and made.value == ""


def _stored(name: str, value: ast.expr) -> ast.expr:
    return ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=value)


def _is_singleton(made: ast.expr) -> bool:
    if isinstance(made, ast.Name):
        return made.id == "UNDEFINED"
    return isinstance(made, ast.Constant) and (made.value is None or isinstance(made.value, bool))


def _is_text_or_number(made: ast.expr) -> bool:
    """Python warns of ``is`` beside one of these."""
    return isinstance(made, ast.Constant) and not _is_singleton(made)


def _load(name: str) -> ast.expr:
    return ast.Name(id=name, ctx=ast.Load())


def _attribute(value: ast.expr, name: str) -> ast.expr:
    return ast.Attribute(value=value, attr=name, ctx=ast.Load())


def _constant(value: str | float | None) -> ast.expr:
    return ast.Constant(value=value)


def _call(function: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(func=_load(function), args=list(arguments), keywords=[])


def _not(operand: ast.expr) -> ast.expr:
    return ast.UnaryOp(op=ast.Not(), operand=operand)


def _python(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> ast.expr:
    return ast.Compare(left=left, ops=[operator], comparators=[right])
