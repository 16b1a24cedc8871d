"""The same expressions with the same values, here and in Node.js: the same value or an error on both sides.

What differs on purpose is listed in docs/reference/rules.md and is not generated.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.permissions.expressions import expressions, worlds
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.compiler import compile_expression
from trio_router.permissions.grammar import Scope, parse
from trio_router.permissions.lexer import ExpressionError
from trio_router.permissions.records import World
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.values import ExpressionFailed, to_text

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed: the command node is not found")
SCOPE = Scope(("room",), data=True, action="record write", old_data=True)
PAIRS = 20_000
BATCH = 40


class Node:
    """One Node.js process that is asked in batches."""

    def __init__(self) -> None:
        script = Path(__file__).parent / "node_oracle.js"
        assert NODE is not None
        self._process = subprocess.Popen(
            [NODE, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def outcomes(self, cases: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = [{"source": source, "values": values} for source, values in cases]
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answered: list[dict[str, Any]] = json.loads(self._process.stdout.readline())
        return answered

    def close(self) -> None:
        self._process.communicate(timeout=10)


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.close()


class Books:
    def __init__(self, contents: Mapping[str, Any]) -> None:
        self._contents = contents

    def peek(self, name: str) -> Any:
        return self._contents.get(name)


def spelled(value: Any) -> Any:
    """As ``node_oracle.js`` spells values, with the keys of objects in order of their letters."""
    if value is UNDEFINED:
        return {"undefined": True}
    if value is None or isinstance(value, bool):
        return {"plain": value}
    if isinstance(value, int | float):
        return {"number": "-0" if value == 0 and math.copysign(1, value) < 0 else to_text(value)}
    if isinstance(value, str):
        units = value.encode("utf-16-be", "surrogatepass")
        return {"text": [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]}
    if isinstance(value, list | tuple):
        return {"list": [spelled(item) for item in value]}
    return {"object": sorted([key, spelled(item)] for key, item in value.items())}


def ordered(value: Any) -> Any:
    if "list" in value:
        return {"list": [ordered(item) for item in value["list"]]}
    if "object" in value:
        return {"object": sorted([key, ordered(item)] for key, item in value["object"])}
    return value


def outcome(source: str, values: dict[str, Any]) -> dict[str, Any]:
    """What the rules' language makes of it; anything but our own error fails the test."""
    try:
        tree = parse(source, SCOPE)
    except ExpressionError as error:
        return {"refused": str(error)}
    evaluate = compile_expression(tree, variables=("room",), action=values["action"], label="test")
    user, session = values["user"], values["session"]
    who = Identity(
        session["app"],
        session["id"],
        User(user["id"], user["data"], user["isAuthenticated"]),
        session["strategy"],
        session["remoteAddress"],
    )
    data = Payload(values["data"]) if "data" in values else ABSENT
    world = World(lambda: values["now"], Books(values["records"]))
    try:
        value = evaluate(who, values["name"], data, Payload(values["oldData"]), world, (values["room"],))
    except ExpressionFailed as error:
        return {"throws": str(error)}
    return {"value": spelled(value)}


def compare(node: Node, cases: list[tuple[str, dict[str, Any]]]) -> None:
    for (source, values), theirs in zip(cases, node.outcomes(cases), strict=True):
        ours = outcome(source, values)
        agreed = set(ours) == set(theirs)
        if agreed and "value" in ours:
            agreed = ours["value"] == ordered(theirs["value"])
        if not agreed:
            pytest.fail(f"{source}\nwith {json.dumps(values)}\nhere: {ours}\nNode: {theirs}", pytrace=False)


