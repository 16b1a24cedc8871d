"""Nothing secret is compared by ``==``, whose time tells how much of a guess was right (T53)."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "trio_router"
MODULES = sorted(PACKAGE.rglob("*.py"))

SECRET_NAMES = re.compile(
    r"(^|_)(secrets?|passwords?|passwd|passphrase|signatures?|mac|hmac|digest|api_?key|credential|proof)$"
)
TOKEN_NAMES = re.compile(r"(^|_)token$")
SECRET_CALLS = {"reveal", "reveal_bytes", "digest", "hexdigest"}
LEXERS = {"permissions", "protocols"}  # where a token is a word of a language


def suspicious(source: str, *, tokens: bool = True) -> list[int]:
    """The lines on which a secret, by its name or by the call that reveals it, is compared by == or != or ``in``.

    Comparing with a literal or a constant is a question about presence or kind, not a guess.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            for operator, (left, right) in zip(node.ops, itertools.pairwise(operands), strict=True):
                if isinstance(operator, ast.Eq | ast.NotEq):
                    guess = not (_literal(left) or _literal(right)) and (
                        _secret(left, tokens) or _secret(right, tokens)
                    )
                else:
                    guess = isinstance(operator, ast.In | ast.NotIn) and _revealed(left)
                if guess:
                    found.append(node.lineno)
    return found


def _literal(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def _revealed(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SECRET_CALLS


def _secret(node: ast.expr, tokens: bool) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return _revealed(node) or bool(SECRET_NAMES.search(name)) or (tokens and bool(TOKEN_NAMES.search(name)))


@pytest.mark.threat("T53")
@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_secret_is_compared_by_equality(path: Path) -> None:
    assert suspicious(path.read_text(), tokens=path.relative_to(PACKAGE).parts[0] not in LEXERS) == []


@pytest.mark.threat("T53")
@pytest.mark.parametrize(
    "line",
    [
        "secret == given",
        "given != options.secret",
        "admin.token == text",
        "user.password == other",
        "secret.reveal() == text",
        "text == secret.reveal_bytes()",
        "hmac.new(k, m, h).hexdigest() == signature",
        "a == b == expected_mac",
        "text.reveal() in known",
        "not (api_key == other)",
    ],
)
def test_the_check_sees_what_it_looks_for(line: str) -> None:
    assert suspicious(line) == [1]


@pytest.mark.parametrize(
    "line",
    [
        "secret is None",
        "token == ''",
        "kind == 'password'",
        "secret.matches(text)",
        "hmac.compare_digest(a, b)",
        "machine == b",
    ],
)
def test_the_check_leaves_the_rest_alone(line: str) -> None:
    assert suspicious(line) == []
