"""Text of an expression in, tokens with offsets out.

Reads the lexical grammar of JavaScript as far as expressions of rules use it, and says of the rest what it is.
The rule that keeps this honest: one pass, no regular expression over the author's text, and every error is an
:class:`ExpressionError` with the offset of the character at fault.
"""

from __future__ import annotations

from typing import Final

import attrs

from trio_router.errors import RouterError

MAX_SOURCE: Final = 4096  # characters; T30

_DIGITS: Final = frozenset("0123456789")
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_WORD_START: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_$")
_WORD: Final = _WORD_START | _DIGITS
_BLANK: Final = frozenset(" \t\n\r\v\f\u00a0\ufeff\u2028\u2029")
_ESCAPES: Final = {
    "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "'": "'", '"': '"', "\\": "\\", "/": "/",
    "`": "`", "$": "$", "{": "{", "}": "}",
}  # fmt: skip
# Longest first. Those that no rule of grammar.py takes are here to be named in its errors.
_OPERATORS: Final = (
    "===", "!==", "...", "**", "==", "!=", "<=", ">=", "&&", "||", "?.", "??", "=>", "<<", ">>", "++", "--",
    "(", ")", "[", "]", "{", "}", ".", ",", ";", ":", "?", "!", "<", ">", "=", "+", "-", "*", "/", "%", "&", "|", "^", "~",
)  # fmt: skip
_BY_FIRST: Final = {first: tuple(o for o in _OPERATORS if o[0] == first) for first in {o[0] for o in _OPERATORS}}


