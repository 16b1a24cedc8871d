"""Text of an expression in, tree out: the grammar, and which names mean something where.

A Pratt parser over ``lexer.tokens``. Everything a text could try is decided here, before anything runs: an unknown
name, method or operator is an error, and so is ``data`` where there is none (T29, T31). Size, nesting and number of
nodes are bounded, so that what follows may walk the tree by recursion (T30).

Precedence, from weak to strong: ``?:``, ``??`` and ``||``, ``&&``, equality, order and ``in``, ``+ -``, ``* / %``,
``! typeof + -``, then ``. ?. [] ()``, as in JavaScript.
"""

from __future__ import annotations

from typing import Any, Final

from trio_router.permissions.lexer import ExpressionError, Token, tokens
from trio_router.permissions.methods import METHODS
from trio_router.permissions.regexes import RegexError, compile_regex
from trio_router.permissions.syntax import (
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
    UserField,
    children,
    may_skip,
)
from trio_router.permissions.vocabulary import (
    CONSTANTS,
    NAMES,
    SESSION_FIELDS,
    USER_FIELDS,
    Scope,
    closest,
    refused,
    unknown_name,
)

__all__ = ["Scope", "closest", "parse"]

MAX_DEPTH: Final = 64
MAX_NODES: Final = 512
MAX_REFERENCES: Final = 16  # records that one expression may name; T30

