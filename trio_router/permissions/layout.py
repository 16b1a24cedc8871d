"""How an expression is written: the same tokens with one spacing, and where a long one may be broken.

Works on the text alone and takes literals as they are. It judges nothing: who rewrites a file compares the trees of both
texts afterwards. The rule that keeps it honest: laying out what was laid out changes nothing.
"""

from __future__ import annotations

import itertools
from typing import Final

import attrs

_WORD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_$0123456789")
_DIGITS: Final = frozenset("0123456789")
_OPERATORS: Final = ("===", "!==", "==", "!=", "<=", ">=", "&&", "||", "?.", "??", "**")
_PREFIX_WORDS: Final = frozenset({"typeof", "in"})
_PREFIX: Final = frozenset("!+-")
_BREAKS: Final = (frozenset({"?", ":"}), frozenset({"??", "||"}), frozenset({"&&"}))  # the weakest first
_CLOSING: Final = frozenset({")", "]"})


@attrs.frozen
class _Piece:
    """``kind`` is ``value``, ``number``, ``unary`` or ``operator``."""

    text: str
    kind: str
    depth: int


def lay_out(expression: str) -> str:
    """``expression`` on one line, with one space around binary operators and texts in single quotes."""
    return _joined(_pieces(expression))


def broken(expression: str) -> list[str]:
    """The lines of a laid out expression: broken before the operators that bind least, outside of all brackets.

    Joined by single spaces they are the expression again.
    """
    pieces = _pieces(expression)
    for operators in _BREAKS:
        places = [
            at
            for at, piece in enumerate(pieces)
            if piece.kind == "operator" and not piece.depth and piece.text in operators
        ]
        if places:
            bounds = [0, *places, len(pieces)]
            return [_joined(pieces[start:end]) for start, end in itertools.pairwise(bounds)]
    return [_joined(pieces)]


def _joined(pieces: list[_Piece]) -> str:
    parts: list[str] = []
    for at, piece in enumerate(pieces):
        if at and _apart(pieces[at - 1], piece):
            parts.append(" ")
        parts.append(piece.text)
    return "".join(parts)


def _apart(before: _Piece, piece: _Piece) -> bool:
    """Whether a space stands between the two."""
    if piece.text in (")", "]", ",") or before.text in ("(", "[", ".", "?."):
        return False
    if piece.text in (".", "?."):
        return before.kind == "number" and piece.text == "."
    if piece.text in ("(", "["):
        return not _ends_value(before) and before.kind != "unary"
    if before.kind == "unary":
        return before.text == piece.text[:1] and before.text != "!"
    return True


def _ends_value(piece: _Piece) -> bool:
    return (piece.kind in ("value", "number") and piece.text not in _PREFIX_WORDS) or piece.text in _CLOSING


def _pieces(source: str) -> list[_Piece]:
    made: list[_Piece] = []
    at = depth = 0
    while at < len(source):
        if source[at].isspace():
            at += 1
            continue
        operand = not made or not _ends_value(made[-1])
        text, kind = _next(source, at, operand=operand)
        at += len(text)
        if text in _CLOSING:
            depth -= 1
        if kind == "value" and text[0] == text[-1] == '"' != text and "'" not in text and "\\" not in text:
            text = f"'{text[1:-1]}'"
        made.append(_Piece(text, kind, depth))
        if text in ("(", "["):
            depth += 1
    return made


def _next(source: str, at: int, *, operand: bool) -> tuple[str, str]:
    letter = source[at]
    if letter in "'\"`" or (letter == "/" and operand):
        return source[at : _closed(source, at)], "value"
    if letter in _DIGITS or (letter == "." and source[at + 1 : at + 2] in _DIGITS):
        end = at
        while end < len(source) and (
            source[end] in _WORD or source[end] == "." or (source[end] in "+-" and source[end - 1] in "eE")
        ):
            end += 1
        return source[at:end], "number"
    if letter in _WORD:
        end = at
        while end < len(source) and source[end] in _WORD:
            end += 1
        return source[at:end], "value"
    for operator in _OPERATORS:
        if source.startswith(operator, at) and not (operator == "?." and source[at + 2 : at + 3].isdigit()):
            return operator, "operator"
    return letter, "unary" if operand and letter in _PREFIX else "operator"


def _closed(source: str, start: int) -> int:
    """Where the literal that starts at ``start`` ends, its flags included if it is a regular expression."""
    quote = source[start]
    at = start + 1
    in_class = False
    while at < len(source):
        letter = source[at]
        if letter == "\\":
            at += 2
            continue
        if quote == "`" and source.startswith("${", at):
            at = _closed_substitution(source, at + 2)
            continue
        if quote == "/" and letter in "[]":
            in_class = letter == "["
        elif letter == quote and not in_class:
            at += 1
            while quote == "/" and at < len(source) and source[at] in _WORD:
                at += 1
            return at
        at += 1
    return len(source)


def _closed_substitution(source: str, at: int) -> int:
    while at < len(source) and source[at] != "}":
        at = _closed(source, at) if source[at] in "'\"`" else at + 1
    return at + 1
