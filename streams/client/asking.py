"""Ask over Kafka and wait for the answer, as any client can do with the documented contract.

An outcome's identity is its source: the client waits for the answer whose source is the question's record.
Until the broker has acknowledged that record, answers with the question's correlation id are kept.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from schemas.answer import Answer, Source
from schemas.client_headers import request_headers
from schemas.codec import decode_answer, decode_delta, encode
from schemas.event import AnswerDelta
from schemas.headers import Header, delta_id
from schemas.question import Question
from schemas.topics import RECORD_MAX_BYTES, Topics
from streams.client.streamed import StreamedText
from streams.kafka.authorization import ask_rights
from streams.kafka.options import client_options
from streams.kafka.topics import acheck_topics
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

DeltaListener = Callable[[AnswerDelta], None]
"""Takes the pieces of an answer's text in order, as `streams.client.streamed.StreamedText` returns them."""

PATIENCE_S = 3.0
"""How long the client waits for the outcome after the question's deadline."""
_STOP_TIMEOUT_S = 5.0


class PendingAnswer:
    """A question that waits for its answer."""

    def __init__(self, on_delta: DeltaListener | None) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._on_delta = on_delta
        self._source: Source | None = None
        self._early: list[Answer] = []
        self._early_deltas: list[tuple[str, AnswerDelta]] = []
        self._streamed = StreamedText()

    def written(self, source: Source) -> None:
        """Note the question's record; its answer may have come before."""
        self._source = source
        for ce_id, delta in self._early_deltas:
            self.streamed(ce_id, delta)
        for answer in self._early:
            self.answered(answer)

    def answered(self, answer: Answer) -> None:
        """Take an answer with the question's correlation id; drop one with another source, or a second."""
        if self._source is None:
            self._early.append(answer)
        elif answer.source == self._source and not self.answer.done():
            if self._on_delta is not None:
                self._on_delta(self._streamed.finish(answer))
            self.answer.set_result(answer)

    def streamed(self, ce_id: str, delta: AnswerDelta) -> None:
        """Take a delta with the question's correlation id; drop one of another record, by its `ce_id`."""
        if self._on_delta is None or self.answer.done():
            return
        if self._source is None:
            self._early_deltas.append((ce_id, delta))
        elif ce_id == delta_id(self._source, delta):
            told = self._streamed.take(delta)
            if told is not None:
                self._on_delta(told)

    def failed(self, error: Exception) -> None:
        """Raise `error` for the question: its answer will not come."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Replies:
    """Gives each record read from the topics to the question that waits for it; ignores the others."""

    def __init__(self, deltas_topic: str) -> None:
        self._deltas_topic = deltas_topic
        self._pending: dict[bytes, PendingAnswer] = {}
        self._failure: Exception | None = None

    @contextlib.contextmanager
    def expect(self, correlation_id: str, on_delta: DeltaListener | None = None) -> Iterator[PendingAnswer]:
        """Wait for the records with this correlation id while the block lasts."""
        key = correlation_id.encode()
        pending = self._pending[key] = PendingAnswer(on_delta)
        if self._failure is not None:
            pending.failed(self._failure)
        try:
            yield pending
        finally:
            del self._pending[key]
            if not pending.answer.cancel() and not pending.answer.cancelled():
                pending.answer.exception()  # or asyncio would log an error that nobody fetched

    def take(self, topic: str, headers: Sequence[Header], value: bytes | None) -> None:
        """Take a record of `answers` or `answers.deltas`. Never raises."""
        named = dict(headers)
        correlation_id = named.get("correlation_id")
        pending = self._pending.get(correlation_id) if correlation_id is not None else None
        if pending is None:
            return
        try:
            if topic == self._deltas_topic:
                pending.streamed((named.get("ce_id") or b"").decode(errors="replace"), decode_delta(value))
            else:
                pending.answered(decode_answer(value))
        except Exception as error:  # noqa: BLE001 - also a listener's defect goes to the asker
            pending.failed(error)

    def fail(self, error: Exception) -> None:
        """Fail every question, later ones too, because nothing more can be read."""
        self._failure = error
        for pending in self._pending.values():
            pending.failed(error)


def _source(written: RecordMetadata) -> Source:
    return Source(written.topic, written.partition, written.offset)


class AskClient:
    """A producer of questions and a consumer of answers, for any number of questions at once.

    Use it with `async with`. It reads from the end that the topics have when it starts, without a group, and
    from the beginning of partitions that are added later.

    Args:
        streaming: whether to read `answers.deltas` too, which `on_delta` needs.
    """

    def __init__(self, kafka: Kafka, *, streaming: bool = True) -> None:
        self._kafka = kafka
        self._topics = Topics(kafka.topic_prefix)
        self._read = [self._topics.answers, *([self._topics.deltas] if streaming else [])]
        self._replies = Replies(self._topics.deltas)
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._reader: asyncio.Task[None] | None = None
        self._assigned: set[TopicPartition] = set()
        self._added: set[TopicPartition] = set()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect.

        Raises:
            OperatorError: no broker, or a topic is missing.
        """
        await acheck_topics(
            self._kafka,
            needed=[self._topics.questions, *self._read],
            rights=ask_rights(self._kafka, streaming=len(self._read) > 1),
        )
        options = client_options(self._kafka)
        self._producer = AIOKafkaProducer(
            **options, acks="all", enable_idempotence=True, max_request_size=RECORD_MAX_BYTES
        )
        await self._producer.start()
        consumer = self._consumer = AIOKafkaConsumer(
            **options, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        partitions = [
            TopicPartition(topic, number)
            for topic in self._read
            for number in await self._producer.partitions_for(topic)
        ]
        consumer.assign(partitions)
        self._assigned = set(partitions)
        # Before the first question is written, or the client could miss its answer.
        for partition, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(partition, end)
        self._reader = asyncio.create_task(self._keep_reading(consumer))

    async def stop(self) -> None:
        """Disconnect; pending questions fail. May be called twice."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        self._replies.fail(ConnectionError("the client was stopped"))
        stopping = [asyncio.create_task(part.stop()) for part in (self._consumer, self._producer) if part]
        if stopping:
            # Without a broker a client can hang or fail here; nothing is left to lose.
            _, hanging = await asyncio.wait(stopping, timeout=_STOP_TIMEOUT_S)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*stopping, return_exceptions=True)
        self._reader = self._consumer = self._producer = None

    async def aask(
        self,
        question: str | Question,
        *,
        timeout_s: float = 30.0,
        on_delta: DeltaListener | None = None,
    ) -> Answer:
        """Ask, and wait for the answer, which may be a failed or degraded one.

        Args:
            question: its text, or the whole message.
            timeout_s: the question's deadline, in seconds from now; the worker keeps it.
            on_delta: called with each piece of the answer's text; makes the worker stream it. The last piece,
                which has `done` set, comes with the answer: then the pieces add up to its text.

        Raises:
            TimeoutError: no outcome within `timeout_s` + `PATIENCE_S`.
            OperatorError: the question is too large.
            KafkaError: the broker did not take the question.
            Exception: answers can no longer be read; the consumer's error, mostly a KafkaError.
        """
        producer = self._producer
        if producer is None:
            raise RuntimeError("the client was not started")
        if isinstance(question, str):
            question = Question(id=str(uuid.uuid4()), text=question)
        if on_delta is not None:
            question = msgspec.structs.replace(question, stream=True)
        correlation_id, now = str(uuid.uuid4()), datetime.now(UTC)
        headers = request_headers(
            question, now, correlation_id=correlation_id, expires_at=now + timedelta(seconds=timeout_s)
        )
        with self._replies.expect(correlation_id, on_delta) as pending:
            where = "not written yet"
            try:
                async with asyncio.timeout(timeout_s + PATIENCE_S):
                    writing = asyncio.create_task(
                        producer.send_and_wait(
                            self._topics.questions,
                            encode(question),
                            key=question.conversation_id.encode(),
                            headers=headers,
                        )
                    )
                    try:
                        # A producer that is stopped meanwhile never finishes the write.
                        await asyncio.wait([writing, pending.answer], return_when=asyncio.FIRST_COMPLETED)
                        if writing.done():
                            source = _source(writing.result())
                            where = f"{source.topic}/{source.partition}/{source.offset}"
                            pending.written(source)
                            # Its answer comes to the same partition number, which may be a new one.
                            places = {TopicPartition(topic, source.partition) for topic in self._read}
                            self._added |= places - self._assigned
                        return await pending.answer
                    finally:
                        writing.cancel()
            except MessageSizeTooLargeError as error:
                raise OperatorError(f"the question is larger than {RECORD_MAX_BYTES:,} bytes") from error
            except TimeoutError as error:
                raise TimeoutError(
                    f"no answer to question {question.id} ({where}) within {timeout_s + PATIENCE_S:g} s: "
                    f"is a worker running ('kotae worker') on {self._kafka.bootstrap_servers}?"
                ) from error

    async def _keep_reading(self, consumer: AIOKafkaConsumer) -> None:
        try:
            while True:
                if self._added:
                    await self._read_added(consumer)
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    for record in records:
                        self._replies.take(record.topic, record.headers, record.value)
        except Exception as error:  # noqa: BLE001 - the askers would wait in vain
            self._replies.fail(error)

    async def _read_added(self, consumer: AIOKafkaConsumer) -> None:
        added, self._added = self._added, set()
        # An assignment forgets the positions of the one before.
        positions = {partition: await consumer.position(partition) for partition in self._assigned}
        positions |= dict.fromkeys(added, 0)
        self._assigned |= added
        consumer.assign(list(self._assigned))
        for partition, position in positions.items():
            consumer.seek(partition, position)
