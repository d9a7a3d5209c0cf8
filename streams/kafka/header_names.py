"""Reads records with a header whose name is not UTF-8.

Kafka takes any bytes for a name, but aiokafka's compiled reader raises where one does not decode, and
would at every poll from then on: one such record stops its partition for ever. So the batch that it
lies in, and no other, is read again here, without such headers.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

UNREADABLE = ("", b"a header's name is not UTF-8")
"""The last header of a record that had headers which could not be read. It is known by its identity, so that
no producer can write it."""

_BATCH = struct.Struct(">qi")
"""The beginning of a batch: its first offset, and the number of bytes that follow."""


def read_any_header_name() -> None:
    """Have every aiokafka consumer of this process read such records; aiokafka has no setting for it."""
    fetcher.MemoryRecords = _Records


class _Record(NamedTuple):
    """A record with the attributes of aiokafka's own."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


class _Records:
    """The batches of one fetched partition, in place of `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self.has_next = self._records.has_next
        self.size_in_bytes = self._records.size_in_bytes

    def next_batch(self) -> "_Batch":
        return _Batch(self._records.next_batch(), self._data)


class _Batch:
    """A batch of aiokafka's, which `_read_again` reads where aiokafka cannot."""

    def __init__(self, batch: Any, data: bytes) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From its beginning: the fetcher skips the offsets that it has had.
            yield from _read_again(self._data, self._batch.base_offset)


def _read_again(data: bytes, base_offset: int) -> Iterator[_Record]:
    at = 0
    while True:
        first, length = _BATCH.unpack_from(data, at)
        end = at + _BATCH.size + length
        if first == base_offset:
            break
        at = end
    batch = _DefaultRecordBatchPy(data[at:end])
    iter(batch)  # decompresses
    buffer, pos = bytes(batch._buffer), batch._pos
    for _ in range(batch._num_records):
        _, pos = decode_varint(buffer, pos)  # length
        delta, pos = decode_varint(buffer, pos + 1)  # behind one byte of attributes
        offset, pos = decode_varint(buffer, pos)
        key, pos = _bytes(buffer, pos)
        value, pos = _bytes(buffer, pos)
        headers, pos = _headers(buffer, pos)
        logged = batch.timestamp_type == batch.LOG_APPEND_TIME
        timestamp = batch.max_timestamp if logged else batch.first_timestamp + delta
        yield _Record(base_offset + offset, timestamp, batch.timestamp_type, key, value, headers)


def _headers(buffer: bytes, pos: int) -> tuple[list[tuple[str, bytes | None]], int]:
    count, pos = decode_varint(buffer, pos)
    headers: list[tuple[str, bytes | None]] = []
    unreadable = False
    for _ in range(count):
        name, pos = _bytes(buffer, pos)
        value, pos = _bytes(buffer, pos)
        try:
            headers.append(((name or b"").decode(), value))
        except UnicodeDecodeError:
            unreadable = True
    return [*headers, UNREADABLE] if unreadable else headers, pos


def _bytes(buffer: bytes, pos: int) -> tuple[bytes | None, int]:
    length, pos = decode_varint(buffer, pos)
    return (None, pos) if length < 0 else (buffer[pos : pos + length], pos + length)
