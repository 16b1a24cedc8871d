"""Regular expressions of rules: JavaScript's notation in, RE2's automata out.

RE2 has its own notation, which gives some of JavaScript's words another meaning. So the author's text is never handed
to it: it is read here by JavaScript's grammar (ECMA-262, section 22.2.1, without flag ``u``) and written anew. What
an automaton cannot do, look-around and back-references, is an error when the rules are loaded.

Patterns and texts are searched by code units, as in JavaScript: the halves of a character past U+FFFF are two letters,
for which stand-ins from the last plane of Unicode are used, as RE2 has no letters for halves.

The rule that keeps this honest: every construct is taken by name or refused, and neither loading nor searching takes
more than time in proportion to the program and the text, both of which are bounded (T30).
"""

from __future__ import annotations

import functools
from typing import Any, Final

import re2

from trio_router.errors import RouterError
from trio_router.permissions.values import code_units

MAX_PROGRAM: Final = 500  # instructions
MAX_TEXT: Final = 16 * 1024  # characters searched
_MAX_MEMORY: Final = 1 * 1024 * 1024  # bytes per expression
_MAX_REPEAT: Final = 1_000  # what RE2 allows
_MAX_DEPTH: Final = 32

FLAGS: Final = "ims"

_SPACES: Final = r"\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}"
_NO_SPACES: Final = (
    r"\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}"
    r"\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}"
)
_SETS: Final = {
    "d": "0-9", "D": r"\x{0}-/:-\x{10ffff}", "w": "0-9A-Za-z_", "W": r"\x{0}-/:-@\[-\^`\{-\x{10ffff}",
    "s": _SPACES, "S": _NO_SPACES,
}  # fmt: skip
_STAND_INS: Final = {half: 0x100000 + half for half in range(0xD800, 0xE000)}
_CONTROLS: Final = {"n": 10, "r": 13, "t": 9, "v": 11, "f": 12}
_LOOK_AROUND: Final = ("(?=", "(?!", "(?<=", "(?<!")
_SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/-")


