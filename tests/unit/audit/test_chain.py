"""The chain: what was written reads back, and no byte of it can be changed unnoticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_router.audit.chain import GENESIS, MAX_LINE, BrokenLine, Link, seal, unseal

FIELDS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])).filter(lambda key: key not in {"seq", "prev", "hash"}),
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    max_size=6,
)


@given(st.lists(FIELDS, min_size=1, max_size=5))
def test_what_is_sealed_can_be_read_and_leads_on(entries: list[dict[str, object]]) -> None:
    link = Link()
    for number, fields in enumerate(entries, 1):
        line, after = seal(link, fields)
        assert line.count(b"\n") == 1
        read, here = unseal(line.removesuffix(b"\n"))
        assert here == after
        assert read == {"seq": number, "prev": link.hash, **fields, "hash": after.hash}
        link = after


@given(st.data())
def test_no_byte_can_be_changed(data: st.DataObject) -> None:
    line, link = seal(Link(3, "a" * 64), {"user": "egon", "allowed": False, "hash_of": '"hash":"x"'})
    at = data.draw(st.integers(0, len(line) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != line[at]))
    changed = line[:at] + bytes([byte]) + line[at + 1 : -1]
    with pytest.raises(BrokenLine):
        unseal(changed)
    assert unseal(line[:-1])[1] == link


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"null",
        b'{"seq":1,"prev":"x"}',
        b'{"seq":1,"hash":"' + b"0" * 64 + b'"}',
        b'{"seq":"1","prev":"","hash":"' + b"0" * 64 + b'"}',
        b'{broken,"hash":"' + b"0" * 64 + b'"}',
        b"x" * (MAX_LINE + 1),
    ],
)
def test_what_is_no_entry_is_told(line: bytes) -> None:
    with pytest.raises(BrokenLine):
        unseal(line)


def test_a_link_is_written_and_read() -> None:
    assert Link.parse(f"{7:018d} {GENESIS}\n") == Link(7, GENESIS) == Link.parse(str(Link(7, GENESIS)))
    for text in ("", "1", f"x {GENESIS}", f"1 {GENESIS}0", f"1 {GENESIS.replace('0', 'g')}"):
        with pytest.raises(ValueError, match="expected a number"):
            Link.parse(text)
