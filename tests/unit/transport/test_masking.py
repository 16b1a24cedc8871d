"""Unmasking: the two ways are one function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trio_router.transport.masking import unmask, unmask_portably


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_every_byte_is_xored_with_its_byte_of_the_mask(data: bytes, mask: bytes) -> None:
    expected = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))
    assert unmask_portably(data, mask) == expected
    assert unmask(data, mask) == expected
