"""The pattern language of rules files and wildcard subscriptions: parse, match, cover, overlap.

``*`` stands for any run of characters, ``/`` and the empty run included; ``$name`` (a letter, then letters and
digits) for one run of at least one character without ``/``, and remembers it; everything else is itself. A
pattern is always compared with the whole name (T24).

The rule that keeps this honest: no regular expressions and no backtracking. Every question is answered by one
pass over sets of positions held as the bits of an integer, so the worst case is as cheap as the ordinary one (T30).
This module knows neither what a name may look like (``names``) nor what a rule is (``permissions``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from trio_router.errors import RouterError

MAX_STARS: Final = 8
MAX_VARIABLES: Final = 16

_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_LETTERS_AND_DIGITS: Final = _LETTERS | frozenset("0123456789")


class PatternError(RouterError):
    """A text is not a pattern. ``position`` counts characters from 0."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@attrs.frozen
class Literal:
    """A run of characters that stand for themselves. ``position`` is where it starts in the pattern's text."""

    text: str
    position: int


@attrs.frozen
class Star:
    """``*``: any run of characters."""


@attrs.frozen
class Variable:
    """``$name``: at least one character, none of them ``/``."""

    name: str


Token = Literal | Star | Variable


@attrs.frozen
class Pattern:
    """A parsed pattern; make one with :meth:`parse`."""

    text: str
    tokens: tuple[Token, ...] = attrs.field(repr=False)

    @classmethod
    def parse(cls, text: str, *, variables: bool = False) -> Pattern:
        """The pattern that ``text`` spells. Without ``variables`` a ``$`` is refused.

        Raises:
            PatternError: it spells none, or has more than 8 stars or 16 variables; says where.
        """
        return cls(text, tuple(_tokens(text, variables=variables)))

    @property
    def is_literal(self) -> bool:
        """Whether the pattern matches exactly one name, its own text."""
        return all(type(token) is Literal for token in self.tokens)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables without their ``$``, in order."""
        return tuple(token.name for token in self.tokens if isinstance(token, Variable))

    @property
    def stars(self) -> int:
        """How many ``*`` it has."""
        return sum(type(token) is Star for token in self.tokens)

    @property
    def literal_length(self) -> int:
        """How many of its characters stand for themselves."""
        return sum(len(token.text) for token in self.tokens if isinstance(token, Literal))

    @property
    def prefix(self) -> str:
        """The literal text every matching name starts with."""
        first = self.tokens[0]
        return first.text if isinstance(first, Literal) else ""

    @property
    def shape(self) -> tuple[str, ...]:
        """The same for patterns that differ in the names of variables alone, and so match the same names."""
        return tuple(
            "=" + token.text if isinstance(token, Literal) else "*" if isinstance(token, Star) else "$"
            for token in self.tokens
        )

    def match(self, name: str) -> Mapping[str, str] | None:
        """What each variable stands for in ``name`` (without the ``$``), or None if the pattern does not match.

        Where several readings are possible the leftmost ``*`` or variable takes as much as it can, then the next,
        exactly as the regular expression with ``(.*)`` and ``([^/]+)`` in their places would bind.
        """
        tails = _tails(self.tokens, name)
        if tails is None:
            return None
        bound: dict[str, str] = {}
        at = 0
        for token, tail in zip(self.tokens, tails[1:], strict=True):
            if isinstance(token, Literal):
                at += len(token.text)
            elif isinstance(token, Star):
                at = tail.bit_length() - 1
            else:
                stop = name.find("/", at)
                end = _highest_below(tail, len(name) if stop < 0 else stop)
                bound[token.name] = name[at:end]
                at = end
        return bound

    def matches(self, name: str) -> bool:
        """Whether the pattern matches ``name``."""
        return _tails(self.tokens, name) is not None


def covers(pattern: Pattern, wildcard: Pattern) -> bool:
    """Whether ``pattern`` certainly matches every name that ``wildcard`` (which has no variables) matches.

    Sound: True is a proof. Take each ``*`` of the wildcard as a letter of its own that only a ``*`` of the pattern
    may swallow, and match. If that works, replace these letters by any texts: the same pattern tokens swallow the
    replacements, since a ``*`` swallows anything and no other token had touched them. So every name of the
    wildcard is matched.
    """
    text = "".join(token.text if isinstance(token, Literal) else "*" for token in wildcard.tokens)
    return _tails(pattern.tokens, text, stars=True) is not None


class Overlap:
    """Answers which patterns have a name in common with one wildcard; prepared once, asked for many patterns.

    Both are read as automata side by side. ``states`` holds, as bits, the places of the wildcard in which it can be
    after the very texts that bring the pattern to its current place; some name matches both exactly if the
    wildcard can be at its end when the pattern is. The pattern's length is the number of steps.

    A variable in the wildcard is taken for a ``*``, which matches more: then a name may be found in common where there is none.
    """

    def __init__(self, wildcard: Pattern) -> None:
        self._steps: dict[str, int] = {}
        self._stars = 0
        self._prefix = wildcard.prefix
        text = []
        place = 0
        for token in wildcard.tokens:
            if isinstance(token, Literal):
                text.append(token.text)
                for letter in token.text:
                    self._steps[letter] = self._steps.get(letter, 0) | 1 << place
                    place += 1
            else:
                self._stars |= 1 << place
        self._text = "".join(text)
        self._end = place
        self._slashes = self._steps.get("/", 0)

    def __call__(self, pattern: Pattern) -> bool:
        """Whether some text matches both; exact over all texts, so never False when a name matches both."""
        shorter = min(len(pattern.prefix), len(self._prefix))
        if pattern.prefix[:shorter] != self._prefix[:shorter]:
            return False
        states = self.start
        for token in pattern.tokens:
            if isinstance(token, Literal):
                states = self.literal(states, token.text)
            elif isinstance(token, Star):
                states = self.star(states)
            else:
                states = self.variable(states)
            if not states:
                return False
        return self.accepts(states)

    # The steps of a search through many patterns at once:

    start: Final = 1
    """The state before anything was read."""

    def literal(self, states: int, text: str) -> int:
        """The places after ``text``; 0 if the wildcard matches nothing that goes on so."""
        steps, stars = self._steps, self._stars
        for letter in text:
            # A star at a place may take any letter and stay; a literal letter moves on by one.
            states = (states & steps.get(letter, 0)) << 1 | states & stars
            if not states:
                return 0
        return states

    def star(self, states: int) -> int:
        """The places after any text: each one from the first of ``states`` on."""
        return _from_lowest(states, self._end)

    def variable(self, states: int) -> int:
        """The places after one or more letters that are not ``/``."""
        reached = 0
        frontier = states
        while frontier:
            moved = (frontier & ~self._slashes) << 1 | frontier & self._stars
            moved &= (1 << self._end + 1) - 1
            frontier = moved & ~reached
            reached |= moved
        return reached

    def accepts(self, states: int) -> bool:
        """Whether the wildcard may end here."""
        return bool(states >> self._end & 1)

    def certain(self, states: int) -> str:
        """What every text that goes on from ``states`` starts with, as far as the wildcard says so literally."""
        if states & (states - 1):
            return ""  # several places: what they have in common is not worth looking for
        place = states.bit_length() - 1
        later = self._stars >> place
        return self._text[place : place + (later & -later).bit_length() - 1] if later else self._text[place:]


def overlaps(pattern: Pattern, wildcard: Pattern) -> bool:
    """Whether some text matches both; ``wildcard`` has no variables."""
    return Overlap(wildcard)(pattern)


def fixed_variables(pattern: Pattern, wildcard: Pattern) -> dict[str, str]:
    """The variables of ``pattern`` that stand for one and the same text in every name of ``wildcard``, with it.

    Sound, not complete. A variable counts if it fills segment number i of the pattern, no ``*`` of the pattern
    stands before it, and segments 0 to i of the wildcard hold no ``*``. Without a ``*`` before it every earlier
    segment of the pattern takes exactly one segment of a name, so the variable takes segment i whole; and segments
    0 to i of every name of the wildcard are those of the wildcard, as nothing before their end can vary.
    """
    fixed: dict[str, str] = {}
    for mine, theirs in zip(pattern.text.split("/"), wildcard.text.split("/"), strict=False):
        if "*" in mine or "*" in theirs:
            break
        if mine.startswith("$") and mine[1:] in pattern.variables:
            fixed[mine[1:]] = theirs
    return fixed


Place = tuple[int, int, int | None]
"""Where a part of a name stands: the number of its segment (counted from the end if it is negative), start and stop in it, as in a slice."""


def places_of_variables(pattern: Pattern) -> tuple[Place, ...] | None:
    """Where in a name each variable stands, in their order; None if that differs from name to name.

    It does not for a variable that is alone in its segment with what stands for itself, with no ``*`` in all segments before it
    or in all after it: each of these takes exactly one segment of the name. So for a name that matches, this is what
    :meth:`Pattern.match` binds.
    """
    segments = pattern.text.split("/")
    starred = [number for number, segment in enumerate(segments) if "*" in segment] or [len(segments)]
    variables = iter(pattern.variables)
    places: list[Place] = []
    for number, segment in enumerate(segments):
        before, dollar, after = segment.partition("$")
        if not dollar:
            continue
        if "$" in after or starred[0] <= number <= starred[-1]:
            return None
        stop = len(next(variables)) - len(after)
        places.append((number if number < starred[0] else number - len(segments), len(before), stop or None))
    return tuple(places)


def _tokens(text: str, *, variables: bool) -> list[Token]:
    if not text:
        raise PatternError("the pattern is empty")
    tokens: list[Token] = []
    seen: set[str] = set()
    stars = at = start = 0
    while at < len(text):
        letter = text[at]
        if letter != "*" and letter != "$":
            at += 1
            continue
        if start < at:
            tokens.append(Literal(text[start:at], start))
        if letter == "*":
            stars += 1
            if stars > MAX_STARS:
                raise PatternError(f"more than {MAX_STARS} stars", at)
            if not tokens or type(tokens[-1]) is not Star:  # several in a row are one
                tokens.append(Star())
            at = start = at + 1
            continue
        if not variables:
            raise PatternError("variables are not allowed here", at)
        end = at + 1
        if end >= len(text) or text[end] not in _LETTERS:
            raise PatternError("a letter must follow the $ of a variable", at)
        while end < len(text) and text[end] in _LETTERS_AND_DIGITS:
            end += 1
        name = text[at + 1 : end]
        if name in seen:
            raise PatternError(f"the variable ${name} is there twice", at)
        seen.add(name)
        if len(seen) > MAX_VARIABLES:
            raise PatternError(f"more than {MAX_VARIABLES} variables", at)
        tokens.append(Variable(name))
        at = start = end
    if start < len(text):
        tokens.append(Literal(text[start:], start))
    return tokens


def _tails(tokens: Sequence[Token], name: str, *, stars: bool = False) -> list[int] | None:
    """For each token, and for the end, the positions of ``name`` from which it and all later tokens match the rest.

    Positions are the bits of an integer. None if position 0 is not among those of the first token: no match.
    With ``stars``, a ``*`` in ``name`` is a letter that only a ``Star`` takes.
    """
    barriers = ("/", "*") if stars else ("/",)
    tails = [1 << len(name)]
    for token in reversed(tokens):
        tail = tails[-1]
        if isinstance(token, Literal):
            here = _places_of(token.text, name) & tail >> len(token.text)
        elif isinstance(token, Star):
            here = (1 << tail.bit_length()) - 1  # every position up to the last one from which the rest matches
        else:
            here = 0
            for start, end in _runs(name, barriers):
                last = _highest_below(tail, end)
                if last > start:
                    here |= (1 << last) - (1 << start)
        if not here:
            return None
        tails.append(here)
    if not tails[-1] & 1:
        return None
    tails.reverse()
    return tails


def _places_of(text: str, name: str) -> int:
    places = 0
    at = name.find(text)
    while at >= 0:
        places |= 1 << at
        at = name.find(text, at + 1)
    return places


def _runs(name: str, barriers: Sequence[str]) -> list[tuple[int, int]]:
    """(start, end) of each longest run without any of ``barriers``."""
    runs: list[tuple[int, int]] = []
    start = 0
    for at, letter in enumerate(name):
        if letter in barriers:
            if at > start:
                runs.append((start, at))
            start = at + 1
    if start < len(name):
        runs.append((start, len(name)))
    return runs


def _highest_below(bits: int, position: int) -> int:
    """The highest set bit up to and including ``position``; -1 if there is none."""
    return (bits & (2 << position) - 1).bit_length() - 1


def _from_lowest(bits: int, end: int) -> int:
    """All bits from the lowest set one up to ``end``."""
    return (2 << end) - (bits & -bits)
