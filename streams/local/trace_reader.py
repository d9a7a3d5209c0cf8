"""Reads the traces of questions from `events` while they are written."""

import asyncio
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.codec import DecodeError, decode_trace
from schemas.event import QuestionTrace
from schemas.topics import Topics
from streams.kafka.options import client_options
from streams.settings.model import Kafka

POLL_MS = 50


class TraceReader:
    """Finds the traces of questions that are asked after its start. An async context manager."""

    def __init__(self, kafka: Kafka) -> None:
        self._topic = Topics(kafka.topic_prefix).events
        self._consumer: Any = AIOKafkaConsumer(self._topic, **client_options(kafka), enable_auto_commit=False)
        self._read: dict[str, QuestionTrace] = {}

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        partitions = [
            TopicPartition(self._topic, number)
            for number in self._consumer.partitions_for_topic(self._topic) or ()
        ]
        # Without a seek, each partition would begin at its end at the time of its first fetch.
        for partition, end in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, end)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def afind(self, question_id: str, timeout_s: float) -> QuestionTrace | None:
        """Return the question's trace; None: it did not come in time, since traces may be lost."""
        until = asyncio.get_running_loop().time() + timeout_s
        while question_id not in self._read and asyncio.get_running_loop().time() < until:
            for records in (await self._consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    self._take(record.value)
        return self._read.pop(question_id, None)

    def _take(self, value: bytes | None) -> None:
        try:
            trace = decode_trace(value)
        except DecodeError:
            return
        self._read[trace.question_id] = trace
