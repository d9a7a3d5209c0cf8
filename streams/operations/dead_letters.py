"""Reads dead letters and sends them back: the I/O around the decisions of `streams.operations.redrive`."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from schemas.codec import DecodeError, decode_answer
from schemas.errors import Disposition
from schemas.topics import Topics
from streams.kafka.authorization import dead_letter_rights
from streams.kafka.options import client_options
from streams.kafka.reading import CLOCK_SKEW_MS, aread_to_end
from streams.kafka.topics import acheck_topics
from streams.operations.redrive import Identity, Letter, QuestionPlace, RedriveDecision, Sent, decide
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka


async def aread_letters(kafka: Kafka) -> list[Letter]:
    """Every dead letter that the topic still has.

    Raises:
        OperatorError: there is no broker, or the topic is missing.
    """
    topics = Topics(kafka.topic_prefix)
    await acheck_topics(kafka, needed=[topics.dead_letters], rights=dead_letter_rights(kafka))
    try:
        return [
            Letter(
                record.partition,
                record.offset,
                record.key,
                record.value,
                tuple(record.headers),
                record.timestamp,
            )
            async for record in aread_to_end(kafka, topics.dead_letters)
        ]
    except KafkaError as error:
        raise OperatorError(f"cannot read the topic {topics.dead_letters}: {error!r}") from error


async def adecide(kafka: Kafka, letters: Sequence[Letter]) -> list[RedriveDecision]:
    """Decide on each letter, from the records written to `answers` and `questions` since it failed.

    Raises:
        OperatorError: there is no broker, or a topic is missing.
    """
    topics = Topics(kafka.topic_prefix)
    await acheck_topics(kafka, needed=[topics.answers, topics.questions])
    if not letters:
        return []
    since_ms = max(0, min(letter.timestamp_ms for letter in letters) - CLOCK_SKEW_MS)
    answered: set[QuestionPlace | Identity] = set()
    sent: set[Sent] = set()
    recreated = False
    failed: dict[QuestionPlace, set[bytes | None]] = {}
    for letter in letters:
        if letter.source[0] >= 0:
            values = failed.setdefault(letter.source, set())
            # A truncated letter equals no record.
            if letter.header_texts.get("qa.dlq.disposition") != Disposition.TRUNCATED:
                values.add(letter.value)
    try:
        async for record in aread_to_end(kafka, topics.answers, since_ms=since_ms):
            try:
                answer = decode_answer(record.value)
            except DecodeError:
                continue  # another writer's
            if answer.status != "failed" and answer.source.topic == topics.questions:
                place = answer.source.partition, answer.source.offset
                answered |= {place, (answer.tenant, answer.question_id)}
        # From an offset, not from a time, because the clock of the machine that sent one back may be wrong.
        async for record in aread_to_end(kafka, topics.questions, since=dict(sorted(failed, reverse=True))):
            recreated |= not failed.get((record.partition, record.offset), set()) <= {record.value}
            sent |= _sent_back(record)
        if recreated:  # its offsets do not tell which records are later
            async for record in aread_to_end(kafka, topics.questions):
                sent |= _sent_back(record)
    except KafkaError as error:
        raise OperatorError(f"cannot read the outcomes of the dead letters' questions: {error!r}") from error
    return decide(letters, answered=answered, sent=sent)


def _sent_back(record: ConsumerRecord) -> set[Sent]:
    """The record's entry if it was sent back, else nothing."""
    again = Letter(record.partition, record.offset, None, record.value, tuple(record.headers), 0)
    return (
        {(again.origin, again.identity, again.redrives)} if "qa.dlq.origin" in again.header_texts else set()
    )


async def aredrive(
    kafka: Kafka, decisions: Sequence[RedriveDecision], *, rate_per_s: float
) -> AsyncIterator[Letter]:
    """Send back the letters decided to be redriven, in order; yields each when the broker has it.

    A record goes to the partition that it came from, so that a conversation stays in order.

    Raises:
        OperatorError: a record cannot be written; the ones yielded before it are written.
    """
    topic = Topics(kafka.topic_prefix).questions
    await acheck_topics(kafka, needed=[topic], rights=dead_letter_rights(kafka, redrive=True))
    producer = AIOKafkaProducer(**client_options(kafka), acks="all", enable_idempotence=True)
    try:
        await producer.start()
        count = len(await producer.partitions_for(topic))
        for decision in decisions:
            if decision.action != "redrive":
                continue
            letter = decision.letter
            await producer.send_and_wait(
                topic,
                letter.value,
                key=letter.key,
                headers=letter.redriven_headers,
                partition=letter.source[0] % count,
            )
            yield letter
            await asyncio.sleep(1 / rate_per_s)
    except KafkaError as error:
        raise OperatorError(f"cannot write to the topic {topic}: {error!r}") from error
    finally:
        await producer.stop()
