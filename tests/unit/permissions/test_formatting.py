"""One way to write a rules file: comments stay, the meaning stays, and doing it twice changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.errors import RuleError
from trio_router.permissions import formatting
from trio_router.permissions.formatting import format_rules
from trio_router.permissions.layout import broken, lay_out

ROOT = Path(__file__).parents[3]
PAIRS = dict(
    block.removesuffix("\n").partition("\n")[::2]
    for block in (Path(__file__).parent / "formatted.txt").read_text().removeprefix("==== ").split("\n==== ")
)
"""By what they are about: a file, and below a line of dashes what comes out of it. \u240d is a carriage return."""

WRITTEN = """\
# top of file

# about rpc
rpc:
    "add":   # adding
       request: "typeof data.a===\\"number\\"&&data.b<3"
       # provide: true

event:
  news/*:
    # who reads
    subscribe: true


    publish: "user.data.role === 'editor' && data.title.length <= 80 && user.data.shop === 'x' && data.a <= 80" # long
  "a/$b": {publish: {rule: "!  data.x", reason: "no it's"}, subscribe: false}
  # after a
# the end
"""
FORMATTED = """\
# top of file

event:
  "news/*":
    # who reads
    subscribe: true

    publish: >-  # long
      user.data.role === 'editor'
      && data.title.length <= 80
      && user.data.shop === 'x'
      && data.a <= 80
  "a/$b":
    publish:
      rule: "!data.x"
      reason: "no it's"
    subscribe: false
  # after a

# about rpc
rpc:
  "add":  # adding
    request: "typeof data.a === 'number' && data.b < 3"
    # provide: true

# the end
"""


def test_a_file_is_written_in_the_one_way() -> None:
    assert format_rules(WRITTEN, "rules.yml") == FORMATTED
    assert format_rules(FORMATTED, "rules.yml") == FORMATTED


@pytest.mark.parametrize("about", PAIRS)
def test_a_file_comes_out_with_its_comments_blank_lines_and_quotes(about: str) -> None:
    written, _, formatted = PAIRS[about].replace("\u240d", "\r").partition("---- comes out as\n")
    assert format_rules(written, "rules.yml") == formatted + "\n"
    assert format_rules(formatted, "rules.yml") == formatted + "\n"


@pytest.mark.parametrize(
    ("written", "laid_out"),
    [
        ("a===b", "a === b"),
        ("!  ( a&&b )||c", "!(a && b) || c"),
        ('data . x [ 0 ] [ "k" ]', "data.x[0]['k']"),
        ("""data.x === "it's" """, """data.x === "it's\""""),
        ('data.x === "\\n"', 'data.x === "\\n"'),
        ("typeof  data==='string'", "typeof data === 'string'"),
        ("typeof(data)==='string'", "typeof (data) === 'string'"),
        ("data.x>-1&&- 1<data.y", "data.x > -1 && -1 < data.y"),
        ("- -data.x", "- -data.x"),
        ("data.x- -1", "data.x - -1"),
        ("data.x?1:2", "data.x ? 1 : 2"),
        ("data.x?.5:.3", "data.x ? .5 : .3"),
        ("data?.x??null", "data?.x ?? null"),
        ("data.x.indexOf( 'a','b' )", "data.x.indexOf('a', 'b')"),
        ("/a b\\/[/]/i.test(data.x)", "/a b\\/[/]/i.test(data.x)"),
        ("data.a/data.b/2", "data.a / data.b / 2"),
        ("`a  ${ data.x+`}` }`+1", "`a  ${ data.x+`}` }` + 1"),
        ("['a','b'].includes( user.id )", "['a', 'b'].includes(user.id)"),
        ("'a'in data", "'a' in data"),
        ("1e+5<data.n", "1e+5 < data.n"),
        ("_('a/'+data.id).n>0", "_('a/' + data.id).n > 0"),
        ("1 .a", "1 .a"),
        ("1 ?. a", "1?.a"),
        ("a ?. [ 0 ]", "a?.[0]"),
        ("! ( a )", "!(a)"),
        ("- ( a )", "-(a)"),
        ("+ [ 1 ]", "+[1]"),
        ("a && ( b )", "a && (b)"),
        ("a in [ 1 ]", "a in [1]"),
        ("( a ) ( b )", "(a)(b)"),
        ("[ 1 ] [ 0 ]", "[1][0]"),
        ("! ! a", "!!a"),
        ("- + a", "-+a"),
        ("+ + a", "+ +a"),
        ("+ - a", "+-a"),
        ("! - a", "!-a"),
        ("- ! a", "-!a"),
        ("a + + b", "a + +b"),
        ("a--b", "a - -b"),
        ("a*-1", "a * -1"),
        ("[-1,+2,!3]", "[-1, +2, !3]"),
        ("typeof- a", "typeof -a"),
        ("typeof typeof a", "typeof typeof a"),
        ("typeof[1]", "typeof [1]"),
        ("typeof /a/", "typeof /a/"),
        ("'a' in /b/.c", "'a' in /b/.c"),
        ('""', "''"),
        ('"\'"', '"\'"'),
        ("'\"'", "'\"'"),
        ("'a'+\"b\"", "'a' + 'b'"),
        ('"a', '"a'),
        ('"', '"'),
        ('`"`', '`"`'),
        ("1E-5-1", "1E-5 - 1"),
        ("5.+1", "5. + 1"),
        (".5.5", ".5.5"),
        ("0x1f", "0x1f"),
        ("a1$_b", "a1$_b"),
        ("a===b!==c==d!=e<=f>=g&&h||i??j", "a === b !== c == d != e <= f >= g && h || i ?? j"),
        ("a<b>c=d", "a < b > c = d"),
        ("a**b*c/d%e", "a ** b * c / d % e"),
        ("a?.b:c", "a?.b : c"),
        ("a?b?.c:d", "a ? b?.c : d"),
        (r"'a\'b'+c", r"'a\'b' + c"),
        (r"/[\]/]/+c", r"/[\]/]/ + c"),
        ("/[[]/+c", "/[[]/ + c"),
        ("/a/gi .test( b )", "/a/gi.test(b)"),
        ("(a)/b/c", "(a) / b / c"),
        ("[a]/b/c", "[a] / b / c"),
        ("1/2/3", "1 / 2 / 3"),
        ("'a'/b/c", "'a' / b / c"),
        ("`${'}'}`+d", "`${'}'}` + d"),
        ("`${`}`}`+d", "`${`}`}` + d"),
        ("`${a}${b}`+d", "`${a}${b}` + d"),
        (r"`\`${a}`+d", r"`\`${a}` + d"),
        ("`a${b", "`a${b"),
        ("X+X-1X+1", "X + X - 1X + 1"),
        ("`${X}`+X", "`${X}` + X"),
        ("/[X/]/i+a", "/[X/]/i + a"),
        ("/a", "/a"),
        ("'a", "'a"),
        ("\ta\n\nb ", "a b"),
        ("a;b", "a ; b"),
    ],
)
def test_one_spacing(written: str, laid_out: str) -> None:
    assert lay_out(written) == laid_out
    assert lay_out(laid_out) == laid_out


@given(st.text(alphabet="ab$1. \t()[]!=&|<>+-*/%?:,'\"`\\{}", max_size=40))
@settings(max_examples=300, deadline=None)
def test_whatever_is_laid_out_comes_to_rest(text: str) -> None:
    once = lay_out(text)
    assert "".join(once.split()).replace('"', "'") == "".join(text.split()).replace('"', "'")
    broken(once)


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a&&b", ["a", "&& b"]),
        ("a && (b || c) || d && e", ["a && (b || c)", "|| d && e"]),
        ("a || b ?? c", ["a", "|| b", "?? c"]),
        ("a ? b && c : d", ["a", "? b && c", ": d"]),
        ("a ? b || c : d ? e : f", ["a", "? b || c", ": d", "? e", ": f"]),
        ("(a ? b : c) || d", ["(a ? b : c)", "|| d"]),
        ("a && (b && (c && d)) && e", ["a", "&& (b && (c && d))", "&& e"]),
        ("a[b && c] && d", ["a[b && c]", "&& d"]),
        ("a.includes(b && c)", ["a.includes(b && c)"]),
        ("[a || b][0]", ["[a || b][0]"]),
        ("'a && b'", ["'a && b'"]),
    ],
)
def test_a_long_expression_is_broken_at_what_binds_least(expression: str, lines: list[str]) -> None:
    assert broken(expression) == lines


