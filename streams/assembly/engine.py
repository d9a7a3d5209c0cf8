"""The engine of a worker as the settings describe it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import Topics
from streams.consumer.assignment import Assignment
from streams.consumer.cancels import Cancels
from streams.consumer.control import ControlReader
from streams.consumer.intake import Intake
from streams.consumer.lease import Lease
from streams.consumer.loop import ConsumerLoop
from streams.consumer.recovery import Recovery
from streams.consumer.repeats import Repeats
from streams.kafka.options import COMMITTED, client_options
from streams.kafka.reading import readers
from streams.publishing.begun import Begun
from streams.publishing.copies import PATIENCE_S, Copies
from streams.publishing.gate import Gate
from streams.publishing.journal import KafkaJournal
from streams.publishing.outcomes import Outcomes
from streams.publishing.publisher import Publisher
from streams.publishing.records import conceal_in
from streams.publishing.replies import ReplyTopics
from streams.publishing.sending import Sender
from streams.settings.model import Kafka, Settings
from streams.telemetry.hook import Hook
from streams.worker.answering import Answering, QuestionPipeline
from streams.worker.cancelling import Cancelling
from streams.worker.engine import Engine, recover_all
from streams.worker.first_answers import FirstAnswers
from streams.worker.repeating import Repeating

BUFFER_FACTOR = 2
"""Records buffered for each question in flight, so that a slot is refilled without a fetch."""
BUFFER_MIN = 500
BUFFER_BYTES = 64 * 1_048_576
FETCH_WAIT_MS = 100
"""How long a broker may hold a fetch: a partition that was emptied meanwhile waits for its answer."""
CONTROL_WAIT_MS = 250
"""How long a broker may hold a fetch of `questions.control`: a partition that becomes ours waits for it."""
METADATA_AGE_MS = 30_000
"""How old our view of the topics may be: partitions that were added are read from then on."""
REBALANCE_TIMEOUT_MS = 60_000
"""How long the group waits for a member's last commit; aiokafka's default is the session's time-out."""
BATCH_BYTES = 65_536

Conceal = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class EngineParts:
    """The parts of an engine that its pipeline does not change: they are built before it.

    A pipeline is built on the `journal`, the journal on the gates of the `assignment`, and the assignment on
    the `publisher`. So each part gets the finished ones before it, and none is changed afterwards.
    """

    settings: Settings
    hook: Hook
    outcomes: Outcomes
    copies: Copies
    publisher: Publisher
    assignment: Assignment
    journal: KafkaJournal
    repeats: Repeats


def build_parts(settings: Settings, hook: Hook, conceal: Conceal | None = None) -> EngineParts:
    """Build the parts that come before the pipeline; nothing is connected yet.

    `conceal` takes secrets out of written records (see `streams.settings.secrets.concealer`).

    Raises:
        OperatorError: a certificate file of the settings cannot be read.
    """
    kafka, worker = settings.kafka, settings.worker
    topics = Topics(kafka.topic_prefix)
    options = client_options(kafka)

    def open_copies() -> Any:
        return AIOKafkaProducer(**options, acks="all", max_batch_size=BATCH_BYTES)

    def open_producer() -> Any:
        return AIOKafkaProducer(**options, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES)

    prepare = None
    if conceal is not None:
        prepare = partial(conceal_in, conceal=conceal, dead_letters=topics.dead_letters)
    beside = Sender(
        open_producer=open_copies,
        topics=(topics.events, topics.deltas),
        rebuild=False,
        hook=hook,
        patience_s=PATIENCE_S,
        prepare=prepare,
    )
    replies = ReplyTopics(topics, kafka.reply_topics, beside.partitions)
    outcomes = Outcomes(topics, replies=replies, group_id=worker.group_id)
    copies = Copies(beside, reply_topics=replies.names, hook=hook)
    publisher = Publisher(
        Sender(
            open_producer=open_producer,
            topics=(topics.answers, topics.dead_letters),
            rebuild=True,
            hook=hook,
            prepare=prepare,
        ),
        copies=copies,
        shrink=outcomes.shrink,
        hook=hook,
    )
    intake = Intake(
        max_in_flight=worker.max_in_flight,
        max_buffered=max(BUFFER_MIN, BUFFER_FACTOR * worker.max_in_flight),
        max_bytes=BUFFER_BYTES,
        has_room=publisher.has_room,
        tenant_share=settings.limits.tenant_share,
    )
    assignment = Assignment(
        intake, partial(publisher.end_of_answers, topics.answers), Lease(kafka.session_timeout_s)
    )
    window_s, most = settings.limits.deduplicate_s, settings.limits.deduplicate_records
    begun = Begun(window_s=window_s, most=most, clock=time.monotonic)
    journal = _build_journal(kafka, hook, conceal, assignment.gate_of, begun)
    repeats = Repeats(window_s=window_s, most=most)
    return EngineParts(settings, hook, outcomes, copies, publisher, assignment, journal, repeats)


