"""Text of an expression in, tree out: the grammar, and which names mean something where.

A Pratt parser over ``lexer.tokens``. Everything a text could try is decided here, before anything runs: an unknown
name, method or operator is an error, and so is ``data`` where there is none (T29, T31). Size, nesting and number of
nodes are bounded, so that what follows may walk the tree by recursion (T30).

Precedence, from weak to strong: ``||``, ``&&``, equality, order, ``! typeof -``, then ``. [] ()``, as in JavaScript.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

import attrs

from trio_router.permissions.lexer import ExpressionError, Token, tokens
from trio_router.permissions.methods import METHODS
from trio_router.permissions.syntax import (
    UNDEFINED,
    Compare,
    Constant,
    Junction,
    Member,
    MethodCall,
    Name,
    Node,
    Not,
    PatternVariable,
    TypeOf,
    UserField,
    children,
)

MAX_DEPTH: Final = 64
MAX_NODES: Final = 512

USER_FIELDS: Final = ("id", "data", "isAuthenticated")
NAMES: Final = ("name", "action", "now")

_CONSTANTS: Final = {"true": True, "false": False, "null": None, "undefined": UNDEFINED}
_POWER: Final = (
    {"||": 1, "&&": 2} | dict.fromkeys(("===", "!==", "==", "!="), 3) | dict.fromkeys(("<", "<=", ">", ">="), 4)
)
_UNARY: Final = 5
_INSTEAD: Final = {
    "=": "to compare, write ===",
    "[": "lists cannot be written in rules yet",
    "{": "objects cannot be written in rules",
    "&": "to join two conditions, write &&",
    "|": "to join two conditions, write ||",
    "and": "write && instead of and",
    "or": "write || instead of or",
    "not": "write ! instead of not",
    "is": "write === instead of is",
    "yes": "write true instead of yes",
    "no": "write false instead of no",
    "on": "write true instead of on",
    "off": "write false instead of off",
    "oldData": "oldData is not available in rules yet",
    "_": "references to records by _() are not available in rules yet",
    "match": "match() is not available in rules yet; use startsWith, endsWith or includes",
}
_UNAVAILABLE: Final = frozenset({
    "?", "?.", "??", "+", "-", "*", "/", "%", "**", "++", "--", "<<", ">>", "^", "~", ";", "=>", "...",
    "in", "instanceof", "new", "function", "delete", "void", "await", "yield", "this",
})  # fmt: skip


@attrs.frozen
class Scope:
    """What a rule may name: the variables of its pattern (without ``$``) and whether there is ``data``."""

    variables: tuple[str, ...] = ()
    data: bool = False
    action: str = ""


def parse(source: str, scope: Scope) -> Node:
    """The tree of ``source``.

    Raises:
        ExpressionError: it is not an expression of the rules' language; says what was expected and at which character.
    """
    return _Parser(source, scope).parse()


class _Parser:
    def __init__(self, source: str, scope: Scope) -> None:
        self._tokens = tokens(source)
        self._scope = scope
        self._at = 0
        self._open = 0
        self._nodes = 0
        self._depths: dict[int, int] = {}  # by id of the node; every node lives in the tree until the end
        self._outer: dict[int, int] = {}  # by id of the node: where the parentheses around it start

    def parse(self) -> Node:
        if self._token.kind == "end":
            raise ExpressionError("the expression is empty", 0)
        tree = self._expression(0)
        if self._token.kind != "end":
            raise self._unexpected("an operator such as === or &&, or the end")
        return tree

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, operator: str) -> bool:
        token = self._token
        return token.kind == "operator" and token.value == operator

    @property
    def _last(self) -> int:
        """Where the token before the next one ends."""
        return self._tokens[self._at - 1].end

    def _begin(self, node: Node) -> int:
        """Where ``node`` starts, with the parentheses around it."""
        return self._outer.get(id(node), node.start)

    def _made(self, node: Node) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ExpressionError(f"the expression has more than {MAX_NODES} parts", node.start)
        depth = 1 + max((self._depths[id(child)] for child in children(node)), default=0)
        if depth > MAX_DEPTH:
            raise ExpressionError(f"the expression is nested deeper than {MAX_DEPTH} levels", node.start)
        self._depths[id(node)] = depth
        return node

    def _expression(self, floor: int) -> Node:
        self._open += 1
        if self._open > MAX_DEPTH:
            raise ExpressionError(f"the expression is nested deeper than {MAX_DEPTH} levels", self._token.start)
        left = self._unary()
        while self._token.kind == "operator" and (power := _POWER.get(str(self._token.value), 0)) > floor:
            symbol = str(self._next().value)
            right = self._expression(power)
            if power > 2:
                left = self._made(Compare(self._begin(left), self._last, symbol, left, right))
            else:
                operands = [left, right]
                while self._is(symbol):
                    self._next()
                    operands.append(self._expression(power))
                left = self._made(Junction(self._begin(left), self._last, symbol, tuple(operands)))
        self._open -= 1
        return left

    def _unary(self) -> Node:
        token = self._token
        if self._is("!"):
            self._next()
            operand = self._expression(_UNARY)
            return self._made(Not(token.start, self._last, operand))
        if token.kind == "word" and token.value == "typeof":
            self._next()
            operand = self._expression(_UNARY)
            return self._made(TypeOf(token.start, self._last, operand))
        if self._is("-") and self._tokens[self._at + 1].kind == "number":
            self._next()
            value = self._next().value
            negative = -float(value) if value == 0 else -value  # type: ignore[operator]
            return self._made(Constant(token.start, self._last, negative))
        return self._postfix(self._primary())

    def _primary(self) -> Node:
        token = self._token
        if token.kind in ("text", "number"):
            self._next()
            return self._made(Constant(token.start, token.end, token.value))
        if self._is("("):
            self._next()
            inner = self._expression(0)
            self._close(")", token)
            self._outer[id(inner)] = token.start
            return inner
        if token.kind != "word":
            raise self._unexpected("a value")
        return self._word(self._next())

    def _word(self, token: Token) -> Node:
        word = str(token.value)
        if word in _CONSTANTS:
            return self._made(Constant(token.start, token.end, _CONSTANTS[word]))
        if word == "user":
            return self._user(token)
        if word in NAMES:
            return self._made(Name(token.start, token.end, word))
        if word == "data":
            if not self._scope.data:
                raise ExpressionError(f"there is no data in rules for {self._scope.action}", token.start)
            return self._made(Name(token.start, token.end, word))
        if word.startswith("$"):
            if word[1:] not in self._scope.variables:
                known = ["$" + name for name in self._scope.variables]
                raise ExpressionError(f"the pattern has no variable {word}{closest(word, known)}", token.start)
            return self._made(PatternVariable(token.start, token.end, word[1:]))
        if word in _INSTEAD or word in _UNAVAILABLE:
            raise self._refused(token)
        if self._is("("):
            raise ExpressionError(f"there is no function {word}(){closest(word, METHODS)}", token.start)
        known = [*NAMES, "user", *_CONSTANTS, *(["data"] if self._scope.data else [])]
        raise ExpressionError(f"unknown name {word}{closest(word, known)}", token.start)

    def _user(self, token: Token) -> Node:
        key = self._key()
        if key is None:
            raise ExpressionError("user is not a value; use user.id, user.data or user.isAuthenticated", token.start)
        if key.value not in USER_FIELDS:
            hint = closest(str(key.value), USER_FIELDS) or "; what the login told of a user is in user.data"
            raise ExpressionError(f"there is no user.{key.value}{hint}", key.start)
        return self._made(UserField(token.start, self._last, str(key.value)))

    def _postfix(self, node: Node) -> Node:
        while (key := self._key()) is not None:
            if not self._is("("):
                node = self._made(Member(self._begin(node), self._last, node, key.value))  # type: ignore[arg-type]
                continue
            if key.kind != "word" or key.value not in METHODS:
                if key.value in _INSTEAD:
                    raise self._refused(key)
                raise ExpressionError(f"there is no method {key.value}(){closest(str(key.value), METHODS)}", key.start)
            node = self._call(node, key)
        if self._is("("):
            raise ExpressionError("only methods such as .startsWith() can be called", self._token.start)
        return node

    def _key(self) -> Token | None:
        """The key of ``.key``, ``["key"]`` or ``[0]`` that stands next, if one does."""
        opening = self._token
        if self._is("."):
            self._next()
            if self._token.kind != "word":
                raise self._unexpected("a name after the dot")
            return self._next()
        if self._is("["):
            self._next()
            key = self._next()
            if key.kind != "text" and not (key.kind == "number" and isinstance(key.value, int)):
                raise ExpressionError("only a text in quotes or a whole number can stand in brackets", key.start)
            self._close("]", opening)
            return key
        return None

    def _call(self, node: Node, method: Token) -> Node:
        opening = self._next()
        arguments: list[Node] = []
        while not self._is(")"):
            arguments.append(self._expression(0))
            if not self._is(","):
                break
            self._next()
        self._close(")", opening)
        name = str(method.value)
        if len(arguments) != METHODS[name]:
            wanted = "one argument" if METHODS[name] else "no argument"
            raise ExpressionError(f"{name}() takes {wanted}, not {len(arguments)}", method.start)
        return self._made(MethodCall(self._begin(node), self._last, node, name, tuple(arguments)))

    def _close(self, bracket: str, opening: Token) -> None:
        if not self._is(bracket):
            raise self._unexpected(f"{bracket} to close the {opening.value} at character {opening.start + 1}")
        self._next()

    def _unexpected(self, expected: str) -> ExpressionError:
        token = self._token
        if token.kind == "end":
            return ExpressionError(f"the expression ends too early: expected {expected}", token.start)
        if token.kind != "text" and (token.value in _INSTEAD or token.value in _UNAVAILABLE):
            return self._refused(token)
        found = f"the text {token.value!r}" if token.kind == "text" else str(token.value)
        return ExpressionError(f"expected {expected}, not {found}", token.start)

    def _refused(self, token: Token) -> ExpressionError:
        word = str(token.value)
        return ExpressionError(_INSTEAD.get(word) or f"{word} is not available in rules", token.start)


def closest(word: str, known: Iterable[str]) -> str:
    """``"; did you mean x?"`` for the known word most like ``word``, or nothing."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""
