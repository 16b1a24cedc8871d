"""Ids that stand for a right: nobody can predict one from others, whatever the sample."""

from __future__ import annotations

import itertools
import string
from collections import Counter
from collections.abc import Callable

import pytest

from tests.unit.routing.world import World
from trio_router.identity import new_session_id
from trio_router.names import check_request_id
from trio_router.payload import ABSENT

SAMPLE = 20_000
ALPHABET = string.ascii_letters + string.digits + "-_"


def new_call_ids(count: int) -> list[str]:
    world = World()
    caller, provider = world.join("caller"), world.join("provider")
    world.core.provide(provider.session, "sum")
    for number in range(count):
        world.core.call(caller.session, str(number), "sum", ABSENT, timeout=None, progress=False, disclose=False)
        world.core.cancel(caller.session, str(number))
    return [entry[1] for entry in provider.peer.of("invoke")]


def new_session_ids(count: int) -> list[str]:
    return [new_session_id() for _ in range(count)]


SOURCES = [
    pytest.param(new_session_ids, 24, marks=pytest.mark.threat("T54")),
    pytest.param(new_call_ids, 22, marks=pytest.mark.threat("T55")),
]


@pytest.mark.parametrize(("source", "length"), SOURCES)
def test_ids_cannot_be_predicted(source: Callable[[int], list[str]], length: int) -> None:
    """All different; each position (but a last one that holds fewer bits) uses the alphabet evenly and tells nothing
    about the same position of the next id.

    Chi-square over 64 letters has mean 63 and standard deviation 11; a limit of 200 is passed by chance once in far
    more than 10**12 runs, while a counter, a clock or a shortened id exceeds it by thousands.
    """
    ids = source(SAMPLE)
    assert len(set(ids)) == SAMPLE
    assert {len(text) for text in ids} == {length}
    assert length * 6 >= 128
    full = length if length % 4 == 0 else length - 1
    expected = SAMPLE / len(ALPHABET)
    for position in range(full):
        letters = [ALPHABET.index(text[position]) for text in ids]
        steps = [(after - before) % len(ALPHABET) for before, after in itertools.pairwise(letters)]
        for values in (letters, steps):
            count = Counter(values)
            chi_square = sum((count[value] - expected) ** 2 / expected for value in range(len(ALPHABET)))
            assert chi_square < 200


@pytest.mark.parametrize(("source", "length"), SOURCES)
def test_ids_obey_the_grammar_of_ids(source: Callable[[int], list[str]], length: int) -> None:
    for text in source(500):
        check_request_id(text)
