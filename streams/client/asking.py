"""Ask over Kafka and wait for the answer, as any client can do with the documented contract.

An outcome's identity is its source: the client waits for the answer whose source is the question's record.
Until the broker has acknowledged that record, answers with the question's correlation id are kept.

Answers come on one partition of `answers.replies`, which the client has drawn, so that it need not read those
of others. A reply can be lost, but no answer: the client then looks for it on `answers`.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError

from schemas.answer import Answer, Source
from schemas.client_headers import request_headers
from schemas.codec import encode
from schemas.event import AnswerDelta
from schemas.question import Question
from schemas.topics import RECORD_MAX_BYTES, Topics
from streams.client.cancelling import Cancels
from streams.client.inbox import Inbox
from streams.client.judging import Rating, feedback_record
from streams.client.lost import LostReplies
from streams.client.pending import DeltaListener, Replies
from streams.kafka.authorization import ask_rights
from streams.kafka.options import client_options
from streams.kafka.topics import acheck_topics
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

log = logging.getLogger(__name__)

PATIENCE_S = 3.0
"""How long the client waits for the outcome after the question's deadline."""
_STOP_TIMEOUT_S = 5.0


class AskClient:
    """A producer of questions and a consumer of answers, for any number of questions at once.

    Use it with `async with`. On a cluster without `answers.replies`, as 0.1.0 made it, it reads all answers.

    Args:
        streaming: whether to read `answers.deltas` too, which `on_delta` needs where there is no
            `answers.replies`.
        reply_to: a topic of your own for the replies, named in the workers' `KOTAE_KAFKA__REPLY_TOPICS`.
        reply_partition: the partition of that topic to read; default: one that is drawn.
    """

    def __init__(
        self,
        kafka: Kafka,
        *,
        streaming: bool = True,
        reply_to: str | None = None,
        reply_partition: int | None = None,
    ) -> None:
        self._kafka = kafka
        self._topics = Topics(kafka.topic_prefix)
        self._streaming = streaming
        self._own_topic = reply_to
        self._reply_to = reply_to or self._topics.replies
        self._reply_partition = reply_partition
        self._read: list[str] = []
        self._takes_feedback = self._takes_cancels = False
        self._replies = Replies()
        self._inbox = Inbox(self._take, self._replies.fail)
        self._lost = LostReplies(kafka, self._topics.answers, self._take)
        self._cancels = Cancels(self._topics.control)
        self._producer: AIOKafkaProducer | None = None

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

    @property
    def reply_partition(self) -> int | None:
        """The partition that the replies come to; None: the client is not started, or reads all answers."""
        return None if self._read else self._reply_partition

    async def start(self) -> None:
        """Connect.

        Raises:
            OperatorError: no broker, a right or a topic is missing, or there is no such `reply_partition`.
        """
        places = await self._places()
        options = client_options(self._kafka)
        self._producer = AIOKafkaProducer(
            **options, acks="all", enable_idempotence=True, max_request_size=RECORD_MAX_BYTES
        )
        await self._producer.start()
        self._cancels.start(self._producer if self._takes_cancels else None)
        consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset="earliest")
        await self._inbox.start(consumer, places)

    async def stop(self) -> None:
        """Disconnect; pending questions fail. May be called twice."""
        self._replies.fail(ConnectionError("the client was stopped"))
        await self._cancels.aclose()
        await self._lost.stop()
        stopping = [asyncio.create_task(self._inbox.stop())]
        if self._producer is not None:
            stopping.append(asyncio.create_task(self._producer.stop()))
        # Without a broker a client can hang or fail here; nothing is left to lose.
        _, hanging = await asyncio.wait(stopping, timeout=_STOP_TIMEOUT_S)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*stopping, return_exceptions=True)
        self._producer = None

    async def aask(
        self,
        question: str | Question,
        *,
        timeout_s: float = 30.0,
        on_delta: DeltaListener | None = None,
    ) -> Answer:
        """Ask, and wait for the answer, which may be a failed or degraded one.

        If the awaiting task is cancelled, so is the question, once the broker has it.

        Args:
            question: its text, or the whole message.
            timeout_s: the question's deadline, in seconds from now; the worker keeps it.
            on_delta: called with each delta; makes the worker stream the answer.

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
            question,
            now,
            correlation_id=correlation_id,
            reply_to=None if self._read else self._reply_to,
            reply_partition=self._reply_partition,
            reply_deltas=on_delta is not None,
            expires_at=now + timedelta(seconds=timeout_s),
        )
        deadline = asyncio.get_running_loop().time() + timeout_s
        with self._replies.expect(correlation_id, on_delta) as pending, self._cancels.of(question) as asked:
            where = "not written yet"
            try:
                async with asyncio.timeout_at(deadline + PATIENCE_S):
                    writing = asked.write(
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
                            written = writing.result()
                            source = Source(written.topic, written.partition, written.offset)
                            where = f"{source.topic}/{source.partition}/{source.offset}"
                            pending.written(source)
                            # Its answer comes to the same partition number, which may be a new one.
                            self._inbox.follow(
                                [TopicPartition(topic, source.partition) for topic in self._read]
                            )
                            if not self._read:
                                return await self._lost.arecover(pending, source, written.timestamp, deadline)
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

    def cancel(self, question: str | Question) -> bool:
        """Call a question back that `aask` waits for, by its id. Its outcome comes all the same.

        That is a failed answer with the code `cancelled`, or the answer if it was made before. Returns False
        if no such question waits, or if the cluster has no `questions.control`.
        """
        return self._cancels.cancel(question if isinstance(question, str) else question.id)

    async def astream(
        self, question: str | Question, *, timeout_s: float = 30.0
    ) -> AsyncGenerator[AnswerDelta | Answer, None]:
        """Ask, and yield the answer's deltas as they come, and then the answer, which counts.

        Arguments and errors are those of `aask`.
        """
        deltas: asyncio.Queue[AnswerDelta | None] = asyncio.Queue()
        asking = asyncio.create_task(self.aask(question, timeout_s=timeout_s, on_delta=deltas.put_nowait))
        asking.add_done_callback(lambda _: deltas.put_nowait(None))
        try:
            while (delta := await deltas.get()) is not None:
                yield delta
            yield asking.result()
        finally:
            asking.cancel()
            await asyncio.wait([asking])

    async def feedback(
        self,
        answer: Answer,
        rating: Rating,
        *,
        comment: str = "",
        tags: Sequence[str] = (),
        response_id: str = "",
    ) -> None:
        """Write what somebody thinks of an answer, and return when the broker has it.

        Args:
            rating: 1: good; -1: bad.
            comment: at most 2,000 characters.
            tags: at most 10 of 1 to 64 characters each.
            response_id: the name that an HTTP API gave the answer.

        Raises:
            DecodeError: a value is out of bounds; nothing was written.
            OperatorError: the topic `feedback` is missing.
            KafkaError: the broker did not take it.
        """
        if self._producer is None:
            raise RuntimeError("the client was not started")
        if not self._takes_feedback:
            raise OperatorError(
                f"{self._topics.feedback} is not there, or this client has no right to write to it: see "
                "'kotae topics create' and docs/security.md"
            )
        key, value, headers = feedback_record(
            answer, rating, datetime.now(UTC), comment=comment, tags=tags, response_id=response_id
        )
        await self._producer.send_and_wait(self._topics.feedback, value, key=key, headers=headers)

    async def _places(self) -> list[TopicPartition]:
        """Return the partitions to read: one of the topic for replies, or all of `answers` without it."""
        needed = [self._topics.questions, self._topics.answers]
        if self._own_topic is not None:
            needed.append(self._own_topic)
        there = await acheck_topics(
            self._kafka, needed=needed, rights=ask_rights(self._kafka, reply_to=self._reply_to)
        )
        self._takes_feedback = self._topics.feedback in there
        self._takes_cancels = self._topics.control in there
        count = there.get(self._reply_to)
        if count is not None:
            if self._reply_partition is None:
                self._reply_partition = random.randrange(count)
            if not 0 <= self._reply_partition < count:
                raise OperatorError(
                    f"{self._reply_to} has no partition {self._reply_partition}: it has {count}, from 0 on"
                )
            return [TopicPartition(self._reply_to, self._reply_partition)]
        log.warning(
            "there is no topic %s, so all answers are read: run 'kotae topics create'", self._reply_to
        )
        self._read = [self._topics.answers, *([self._topics.deltas] if self._streaming else [])]
        there = await acheck_topics(
            self._kafka, needed=self._read, rights=ask_rights(self._kafka, streaming=self._streaming)
        )
        return [TopicPartition(topic, number) for topic in self._read for number in range(there[topic])]

    def _take(self, record: ConsumerRecord) -> None:
        self._replies.take(record.headers, record.value)
