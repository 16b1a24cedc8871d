"""What a pattern to listen with means: a regular expression in JavaScript's notation, found anywhere in a channel's name.

The dialect is that of the rules (:mod:`trio_router.permissions.regexes`): a subset without look-around and back-references, whose
searches take time in proportion to the text (T30). It knows no session and no rule.

The rule that keeps it honest: a pattern reaches channels of one kind only, the one it spells out at its beginning, as in
``^pvt:room/``; all others reach public channels, so ``.*`` never finds a ``pvt:`` or ``sys:`` name (T26).
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from trio_router.names import CHANNEL_KINDS, kind_of
from trio_router.permissions.decision import Action
from trio_router.permissions.regexes import Regex, RegexError, compile_regex
from trio_router.remembered import remember

_LITERAL: Final = re.compile(r"[A-Za-z0-9_:/@~=-]*")

COMPILED: Final = 1_024  # patterns; their texts are bounded by limits.listen_pattern_length


class InvalidPattern(ValueError):
    """The text is no pattern; says why and where."""


@attrs.frozen(eq=False)
class ListenPattern:
    """``source`` as the client wrote it; ``asked`` is the text that rules are asked about: without the anchors around it.

    ``literal`` is in every name that the pattern is found in: with many patterns most are told apart by it.
    """

    source: str
    asked: str
    kind: str
    literal: str
    regex: Regex = attrs.field(repr=False)

    @classmethod
    def parse(cls, source: str) -> ListenPattern:
        """The pattern that ``source`` spells. Raises ``InvalidPattern``."""
        return _parsed(source)

    def matches(self, channel: str) -> bool:
        """Whether the pattern is found in ``channel``, a checked name."""
        return self.literal in channel and kind_of(channel) == self.kind and self.regex.matches(channel)


def name_for_rules(action: Action, name: str) -> str:
    """What rules are asked about when ``name`` is asked for: for listening the text of the pattern without its anchors."""
    if action is not Action.EVENT_LISTEN:
        return name
    try:
        return ListenPattern.parse(name).asked
    except InvalidPattern:
        return name


@remember(COMPILED)
def _parsed(source: str) -> ListenPattern:
    if not source:
        raise InvalidPattern("is empty")
    if not source.isprintable():
        raise InvalidPattern("holds a character that cannot be printed")
    try:
        regex = compile_regex(source, "")
    except RegexError as error:
        raise InvalidPattern(f"{error.message} (at character {error.position + 1})") from None
    asked = source.removeprefix("^")
    if asked.endswith("$") and (len(asked) - len(asked[:-1].rstrip("\\")) - 1) % 2 == 0:
        asked = asked[:-1]
    kind = asked.partition(":")[0]
    kind = kind if kind in CHANNEL_KINDS and ":" in asked else ""
    return ListenPattern(source, asked or source, kind, _literal(source), regex)


def _literal(source: str) -> str:
    """The letters a match begins with, as far as that can be seen at a glance."""
    if "|" in source:
        return ""
    start = source.removeprefix("^")
    found = _LITERAL.match(start)
    literal = found[0] if found is not None else ""
    if start[len(literal) : len(literal) + 1] in ("*", "?", "{"):  # the last one may be missing
        literal = literal[:-1]
    return literal
