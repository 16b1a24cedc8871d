from __future__ import annotations

from trio_router.permissions.records import MISSING_UNLOADED
from trio_router.storage.records import MemoryRecords


async def test_a_record_is_known_once_it_was_loaded() -> None:
    records = MemoryRecords({"a": {"x": 1}})
    assert records.peek("a") is MISSING_UNLOADED
    assert records.peek("b") is MISSING_UNLOADED
    await records.load(["a", "b"])
    assert records.peek("a") == {"x": 1}
    assert records.peek("b") is None
    records.put("b", [2])
    records.remove("a")
    records.remove("a")
    assert (records.peek("a"), records.peek("b")) == (None, [2])


async def test_only_so_many_names_are_remembered_the_latest_ones() -> None:
    records = MemoryRecords({str(number): number for number in range(5)}, remembered=3)
    await records.load(["0", "1", "2"])
    await records.load(["0", "3"])
    known = [name for name in "01234" if records.peek(name) is not MISSING_UNLOADED]
    assert known == ["0", "2", "3"]
