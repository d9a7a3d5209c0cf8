import gzip
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from streams.kafka.header_names import UNREADABLE, read_any_header_name
from tests.support.batches import spoiled

GZIP = 1
Headers = list[tuple[str, bytes | None]]
GOOD: Headers = [("a", b"1"), ("ä", None), ("", b"")]
BAD: Headers = [("a", b"1"), ("@@@", b"x"), ("z", b"9"), ("x-@@@-y", None)]


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    read_any_header_name()


def batch(base_offset: int, *headers: Headers, compressed: bool = False) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1_000_000)
    for number, each in enumerate(headers):
        key = None if number % 2 else b"key"
        assert builder.append(number, 1_700_000_000_000 + number, key, b"value %d" % number, each)
    data = bytearray(spoiled(bytes(builder.build())))
    if compressed:
        data[61:] = gzip.compress(bytes(data[61:]))
        data[8:12] = (len(data) - 12).to_bytes(4, "big")
        data[22] |= GZIP
        data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    data[:8] = base_offset.to_bytes(8, "big")
    return bytes(data)


def fetched(data: bytes, offset: int) -> list[ConsumerRecord]:
    """Return the records that aiokafka's fetcher makes of a response."""
    made: Any = fetcher
    records = made.MemoryRecords(data)
    return list(made.PartitionRecords(TopicPartition("q", 3), records, None, offset, None, None, True, 0))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_record_with_an_unreadable_header_name_comes_without_it_and_marked(compressed: bool) -> None:
    data = (
        batch(10, GOOD, GOOD)
        + batch(20, GOOD, BAD, GOOD, BAD, compressed=compressed)
        + batch(30, GOOD, compressed=compressed)
    )
    found = fetched(data, 10)
    assert [record.offset for record in found] == [10, 11, 20, 21, 22, 23, 30]
    assert [record.value for record in found] == [b"value %d" % n for n in (0, 1, 0, 1, 2, 3, 0)]
    assert [record.key for record in found] == [b"key", None, b"key", None, b"key", None, b"key"]
    assert [record.timestamp % 1000 for record in found] == [0, 1, 0, 1, 2, 3, 0]
    for record in found:
        bad = record.offset in {21, 23}
        assert record.headers == (("a", b"1"), ("z", b"9"), UNREADABLE) if bad else tuple(GOOD)
        assert (record.headers[-1] is UNREADABLE) is bad


def test_reading_begins_where_the_consumer_stands() -> None:
    data = batch(20, GOOD, BAD, GOOD, BAD, GOOD)
    assert [record.offset for record in fetched(data, 22)] == [22, 23, 24]


def test_aiokafka_alone_cannot_get_past_such_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
    with pytest.raises(UnicodeDecodeError):
        fetched(batch(20, BAD), 20)
