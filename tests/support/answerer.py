"""A stand-in for a worker in tests of clients: reads questions and writes the replies of a test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.answer import Answer, Source
from schemas.codec import decode_question, encode
from schemas.event import AnswerDelta
from schemas.headers import RequestHeaders, answer_headers, delta_headers, parse_request_headers
from schemas.question import Question
from schemas.topics import Topics
from streams.kafka.options import client_options
from streams.settings.model import Kafka
from tests.support.system import eventually

Reply = Answer | AnswerDelta
Script = Callable[[Question, Source], Sequence[Reply]]


def answer_to(question: Question, source: Source, **fields: Any) -> Answer:
    """An answer with all required fields."""
    return Answer(
        id=question.id,
        question_id=question.id,
        conversation_id=question.conversation_id,
        tenant=question.tenant,
        source=source,
        created_at=datetime.now(UTC),
        **({"status": "answered", "text": "yes"} | fields),
    )


def delta_of(question: Question, epoch: int, sequence: int, text: str = "") -> AnswerDelta:
    """A delta of an answer; the last one has no text."""
    return AnswerDelta(
        question_id=question.id,
        conversation_id=question.conversation_id,
        epoch=epoch,
        sequence=sequence,
        text=text,
        done=not text,
    )


@asynccontextmanager
async def answering(
    kafka: Kafka,
    script: Script,
    told: Callable[[], bool] = lambda: True,
    loses: Callable[[str, Reply], bool] = lambda _topic, _reply: False,
) -> AsyncIterator[list[RequestHeaders]]:
    """Reply to each question as `script` says while the block lasts; yields the headers seen.

    An answer waits until the deltas before it were `told`: records of two topics come in any order. What
    `loses` says of a topic is not written there.
    """
    topics, seen = Topics(kafka.topic_prefix), []
    options = client_options(kafka)
    async with AIOKafkaProducer(**options) as producer:
        consumer = AIOKafkaConsumer(**options, auto_offset_reset="earliest")
        consumer.assign(
            [TopicPartition(topics.questions, n) for n in await producer.partitions_for(topics.questions)]
        )

        async def work() -> None:
            async for record in consumer:
                question = decode_question(record.value)
                source = Source(record.topic, record.partition, record.offset)
                request = parse_request_headers(record.headers)
                seen.append(request)
                asked_for = request.reply_to, request.reply_partition
                for reply in script(question, source):
                    now = datetime.now(UTC)
                    if isinstance(reply, Answer):
                        await eventually(told, 30, "the pieces are told")
                        headers = answer_headers(request, reply, now)
                        places = [(topics.answers, record.partition), asked_for]
                    else:
                        headers = delta_headers(request, reply, source, now)
                        places = [asked_for if request.reply_deltas else (topics.deltas, record.partition)]
                    for topic, partition in places:
                        if topic is not None and not loses(topic, reply):
                            await producer.send_and_wait(
                                topic, encode(reply), partition=partition, headers=headers
                            )

        async with consumer:
            task = asyncio.create_task(work())
            try:
                yield seen
            finally:
                task.cancel()
                await asyncio.wait([task])
