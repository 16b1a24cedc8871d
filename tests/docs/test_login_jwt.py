"""The pages about the jwt strategy say what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml

from tests.unit.tokens.material import SECRET, ec_key, public_pem
from trio_router.auth.jwt import JwtStrategy, JwtType
from trio_router.auth.jwt_options import JwtOptions
from trio_router.auth.token_sources import parse_source
from trio_router.config.structure import Structurer
from trio_router.testing.strategies import services
from trio_router.tokens.compact import REFUSED_HEADERS
from trio_router.tokens.jwt import ALGORITHMS

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference/login-jwt.md").read_text()
HOWTO = (ROOT / "docs/howto/log-in-with-jwt.md").read_text()
SOURCES = [
    "auth/jwt.py",
    "auth/jwt_options.py",
    "tokens/compact.py",
    "tokens/claims.py",
    "tokens/jwt.py",
    "tokens/keys.py",
]


def table(heading: str) -> list[list[str]]:
    """The cells of the first table after ``heading``, without its two first lines."""
    lines = REFERENCE.partition(f"# {heading}\n")[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| "))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def default(field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return "required"
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        return f"`[{', '.join(field.default.factory())}]`"  # type: ignore[union-attr]
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default:g}`" if isinstance(field.default, float) and field.default < 1e5 else f"`{field.default}`"


def test_every_option_is_described_with_its_default() -> None:
    described = [(row[0].strip("`"), row[1]) for row in table("Options")]
    assert described == [(field.name, default(field)) for field in attrs.fields(JwtOptions)]


def slugs() -> set[str]:
    found = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse((ROOT / "trio_router" / source).read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"TokenInvalid", "Denied"}:
                found |= {arg.value for arg in ast.walk(node.args[0]) if isinstance(arg, ast.Constant)}
    return {slug for slug in found if slug is not None}


def test_every_reason_is_described() -> None:
    described = {row[1].strip("`") for row in table("Answers") if row[0] == "denied"}
    assert described == slugs()


def test_every_place_is_described() -> None:
    names = [name for row in table("Where the token is") for name in re.findall(r"`([^`]+)`", row[0])]
    kinds = {name.partition(":")[0] for name in names}
    assert kinds == {"login", "authorization", "cookie", "subprotocol", "query"}
    for name in names:
        parse_source(name)


def test_algorithms_and_refused_headers_are_complete() -> None:
    assert all(name in REFERENCE for name in ALGORITHMS)
    assert all(f"`{name}`" in REFERENCE for name in REFUSED_HEADERS)


EXAMPLES = re.findall(r"```yaml\n(login:.*?)```", HOWTO, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_builds(example: str, tmp_path: Path) -> None:
    for name in ("issuer.pem", "issuer-2024.pem", "issuer-2025.pem"):
        (tmp_path / name).write_bytes(public_pem(ec_key()))
    (step,) = yaml.safe_load(example.replace("${CHAT_JWT_SECRET}", SECRET.decode()))["login"]
    assert step.pop("strategy") == "jwt"
    options = Structurer(tmp_path).structure(step, JwtOptions)
    assert isinstance(JwtType().build(options, services(tmp_path)), JwtStrategy)


def test_the_example_that_signs_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", HOWTO, re.DOTALL)
    monkeypatch.setenv("CHAT_JWT_SECRET", SECRET.decode())
    found: dict[str, Any] = {}
    exec(source, found)
    assert found["token"].count(".") == 2
