"""Many patterns, and which of them match a name or have a name in common with a wildcard.

Each pattern has a rank, a number of which the lowest is wanted. Patterns are kept as a tree of their parts, so that those
which begin alike share what they have in common and a name leads to the few that can match it, whatever their number:
also when they begin with a variable or a ``*``. A part is a text up to a ``/`` (found by one look into a dictionary),
a text before a variable or a ``*`` (one look for each length there is), a variable, or a ``*``.

The rule that keeps this honest: no part of the tree is visited twice for one name, so no name and no set of patterns
makes a search go back (T30); and the answer is the one that asking every pattern would give, which a test does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Final, Generic, TypeVar

from trio_router.patterns import Literal, Overlap, Pattern, Star, Token, Variable

NONE: Final = 1 << 60
"""The rank of nothing: greater than every other."""

_FEW: Final = 64
"""So many texts are chosen from by looking at each."""

_AFTER_ALL: Final = "\x7f"  # a character after all that names have


class PatternTrie:
    """``patterns`` in order of their ranks, which count from 0: of several of one shape the first is found."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._root = _Node()
        self._big: list[_Branches[Any]] = []
        for rank, pattern in enumerate(patterns):
            self._add(pattern.tokens, rank)
        for branches in self._big:
            branches.sort()

    def _add(self, tokens: Sequence[Token], rank: int) -> None:
        node = self._root
        node.best = min(node.best, rank)
        taken = 0  # how much of the next literal belongs to the variable before it
        for number, token in enumerate(tokens, 1):
            is_last = number == len(tokens)
            if isinstance(token, Star):
                if is_last:
                    node.rest = min(node.rest, rank)
                    return
                node.star = node.star or _Node()
                node = node.star
            elif isinstance(token, Variable):
                if is_last:
                    node.variable_last = min(node.variable_last, rank)
                    return
                following = tokens[number]
                if isinstance(following, Literal) and following.text[0] == "/":
                    node.segment = node.segment or _Node()
                    node, taken = node.segment, 1
                else:
                    node.variable = node.variable or _Node()
                    node = node.variable
            else:
                *closed, text = token.text[taken:].split("/")
                taken = 0
                for piece in closed:
                    node.closed = node.closed or _Branches()
                    node = self._child(node.closed, piece, rank)
                if is_last:
                    node.last = node.last or _Branches()
                    self._branch(node.last, text, rank)
                    return
                if text:
                    node.open = node.open or _Branches()
                    node = self._child(node.open, text, rank)
            node.best = min(node.best, rank)

    def _child(self, branches: _Branches[_Node], text: str, rank: int) -> _Node:
        child = branches.by_text.get(text)
        if child is None:
            child = _Node()
            self._branch(branches, text, child)
        child.best = min(child.best, rank)
        return child

    def _branch(self, branches: _Branches[T], text: str, child: T) -> None:
        if branches.add(text, child) == _FEW + 1:
            self._big.append(branches)

    def find(self, name: str, segments: Sequence[str]) -> int:
        """The lowest rank of a pattern that matches ``name``, which ``segments`` are; NONE if none does."""
        best = NONE
        last = len(segments) - 1
        pending = [(self._root, 0, 0)]  # a node, and what the search comes to it before: a segment, so far into it
        spreading: list[tuple[_Node, int, int]] = []
        while pending:
            node, number, start = pending.pop()
            if node.best >= best:
                continue
            if node.rest < best:
                best = node.rest
            text = segments[number][start:] if start else segments[number]
            if number == last:
                if node.last is not None:
                    rank = node.last.by_text.get(text, NONE)
                    if rank < best:
                        best = rank
                if node.variable_last < best and text:
                    best = node.variable_last
            else:
                if node.segment is not None and text:
                    pending.append((node.segment, number + 1, 0))
                if node.closed is not None:
                    child = node.closed.by_text.get(text)
                    if child is not None:
                        pending.append((child, number + 1, 0))
            if node.open is not None:
                for length in node.open.lengths:
                    child = node.open.by_text.get(text[:length])
                    if child is not None and length <= len(text):
                        pending.append((child, number, start + length))
            if node.variable is not None or node.star is not None:
                spreading.append((node, number, start))
        return _find_spread(spreading, _Places(name, segments), best) if spreading else best

    def overlapping(self, overlap: Overlap) -> Iterator[int]:
        """The ranks of all patterns that have a name in common with the wildcard, ascending.

        Found one by one: who stops early has paid for little more than what he took.
        """
        # (lowest rank to be expected, a number against ties, what to go on with)
        pending: list[tuple[int, int, _Work]] = [(self._root.best, 0, (self._root, overlap.start))]
        number = 0
        while pending:
            rank, _, work = heappop(pending)
            if work is None:
                yield rank
                continue
            if isinstance(work, _Rest):
                found = work.take()
            else:
                found = _expand(*work, overlap)
            for best, more in found:
                number += 1
                heappush(pending, (best, number, more))