@pytest.mark.parametrize(
    "rule",
    [
        "data.x === 'a\"b'",
        "data.x === \"it's\" && data.y === '\"'",
        "data.x === '\\\\d' && data.y === '\\u00e9'",
        "data.x === '  two  spaces  ' && " + " && ".join(f"data.key{n} === 'a value'" for n in range(9)),
        "data.x === '#' || data.y === ': '",
    ],
)
def test_quotes_and_special_letters_keep_their_meaning(rule: str) -> None:
    text = json.dumps({"event": {"a/$b": {"publish": rule}}})
    once = format_rules(text, "rules.yml")
    assert format_rules(once, "rules.yml") == once


def test_options_stand_before_sections() -> None:
    text = "event:\n  a:\n    publish: action===2\n# ten\nactions: numeric # old\n"
    once = format_rules(text, "rules.yml")
    assert once == '# ten\nactions: numeric  # old\n\nevent:\n  "a":\n    publish: "action === 2"\n'
    assert format_rules(once, "rules.yml") == once


def test_a_refused_file_is_not_formatted() -> None:
    with pytest.raises(RuleError, match=r"rules\.yml:1:22: event \"a\" publish: unknown name dat"):
        format_rules("event: {a: {publish: dat}}", "rules.yml")


def test_a_comment_ends_with_its_last_letter() -> None:
    assert format_rules("event: {a: {publish: true}} # why \t \n", "r") == 'event:\n  "a":\n    publish: true  # why\n'