_POWER: Final = (
    {"??": 1, "||": 1, "&&": 2}
    | dict.fromkeys(("===", "!==", "==", "!="), 3)
    | dict.fromkeys(("<", "<=", ">", ">=", "in"), 4)
    | dict.fromkeys(("+", "-"), 5)
    | dict.fromkeys(("*", "/", "%"), 6)
)
_JUNCTIONS: Final = frozenset({"??", "||", "&&"})
_UNARY: Final = 7


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
        self._references = 0
        self._depths: dict[int, int] = {}  # by id of the node; every node lives in the tree until the end
        self._outer: dict[int, int] = {}  # by id of the node: where the parentheses around it start

    def parse(self) -> Node:
        if self._token.kind == "end":
            raise ExpressionError("the expression is empty", 0)
        tree = self._expression()
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

    def _expression(self) -> Node:
        test = self._operation(0)
        if not self._is("?"):
            return test
        opening = self._next()
        self._deeper()
        yes = self._expression()
        if not self._is(":"):
            raise self._unexpected(f": and what holds otherwise, for the ? at character {opening.start + 1}")
        self._next()
        no = self._expression()
        self._open -= 1
        return self._made(Conditional(self._begin(test), self._last, test, yes, no))

    def _deeper(self) -> None:
        self._open += 1
        if self._open > MAX_DEPTH:
            raise ExpressionError(f"the expression is nested deeper than {MAX_DEPTH} levels", self._token.start)

    def _operation(self, floor: int) -> Node:
        self._deeper()
        left = self._unary()
        while (power := self._power()) > floor:
            operator = self._next()
            symbol = str(operator.value)
            right = self._operation(power)
            if symbol in _JUNCTIONS:
                left = self._junction(operator, left, right, power)
                continue
            kind = Arithmetic if symbol in "+-*/%" else Compare
            left = self._made(kind(self._begin(left), self._last, symbol, left, right))
        self._open -= 1
        return left

    def _power(self) -> int:
        token = self._token
        if token.kind == "operator" or (token.kind == "word" and token.value == "in"):
            return _POWER.get(str(token.value), 0)
        return 0

    def _junction(self, operator: Token, left: Node, right: Node, power: int) -> Node:
        symbol = str(operator.value)
        operands = [left, right]
        while self._is(symbol):
            self._next()
            operands.append(self._operation(power))
        for operand in operands:
            bare = isinstance(operand, Junction) and id(operand) not in self._outer
            if bare and "??" in (symbol, operand.operator) and operand.operator != symbol:  # type: ignore[union-attr]
                raise ExpressionError("?? beside && or || needs parentheses", operator.start)
        return self._made(Junction(self._begin(left), self._last, symbol, tuple(operands)))

    def _unary(self) -> Node:
        token = self._token
        if token.kind == "word" and token.value == "typeof":
            self._next()
            operand = self._operation(_UNARY)
            return self._made(TypeOf(token.start, self._last, operand))
        if token.kind != "operator" or token.value not in ("!", "-", "+"):
            return self._postfix(self._primary())
        self._next()
        operand = self._operation(_UNARY)
        if token.value == "!":
            return self._made(Not(token.start, self._last, operand))
        if isinstance(operand, Constant) and type(operand.value) in (int, float) and id(operand) not in self._outer:
            value: Any = operand.value
            signed = value if token.value == "+" else -float(value) if value == 0 else -value
            return self._made(Constant(token.start, self._last, signed))
        return self._made(Sign(token.start, self._last, str(token.value), operand))

    # ---- values -----------------------------------------------------------------------------------------------

    def _primary(self) -> Node:
        token = self._token
        if token.kind in ("text", "number"):
            self._next()
            return self._made(Constant(token.start, token.end, token.value))
        if token.kind == "regex":
            return self._regex()
        if self._is("("):
            return self._parenthesis()
        if self._is("["):
            return self._array()
        if self._is("`"):
            return self._template()
        if token.kind != "word":
            raise self._unexpected("a value")
        return self._word(self._next())

    def _parenthesis(self) -> Node:
        opening = self._next()
        inner = self._expression()
        self._close(")", opening)
        if may_skip(inner):
            return self._made(Group(opening.start, self._last, inner))
        self._outer[id(inner)] = opening.start
        return inner

    def _array(self) -> Node:
        opening = self._next()
        items: list[Node] = []
        while not self._is("]"):
            items.append(self._expression())
            if not self._is(","):
                break
            self._next()
        self._close("]", opening)
        return self._made(Array(opening.start, self._last, tuple(items)))

    def _template(self) -> Node:
        opening = self._next()
        texts = [str(self._next().value)]
        parts: list[Node] = []
        while self._is("${"):
            brace = self._next()
            parts.append(self._expression())
            self._close("}", brace)
            texts.append(str(self._next().value))
        self._close("`", opening)
        return self._made(Template(opening.start, self._last, tuple(texts), tuple(parts)))

    def _regex(self) -> Node:
        made = self._made_regex()
        following = [self._tokens[min(self._at + ahead, len(self._tokens) - 1)].value for ahead in range(3)]
        if following != [".", "test", "("]:
            raise ExpressionError("a regular expression stands before .test(...) or inside .match(...)", made.start)
        return made

    def _made_regex(self) -> Node:
        token = self._next()
        try:
            compile_regex(str(token.value), token.flags)
        except RegexError as error:
            raise ExpressionError(error.message, token.start + 1 + error.position) from None
        return self._made(Regex(token.start, token.end, str(token.value), token.flags))

    def _word(self, token: Token) -> Node:
        word = str(token.value)
        if word in CONSTANTS:
            return self._made(Constant(token.start, token.end, CONSTANTS[word]))
        if word == "user":
            return self._fields(token, UserField, USER_FIELDS, "; what the login told of a user is in user.data")
        if word == "session":
            return self._fields(token, SessionField, SESSION_FIELDS, f"; there are {', '.join(SESSION_FIELDS)}")
        if word in NAMES:
            return self._made(Name(token.start, token.end, word))
        if word in ("data", "oldData"):
            if not (self._scope.data if word == "data" else self._scope.old_data):
                raise ExpressionError(f"there is no {word} in rules for {self._scope.action}", token.start)
            return self._made(Name(token.start, token.end, word))
        if word == "_":
            return self._reference(token)
        if word.startswith("$"):
            if word[1:] not in self._scope.variables:
                known = ["$" + name for name in self._scope.variables]
                raise ExpressionError(f"the pattern has no variable {word}{closest(word, known)}", token.start)
            return self._made(PatternVariable(token.start, token.end, word[1:]))
        if (why := refused(word)) is not None:
            raise ExpressionError(why, token.start)
        if self._is("("):
            raise ExpressionError(f"there is no function {word}(){closest(word, METHODS)}", token.start)
        raise ExpressionError(unknown_name(word, self._scope), token.start)

    def _fields(
        self, token: Token, kind: type[UserField | SessionField], fields: tuple[str, ...], otherwise: str
    ) -> Node:
        word = token.value
        key = None
        if self._is(".") or self._is("?."):
            self._next()
            key = self._name_after_dot()
        elif self._is("[") and self._tokens[self._at + 1].kind == "text":
            opening = self._next()
            key = self._next()
            self._close("]", opening)
        if key is None:
            listed = ", ".join(f"{word}.{field}" for field in fields[:-1])
            raise ExpressionError(f"{word} is not a value; use {listed} or {word}.{fields[-1]}", token.start)
        if key.value not in fields:
            hint = closest(str(key.value), fields) or otherwise
            raise ExpressionError(f"there is no {word}.{key.value}{hint}", key.start)
        return self._made(kind(token.start, self._last, str(key.value)))

    def _reference(self, token: Token) -> Node:
        if not self._is("("):
            raise ExpressionError("_ is no value; the content of a record is _('its name')", token.start)
        self._references += 1
        if self._references > MAX_REFERENCES:
            raise ExpressionError(f"an expression refers to at most {MAX_REFERENCES} records", token.start)
        opening = self._next()
        record = self._expression()
        self._close(")", opening)
        return self._made(Reference(token.start, self._last, record))

    # ---- members and methods ----------------------------------------------------------------------------------

    def _postfix(self, node: Node) -> Node:
        while True:
            begin = self._begin(node)
            optional = self._is("?.")
            if optional or self._is("."):
                self._next()
                if optional and self._is("["):
                    node = self._bracket(node, begin, optional=True)
                    continue
                key = self._name_after_dot()
                if self._is("("):
                    node = self._call(node, begin, key, optional=optional)
                else:
                    node = self._made(Member(begin, self._last, node, str(key.value), optional))
            elif self._is("["):
                node = self._bracket(node, begin, optional=False)
            elif self._is("(") or self._is("`"):
                raise ExpressionError("only methods such as .startsWith() can be called", self._token.start)
            else:
                return node

    def _name_after_dot(self) -> Token:
        if self._token.kind != "word":
            raise self._unexpected("a name after the dot")
        return self._next()

    def _bracket(self, node: Node, begin: int, *, optional: bool) -> Node:
        opening = self._next()
        key = self._expression()
        self._close("]", opening)
        if isinstance(key, Constant) and (isinstance(key.value, str) or (type(key.value) is int and key.value >= 0)):
            return self._made(Member(begin, self._last, node, key.value, optional))
        return self._made(Index(begin, self._last, node, key, optional))

    def _call(self, node: Node, begin: int, method: Token, *, optional: bool) -> Node:
        name = str(method.value)
        if name not in METHODS:
            raise ExpressionError(f"there is no method {name}(){closest(name, METHODS)}", method.start)
        if (name == "test") != isinstance(node, Regex):
            raise ExpressionError("test() is a method of a regular expression: /x/.test(name)", method.start)
        opening = self._next()
        arguments: list[Node] = []
        while not self._is(")"):
            arguments.append(self._argument_of_match() if name == "match" else self._expression())
            if not self._is(","):
                break
            self._next()
        self._close(")", opening)
        least, most = METHODS[name]
        if not least <= len(arguments) <= most:
            wanted = {(0, 0): "no argument", (1, 1): "one argument"}.get((least, most), "one or two arguments")
            raise ExpressionError(f"{name}() takes {wanted}, not {len(arguments)}", method.start)
        return self._made(MethodCall(begin, self._last, node, name, tuple(arguments), optional))

    def _argument_of_match(self) -> Node:
        if self._token.kind not in ("regex", "text"):
            raise ExpressionError("match() takes a regular expression, written out: match(/x/)", self._token.start)
        return self._made_regex()

    def _close(self, bracket: str, opening: Token) -> None:
        if not self._is(bracket):
            raise self._unexpected(f"{bracket} to close the {opening.value} at character {opening.start + 1}")
        self._next()

    def _unexpected(self, expected: str) -> ExpressionError:
        token = self._token
        if token.kind == "end":
            return ExpressionError(f"the expression ends too early: expected {expected}", token.start)
        if token.kind in ("word", "operator") and (why := refused(str(token.value))) is not None:
            return ExpressionError(why, token.start)
        found = f"the text {token.value!r}" if token.kind == "text" else str(token.value)
        return ExpressionError(f"expected {expected}, not {found}", token.start)
