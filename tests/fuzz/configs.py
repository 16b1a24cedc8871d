"""The config, users files and the YAML reader below both: a file means what it looks like, or every problem has its place (T20, T31)."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any, Final

import attrs

from tests.fuzz.target import Target, text
from trio_router import documents
from trio_router.auth import registry, userfile
from trio_router.auth.strategy import StrategyType
from trio_router.config.load import load_text
from trio_router.config.schema import Config
from trio_router.errors import ConfigError, Problem, ProblemsError

BASE: Final = Path(tempfile.gettempdir()) / "there-is-no-such-folder"
BUILT_IN: Final = frozenset({"open", "users", "webhook", "jwt", "key", "access"})
SECRET: Final = "correct-horse-battery-staple-and-some-more-words-of-salt"
ENVIRON: Final = {"SECRET": SECRET}
LONGEST_KEY: Final = 1000
"""Characters; YAML looks no further for the colon behind a key (its specification says 1024)."""


def config(data: bytes) -> bool:
    """A config, or its problems; neither shows a secret."""
    source = text(data)
    try:
        loaded = load_text(source, base=BASE, environ=ENVIRON, strategies=_strategy)
    except ConfigError as error:
        assert not any(SECRET in problem for problem in _problems(error, source))
        return False
    assert isinstance(loaded, Config)
    assert SECRET not in repr(loaded)
    return True


def _strategy(name: str) -> StrategyType:
    """The built-in ones alone: a dotted path of a fuzzer's making is not to be imported."""
    if name not in BUILT_IN:
        raise ConfigError(Problem(f"there is no strategy {name!r}"))
    return registry.load(name)


def _problems(error: ProblemsError, source: str) -> tuple[str, ...]:
    assert error.problems
    lines = len(re.split("\r\n|[\n\r\x85\u2028\u2029]", source))
    for problem in error.problems:
        assert problem.message
        assert 0 <= problem.line <= lines + 1, problem
    return tuple(map(str, error.problems))


def document(data: bytes) -> bool:
    """What was read can be written as JSON, which is YAML too, and is then the same."""
    source = text(data)
    try:
        value = documents.read(source, "a.yml").plain()
    except documents.DocumentError as error:
        _problems(error, source)
        return False
    if _longest_key(value) > LONGEST_KEY:
        return True
    written = json.dumps(value, ensure_ascii=False)
    written = re.sub("[\x7f-\uffff]", lambda found: f"\\u{ord(found[0]):04x}", written)
    assert documents.read(written, "a.json").plain() == value
    return True


def _longest_key(value: Any) -> int:
    if isinstance(value, list):
        return max(map(_longest_key, value), default=0)
    if isinstance(value, dict):
        return max((max(len(json.dumps(key)), _longest_key(item)) for key, item in value.items()), default=0)
    return 0


def users(data: bytes) -> bool:
    """Users or the problems of their file."""
    source = text(data)
    try:
        userfile.read(source, "users.yml")
    except ConfigError as error:
        _problems(error, source)
        return False
    return True


_YAML: Final = ("- ", ": ", "{", "}", "[", "]", ", ", "\n", "  ", "'", '"', "|\n ", ">-\n ", "# x\n", "&a", "*a", "!!str", "<<: ", "---\n", "...", "? ",
                "0o7", "1_000", "1e9", ".inf", "~", "yes", "%YAML 1.1\n", "\t", "\\x7f", "\\U0001F600")  # fmt: skip
_SECTIONS: Final = (*(field.name + ": " for field in attrs.fields(Config)), "strategy: ", *(f"strategy: {name}\n" for name in sorted(BUILT_IN)),
                    "port: ", "origins: ", "${SECRET}", "${file:x}", "$${", "5s", "10 MiB", "url: http://127.0.0.1/", "rates: ")  # fmt: skip

TARGETS: Final = (
    Target("config", config, (*_SECTIONS, *_YAML), also=("tests/broken/config/*.yml", "examples/*/config.yml")),
    Target("documents", document, _YAML, also=("tests/broken/config/*.yml",)),
    Target(
        "users_file",
        users,
        ("password: ", "password_hash: ", "data: ", "client_data: ", "disabled: ", *_YAML),
        also=("tests/broken/users/*",),
    ),
)