class RegexError(RouterError):
    """The text is no regular expression of rules. ``position`` counts characters of the pattern from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class Regex:
    """A compiled regular expression, a value of expressions. Two of them are equal only if they are the same one."""

    __slots__ = ("_program", "names", "source")

    def __init__(self, source: str, program: Any, names: tuple[str, ...]) -> None:
        self.source = source
        self.names = names
        self._program = program

    def matches(self, text: str) -> bool:
        """Whether there is a match anywhere in ``text``, which is ASCII."""
        return self._program.search(text) is not None

    def search(self, text: str) -> list[tuple[int, int]] | None:
        """Where the match and its groups stand in ``text``, in code units; None if there is no match.

        A group that took no part stands at (-1, -1). ``text`` has at most ``MAX_TEXT`` characters.
        """
        found = self._program.search(text if text.isascii() else code_units(text).translate(_STAND_INS))
        return None if found is None else [found.span(group) for group in range(self._program.groups + 1)]

    def number(self, name: str) -> int:
        """The number of the group called ``name``."""
        number: int = self._program.groupindex[name]
        return number

    def __repr__(self) -> str:
        return self.source


@functools.lru_cache(maxsize=256)
def compile_regex(pattern: str, flags: str) -> Regex:
    """The regular expression ``/pattern/flags``.

    Raises:
        RegexError: it is none, or holds what has no counterpart here; says where.
    """
    for at, flag in enumerate(flags):
        if flag not in FLAGS or flag in flags[:at]:
            raise RegexError(f"the flags of a regular expression are i, m and s, each once, not {flags}", len(pattern))
    reader = _Reader(pattern, flags)
    written = reader.read()
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    options.case_sensitive = "i" not in flags
    try:
        program = re2.compile(written, options)
    except re2.error as error:
        why = error.args[0]
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise RegexError(f"the regular expression is not possible here: {why}", 0) from None
    if program.programsize > MAX_PROGRAM:
        raise RegexError("the regular expression is too large; repeat less", 0)
    return Regex(f"/{pattern}/{flags}", program, tuple(reader.names))


class _Reader:
    """One pass over a pattern that writes it anew for RE2."""

    def __init__(self, pattern: str, flags: str) -> None:
        self._text = code_units(pattern)
        self._at = 0
        self._depth = 0
        self._any = r"[\x{0}-\x{10ffff}]" if "s" in flags else r"[^\n\r\x{2028}\x{2029}]"
        self._ends = {"^": r"(?m:^)", "$": r"(?m:$)"} if "m" in flags else {"^": r"\A", "$": r"\z"}
        self.names: list[str] = []

    def read(self) -> str:
        written = self._alternatives()
        if self._at < len(self._text):
            raise RegexError("this ) closes nothing; to find a bracket, write \\)", self._at)
        return written

    def _peek(self, size: int = 1) -> str:
        return self._text[self._at : self._at + size]

    def _alternatives(self) -> str:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise RegexError(f"the regular expression is nested deeper than {_MAX_DEPTH} levels", self._at)
        parts: list[str] = []
        while self._at < len(self._text) and self._peek() != ")":
            parts.append(self._term())
        self._depth -= 1
        return "".join(parts)

    def _term(self) -> str:
        letter = self._peek()
        if letter == "|":
            self._at += 1
            return letter
        if letter in "^$":
            self._at += 1
            self._no_repeat()
            return self._ends[letter]
        if self._peek(2) in (r"\b", r"\B"):
            self._at += 2
            self._no_repeat()
            return self._text[self._at - 2 : self._at]
        return self._atom() + self._repeat()

    def _no_repeat(self) -> None:
        if self._peek() in ("*", "+", "?", "{"):
            raise RegexError(f"there is nothing before the {self._peek()} that could be repeated", self._at)

    def _atom(self) -> str:
        letter = self._peek()
        if letter == "(":
            return self._group()
        if letter == "[":
            return self._class()
        if letter == "\\":
            return self._escape()
        if letter == ".":
            self._at += 1
            return self._any
        self._no_repeat()
        if letter in "]}":
            raise RegexError(f"to find a {letter}, write \\{letter}", self._at)
        self._at += 1
        return _written(ord(letter))

    def _group(self) -> str:
        start = self._at
        if self._text.startswith(_LOOK_AROUND, start):
            raise RegexError("look-ahead and look-behind are not available in rules", start)
        opening = "("
        if self._peek(3) == "(?:":
            self._at += 3
            opening = "(?:"
        elif self._peek(3) == "(?<":
            end = self._text.find(">", start)
            name = self._text[start + 3 : max(end, start)]
            if not name.isascii() or not name.isidentifier() or name in self.names:
                raise RegexError("the name of a group is made of letters, digits and _, and used once", start)
            self.names.append(name)
            self._at = end + 1
            opening = f"(?P<{name}>"
        elif self._peek(2) == "(?":
            raise RegexError("a group starts with (, (?: or (?<name>", start)
        else:
            self._at += 1
        inner = self._alternatives()
        if self._peek() != ")":
            raise RegexError("this ( is never closed", start)
        self._at += 1
        return f"{opening}{inner})"

    def _repeat(self) -> str:
        letter = self._peek()
        if letter in ("*", "+", "?"):
            self._at += 1
        elif letter == "{":
            letter = self._count()
        else:
            return ""
        if self._peek() == "?":
            self._at += 1
            letter += "?"
        self._no_repeat()
        return letter

    def _count(self) -> str:
        start = self._at
        end = self._text.find("}", start)
        least, comma, most = self._text[start + 1 : max(end, start)].partition(",")
        numbers = [least, most] if most else [least]
        if not all(number.isascii() and number.isdigit() and len(number) < 6 for number in numbers):
            raise RegexError("a count is written {2}, {2,} or {2,4}; to find a brace, write \\{", start)
        if max(map(int, numbers)) > _MAX_REPEAT:
            raise RegexError(f"nothing can be repeated more than {_MAX_REPEAT} times", start)
        if most and int(most) < int(least):
            raise RegexError("the first number of a count is not greater than the second", start)
        self._at = end + 1
        return f"{{{int(least)}{comma}{int(most) if most else ''}}}"

    def _escape(self) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        if letter in _SETS and letter:
            self._at += 2
            return f"[{_SETS[letter]}]"
        if (letter.isdigit() and letter != "0") or letter == "k":
            raise RegexError("references back to a group are not available in rules", self._at)
        return _written(self._code())

    def _code(self) -> int:
        """The one character that an escape stands for."""
        start = self._at
        letter = self._text[start + 1 : start + 2]
        self._at += 2
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter == "0" and not (self._peek().isdigit() and self._peek()):
            return 0
        size = {"x": 2, "u": 4}.get(letter, 0)
        if size:
            digits = self._peek(size)
            if len(digits) != size or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
                raise RegexError("this is not the code of a character", start)
            self._at += size
            return int(digits, 16)
        if letter in _SYNTAX and letter:
            return ord(letter)
        raise RegexError("there is no such escape; a backslash itself is written twice", start)

    def _class(self) -> str:
        start = self._at
        self._at += 1
        negated = self._peek() == "^"
        self._at += negated
        parts: list[str] = []
        while self._peek() != "]":
            if self._at >= len(self._text):
                raise RegexError("this [ is never closed", start)
            parts.append(self._range())
        self._at += 1
        if not parts:
            return r"[\x{0}-\x{10ffff}]" if negated else r"[^\x{0}-\x{10ffff}]"
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _range(self) -> str:
        start = self._at
        first = self._member()
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return first if isinstance(first, str) else _written(first)
        self._at += 1
        last = self._member()
        if isinstance(first, str) or isinstance(last, str):
            raise RegexError("a range runs from one character to another; to find a -, put it last", start)
        if first > last:
            raise RegexError("the range ends before it starts", start)
        return f"{_written(first)}-{_written(last)}"

    def _member(self) -> str | int:
        """A character of a class, or the ranges of ``\\w`` and the like."""
        letter = self._peek()
        if letter != "\\":
            self._at += 1
            return ord(letter)
        following = self._text[self._at + 1 : self._at + 2]
        if following in _SETS and following:
            self._at += 2
            return _SETS[following]
        if following == "b":
            self._at += 2
            return 8
        return self._code()


def _written(code: int) -> str:
    code = _STAND_INS.get(code, code)
    letter = chr(code)
    return letter if letter.isascii() and letter.isalnum() else f"\\x{{{code:x}}}"
