"""How the text of an expression falls into tokens: as JavaScript reads it. Its errors are in ``test_grammar``."""

from __future__ import annotations

import pytest

from trio_router.permissions.lexer import Token, tokens


def pieces(source: str, kind: str = "") -> list[str]:
    """What the tokens of ``source``, or those of one kind, look like in it."""
    return [source[token.start : token.end] for token in tokens(source)[:-1] if kind in ("", token.kind)]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("0", 0), ("7", 7), ("10", 10), ("9007199254740991", 2**53 - 1),
        ("1.5", 1.5), ("0.25", 0.25), (".5", 0.5), ("5.", 5.0), ("1.0", 1.0),
        ("1e3", 1000.0), ("2E+1", 20.0), ("25e-1", 2.5), (".5e1", 5.0), ("5.e1", 50.0), ("1E5", 100_000.0),
        ("9007199254740992", 2.0**53), ("9007199254740993", 2.0**53), ("1.7976931348623157e308", 1.7976931348623157e308),
    ],
)  # fmt: skip
def test_a_number_is_whole_where_that_is_exact(source: str, value: float) -> None:
    assert tokens(source) == [
        Token("number", value, 0, len(source)),
        Token("end", "", len(source), len(source)),
    ]
    assert type(tokens(source)[0].value) is type(value)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("''", ""),
        ("'aXb'", "aXb"),
        ('"b c"', "b c"),
        (r"'it\'s'", "it's"),
        ('"\'`${"', "'`${"),
        (r"'\n\t\r\b\f\v\0\/\`\$\{\}\\\"'", '\n\t\r\b\f\v\0/`${}\\"'),
        (r"'\0a\0'", "\0a\0"),
        (r"'\x41\u0042\u{43}\u{1f600}\u{00044}\u{10FFFF}\xe9\xAF'", "ABC\U0001f600D\U0010ffff\u00e9\u00af"),
        (r"'\u{41}}'", "A}"),
        (r"'\ud83d\ude00'", "\U0001f600"),
        ("'\u2028\u2029\x0b\u00e9'", "\u2028\u2029\x0b\u00e9"),
    ],
)
def test_a_text_stands_for_what_its_escapes_say(source: str, value: str) -> None:
    assert tokens(source)[:-1] == [Token("text", value, 0, len(source))]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ""),
        ("\ta\u00a0_b\ufeff\u2028$c9\v\f\r\nXtypeof\u2029", "a _b $c9 Xtypeof"),
        ("=== !== ... ** == != <= >= && || ?. ?? => << >> ++ --", "=== !== ... ** == != <= >= && || ?. ?? => << >> ++ --"),
        ("( ) [ ] { } . , ; : ? ! < > = + - * % & | ^ ~", "( ) [ ] { } . , ; : ? ! < > = + - * % & | ^ ~"),
        ("a===b!==!c", "a === b !== ! c"),
        ("a====b", "a === = b"),
        ("a<=-1", "a <= - 1"),
        ("a..b", "a . . b"),
        ("a.b .5 1.5.5", "a . b .5 1.5 .5"),
        ("a??b?.c?d:e", "a ?? b ?. c ? d : e"),
        ("a?.5:b", "a ? .5 : b"),
        ("'a'\"b\"c", "'a' \"b\" c"),
        (".a", ". a"),
        (".", "."),
    ],
)  # fmt: skip
def test_tokens_are_as_long_as_they_can_be(source: str, expected: str) -> None:
    assert " ".join(pieces(source)) == expected
    assert all(
        token.value == source[token.start : token.end] for token in tokens(source) if token.kind in ("word", "operator")
    )
    assert tokens(source)[-1] == Token("end", "", len(source), len(source))


@pytest.mark.parametrize(
    ("source", "regexes"),
    [
        # where a value must follow
        ("/aXb/", ["/aXb/"]),
        (" / a/", ["/ a/"]),
        ("/a/ims.test", ["/a/ims"]),
        (r"/a\/b/", [r"/a\/b/"]),
        (r"/[/]a[^\]/]/", [r"/[/]a[^\]/]/"]),
        ("/[[]/ [a", ["/[[]/"]),
        ("/]/ [a", ["/]/"]),
        ("/=/", ["/=/"]),
        ("typeof /a/", ["/a/"]),
        ("b in /a/", ["/a/"]),
        ("'.' in /a/", ["/a/"]),
        ("(/a/)", ["/a/"]),
        ("[/a/, /b/]", ["/a/", "/b/"]),
        ("!/a/", ["/a/"]),
        ("b ? /a/ : /b/", ["/a/", "/b/"]),
        ("`${/a/}`", ["/a/"]),
        ("8 / /a/", ["/a/"]),
        # where an operator must follow
        ("a / b / c", []),
        ("a.in / b?.typeof / c", []),
        (".in / b", []),
        ("1 / 2 / 3", []),
        ("'a' / 2 / 3", []),
        ("(a) / 2 / 3", []),
        ("[a] / 2 / 3", []),
        ("`a` / 2 / 3", []),
        ("`a${b}` / 2 / 3", []),
        ("`${a / b / c}`", []),
        ("} / 2", []),
        ("/a/ / 2 / 3", ["/a/"]),
    ],
)
def test_a_slash_divides_unless_a_value_must_follow(source: str, regexes: list[str]) -> None:
    assert pieces(source, "regex") == regexes
    for token in tokens(source):
        if token.kind == "regex":
            assert f"/{token.value}/{token.flags}" == source[token.start : token.end]


@pytest.mark.parametrize(
    ("source", "expected", "chunks"),
    [
        ("``", ["`", "", "`"], [""]),
        ("`aXb`", ["`", "aXb", "`"], ["aXb"]),
        ("`a${b}c${'d'}`", ["`", "a", "${", "b", "}", "c", "${", "'d'", "}", "", "`"], ["a", "c", ""]),
        ("`${a}${b}`+c", ["`", "", "${", "a", "}", "", "${", "b", "}", "", "`", "+", "c"], ["", "", ""]),
        ("`a${`b${c}`}d`", ["`", "a", "${", "`", "b", "${", "c", "}", "", "`", "}", "d", "`"], ["a", "b", "", "d"]),
        ("`$a{b}$$`", ["`", "$a{b}$$", "`"], ["$a{b}$$"]),
        ("`'\"\n\r\n\r x`", ["`", "'\"\n\r\n\r x", "`"], ["'\"\n\n\n x"]),
        (r"`\`\${\$\u0041\ud83d\ude00`", ["`", r"\`\${\$\u0041\ud83d\ude00", "`"], ["`${$A\U0001f600"]),
        ("`a`}", ["`", "a", "`", "}"], ["a"]),
    ],
)  # fmt: skip
def test_a_template_is_texts_with_values_between_them(source: str, expected: list[str], chunks: list[str]) -> None:
    assert pieces(source) == expected
    assert [token.value for token in tokens(source) if token.kind == "chunk"] == chunks
    assert {token.value for token in tokens(source) if token.kind == "operator"} <= set("`+}") | {"${"}
