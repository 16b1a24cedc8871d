"""JSON in, strictly: what is let in here can be sent on to everybody, and everybody reads the same value in it.

Beyond RFC 8259 this keeps to I-JSON (RFC 7493): UTF-8 without lone surrogates, no key twice in an object, integers
within 2**53 - 1 of zero, finite numbers only; and it bounds the nesting before anything is parsed (T15, T16).

The rule that keeps this honest: nothing here recurses and nothing takes more than linear time. msgspec parses (it refuses
NaN, 1e999, lone surrogates and bad UTF-8 by itself); what it lets pass is looked for with single scans over the text,
and only a text that is suspicious pays for a second look. Sizes are bounded by the caller. Errors say what is wrong and at
which byte, and never repeat the data.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from trio_router.errors import RemoteProtocolError
from trio_router.protocols.codes import INVALID_MESSAGE

MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**53 - 1

_SEARCHED: Final = 4096  # how far into a refused text its fault is looked for, to say where it is

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode

# A string, ended or not. Possessive, and matching from every quote it starts at: one pass, whatever the text.
_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_TOKENS: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+"?)(?=(\s*+:)?)|[{}]', re.DOTALL)
_LONE_HIGH: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])").search
_AT_BYTE: Final = re.compile(r"(?:JSON is malformed: )?(.*?) \(byte (\d+)\)")
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_NOT_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_NUMBER: Final = b"0" * 16  # 2**53 has sixteen digits


def decode(text: bytes | str, *, depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text that obeys the rules above; ``depth`` is how many arrays and objects may enclose each other.

    Raises:
        RemoteProtocolError: it does not (``INVALID_MESSAGE``); the detail says what is wrong and where.
    """
    if isinstance(text, str):
        try:
            text = text.encode()
        except UnicodeEncodeError as exc:
            raise _invalid(f"a lone surrogate, at character {exc.start}") from None
    if text[:1] != b'"' and text.count(b"[") + text.count(b"{") > depth:
        _check_depth(text, depth)
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _invalid(_fault(text, exc)) from None
    if type(value) is str:  # it has no keys, and nests nothing
        return value
    if _LONG_NUMBER in text.translate(_DIGITS_ALIKE):
        _check_integers(value)  # first: longer integers cannot be written again
    _check_keys(text, value)
    return value


def _check_depth(text: bytes, depth: int) -> None:
    """Takes the innermost pairs of brackets away ``depth`` times: each time one pass, in C."""
    brackets = _brackets(text)
    for _ in range(depth):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    # What is left nests too deep, or is unbalanced; the parser says where, if it can be trusted with it.
    if b"[]" in brackets or brackets.count(b"[") > depth:
        raise _invalid(f"nested more than {depth} deep")


def _brackets(text: bytes) -> bytes:
    """The brackets outside strings, the curly ones as square ones.

    Nearly always strings hold no brackets: then each is a pair of adjacent quotes once everything else is gone. Between two
    brackets there are an even number of quotes exactly when both are outside strings; if a quote is left, one is not.
    """
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
    kept = plain.translate(_TO_SQUARE, _NOT_STRUCTURE).replace(b'""', b"")
    if b'"' not in kept:
        return kept
    return _STRINGS.sub(b"", text).translate(_TO_SQUARE, _NOT_BRACKETS)


def _check_keys(text: bytes, value: Any) -> None:
    """A key that was there twice is not in ``value`` any more, so that ``value`` has fewer colons than ``text``.

    Without ``\\u`` escapes the strings in both have the same colons. With them, only colons outside strings count.
    """
    colons = text.count(b":")
    if colons < 2:
        return
    again = _encode(value)
    if b"\\u" in text:
        colons = _STRINGS.sub(b"", text).count(b":")
        again = _STRINGS.sub(b"", again)
    if colons != again.count(b":"):
        raise _invalid(_twice(text))


def _check_integers(value: Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, int) and not -MAX_INTEGER <= item <= MAX_INTEGER:
            raise _invalid("an integer beyond 2**53 - 1")


def _twice(text: bytes) -> str:
    """Where a key stands for the second time, if that is near the start."""
    objects: list[set[str]] = []
    for token in _TOKENS.finditer(text, 0, _SEARCHED):
        if token[0] == b"{":
            objects.append(set())
        elif token[0] == b"}":
            objects.pop()
        elif token[2]:
            key = _decode(token[1])
            if key in objects[-1]:
                return f"a key for the second time in one object, at byte {token.start()}"
            objects[-1].add(key)
    return f"a key for the second time in one object, after byte {_SEARCHED}"


def _fault(text: bytes, exc: Exception) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as bad:
        return f"not UTF-8, at byte {bad.start}"
    if found := _LONE_HIGH(text):
        return f"a lone surrogate, at byte {found.start()}"
    if isinstance(exc, msgspec.ValidationError):
        return "a number out of range"
    if found_at := _AT_BYTE.match(str(exc)):
        return f"{found_at[1]}, at byte {found_at[2]}"
    return f"ends too early, at byte {len(text)}"


def _invalid(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(INVALID_MESSAGE, f"JSON: {what}")