def build_engine(parts: EngineParts, pipeline: QuestionPipeline) -> Engine:
    """Build the engine that answers with one pipeline, of parts that no other engine has."""
    settings, hook = parts.settings, parts.hook
    kafka, worker = settings.kafka, settings.worker
    topics = Topics(kafka.topic_prefix)
    options = client_options(kafka)
    session_ms = int(kafka.session_timeout_s * 1000)

    def open_consumer() -> Any:
        return AIOKafkaConsumer(
            **options,
            **COMMITTED,
            group_id=worker.group_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 3,
            rebalance_timeout_ms=_rebalance_timeout_ms(kafka),
            fetch_max_wait_ms=FETCH_WAIT_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
        )

    # For recoveries, which read records of open transactions, too: they must not wait for one. An aborted
    # question that they see is older than the next, and makes them read from earlier at most.
    open_reader = readers(kafka, fetch_max_wait_ms=FETCH_WAIT_MS)
    recovery = Recovery(
        open_reader=open_reader,
        open_admin=lambda: AIOKafkaAdminClient(**options),
        group_id=worker.group_id,
        questions=topics.questions,
        answers=topics.answers,
        hook=hook,
        repeats=parts.repeats,
    )
    first_answers = FirstAnswers(open_reader=open_reader, questions=topics.questions, answers=topics.answers)
    repeating = Repeating(parts.repeats, first_answers)
    cancels = Cancels(topics.questions)
    answering = Answering(
        pipeline=pipeline,
        outcomes=parts.outcomes,
        publisher=parts.publisher,
        copies=parts.copies,
        hook=hook,
        deadline_s=settings.limits.deadline_s,
        journal=parts.journal,
        repeating=repeating,
        cancels=cancels,
    )
    cancelling = Cancelling(cancels, parts.assignment, stop=answering.stop)
    control = ControlReader(
        open_reader=readers(kafka, fetch_max_wait_ms=CONTROL_WAIT_MS),
        open_admin=lambda: AIOKafkaAdminClient(**options),
        topic=topics.control,
        take=cancelling.take,
        owned=lambda number: number in parts.assignment.partitions,
    )
    consumer = ConsumerLoop(
        topic=topics.questions,
        open_consumer=open_consumer,
        recover=partial(
            recover_all,
            recovery=recovery,
            journal=parts.journal,
            repeats=parts.repeats,
            control=control,
            cancelling=cancelling,
        ),
        handler=answering,
        assignment=parts.assignment,
        hook=hook,
    )
    return Engine(
        consumer=consumer,
        answering=answering,
        publisher=parts.publisher,
        copies=parts.copies,
        journal=parts.journal,
        repeating=repeating,
        control=control,
        cancelling=cancelling,
    )


def rebalance_timeout_s(kafka: Kafka) -> float:
    """Return how long a rebalance of the group may last, in seconds."""
    return _rebalance_timeout_ms(kafka) / 1000


def _rebalance_timeout_ms(kafka: Kafka) -> int:
    return max(REBALANCE_TIMEOUT_MS, 2 * int(kafka.session_timeout_s * 1000))


def _build_journal(
    kafka: Kafka, hook: Hook, conceal: Conceal | None, gate_of: Callable[[int], Gate], begun: Begun
) -> KafkaJournal:
    topic = Topics(kafka.topic_prefix).journal
    options = client_options(kafka)

    def open_producer() -> AIOKafkaProducer:
        return AIOKafkaProducer(**options, acks="all", enable_idempotence=True)

    prepare = None if conceal is None else partial(conceal_in, conceal=conceal, dead_letters="")
    sender = Sender(open_producer=open_producer, topics=(topic,), rebuild=True, hook=hook, prepare=prepare)
    return KafkaJournal(sender, topic=topic, kafka=kafka, hook=hook, gate_of=gate_of, begun=begun)