T = TypeVar("T", bound="_Node | int")


class _Branches(Generic[T]):
    """Where the texts that can come next lead, in the order of the ranks they lead to."""

    __slots__ = ("_sorted", "by_text", "lengths")

    def __init__(self) -> None:
        self.by_text: dict[str, T] = {}
        self.lengths: tuple[int, ...] = ()
        self._sorted: list[str] = []

    def add(self, text: str, child: T) -> int:
        """Include ``text`` unless it is there; returns how many there are. Called in the order of ranks."""
        self.by_text.setdefault(text, child)
        if len(text) not in self.lengths:
            self.lengths = (*self.lengths, len(text))
        return len(self.by_text)

    def sort(self) -> None:
        """Make :meth:`starting_with` fast."""
        self._sorted = sorted(self.by_text)

    def starting_with(self, prefix: str) -> Iterator[str]:
        """The texts that start with ``prefix``, by rank."""
        if prefix and self._sorted:
            low = bisect_left(self._sorted, prefix)
            high = bisect_left(self._sorted, prefix + _AFTER_ALL)
            if high - low <= _FEW:
                return iter(sorted(self._sorted[low:high], key=lambda text: _best(self.by_text[text])))
        return (text for text in self.by_text if text.startswith(prefix))


class _Node:
    """What can come after the parts that lead here. Ranks are NONE where no pattern ends in that way."""

    __slots__ = ("best", "closed", "last", "open", "rest", "segment", "star", "variable", "variable_last")

    def __init__(self) -> None:
        self.best = NONE  # of all patterns that come by here
        self.rest = NONE  # of a pattern that ends with a * here
        self.variable_last = NONE  # of a pattern that ends with a variable here
        self.last: _Branches[int] | None = None  # texts that end a pattern
        self.closed: _Branches[_Node] | None = None  # texts up to a /, without it
        self.open: _Branches[_Node] | None = None  # texts before a variable or a *
        self.segment: _Node | None = None  # after a variable and a /
        self.variable: _Node | None = None  # after a variable that something else follows
        self.star: _Node | None = None  # after a *


class _Rest:
    """Branches of which some may still be wanted: by rank, one at a time."""

    def __init__(
        self,
        branches: _Branches[_Node] | _Branches[int],
        states: int,
        prefix: str,
        overlap: Overlap,
        ending: str = "",
    ) -> None:
        self._by_text: Mapping[str, _Node | int] = branches.by_text
        self._ending = ending
        self._texts = branches.starting_with(prefix)
        self._states = states
        self._overlap = overlap

    def take(self) -> list[tuple[int, _Work]]:
        """The next one that fits, and itself for those after it."""
        for text in self._texts:
            states = self._overlap.literal(self._states, text + self._ending)
            if not states:
                continue
            child = self._by_text[text]
            if isinstance(child, _Node):
                return [(child.best, (child, states)), (child.best, self)]
            if self._overlap.accepts(states):
                return [(child, None), (child, self)]
        return []


_Work = tuple[_Node, int] | _Rest | None


def _best(child: _Node | int) -> int:
    return child if isinstance(child, int) else child.best