@needs_node
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_thousand_expressions_mean_the_same(node: Node) -> None:
    compared = 0

    @settings(
        max_examples=PAIRS // BATCH,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    @given(worlds(), worlds(), st.lists(expressions(), min_size=BATCH, max_size=BATCH))
    def check(one: dict[str, Any], other: dict[str, Any], sources: list[str]) -> None:
        nonlocal compared
        cases = [(source, (one, other)[at % 2]) for at, source in enumerate(sources)]
        compare(node, cases)
        compared += len(cases)

    check()
    assert compared >= PAIRS


WORLD: dict[str, Any] = {
    "user": {"id": "egon", "isAuthenticated": True, "data": {"a": None, "n": -0.0, "face": "a\U0001f600b", "list": [1, None, [2, "x"]]}},
    "session": {"id": "s1", "app": "shop", "remoteAddress": "192.0.2.1", "strategy": "users"},
    "oldData": None,
    "now": 1_700_000_000_000,
    "action": "write",
    "name": "doc",
    "room": "blue",
    "records": {"doc": {"next": "list"}, "list": [1, "a"]},
}  # fmt: skip
CORNERS = r"""
user.data?.a?.b.c.d
user.data?.a.b
(user.data?.a)?.b
(user.data?.a).b
(user.data.missing?.a).b
user.data.missing?.a[user.data.a.b]
user.data.missing?.[user.data.a.b]
user.data.missing?.startsWith(user.data.a.b).length.x
data?.x.y.z === undefined
data ?? oldData ?? 0
(data ?? oldData) || 'x'
false ?? 1
1 / 0
-1 / 0
1 / user.data.n
0 / 0
0 * -1
-0 + -0
-user.data.n
5 % -3
-5 % 3
-4 % 2
5 % 0
1e308 * 10
1e308 % 1e308
5 % (1/0)
(1/0) % 5
0.1 + 0.2
`10` / 2
[8][0] / 2 / 2
(8) / 2
'/' / 2
1 + '2' * '3'
'3' - - '3'
'1' + 2 + 3
1 + 2 + '3'
+[]
+[[5]]
+'0x10' + +' 1e3 '
[] + []
[] + 1
[1,[2,[3]],null,undefined] + ''
`${[]}|${[null]}|${user.data}|${undefined}|${-0}|${1e21}|${true}`
`a\n\u0041\`\${}\\ ${`${name}`}$`
[1,2,] == '1,2'
[] == false
[0] == false
[[]] == 0
null + 1
undefined + 1
true + true
'b' > 'a' > -1
3 > 2 > 1
1 < 2 < 3
2 + 3 * 4 - 6 / 2 % 2
2 * 3 % 4
-2 * -3
!0 + !1
typeof 1 + 1
typeof (1 + 1)
!'a' in []
!('a' in user.data)
'a' in user.data && 'zz' in user.data
1 in user.data.list
'1' in user.data.list
'01' in user.data.list
3 in user.data.list
-1 in user.data.list
1.5 in user.data.list
'length' in user.data.list
'a' in 'abc'
'a' in null
true ? false ? 1 : 2 : 3
false ? 1 : true ? 2 : 3
1 ? 2 : 3 || 4
1 || 0 ? 2 : 3
0 || null ?? 1
true && 1 ?? 2
user.data.list[-1]
user.data.list[1.5]
user.data.list['1']
user.data.list[' 1']
user.data.list[[0]]
user.data.list[-0]
user.data.list[1e21]
user.data.list[true]
user.data[null]
user.data[['a']]
'abc'[1]
'abc'['length']
'abc'[3]
user.data.face[1] + user.data.face[2] === user.data.face[1] + user.data.face[2]
user.data.face[1] + user.data.face[2]
`${user.data.face[1]}${user.data.face[2]}`.length
user.data.face.indexOf('b')
user.data.face.indexOf('b', 3)
user.data.face.indexOf('b', 4)
user.data.face.indexOf(user.data.face[2])
user.data.face.includes(user.data.face[1])
user.data.face.startsWith(user.data.face[2], 2)
user.data.face.endsWith('a', 1)
'abcabc'.indexOf('c', 3)
'abcabc'.indexOf('', 10)
'abcabc'.indexOf('a', -5)
'abcabc'.indexOf('a', 1/0)
'abcabc'.indexOf('a', -1/0)
'abcabc'.indexOf('a', '1')
'abcabc'.indexOf('a', undefined)
'abcabc'.indexOf('a', null)
'abcabc'.indexOf('a', 0.9)
'abcabc'.startsWith('bc', 1)
'abcabc'.startsWith('', 99)
'abcabc'.endsWith('ab', 5)
'abcabc'.endsWith('c', undefined)
'abcabc'.endsWith('c', null)
'abcabc'.endsWith('', -1)
'abcabc'.endsWith('abc', 0/0)
'abcabc'.includes('a', 4)
'null'.includes(null)
'abc'.includes(['b'])
[1,2,3].includes(3, -1)
[1,2,3].includes(1, -2)
[1,2,3].indexOf(3, -9)
[1,2,3].indexOf(1, 1/0)
[1,2,1].indexOf(1, 1)
[0/0].includes(0/0)
[0/0].indexOf(0/0)
[-0].includes(0)
[[1]].includes([1])
['a',null,undefined].includes(undefined)
'2024-01-31'.match(/(?<y>\d+)-(?<m>\d+)/).groups.m
'2024-01-31'.match(/(?<y>\d+)-(?<m>\d+)/)?.[2]
'abc'.match(/(x)?b/)[1]
'abc'.match(/(x)?b/).length
'abc'.match(/b/).index
'abc'.match(/b/).input
'abc'.match(/b/).groups
'abc'.match(/z/)
'abc'.match(/z/)?.[0]
'abc'.match('b.')[0]
user.data.face.match(/b/).index
/undefined/.test(undefined)
/1,,2/.test(user.data.list)
/^$/.test('')
/^.$/.test('\n')
/^.$/s.test('\n')
/^.$/.test('\u2028')
/\s/.test('\u00a0')
/^\S$/.test('\ufeff')
/[^\S]/.test('\u3000')
/[\w-]+$/.test('a-b')
/[a\-z]/.test('-')
/a$/.test('a\n')
/^b/m.test('a\nb')
/^b/.test('a\nb')
/\bfoo\b/.test('a foo b')
/\Boo/.test('foo')
/[\b]/.test('\b')
/\x41\u0042\0?/.test('AB')
/(?:a|ab)(?:c|bcd)/.test('abcd')
'abcd'.match(/(a|ab)(c|bcd)/)[1]
'aaa'.match(/a+?/)[0]
'aaa'.match(/a{1,2}/)[0]
'aaa'.match(/a{2}?/)[0]
/[/\]]/.test(']')
/a|/.test('b')
/|a/.test('b')
/()/.test('')
/[^]/.test('\n')
/[]/.test('a')
/\$\^\.\*\+\?\(\)\[\]\{\}\|\//.test('$^.*+?()[]{}|/')
/É/i.test('é')
/[à-ý]/i.test('É')
/^.$/.test('😀')
/^..$/.test('😀')
/^[^a]$/.test('😀')
/[😀]/.test('😁')
/^😀+$/.test('😀😀')
/\ud83d/.test('😀')
/😀b/.test(user.data.face)
user.data.face.match(/(.)b/)[1] === user.data.face[2]
user.data.face.match(/a(..)/)[1]
user.data.face.match(/b/).index
_('doc').next
_(_('doc').next)[1]
_('nothing')
_('nothing')?.x
_(5)
oldData?.x
oldData.x
typeof oldData
session.id + session.app + session.strategy + session.remoteAddress
'a' + 'b' === 'ab' ? now / 2 : 0
(1, 2)
1..x
true?.5:1
user?.5
1.x
2 ** 3
a => a
[1 2]
[,]
`${}`
`${
/a/g
""".strip().splitlines()


@needs_node
def test_the_corners_of_the_language_mean_the_same(node: Node) -> None:
    compare(node, [(source, WORLD) for source in CORNERS if source not in REFUSED_HERE])
    here = {source for source in REFUSED_HERE if "refused" in outcome(source, WORLD)}
    assert here == REFUSED_HERE


REFUSED_HERE = {"(1, 2)", "2 ** 3", "a => a", "[,]", "/a/g"}
"""Where JavaScript sees an expression and rules do not."""

OPERATORS = ["||", "&&", "===", "<", "in", "+", "*", "??"]
OPERANDS = ["null", "0", "1", "'a'", "[]"]


@needs_node
def test_operators_bind_as_in_javascript(node: Node) -> None:
    """Each pair of operators, with ``?:`` and each prefix beside them, without a parenthesis."""
    cases = [
        f"{before}{a} {first} {b} {second} {c}{after}"
        for first in OPERATORS
        for second in OPERATORS
        for before, after in [("", ""), ("!", ""), ("-", ""), ("typeof ", ""), ("", " ? 1 : 2"), ("0 ? 1 : ", "")]
        for a, b, c in [("null", "0", "1"), ("1", "[]", "'a'"), ("'1'", "1", "[1]"), ("0", "'a'", "[0, 1]")]
    ]
    compare(node, [(source, WORLD) for source in cases])
