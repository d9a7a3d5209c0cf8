"""Reads dead letters and sends them back: the I/O around the decisions of `streams.operations.redrive`."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import DecodeError, decode_answer
from schemas.errors import Disposition
from schemas.topics import Topics
from streams.kafka.authorization import dead_letter_rights
from streams.kafka.options import COMMITTED, client_options
from streams.kafka.reading import CLOCK_SKEW_MS, MACHINES_SKEW_MS, aread, aread_to_end, open_reader
from streams.kafka.topics import acheck_topics
from streams.operations.letters import NOWHERE, Identity, Letter, OriginalRecord, QuestionPlace
from streams.operations.redrive import AskedAt, RedriveDecision, Sent, decide
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka


async def aread_letters(kafka: Kafka) -> list[Letter]:
    """Every dead letter that the topic still has; those that others wrote with their original records.

    Raises:
        OperatorError: there is no broker, or a topic is missing.
    """
    topics = Topics(kafka.topic_prefix)
    await acheck_topics(
        kafka, needed=[topics.dead_letters, topics.questions], rights=dead_letter_rights(kafka)
    )
    try:
        letters = [
            Letter(
                record.partition,
                record.offset,
                record.key,
                record.value,
                tuple(record.headers),
                record.timestamp,
                topics.questions,
            )
            async for record in aread_to_end(kafka, topics.dead_letters)
        ]
        needed = {letter.source for letter in letters if letter.needs_original}
        originals = await _aoriginals(kafka, needed) if needed else {}
    except KafkaError as error:
        raise OperatorError(f"cannot read the topic {topics.dead_letters}: {error!r}") from error
    return [
        letter.restored(originals.get(letter.source), skew_ms=MACHINES_SKEW_MS)
        if letter.needs_original
        else letter
        for letter in letters
    ]


async def _aoriginals(kafka: Kafka, places: set[QuestionPlace]) -> dict[QuestionPlace, OriginalRecord]:
    """Read the records that are at these places of `questions` now; nothing where none is left."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, offset in places:
        first[number] = min(offset, first.get(number, offset))
        last[number] = max(offset, last.get(number, offset))
    topic = Topics(kafka.topic_prefix).questions
    found: dict[QuestionPlace, OriginalRecord] = {}
    async with open_reader(kafka, topic, **COMMITTED) as consumer:
        partitions = [
            TopicPartition(topic, number)
            for number in consumer.partitions_for_topic(topic) or ()
            if number in first
        ]
        kept = await consumer.beginning_offsets(partitions)
        written = await consumer.end_offsets(partitions)
        begins = {one: max(kept[one], first[one.partition]) for one in partitions}
        ends = {one: min(written[one], last[one.partition] + 1) for one in partitions}
        async for _, records in aread(consumer, begins, ends):
            for record in records:
                if (place := (record.partition, record.offset)) in places:
                    found[place] = OriginalRecord(
                        record.key, record.value, tuple(record.headers), record.timestamp
                    )
    return found


async def adecide(kafka: Kafka, letters: Sequence[Letter], *, force: bool = False) -> list[RedriveDecision]:
    """Decide on each letter, from the records written to `answers` and `questions` since it failed.

    Args:
        force: whether letters that are unfit may be sent back.

    Raises:
        OperatorError: there is no broker, or a topic is missing.
    """
    topics = Topics(kafka.topic_prefix)
    await acheck_topics(kafka, needed=[topics.answers, topics.questions])
    if not letters:
        return []
    identities = {letter.identity for letter in letters}
    nameless = {letter.source for letter in letters if letter.identity is None}
    answered: set[AskedAt] = set()
    try:
        async for record in aread_to_end(kafka, topics.answers, since_ms=_answered_since(letters)):
            try:
                answer = decode_answer(record.value)
            except DecodeError:
                continue  # another writer's
            if answer.status != "failed" and answer.source.topic == topics.questions:
                place = answer.source.partition, answer.source.offset
                identity = answer.tenant, answer.conversation_id, answer.question_id
                if identity in identities or place in nameless:
                    answered.add((place, identity))
        sent, contents = await _aasked(kafka, letters, identities)
    except KafkaError as error:
        raise OperatorError(f"cannot read the outcomes of the dead letters' questions: {error!r}") from error
    return decide(letters, answered=answered, contents=contents, sent=sent, force=force)


def _answered_since(letters: Sequence[Letter]) -> int:
    """The time from which on the letters' questions can have an answer.

    Kotae writes a letter before any answer. Others may write one at any time after the question was asked.
    """
    times = [letter.timestamp_ms if letter.ours else letter.asked_ms or 0 for letter in letters]
    return max(0, min(times) - CLOCK_SKEW_MS)


async def _aasked(
    kafka: Kafka, letters: Sequence[Letter], identities: set[Identity | None]
) -> tuple[set[Sent], dict[AskedAt, bytes | None]]:
    """Read the questions since the letters' own: those sent back, and what those of `identities` ask."""
    topic = Topics(kafka.topic_prefix).questions
    failed: dict[QuestionPlace, set[bytes | None]] = {}
    for letter in letters:
        if letter.source != NOWHERE:
            values = failed.setdefault(letter.source, set())
            # A truncated letter equals no record, and no more does one whose record is gone.
            if letter.code != Disposition.TRUNCATED and letter.whole:
                values.add(letter.value)
    sent: set[Sent] = set()
    contents: dict[AskedAt, bytes | None] = {}
    recreated = False

    def take(record: ConsumerRecord) -> None:
        place = record.partition, record.offset
        again = Letter(*place, None, record.value, tuple(record.headers), record.timestamp, topic)
        if again.identity is not None and again.identity in identities:
            contents[place, again.identity] = again.content
        if "qa.dlq.origin" in again.header_texts:
            sent.add((again.origin, again.identity, again.redrives))

    # From an offset, not from a time, because the clock of the machine that sent one back may be wrong.
    since = dict(sorted(failed, reverse=True))
    async for record in aread_to_end(kafka, topic, since=since, options=COMMITTED):
        recreated |= not failed.get((record.partition, record.offset), set()) <= {record.value}
        take(record)
    if recreated:  # its offsets do not tell which records are later
        async for record in aread_to_end(kafka, topic, options=COMMITTED):
            take(record)
    return sent, contents


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
            if decision.state != "redrive":
                continue
            letter = decision.letter
            # In a batch of its own: `send` takes no record without key and value, and none that is as large
            # as `questions` allows.
            batch = producer.create_batch()
            batch.append(key=letter.key, value=letter.value, timestamp=None, headers=letter.redriven_headers)
            batch.close()
            await (await producer.send_batch(batch, topic, partition=letter.source[0] % count))
            yield letter
            await asyncio.sleep(1 / rate_per_s)
    except KafkaError as error:
        raise OperatorError(f"cannot write to the topic {topic}: {error!r}") from error
    finally:
        await producer.stop()
