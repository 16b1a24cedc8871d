"""What a revocation reaches, and that the index neither grows without bound nor forgets early."""

from __future__ import annotations

import pytest

from trio_router.auth.revocation import Credential, RevocationIndex, RevocationsFull, reaches
from trio_router.storage.revocations import Kind, Revocation

NOW = 1_700_000_000.5


def revocation(kind: Kind, value: str = "", *, app: str = "a", at: float = NOW, until: float = NOW + 60) -> Revocation:
    return Revocation(app, kind, value, at, until)


CREDENTIAL = Credential("a", "ann", "s1", "t1", "k1", NOW - 10)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (revocation("token", "t1"), True),
        (revocation("token", "t2"), False),
        (revocation("token", "t1", app="b"), False),
        (revocation("session", "s1"), True),
        (revocation("session", "s2"), False),
        (revocation("user", "ann"), True),
        (revocation("user", "bob"), False),
        (revocation("user", "ann", at=NOW - 20), False),
        (revocation("user", "ann", at=NOW - 10), True),
        (revocation("key", "k1"), True),
        (revocation("key", ""), False),
        (revocation("before"), True),
        (revocation("before", at=NOW - 10), False),
        (revocation("before", app="b"), False),
    ],
)
@pytest.mark.threat("T52", "T66")
def test_what_a_revocation_reaches(made: Revocation, expected: bool) -> None:
    assert reaches(made, CREDENTIAL, standing=True) is expected
    index = RevocationIndex()
    index.add(made, NOW)
    assert index.refuses(CREDENTIAL, NOW) is (expected and made.kind != "session")


def test_a_login_that_rests_on_nothing_issued_is_new_when_it_is_made_and_old_when_it_stands() -> None:
    password = Credential("a", "ann", "s1")
    assert reaches(revocation("user", "ann"), password, standing=True)
    assert not reaches(revocation("user", "ann"), password, standing=False)


def test_what_has_ended_is_forgotten() -> None:
    index = RevocationIndex(entries=2)
    index.add(revocation("token", "t1"), NOW)
    index.add(revocation("token", "t2"), NOW)
    with pytest.raises(RevocationsFull):
        index.add(revocation("token", "t3"), NOW)
    index.add(revocation("token", "t2", at=NOW + 1), NOW)
    assert index.refuses(Credential("a", "x", token_id="t1"), NOW + 59)
    assert not index.refuses(Credential("a", "x", token_id="t1"), NOW + 60)
    index.add(revocation("token", "t3", until=NOW + 200), NOW + 60)
    assert len(index) == 1


def test_a_later_revocation_takes_nothing_back() -> None:
    index = RevocationIndex()
    index.add(revocation("user", "ann", until=NOW + 500), NOW)
    index.add(revocation("user", "ann", at=NOW - 100, until=NOW + 5), NOW)
    assert index.refuses(Credential("a", "ann", issued_at=NOW - 1), NOW + 100)


def test_what_is_issued_after_a_revocation_is_not_taken_for_older() -> None:
    index = RevocationIndex()
    assert index.issue_time("a", "ann", "k1", NOW) == NOW
    index.add(revocation("user", "ann"), NOW)
    issued = index.issue_time("a", "ann", "k1", NOW + 0.1)
    assert NOW < issued < NOW + 1
    assert not index.refuses(Credential("a", "ann", issued_at=float(int(issued))), NOW + 0.1)
    assert index.issue_time("a", "bob", "k1", NOW) == NOW


def test_the_list_has_the_newest_first_and_one_app() -> None:
    index = RevocationIndex()
    index.load([revocation("user", "u1", at=NOW - 5), revocation("user", "u2"), revocation("user", "u3", app="b")])
    assert [entry.value for entry in index.all("a", NOW)] == ["u2", "u1"]