SIMPLE = """\
event:
  "a": # why
    publish: "user.id==='a'"
    subscribe: {rule: false, reason: "no"}
"""


@pytest.mark.parametrize(
    "other",
    [
        "event: {a: {publish: user.id === 'b', subscribe: {rule: false, reason: no}}} # why",
        "event: {a: {publish: false, subscribe: {rule: false, reason: no}}} # why",
        "event: {a: {publish: user.id === 'a', subscribe: {rule: true, reason: no}}} # why",
        "event: {a: {publish: user.id === 'a', subscribe: {rule: false, reason: yes}}} # why",
        "event: {a: {publish: user.id === 'a', subscribe: false}} # why",
        "event: {a: {publish: user.id === 'a', listen: {rule: false, reason: no}}} # why",
        "event: {a: {publish: user.id === 'a'}} # why",
        "event: {a: {publish: user.id === 'a', subscribe: {rule: false, reason: no}, listen: true}} # why",
        "event: {a: {subscribe: {rule: false, reason: no}, publish: user.id === 'a'}} # why",
        "event: {b: {publish: user.id === 'a', subscribe: {rule: false, reason: no}}} # why",
        "record: {a: {write: user.id === 'a', read: {rule: false, reason: no}}} # why",
        "actions: numeric # why\nevent: {a: {publish: user.id === 'a', subscribe: {rule: false, reason: no}}}",
        "event: {a: {publish: user.id === 'a', subscribe: {rule: false, reason: no}}}",
        "event: {a: {publish: user.id === 'a', subscribe: {rule: false, reason: no}}} # why # not\n# more",
        "event: {a: {publish: user.id = 'a', subscribe: {rule: false, reason: no}}} # why",
    ],
)
def test_what_means_something_else_is_thrown_away(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatting, "_written", lambda *_: other)
    with pytest.raises(RuleError) as caught:
        format_rules(SIMPLE, "rules.yml")
    assert str(caught.value) == "rules.yml: the file cannot be formatted without changing what it means"


def test_an_expression_whose_layout_would_mean_something_else_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formatting, "lay_out", lambda expression: expression.replace("a", "b"))
    assert "publish: \"user.id==='a'\"" in format_rules(SIMPLE, "rules.yml")


def test_yaml_that_is_read_but_cannot_be_searched_for_comments_is_not_formatted() -> None:
    with pytest.raises(RuleError) as caught:
        format_rules("event: {a: {publish:\ttrue}}", "rules.yml")
    assert str(caught.value) == "rules.yml: this YAML cannot be formatted"


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("examples/*/rules.yml"), *ROOT.glob("trio_router/cli/templates/rules.yml")]), ids=str
)
def test_every_rules_file_of_the_project_can_be_formatted(path: Path) -> None:
    once = format_rules(path.read_text(), str(path))
    assert format_rules(once, str(path)) == once


COMMENTS = st.sampled_from(["", "# c", "  # c", "     # deep", "    # four"])
RULES = st.sampled_from(
    ["true", "false", "\"user.id==='a'\"", "{rule: user.isAuthenticated, reason: no}", ">\n      !data"]
)


@st.composite
def files(draw: st.DrawFn) -> str:
    lines: list[str] = []

    def maybe() -> None:
        for comment in draw(st.lists(COMMENTS, max_size=2)):
            lines.append(comment)

    for section, verbs in draw(
        st.permutations([("event", ["publish"]), ("rpc", ["request"]), ("record", ["write", "read"])])
    ):
        maybe()
        lines.append(f"{section}:{draw(st.sampled_from(['', ' # s']))}")
        for pattern in draw(st.lists(st.sampled_from(["a", "b/*", "'c/$d'"]), min_size=1, unique=True)):
            maybe()
            lines.append(f"  {pattern}:")
            for verb in verbs:
                maybe()
                rule = draw(RULES)
                if verb == "read" and "data" in rule:
                    rule = "true"
                tail = "" if "\n" in rule else draw(st.sampled_from(["", " # t"]))
                lines.append(f"    {verb}: {rule}{tail}")
    maybe()
    return "\n".join(lines) + "\n"


@given(files())
@settings(max_examples=100, deadline=None)
def test_formatting_keeps_rules_and_comments_and_comes_to_rest(text: str) -> None:
    # That the rules are the same is checked by the formatter itself, which refuses otherwise.
    once = format_rules(text, "rules.yml")
    assert format_rules(once, "rules.yml") == once
    assert once.count("# ") == text.count("# ")
