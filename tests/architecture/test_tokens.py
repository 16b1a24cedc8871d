"""What may be said to the token library, and by whom: held over the syntax trees, because a slip here verifies nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "trio_router"
WRAPPER = PACKAGE / "tokens/jwt.py"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "plugins").glob("*/*/**/*.py")])


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> Iterator[str]:
    """Full names: ``jose.jws`` for ``from jose import jws`` and for ``import jose.jws``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def users_of(name: str) -> set[str]:
    """The modules in which ``name`` is called or read as an attribute."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name)
    }


@pytest.mark.threat("T38")
def test_one_module_imports_jose_and_little_of_it() -> None:
    found = {path: {name for name in imported(path) if name.split(".")[0] == "jose"} for path in SOURCES}
    assert {path for path, names in found.items() if names} == {WRAPPER}
    assert found[WRAPPER] == {
        "jose.jws",
        "jose.backends.ECKey",
        "jose.backends.HMACKey",
        "jose.backends.RSAKey",
        "jose.backends.base.Key",
        "jose.backends.cryptography_backend.CryptographyECKey",
        "jose.backends.cryptography_backend.CryptographyHMACKey",
        "jose.backends.cryptography_backend.CryptographyRSAKey",
        "jose.exceptions.JOSEError",
    }


@pytest.mark.threat("T42")
@pytest.mark.threat("T38")
def test_of_its_functions_two_are_called_and_always_with_a_key_and_an_algorithm() -> None:
    """No ``jwt.decode``, nothing of ``jwe``, nothing unverified."""
    calls = [
        node
        for node in ast.walk(tree(WRAPPER))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "jws"
    ]
    assert sorted(ast.unparse(call.func) for call in calls) == ["jws.sign", "jws.verify"]
    arguments = {
        ast.unparse(call.func): {word.arg: ast.unparse(word.value) for word in call.keywords} for call in calls
    }
    assert arguments["jws.verify"] == {"algorithms": "[token.algorithm]"}
    assert arguments["jws.sign"]["algorithm"] == "key.algorithm"


@pytest.mark.threat("T45")
def test_claims_are_made_in_one_place_and_of_a_signed_payload() -> None:
    assert users_of("SignedPayload") == {"trio_router/tokens/jwt.py"}
    # A Trust is made of Claims, by the verifier that has compared what they bind.
    assert users_of("__attrs_init__") == {"trio_router/tokens/claims.py", "trio_router/tokens/trust.py"}
    assert "trio_router/tokens/claims.py" not in users_of("SignedPayload")
    makers = [
        path
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Claims", "claims.Claims"}
    ]
    assert makers == []


@pytest.mark.threat("T40")
@pytest.mark.threat("T45")
def test_what_is_unverified_is_read_by_the_verifier_alone() -> None:
    leaves_it_to_others = "trio_router/tokens/access.py"  # asks which key a token says it is of, to look that key up
    assert users_of("unverified_payload") == {
        "trio_router/tokens/compact.py",
        "trio_router/tokens/jwt.py",
        leaves_it_to_others,
    }
    assert users_of("unverified_issuer") == {"trio_router/auth/jwt.py"}


@pytest.mark.threat("T40")
@pytest.mark.parametrize("module", ["compact", "claims", "jwt", "keys", "jwks"])
def test_tokens_open_no_connection(module: str) -> None:
    names = {name.split(".")[0] for name in imported(PACKAGE / f"tokens/{module}.py")}
    assert not names & {"httpx", "urllib", "http", "socket", "ssl", "requests", "aiohttp"}
