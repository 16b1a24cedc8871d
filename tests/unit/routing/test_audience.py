"""Audiences: crowds are told in one go, everybody once, and each in the order of their first members."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from trio_router.payload import Payload
from trio_router.routing.audience import audience
from trio_router.routing.peer import Delivery, Peer
from trio_router.testing.peers import RecordingPeer


class InCrowd(RecordingPeer):
    """A peer of a crowd, or alone with None; ``log`` is who was told, and how many calls that took."""

    def __init__(self, name: int, crowd: Hashable | None, log: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.name = name
        self.crowd = crowd
        self.log = log

    def event(self, delivery: Delivery) -> None:
        self.log.append((self.name,))

    def together(self, peers: Sequence[Peer]) -> Callable[[Delivery], None]:
        names = tuple(peer.name for peer in peers if isinstance(peer, InCrowd))
        return lambda _: self.log.append(names)


@given(st.lists(st.none() | st.integers(0, 3), max_size=12))
def test_everybody_is_told_once_and_crowds_in_one_go(crowds: list[int | None]) -> None:
    log: list[tuple[int, ...]] = []
    for tell in audience([InCrowd(name, crowd, log) for name, crowd in enumerate(crowds)]):
        tell(Delivery("a", Payload(1)))
    assert sorted(name for told in log for name in told) == list(range(len(crowds)))
    assert len(log) == sum(crowd is None for crowd in crowds) + len({crowd for crowd in crowds if crowd is not None})
    assert [told[0] for told in log] == sorted(told[0] for told in log)
    assert all(list(told) == sorted(told) for told in log)


def test_a_peer_that_knows_no_crowds_is_told_alone() -> None:
    peer = RecordingPeer()
    (tell,) = audience([peer])
    tell(Delivery("a", Payload(1)))
    assert len(peer.told) == 1