class ExpressionError(RouterError):
    """A text is not an expression. ``position`` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@attrs.frozen
class Token:
    """``kind`` is ``word``, ``text``, ``number``, ``regex``, ``operator``, ``chunk`` or ``end``.

    ``value`` of a text or number is its value, that of a ``regex`` what stands between the slashes, with its ``flags``.
    A template is the operator `````, then in turn a ``chunk`` (a text) and the tokens of a value between the operators
    ``${`` and ``}``, ending with a chunk and the operator `````.

    ``source[start:end]`` is the token as it is written."""

    kind: str
    value: str | int | float
    start: int
    end: int
    flags: str = ""


def tokens(source: str) -> list[Token]:
    """The tokens of ``source``, the last one of kind ``end``.

    Raises:
        ExpressionError: the text is longer than 4096 characters or holds something that is no token.
    """
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"the expression is longer than {MAX_SOURCE} characters", MAX_SOURCE)
    return _Lexer(source).read()


class _Lexer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._found: list[Token] = []
        self._values = 0  # of templates, whose brace is still open; no other brace has a place in an expression

    def read(self) -> list[Token]:
        source = self._source
        at = 0
        while at < len(source):
            letter = source[at]
            if letter in _BLANK:
                at += 1
                continue
            if letter in _WORD_START:
                end = at + 1
                while end < len(source) and source[end] in _WORD:
                    end += 1
                token = Token("word", source[at:end], at, end)
            elif letter in _DIGITS or (letter == "." and source[at + 1 : at + 2] in _DIGITS):
                token, end = _number(source, at)
            elif letter in "'\"":
                token, end = _text(source, at)
            elif letter == "`" or (letter == "}" and self._values):
                at = self._template(at)
                continue
            elif letter == "/" and source[at + 1 : at + 2] not in ("/", "*") and self._is_value_next():
                token, end = _regex(source, at)
            else:
                token, end = _operator(source, at)
            self._found.append(token)
            at = end
        if self._values:
            raise ExpressionError("the template is not closed by its back-quote", len(source))
        self._found.append(Token("end", "", len(source), len(source)))
        return self._found

    def _template(self, at: int) -> int:
        """Takes a back-quote, or the brace that ends a value, and what follows up to the next value or back-quote."""
        opening = self._source[at]
        self._found.append(Token("operator", opening, at, at + 1))
        if opening == "}":
            self._values -= 1
        chunk, end = _text(self._source, at)
        self._found.append(chunk)
        if self._source[end] == "`":
            self._found.append(Token("operator", "`", end, end + 1))
            return end + 1
        self._found.append(Token("operator", "${", end, end + 2))
        self._values += 1
        return end + 2

    def _is_value_next(self) -> bool:
        """Whether a value must follow, so that a slash starts a regular expression and divides nothing."""
        if not self._found:
            return True
        last = self._found[-1]
        if last.kind == "word":
            before = self._found[-2] if len(self._found) > 1 else last
            is_key = before.kind == "operator" and before.value in (".", "?.")
            return last.value in ("typeof", "in") and not is_key
        if last.value == "`":  # one that opens a template is followed by a chunk
            return False
        return last.kind == "operator" and last.value not in (")", "]", "}")


def _operator(source: str, at: int) -> tuple[Token, int]:
    if source.startswith(("//", "/*"), at):
        raise ExpressionError("comments are not allowed in an expression; write them in the file, after #", at)
    for operator in _BY_FIRST.get(source[at], ()):
        if operator == "?." and source[at + 2 : at + 3] in _DIGITS:
            continue  # a choice whose first value starts with a dot
        if source.startswith(operator, at):
            return Token("operator", operator, at, at + len(operator)), at + len(operator)
    raise ExpressionError(f"the character {source[at]!a} has no meaning here", at)


def _number(source: str, at: int) -> tuple[Token, int]:
    end = _digits(source, at)
    integer = source[at:end]
    is_float = False
    if source[end : end + 1] == ".":
        is_float = True
        end = _digits(source, end + 1)
    if source[end : end + 1] in ("e", "E"):
        sign = end + 1 + (source[end + 1 : end + 2] in ("+", "-"))
        is_float = True
        if _digits(source, sign) == sign:
            raise ExpressionError("digits must follow the e of a number", end)
        end = _digits(source, sign)
    if source[end : end + 1] in _WORD:
        raise ExpressionError("a number is written in decimal digits alone", at)
    if len(integer) > 1 and integer[0] == "0":
        raise ExpressionError("a number does not start with 0", at)
    value = float(source[at:end])
    if value == float("inf"):
        raise ExpressionError("the number is out of range", at)
    if not is_float and value < 2**53:
        return Token("number", int(integer), at, end), end
    return Token("number", value, at, end), end


def _digits(source: str, at: int) -> int:
    while at < len(source) and source[at] in _DIGITS:
        at += 1
    return at


def _regex(source: str, start: int) -> tuple[Token, int]:
    at = start + 1
    in_class = False
    while at < len(source) and source[at] not in "\n\r\u2028\u2029":
        letter = source[at]
        if letter == "/" and not in_class:
            end = at + 1
            while end < len(source) and source[end] in _WORD:
                end += 1
            return Token("regex", source[start + 1 : at], start, end, source[at + 1 : end]), end
        in_class = letter == "[" or (in_class and letter != "]")
        at += 2 if letter == "\\" else 1
    raise ExpressionError("the regular expression is not closed by a slash in the same line", start)


def _text(source: str, start: int) -> tuple[Token, int]:
    """A text in quotes and where it ends; or the chunk of a template and where its back-quote or ``${`` stands."""
    quote = source[start]
    in_template = quote in "`}"
    parts: list[str] = []
    at = start + 1
    while at < len(source):
        letter = source[at]
        if in_template and (letter == "`" or source.startswith("${", at)):
            return Token("chunk", _joined(parts, start), start + 1, at), at
        if letter == quote and not in_template:
            return Token("text", _joined(parts, start), start, at + 1), at + 1
        if letter in "\n\r":
            if not in_template:
                break
            # JavaScript reads every kind of line's end as \n here.
            at += 2 if source.startswith("\r\n", at) else 1
            parts.append("\n")
            continue
        if letter != "\\":
            parts.append(letter)
            at += 1
            continue
        escape = source[at + 1 : at + 2]
        if escape in ("x", "u"):
            part, at = _code(source, at)
            parts.append(part)
        elif escape in _ESCAPES and not (escape == "0" and source[at + 2 : at + 3] in _DIGITS):
            parts.append(_ESCAPES[escape])
            at += 2
        else:
            raise ExpressionError("there is no such escape; a backslash itself is written twice", at)
    if in_template:
        raise ExpressionError("the template is not closed by its back-quote", start)
    raise ExpressionError("the text is not closed by its quote in the same line", start)


def _code(source: str, at: int) -> tuple[str, int]:
    r"""The character of ``\xHH``, ``\uHHHH`` or ``\u{H...}`` and where it ends."""
    if source[at + 1] == "x":
        first, end, after = at + 2, at + 4, at + 4
    elif source[at + 2 : at + 3] == "{":
        first = at + 3
        end = source.find("}", first, first + 7)
        after = end + 1
    else:
        first, end, after = at + 2, at + 6, at + 6
    digits = source[first : max(end, first)]
    if not digits or len(digits) != end - first or not _HEX.issuperset(digits) or int(digits, 16) > 0x10FFFF:
        raise ExpressionError("this is not the code of a character", at)
    return chr(int(digits, 16)), after


def _joined(parts: list[str], start: int) -> str:
    """One text; two escapes that are the halves of one character become it."""
    text = "".join(parts)
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ExpressionError("the text holds half a character", start) from None
