"""Reads the dead letters, and sends those back that may be: the shell around `operations.redrive`."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from schemas.codec import DecodeError, decode_answer
from schemas.topics import Topics
from streams.kafka.authorization import dead_letter_rights
from streams.kafka.options import client_options
from streams.kafka.reading import aread_to_end
from streams.kafka.topics import acheck_topics
from streams.operations.redrive import Decision, Identity, Letter, Place, Sent, decide
from streams.publishing.outcomes import TRUNCATED
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

SKEW_MS = 3_900_000
"""How much later a time a letter may bear than an answer written after it, by another worker's clock: a
broker refuses what is more than an hour ahead of its own (`message.timestamp.after.max.ms`)."""


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
        raise OperatorError(f"{topics.dead_letters} cannot be read: {error!r}") from error


async def adecide(kafka: Kafka, letters: Sequence[Letter]) -> list[Decision]:
    """What may be done with each letter, by what `answers` and `questions` hold since they were written.

    Raises:
        OperatorError: there is no broker, or a topic is missing.
    """
    topics = Topics(kafka.topic_prefix)
    await acheck_topics(kafka, needed=[topics.answers, topics.questions])
    if not letters:
        return []
    since_ms = max(0, min(letter.timestamp_ms for letter in letters) - SKEW_MS)
    answered: set[Place | Identity] = set()
    sent: set[Sent] = set()
    made_anew = False
    failed: dict[Place, set[bytes | None]] = {}
    for letter in letters:
        if letter.source[0] >= 0:
            values = failed.setdefault(letter.source, set())
            if letter.said.get("qa.dlq.disposition") != TRUNCATED:  # it would be like no record
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
        # By offsets, not by times, because the clock of whoever sends one back may be any.
        async for record in aread_to_end(kafka, topics.questions, since=dict(sorted(failed, reverse=True))):
            made_anew |= not failed.get((record.partition, record.offset), set()) <= {record.value}
            sent |= _sent_back(record)
        if made_anew:  # its offsets say nothing of when
            async for record in aread_to_end(kafka, topics.questions):
                sent |= _sent_back(record)
    except KafkaError as error:
        raise OperatorError(f"what became of the dead letters cannot be read: {error!r}") from error
    return decide(letters, answered=answered, sent=sent)


def _sent_back(record: ConsumerRecord) -> set[Sent]:
    """Nothing, where it was not."""
    again = Letter(record.partition, record.offset, None, record.value, tuple(record.headers), 0)
    return {(again.origin, again.identity, again.redrives)} if "qa.dlq.origin" in again.said else set()


async def aredrive(
    kafka: Kafka, decisions: Sequence[Decision], *, rate_per_s: float
) -> AsyncIterator[Letter]:
    """Send back those that may be, in their order; each is given when the broker has it.

    They go to the partition that they came from, so that a conversation stays in order.

    Raises:
        OperatorError: one cannot be written; those given before it are.
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
        raise OperatorError(f"{topic} cannot be written to: {error!r}") from error
    finally:
        await producer.stop()
