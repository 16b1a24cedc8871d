"""The short form of fuzzing, without a fuzzer: every corpus once more, and some thousand changes of it from a fixed seed.

The long form is ``tox -e fuzz``, see docs/security/fuzzing.md.
"""

from __future__ import annotations

import json

import pytest

from tests.fuzz.mutation import mutations
from tests.fuzz.target import CORPUS, Target
from tests.fuzz.targets import TARGETS

COUNTS = {"config": 300, "rules": 300, "signed_tokens": 1000, "users_file": 1000, "key_sets": 500}
COUNT = 3000
MOST_KEPT = 400 * 1024
"""Bytes of all corpora together: what is kept is what adds something."""

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)


@pytest.mark.threat("T02", "T06", "T07", "T08", "T15", "T16", "T20", "T29", "T31", "T43", "T46")
@each_target
def test_what_is_kept_still_holds(target: Target) -> None:
    outcomes = {target.run(data) for data in target.seeds()}
    assert outcomes == {True, False}


@pytest.mark.threat("T02", "T06", "T07", "T08", "T15", "T16", "T20", "T29", "T31", "T43", "T46")
@each_target
def test_changes_of_it_hold_too(target: Target) -> None:
    accepted = refused = 0
    for data in mutations(target, COUNTS.get(target.name, COUNT), seed=1):
        try:
            accepted, refused = (accepted + 1, refused) if target.run(data) else (accepted, refused + 1)
        except BaseException as error:
            error.add_note(f"input: {data!r}")
            raise
    assert accepted > 5, (accepted, refused)
    assert refused > 5, (accepted, refused)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 100, b"\xed\xa0\x80", b"{}"], ids=repr)
@each_target
def test_anything_may_be_thrown_at_it(target: Target, data: bytes) -> None:
    target.run(data)


def test_what_is_wrong_is_found() -> None:
    def careless(data: bytes) -> bool:
        """A decoder that lets another class of error out."""
        return isinstance(json.loads(data.decode("utf-8", "replace")), dict)

    target = Target("strict_json", careless)
    with pytest.raises(json.JSONDecodeError):
        for data in mutations(target, 1000, seed=1):
            target.run(data)


def test_mutations_are_the_same_for_the_same_seed() -> None:
    target = TARGETS["native_request"]
    first = list(mutations(target, 200, seed=5))
    assert first == list(mutations(target, 200, seed=5)) != list(mutations(target, 200, seed=6))
    assert max(map(len, first)) <= target.max_size
    assert len(set(first)) > 150


def test_every_corpus_belongs_to_a_target_and_all_are_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) <= MOST_KEPT
