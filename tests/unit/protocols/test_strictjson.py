"""Strict JSON: what is refused, that refusing is cheap, and that what is accepted is the same everywhere."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trio_router.errors import RemoteProtocolError
from trio_router.protocols import strictjson
from trio_router.protocols.codes import INVALID_MESSAGE
from trio_router.protocols.strictjson import MAX_INTEGER, decode


def refusal(text: bytes | str, **options: int) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(text, **options)
    assert caught.value.code == INVALID_MESSAGE
    return caught.value.detail


REFUSED = [
    (b"", "ends too early, at byte 0"),
    (b" ", "ends too early"),
    (b'{"a":1', "ends too early, at byte 6"),
    (b"[1,]", "trailing comma in array, at byte 3"),
    (b"1 2", "trailing characters, at byte 3"),
    (b"01", "at byte 1"),
    (b"+1", "at byte 0"),
    (b".5", "at byte 0"),
    (b"1.", "at byte 2"),
    (b"'a'", "at byte 0"),
    (b"/**/1", "at byte 0"),
    (b"\xef\xbb\xbf1", "at byte 0"),
    (b'"a\tb"', "at byte 2"),
    (b'"\x00"', "at byte 1"),
    (b'"\\x41"', "escape"),
    (b"[1}", "at byte 2"),
    (b"[[1]", "ends too early"),
    (b"]", "at byte 0"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_malformed_text_is_refused_with_its_place(text: bytes, why: str) -> None:
    assert why in refusal(text)


POISON = [
    (rb'"\ud800"', "a lone surrogate, at byte 1"),
    (rb'["ok","\uDBFF\u0041"]', "a lone surrogate, at byte 7"),
    (rb'"\udc00 abc"', "surrogate"),
    (rb'"\udc00\ud800"', "surrogate"),
    (rb'{"\ud800":1}', "a lone surrogate"),
    ('"\ud800"', "a lone surrogate, at character 1"),
    (b'"\xed\xa0\x80"', "not UTF-8, at byte 1"),
    (b'"\xff"', "not UTF-8, at byte 1"),
    (b'"\xc3"', "not UTF-8"),
    (b'"\xc0\xaf"', "not UTF-8"),
    (b'"\xf4\x90\x80\x80"', "not UTF-8"),
    (b"NaN", "at byte 0"),
    (b"[Infinity]", "at byte 1"),
    (b"-Infinity", "at byte 1"),
    (b"1e999", "a number out of range"),
    (b"-1E400", "a number out of range"),
    (b"1" * 5000, "a number out of range"),
    (b"9007199254740992", "an integer beyond 2**53 - 1"),
    (b'{"a":[{"b":-9007199254740992}]}', "an integer beyond 2**53 - 1"),
    (b"123456789012345678901234567890", "an integer beyond 2**53 - 1"),
    (b'{"a":1,"a":2}', "a key for the second time in one object, at byte 7"),
    (b'{"a":1,"b":{"c":1,"c":1}}', "at byte 18"),
    (b'[{"a":{"x":1},"b":[],"a":{}}]', "at byte 21"),
    (rb'{"a":1,"\u0061":1}', "at byte 7"),
    (rb'{"a":1,"a":"\u003a"}', "a key for the second time"),
    (rb'{"a":":","a":"\u003a\u003a"}', "a key for the second time"),
    (b'{"":1,"":1}', "a key for the second time"),
    (b'{"a" :1, "a"\n: 1}', "a key for the second time"),
    (b'{"x":"' + b"y" * 5000 + b'","a":1,"a":1}', "after byte 4096"),
]


@pytest.mark.threat("T16")
@pytest.mark.threat("M7")
@pytest.mark.threat("M8")
@pytest.mark.parametrize(("text", "why"), POISON)
def test_what_could_not_be_sent_on_is_refused(text: bytes | str, why: str) -> None:
    assert why in refusal(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a:b":"c:d","e":[1,{"f":":"}]}', {"a:b": "c:d", "e": [1, {"f": ":"}]}),
        (rb'{"a\":":"\\","b":"\u003a"}', {'a":': "\\", "b": ":"}),
        (b'[{"a":1},{"a":1}]', [{"a": 1}, {"a": 1}]),
        (b'{"a":{"a":{"a":1}}}', {"a": {"a": {"a": 1}}}),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\ud800"', "\\ud800"),
        (b"9007199254740991", MAX_INTEGER),
        (b"-9007199254740991", -MAX_INTEGER),
        (b'"12345678901234567890"', "12345678901234567890"),
        (b"1e20", 1e20),
        (b'{"__proto__":1,"constructor":2}', {"__proto__": 1, "constructor": 2}),
        (b" [ ] ", []),
        ('"é"', "é"),
    ],
)
def test_what_looks_suspicious_but_is_right_is_accepted(text: bytes | str, value: Any) -> None:
    assert decode(text) == value


# ---- nesting --------------------------------------------------------------------------------------------


@pytest.mark.threat("T15")
@pytest.mark.threat("M8")
@pytest.mark.parametrize(
    "text", [b"[" * 200_000, b'{"a":' * 100_000, b"[{" * 50_000, b"[" * 33, b"[" * 100 + b"]" * 100]
)
def test_nesting_is_refused_before_anything_is_parsed(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: bytes) -> None:
        pytest.fail("parsed")

    monkeypatch.setattr(strictjson, "_decode", never)
    assert refusal(text) == "JSON: nested more than 32 deep"


def nested(depth: int, draw_object: bool) -> bytes:
    return (b'{"a":' if draw_object else b"[") * depth + b"1" + (b"}" if draw_object else b"]") * depth


@pytest.mark.threat("T15")
@pytest.mark.parametrize("objects", [True, False])
@pytest.mark.parametrize("depth", [0, 1, 5, 32])
def test_the_bound_is_exact(depth: int, objects: bool) -> None:
    decode(nested(depth, objects), depth=depth)
    assert "nested" in refusal(nested(depth + 1, objects), depth=depth)


@pytest.mark.threat("T15")
def test_breadth_is_not_depth_and_brackets_in_strings_do_not_count() -> None:
    wide = [[], {}] * 1000
    assert decode(json.dumps(wide)) == wide
    assert decode(json.dumps(["[{" * 100])) == ["[{" * 100]
    assert decode(json.dumps(['"', "[" * 40, '"', "\\", "]" * 40])) == ['"', "[" * 40, '"', "\\", "]" * 40]
    assert decode(json.dumps(['\\"[[' * 100, "[" * 40])) == ['\\"[[' * 100, "[" * 40]


@pytest.mark.threat("T15")
@pytest.mark.parametrize(
    "hide", ['"\\\\","]","\\\\"', '"]"', '"]","]"', '"\\\\","]"', '"\\"]"', '"\\\\\\"]"', '"]\\\\"', '"","]",""']
)
def test_brackets_in_strings_do_not_hide_depth(hide: str) -> None:
    """Read as structure, the closing brackets in these strings would undo the opening ones."""
    assert "nested" in refusal(f"[{hide}," * 40 + "1" + "]" * 40)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.text('[]{}"\\:', max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@pytest.mark.threat("T15")
@settings(deadline=None)
@given(json_values, st.integers(0, 4))
def test_depth_is_counted_right_for_any_value(value: Any, depth: int) -> None:
    text = json.dumps(value)
    if depth_of(value) <= depth:
        assert decode(text, depth=depth) == value
    else:
        assert "nested" in refusal(text, depth=depth)


# ---- any bytes at all -----------------------------------------------------------------------------------

FRAGMENTS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'"a"', b'"a":', rb'"\u0061":', rb"\ud800", rb"\udc00", rb"\u003a", b"1",
    b"-", b"1e999", b"9007199254740993", b"0.5", b"null", b"true", b"NaN", b" ", b"\n", b"\xff", b"\xc3\xa9", b"\x00", b'""',
]  # fmt: skip
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join) | st.binary(max_size=60)


@pytest.mark.threat("T15")
@pytest.mark.threat("T16")
@settings(deadline=None, max_examples=400)
@given(texts)
@example(b'"' + b'\\"' * 50)
def test_any_bytes_give_a_value_or_one_kind_of_error(text: bytes) -> None:
    try:
        value = decode(text)
    except RemoteProtocolError:
        return
    assert decode(msgspec.json.encode(value)) == value


def pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key was there twice"
    return dict(pairs)


def no_constant(name: str) -> None:
    pytest.fail(f"{name} was accepted")


@pytest.mark.threat("T16")
@settings(deadline=None, max_examples=400)
@given(texts)
def test_what_is_accepted_is_accepted_by_an_independent_reader_too(text: bytes) -> None:
    try:
        value = decode(text)
    except RemoteProtocolError:
        return
    assert json.loads(text.decode(), object_pairs_hook=pairs_once, parse_constant=no_constant) == value


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=6), st.booleans())
def test_a_key_is_found_twice_exactly_when_it_is_there_twice(pairs: list[tuple[str, str]], ascii_only: bool) -> None:
    text = (
        "{"
        + ",".join(
            f"{json.dumps(k, ensure_ascii=ascii_only)}:{json.dumps(v, ensure_ascii=ascii_only)}" for k, v in pairs
        )
        + "}"
    )
    if len(dict(pairs)) == len(pairs):
        assert decode(text) == dict(pairs)
    else:
        assert "second time" in refusal(text)


# ---- cost -----------------------------------------------------------------------------------------------


def seconds(text: bytes) -> float:
    """Of this thread alone, whatever else the machine is doing; the best of several."""
    best = math.inf
    for _ in range(7):
        start = time.thread_time()
        with contextlib.suppress(RemoteProtocolError):
            decode(text)
        best = min(best, time.thread_time() - start)
    return best


HARD: dict[str, Any] = {
    "escaped quotes, never ended": lambda n: b'[["' + b'\\"' * n,
    "brackets in an unended string": lambda n: b'"' + b"[" * n,
    "siblings": lambda n: b"[" + b"[]," * n + b"[]]",
    "many keys, one twice": lambda n: b"{" + b",".join(b'"%d":1' % i for i in range(n)) + b',"0":1}',
    "escapes and colons": lambda n: b'{"a":"' + rb"\u003a" * n + b'"}',
    "backslashes": lambda n: b'[["' + b"\\" * n,
    "quotes": lambda n: b"[" * 40 + b'"' * n,
    "blanks after a key": lambda n: b'{"a":1,"a"' + b" " * n + b":1}",
    "digits": lambda n: b"[" + b"1234567890123456," * n + b"1]",
}


@pytest.mark.threat("T15")
@pytest.mark.parametrize("make", HARD.values(), ids=HARD.keys())
def test_cost_is_linear(make: Any) -> None:
    """Ten times the text may cost ten times as much, and noise; quadratic would be a hundred times."""
    small, large = make(4_000), make(40_000)
    assert seconds(large) < 40 * seconds(small) + 0.05


# ---- another reader -------------------------------------------------------------------------------------

NODE = """
const lines = require('readline').createInterface({input: process.stdin});
const same = (a, b) => {
  if (typeof a !== typeof b || Array.isArray(a) !== Array.isArray(b)) return false;
  if (typeof a === 'string') return a === b && !/\\p{Surrogate}/u.test(a);
  if (a === null || b === null || typeof a !== 'object') return a === b;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every(k => same(k, k) && Object.hasOwn(b, k) && same(a[k], b[k]));
};
lines.on('line', line => {
  let answer;
  try {
    const [original, again] = JSON.parse(line).map(text => Buffer.from(text, 'base64').toString('utf8')).map(t => JSON.parse(t));
    answer = same(original, again) ? 'same' : 'different';
  } catch (error) { answer = 'error ' + error.message.replace(/\\n/g, ' '); }
  process.stdout.write(answer + '\\n');
});
"""


@pytest.fixture(scope="module")
def node() -> Iterator[subprocess.Popen[str]]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs node (the package nodejs)")
    process = subprocess.Popen(
        [program, "-e", NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@pytest.mark.threat("T16")
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts | json_values.map(lambda value: json.dumps(value).encode()))
@example(b"[1e20,1.5,-0,0.1,5e-324,1.7976931348623157e308,9007199254740991]")
@example(b'{"__proto__":{"a":1},"1":2,"constructor":null}')
@example('"\u2028\u2029\U0001f600\x7f"'.encode())
def test_node_reads_the_same_in_what_came_in_and_in_what_goes_out(node: subprocess.Popen[str], text: bytes) -> None:
    try:
        value = decode(text)
    except RemoteProtocolError:
        return
    assert node.stdin is not None
    assert node.stdout is not None
    both = [base64.b64encode(each).decode() for each in (text, msgspec.json.encode(value))]
    node.stdin.write(json.dumps(both) + "\n")
    node.stdin.flush()
    assert node.stdout.readline().strip() == "same"
