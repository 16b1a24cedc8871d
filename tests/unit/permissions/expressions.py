"""Expressions and the values they read, made by Hypothesis: the whole language, in small pieces."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

TEXTS = [
    "", "a", "b", "abc", "ABC", "length", "0", "1", "10", "9", " 12 ", "-0", "0x1F", "0b1", "1e3", "1e1000", ".5", "5.", "+1",
    "Infinity", "-Infinity", "NaN", "null", "undefined", "true", "[object Object]", "1,2", ",", "\u00e9", "e\u0301", "\u00df",
    "\u0130", "\u01c5", "\u03a3\u03b1\u03c2", "\ufb01", "\U0001f600", "a\U0001f600b", "\uff5e", "\u2028", "\ufeff x\u00a0", "\n", "a b", "a.b@c.de",
    "news/today", "2024-01-31", "x" * 20,
]  # fmt: skip
NUMBERS = [
    "0", "1", "2", "3", "7", "10", "1.5", "0.1", "0.2", "1e21", "1e-7", "123456789.125", "9007199254740991", "9007199254740993",
    "1.7976931348623157e308", "5e-324", "4294967296", "100",
]  # fmt: skip
WORDS = [
    "true", "false", "null", "undefined", "user.id", "user.isAuthenticated", "user.data", "data", "data", "oldData", "now",
    "action", "name", "$room", "session.id", "session.app", "session.remoteAddress", "session.strategy", "user?.data", "[]",
]  # fmt: skip
KEYS = ["a", "b", "c", "n", "list", "text", "length"]
BINARY = [
    "===", "!==", "==", "!=", "<", "<=", ">", ">=", "&&", "&&", "||", "||", "??", "+", "+", "-", "*", "/", "%", "in",
]  # fmt: skip
POSITIONS = ["startsWith", "endsWith", "includes", "indexOf"]
REGEXES = [
    "/a/", "/^a/", "/b$/", "/A/i", "/^\\d+$/", "/(\\w+)@(\\w+)\\.(\\w+)/", "/(?<year>\\d{4})-(?<month>\\d\\d)/", "/a|b/", "/(a)|(b)/",
    "/[^a-c]/", "/\\s/", "/\\S+/", "/./", "/./s", "/^.$/", "/\\bb\\b/", "/a{2,}/", "/x{20}/", "/(?:ab)?c/", "/[\\]\\-a]/", "/[^]/", "/[]/",
    "/a*?b/", "/\\u00e9/", "/\\x41/", "/\\//", "/[/]/", "/^$/", "/^a$/m", "/\\W/", "/[\\s\\S]/", "/(a)?b/", "/\\t|\\n/", "/a+b+/i",
]  # fmt: skip
RECORDS = ["'doc'", "'missing'", "name", "$room", "'li' + 'st'", "1", "null"]


def _quoted(text: str) -> str:
    return json.dumps(text).replace("\u2028", "\\u2028")


texts = st.one_of(st.sampled_from(TEXTS).map(_quoted), st.sampled_from(["name", "$room", "user.id", "[1, 'a']"]))
literals = st.one_of(st.sampled_from(TEXTS).map(_quoted), st.sampled_from(NUMBERS), st.sampled_from(WORDS))


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """The text of an expression of at most ``depth`` levels, which may be refused for what stands beside ``??``."""
    if depth == 0:
        return draw(literals)
    kind = draw(st.integers(0, 15))

    def inner() -> str:
        return draw(expressions(depth - 1))

    def operand() -> str:
        made = inner()
        return made if draw(st.booleans()) else f"({made})"

    def object_() -> str:
        made = inner()
        return made if made.isidentifier() or made.startswith("user.data") else f"({made})"

    def text() -> str:
        return draw(texts) if draw(st.booleans()) else object_()

    if kind <= 5:
        return f"{operand()} {draw(st.sampled_from(BINARY))} {operand()}"
    if kind <= 7:
        dot = draw(st.sampled_from([".", ".", "?."]))
        return f"{object_()}{dot}{draw(st.sampled_from(KEYS))}"
    if kind == 8:
        dot = draw(st.sampled_from(["", "", "?."]))
        return f"{object_()}{dot}[{inner()}]"
    if kind == 9:
        method = draw(st.sampled_from(POSITIONS))
        arguments = ", ".join(inner() for _ in range(draw(st.integers(1, 2))))
        return f"{text()}{draw(st.sampled_from(['.', '?.']))}{method}({arguments})"
    if kind == 10:
        return f"{text()}.{draw(st.sampled_from(['toUpperCase', 'toLowerCase', 'trim']))}()"
    if kind == 11:
        regex = draw(st.sampled_from(REGEXES))
        after = draw(st.sampled_from(["", "[0]", "[1]", "?.[2]", ".index", "?.groups?.year", ".length", ".input"]))
        return f"{regex}.test({inner()})" if draw(st.booleans()) else f"{text()}.match({regex}){after}"
    if kind == 12:
        return f"{draw(st.sampled_from(['!', '!', '-', '+', 'typeof ']))}({inner()})"
    if kind == 13:
        return f"{operand()} ? {inner()} : {inner()}"
    if kind == 14:
        items = [inner() for _ in range(draw(st.integers(1, 3)))]
        if draw(st.booleans()):
            return f"[{', '.join(items)}]"
        return "`" + "-".join("${" + item + "}" for item in items) + "`"
    return f"_({draw(st.sampled_from(RECORDS))})"


scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(TEXTS), st.sampled_from([float(number) for number in NUMBERS]), st.integers(-5, 5)
)  # fmt: skip
values = st.one_of(
    scalars,
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(st.sampled_from([*KEYS, "0", "x"]), st.one_of(scalars, st.lists(scalars, max_size=2)), max_size=4),
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """What an expression may read, as JSON; without ``data`` there is none."""
    made: dict[str, Any] = {
        "user": {"id": "egon", "isAuthenticated": draw(st.booleans()), "data": draw(values)},
        "session": {"id": "s1", "app": "shop", "remoteAddress": "192.0.2.1", "strategy": "users"},
        "oldData": draw(values),
        "now": 1_700_000_000_000,
        "action": "write",
        "name": draw(st.sampled_from(["doc", "news/today", "list"])),
        "room": draw(st.sampled_from(["doc", "blue", "10"])),
        "records": {"doc": draw(values), "list": [1, "a"]},
    }
    if draw(st.integers(0, 4)):
        made["data"] = draw(values)
    return made
