"""Batches of records as the broker stores them, some with bytes that no Python producer would write."""

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

_CRC_AT, _SUMMED_FROM = 17, 21
NOT_UTF8 = b"\xff\xfe\xfd"
"""The name that replaces a name with `SPOIL` in it."""
SPOIL = "@@@"


class SpoiledBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka is not typed
    """A batch in which header names that contain `SPOIL` are not UTF-8."""

    def _build(self) -> bytes:
        built = self._buffer is not None
        data = super()._build()
        if not built:
            self._buffer = spoiled(data)
        return bytes(self._buffer)


def spoiled(batch: bytes) -> bytes:
    """The batch (not compressed) with every `SPOIL` in it replaced, and a checksum that fits."""
    data = bytearray(batch.replace(SPOIL.encode(), NOT_UTF8))
    data[_CRC_AT:_SUMMED_FROM] = calc_crc32c(bytes(data[_SUMMED_FROM:])).to_bytes(4, "big")
    return bytes(data)
