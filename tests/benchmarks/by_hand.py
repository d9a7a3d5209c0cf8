"""The engine's work in the least code, written in one piece: the cost that an engine can hope to approach.

One question in, two records out with their headers; a task each, lanes in order, batches by partition,
traces gathered, offsets tracked, a commit a second. It leaves out the purpose of an engine: rebalances,
recovery, fencing, failures of any kind, tenants, bounds on bytes, dead letters, deadlines, metrics.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from agents.pipeline import Asked
from schemas.answer import Source
from schemas.codec import decode_question, encode
from schemas.event import QuestionTrace
from schemas.headers import Header, answer_headers, parse_request_headers, trace_headers
from schemas.topics import Topics
from streams.consumer.offsets import OffsetTracker

POLL = 256
PACE_S = 0.004
TRACES_S = 0.1
COMMIT_S = 1.0

Item = tuple[bytes, bytes, list[Header], ConsumerRecord | None]
"""Key, value, headers, and, for an answer, the question's record."""
Place = tuple[str, int]


class ByHand:
    """A worker with this pipeline; the meter counts the records fetched and the records acknowledged."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        topics: Topics,
        pipeline: Any,
        in_flight: int,
        meter: Any,
    ) -> None:
        self._consumer = consumer
        self._producer = producer
        self._topics = topics
        self._pipeline = pipeline
        self._limit = in_flight
        self._meter = meter
        self._in_flight = 0
        self._room = asyncio.Event()
        self._work = asyncio.Event()
        self._trackers: dict[int, OffsetTracker] = {}
        self._lanes: dict[bytes, deque[ConsumerRecord] | None] = {}
        self._queues: dict[Place, list[Item]] = {}
        self._traces: list[tuple[Place, Item]] = []
        self._flying: set[Place] = set()
        self._tasks: set[Any] = set()

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (self._poll, self._send, self._commit):
                group.create_task(part())

    async def _poll(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            while self._in_flight * 2 > self._limit:
                self._room.clear()
                await self._room.wait()
            most = min(POLL, self._limit - self._in_flight)
            batches = await self._consumer.getmany(timeout_ms=100, max_records=most)
            now = clock()
            self._meter.records_fetched(len(batches))
            for topic_partition, records in batches.items():
                tracker = self._trackers.setdefault(topic_partition.partition, OffsetTracker(0))
                self._in_flight += len(records)
                for record in records:
                    tracker.polled(record.offset, now)
                    if record.key not in self._lanes:
                        self._lanes[record.key] = None
                        self._begin(record, now)
                    else:
                        lane = self._lanes[record.key] = self._lanes[record.key] or deque()
                        lane.append(record)

    def _begin(self, record: ConsumerRecord, now: float) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(self._answer(record, now), name="answer"))

    async def _answer(self, record: ConsumerRecord, now: float) -> None:
        request = parse_request_headers(record.headers)
        question = decode_question(record.value)
        source = Source(record.topic, record.partition, record.offset)
        asked = Asked(question=question, source=source, deadline=now + 30)
        answer = (await self._pipeline.aanswer(asked)).answer
        key, headers = answer.conversation_id.encode(), answer_headers(request, answer, datetime.now(UTC))
        place = self._topics.answers, record.partition
        self._queues.setdefault(place, []).append((key, encode(answer), headers, record))
        trace = QuestionTrace(
            question_id=answer.question_id,
            conversation_id=answer.conversation_id,
            tenant=answer.tenant,
            status=answer.status,
        )
        if not self._traces:
            asyncio.get_running_loop().call_later(TRACES_S, self._let_traces_go)
        place = self._topics.events, record.partition
        self._traces.append((place, (key, encode(trace), trace_headers(headers), None)))
        self._work.set()
        self._tasks.discard(asyncio.current_task())

    def _let_traces_go(self) -> None:
        traces, self._traces = self._traces, []
        for place, item in traces:
            self._queues.setdefault(place, []).append(item)
        self._work.set()

    async def _send(self) -> None:
        while True:
            await self._work.wait()
            await asyncio.sleep(PACE_S)
            self._work.clear()
            for place, items in list(self._queues.items()):
                if items and place not in self._flying:
                    await self._send_batch(place, items)

    async def _send_batch(self, place: Place, items: list[Item]) -> None:
        batch, count = self._producer.create_batch(), 0
        for key, value, headers, _ in items:
            if batch.append(key=key, value=value, headers=headers, timestamp=None) is None:
                break
            count += 1
        self._queues[place] = items[count:]
        self._flying.add(place)
        sent = await self._producer.send_batch(batch, place[0], partition=place[1])
        sent.add_done_callback(partial(self._acknowledged, place, items[:count]))

    def _acknowledged(self, place: Place, items: list[Item], sent: "asyncio.Future[Any]") -> None:
        sent.result()
        self._flying.discard(place)
        now = asyncio.get_running_loop().time()
        for _, _, _, record in items:
            if record is None:
                continue
            self._in_flight -= 1
            self._trackers[record.partition].complete(record.offset)
            waiting = self._lanes[record.key]
            if waiting:
                self._begin(waiting.popleft(), now)
            else:
                del self._lanes[record.key]
        self._room.set()
        if self._queues[place]:
            self._work.set()
        self._meter.sent(len(items))

    async def _commit(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            points = {
                TopicPartition(self._topics.questions, number): tracker.commit_point
                for number, tracker in self._trackers.items()
            }
            if points:
                await self._consumer.commit(points)
