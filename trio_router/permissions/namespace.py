"""Which name patterns of a rules file can match a name at all.

A pattern none of whose names can exist is a mistake of its author that would deny in silence, so it is refused. The
grammar of names is in ``names``; this module only asks it of the parts of a pattern that are certain.
"""

from __future__ import annotations

from typing import Final

from trio_router import names
from trio_router.patterns import Literal, Pattern, PatternError

_KINDS: Final = {"rpc": names.PROCEDURE_KINDS}


def check_pattern(section: str, pattern: Pattern) -> None:
    """Returns if some name of ``section`` may match ``pattern``.

    Raises:
        PatternError: none can; says why and where.
    """
    user_ids = section == "presence"
    alphabet, longest = (
        (names.USER_ID_CHARACTERS, names.MAX_USER_ID) if user_ids else (names.NAME_CHARACTERS, names.MAX_NAME)
    )
    if pattern.literal_length + len(pattern.variables) > longest:
        raise PatternError(f"a name has at most {longest} characters", 0)
    for token in pattern.tokens:
        if isinstance(token, Literal):
            for at, letter in enumerate(token.text, token.position):
                if letter not in alphabet:
                    raise PatternError(f"the character {letter!a} {_in_no_name(letter, user_ids=user_ids)}", at)
    if not user_ids:
        _check_segments(pattern.text)
        _check_kind(pattern, _KINDS.get(section, names.CHANNEL_KINDS))


def _in_no_name(letter: str, *, user_ids: bool) -> str:
    if user_ids:
        return "stands in no user id" + (", and the names of presence are user ids" if letter == "/" else "")
    return "stands in no name"


def _check_segments(text: str) -> None:
    at = 0
    for segment in text.split("/"):
        if not segment:
            raise PatternError(
                "a name has no empty segment: it does not start or end with / or hold //", min(at, len(text) - 1)
            )
        if segment.endswith("."):
            raise PatternError("a segment of a name does not end with a dot", at + len(segment) - 1)
        at += len(segment) + 1


def _check_kind(pattern: Pattern, kinds: frozenset[str]) -> None:
    kind, colon, rest = pattern.prefix.partition(":")
    if not colon:
        return
    if kind not in kinds:
        raise PatternError(f"the part before the first : is a kind, one of {', '.join(sorted(kinds))}", 0)
    if not rest and pattern.is_literal:
        raise PatternError("a name has something after its kind", len(pattern.text) - 1)
