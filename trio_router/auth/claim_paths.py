"""Which claims become what: the config's ``user_id``, ``user_data`` and ``client_data``.

A path is a claim's name as it stands (``https://example.com/roles`` is one name) or, when it begins with ``/``, a JSON
Pointer (RFC 6901) into nested objects (``/realm_access/roles``). Only members of objects are followed: no index, no
attribute, nothing computed (T18). A claim that is not there gives nothing, which rules then see as undefined.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

MISSING: Final = object()

PathOptions = str | list[str] | dict[str, str]
"""One path, several, or what to call each: a path alone is called by its last part."""

_BAD_ESCAPE: Final = re.compile(r"~(?![01])")


@attrs.frozen
class ClaimPath:
    """The way to one claim, outermost name first."""

    steps: tuple[str, ...]

    def find(self, claims: Mapping[str, Any]) -> Any:
        """The value there, or ``MISSING``."""
        value: Any = claims
        for step in self.steps:
            if not isinstance(value, Mapping) or step not in value:
                return MISSING
            value = value[step]
        return value


def parse_path(text: str) -> ClaimPath:
    """The path that ``text`` spells.

    Raises:
        ValueError: it is empty or no JSON Pointer.
    """
    if not text:
        raise ValueError("a claim's name must not be empty")
    if not text.startswith("/"):
        return ClaimPath((text,))
    if _BAD_ESCAPE.search(text):
        raise ValueError(f"{text!r}: in a path that begins with a slash, ~ is written ~0 and a slash in a name ~1")
    return ClaimPath(tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")))


def parse_paths(options: PathOptions) -> dict[str, ClaimPath]:
    """The paths in ``options`` by the name each claim gets.

    Raises:
        ValueError: a path is wrong, or two claims get the same name.
    """
    if isinstance(options, dict):
        return {name: parse_path(text) for name, text in options.items()}
    paths = [parse_path(text) for text in ([options] if isinstance(options, str) else options)]
    named = {path.steps[-1]: path for path in paths}
    if len(named) != len(paths):
        raise ValueError("two claims have the same name here: write a mapping of names to claims")
    return named


def pick(paths: Mapping[str, ClaimPath], claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims that are there, under their names."""
    found = {name: path.find(claims) for name, path in paths.items()}
    return {name: value for name, value in found.items() if value is not MISSING}