class _Places:
    """The places between the characters of one name, as the bits of an integer."""

    def __init__(self, name: str, segments: Sequence[str]) -> None:
        self._name = name
        self._starts = [0]
        for segment in segments[:-1]:
            self._starts.append(self._starts[-1] + len(segment) + 1)
        self.all = (2 << len(name)) - 1
        self.end = 1 << len(name)
        self.slashes = 0
        for start in self._starts[1:]:
            self.slashes |= 1 << start - 1

    def place(self, number: int, start: int) -> int:
        """The place after ``start`` characters of a segment."""
        return 1 << self._starts[number] + start

    def after_any(self, places: int) -> int:
        """The places after any text from one of ``places``."""
        return self.all & -(places & -places)

    def after_variable(self, places: int) -> int:
        """The places after at least one character that is no ``/``."""
        reached = 0
        for start, beyond in zip(self._starts, [*self._starts[1:], len(self._name) + 1], strict=True):
            here = places >> start & (1 << beyond - start) - 1
            if here:
                reached |= (1 << beyond) - (here & -here) * (2 << start)
        return reached

    def after_texts(self, branches: _Branches[T], places: int, ends: int) -> Iterator[tuple[T, int]]:
        """Where a text of ``branches`` leads from one of ``places`` to one of ``ends``."""
        for length in branches.lengths:
            starts = ends >> length & places
            while starts:
                place = starts.bit_length() - 1
                starts ^= 1 << place
                child = branches.by_text.get(self._name[place : place + length])
                if child is not None:
                    yield child, 1 << place + length


def _find_spread(starts: Iterable[tuple[_Node, int, int]], at: _Places, best: int) -> int:
    """The rest of a search, where it comes to a node at several places: to each node once, with all of them.

    ``starts`` are nodes with the segment and how far into it; their variables and stars have not been looked into yet.
    """
    pending: list[tuple[_Node, int]] = []
    for node, number, start in starts:
        _spread(node, at.place(number, start), at, pending)
    while pending:
        node, places = pending.pop()
        if node.best >= best:
            continue
        best = min(best, node.rest)
        if node.last is not None:
            for rank, _ in at.after_texts(node.last, places, at.end):
                best = min(best, rank)
        if node.segment is not None or node.variable_last < best:
            after = at.after_variable(places)
            if after & at.end:
                best = min(best, node.variable_last)
            if node.segment is not None and after & at.slashes:
                pending.append((node.segment, (after & at.slashes) << 1))
        if node.closed is not None:
            for child, reached in _together(at.after_texts(node.closed, places, at.slashes)):
                pending.append((child, reached << 1))
        if node.open is not None:
            pending += _together(at.after_texts(node.open, places, at.all))
        _spread(node, places, at, pending)
    return best


def _spread(node: _Node, places: int, at: _Places, pending: list[tuple[_Node, int]]) -> None:
    if node.star is not None:
        pending.append((node.star, at.after_any(places)))
    if node.variable is not None:
        after = at.after_variable(places)
        if after:
            pending.append((node.variable, after))


def _together(found: Iterable[tuple[_Node, int]]) -> Iterable[tuple[_Node, int]]:
    """Each node once, with all its places."""
    together: dict[_Node, int] = {}
    for node, places in found:
        together[node] = together.get(node, 0) | places
    return together.items()


def _expand(node: _Node, states: int, overlap: Overlap) -> list[tuple[int, _Work]]:
    """What comes after ``node``, to be taken up in the order of ranks."""
    found: list[tuple[int, _Work]] = []
    if node.rest < NONE:
        found.append((node.rest, None))  # some text leads from anywhere to the wildcard's end
    if node.star is not None:
        found.append((node.star.best, (node.star, overlap.star(states))))
    if node.segment is not None or node.variable is not None or node.variable_last < NONE:
        after = overlap.variable(states)
        if after:
            if node.variable_last < NONE and overlap.accepts(after):
                found.append((node.variable_last, None))
            if node.variable is not None:
                found.append((node.variable.best, (node.variable, after)))
            if node.segment is not None:
                beyond = overlap.literal(after, "/")
                if beyond:
                    found.append((node.segment.best, (node.segment, beyond)))
    certain = overlap.certain(states)
    if node.closed is not None:
        text, slash, _ = certain.partition("/")
        if slash:
            child = node.closed.by_text.get(text)
            if child is not None:
                found.append((child.best, (child, overlap.literal(states, text + slash))))
        else:
            found += _Rest(node.closed, states, certain, overlap, "/").take()
    if node.open is not None:
        for length in node.open.lengths:
            text = certain[:length]
            child = node.open.by_text.get(text) if length < len(certain) else None
            if child is not None:
                found.append((child.best, (child, overlap.literal(states, text))))
        found += _Rest(node.open, states, certain, overlap).take()
    if node.last is not None:
        found += _Rest(node.last, states, certain, overlap).take()
    return found
