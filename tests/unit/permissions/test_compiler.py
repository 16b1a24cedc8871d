"""What is known of an expression before it runs, and what is left to be done each time. Values are in ``test_expressions``."""

from __future__ import annotations

import pytest

from trio_router.permissions import compiler
from trio_router.permissions.compiler import compile_expression, type_of
from trio_router.permissions.grammar import Scope, parse

SCOPE = Scope(("x", "y"), data=True, action="record write", old_data=True)


def functions_called_by(source: str) -> set[str]:
    """Our own functions that the compiled expression may come to call."""
    made = compile_expression(parse(source, SCOPE), variables=("x", "y"), action="write", label="test")
    return set(made.__code__.co_names) & (set(compiler._GLOBALS) - {"UNDEFINED"})  # type: ignore[attr-defined]


TYPES = {
    "boolean": """
        true, !data, 1 < 2, 'a' in data, data == 1, user.isAuthenticated, user.isAuthenticated || !data, data ? true : !data, (false),
        name.startsWith('a'), name.endsWith('a'), data.includes('a'), /a/.test(name)
    """,
    "string": """
        'a', $x, typeof data, `a${data}`, session.app, user.id, name, 'a' + data, data + 'a', 1 + 'a', 'a' || name, data ? 'a' : name,
        name.trim(), data.a.toUpperCase(), name.toLowerCase(), 'a' + 'b' + 1
    """,
    "number": """
        1, 1.5, now, -data, +data, data - 1, 'a' * 2, data / 2, data % 2, 1 + 1, now + 1.5, now ?? 1, name.indexOf('a'), data ? 1 : now
    """,
    "": """
        null, undefined, data, oldData, data.a, data[0], data[name], [1], user.data, _('a'), data + 1, 1 + data, data + data, true + true,
        true + 1, 'a' || 1, data ? 1 : 'a', data ? data : 1, name.match(/a/), name?.trim(), data?.a.trim(), data?.a.startsWith('a'),
        data?.a.indexOf('a'), (name?.trim()), user.id && data
    """,
}


@pytest.mark.parametrize("kind", TYPES)
def test_the_type_of_a_value_is_known_before_it_is_there(kind: str) -> None:
    sources = " ".join(TYPES[kind].split()).split(", ")
    assert {source: type_of(parse(source, SCOPE)) for source in sources} == dict.fromkeys(sources, kind)


@pytest.mark.parametrize(
    ("source", "called"),
    [
        # Comparisons are Python's own where both languages agree on the operands' types
        ("user.id === $x", ""),
        ("name !== user.id", ""),
        ("name == 'a'", ""),
        ("name != $x", ""),
        ("user.isAuthenticated === true", ""),
        ("data === 'a'", "payload_value"),
        ("'a' !== data", "payload_value"),
        ("data === null", "payload_value"),
        ("undefined !== data", "payload_value"),
        ("data === false", "payload_value"),
        ("null === undefined", ""),
        ("now < 5", ""),
        ("5 > now", ""),
        ("now <= 5", ""),
        ("5 >= now", ""),
        # and ours where they do not
        ("data === 1", "payload_value strict_equal"),
        ("data !== oldData", "payload_value old_value strict_equal"),
        ("1 === true", "strict_equal"),
        ("null === 1", "strict_equal"),
        ("data == 'a'", "payload_value loose_equal"),
        ("name == 1", "loose_equal"),
        ("1 != name", "loose_equal"),
        ("'a' < name", "less"),
        ("now > data", "payload_value less"),
        ("data <= 5", "payload_value less_or_equal"),
        ("'a' >= 5", "less_or_equal"),
        ("'a' in data", "payload_value has"),
        # What is true in both languages is not asked
        ("!user.isAuthenticated", ""),
        ("!name", ""),
        ("!now", "truthy"),
        ("!data", "payload_value truthy"),
        ("name ? 1 : 2", ""),
        ("now ? 1 : 2", "truthy"),
        ("user.isAuthenticated && name", ""),
        ("name || data", "payload_value"),
        ("name && user.isAuthenticated && data", "payload_value"),
        ("data || name", "payload_value truthy"),
        ("name && data && name", "payload_value truthy"),
        ("now && name", "truthy"),
        ("name ?? 'a'", "present"),
        # A step of a chain is the narrowest there is
        ("name.length", "length"),
        ("name.trim().length", "method_trim length"),
        ("data.length", "payload_value member"),
        ("name.a", "member"),
        ("data.a.b", "payload_value member"),
        ("data[0]", "payload_value element"),
        ("data[name]", "payload_value item"),
        ("data?.a", "payload_value present member"),
        ("name?.length", "present length"),
        # A template is joined, an operator is one call
        ("`a${now}`", "join"),
        ("now + 1", "add"),
        ("now - 1", "subtract"),
        ("now * 2", "multiply"),
        ("now / 2", "divide"),
        ("now % 2", "remainder"),
        ("-now", "negative"),
        ("+name", "positive"),
        ("typeof data", "payload_value type_name"),
        ("_('a')", "record"),
    ],
)
def test_an_expression_calls_no_more_than_it_needs(source: str, called: str) -> None:
    assert functions_called_by(source) == set(called.split())
