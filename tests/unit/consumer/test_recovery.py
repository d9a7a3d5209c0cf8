"""A recovery against a log in memory; the reading itself is tested on a real broker."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError

from schemas.answer import Answer, Source, ToolCall
from schemas.codec import encode as encode_message
from schemas.fingerprint import digest_of, fingerprint
from schemas.headers import QUESTION_DIGEST
from schemas.question import Question
from streams.consumer.offset_map import encode
from streams.consumer.recovered import Recovered, take_in
from streams.consumer.recovery import Recovery
from streams.consumer.repeats import FAILED, Repeats, Result
from streams.telemetry.hook import Hook
from tests.support.system import eventually


def written(value: bytes | None, offset: int = 0, partition: int = 3) -> ConsumerRecord:
    return ConsumerRecord("answers", partition, offset, 0, 0, b"k", value, None, 1, 1, ())


def answer(offset: int, topic: str = "questions", partition: int = 3, question_id: str = "") -> bytes:
    named = b'"question_id":"%s",' % question_id.encode() if question_id else b""
    return b'{"id":"q","text":"\xc3\xa9",%s"source":{"topic":"%s","partition":%d,"offset":%d}}' % (
        named,
        topic.encode(),
        partition,
        offset,
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"source":null}',
        b'{"source":{"topic":"questions","partition":3,"offset":"12"}}',
        b'{"source":{"topic":"questions","partition":3}}',
        b"[" * 100_000,
        answer(12, topic="other"),
        answer(12, partition=4),
        answer(9),
    ],
)
def test_answers_of_other_writers_complete_nothing(value: bytes | None) -> None:
    found = Recovered(3, 10, 10)
    take_in(found, "questions", [written(value), written(answer(11))])
    assert found.completed == {11}
    assert found.scanned == 2


class Log:
    """A broker's partitions as a reader and an admin client see them."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[ConsumerRecord]] = {}
        self.begins: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, tuple[int, str]] = {}
        self.refusals: list[Exception] = []
        self.sought: dict[TopicPartition, int] = {}
        self.times: dict[TopicPartition, int] = {}
        self.described = [0, 1, 2, 3]

    # The admin client.
    async def start(self) -> None:
        if self.refusals:
            raise self.refusals.pop()

    async def close(self) -> None: ...

    async def list_consumer_group_offsets(self, group: str, partitions: list[TopicPartition]) -> Any:
        return {tp: self.committed.get(tp, (-1, "")) for tp in partitions}

    async def describe_topics(self, topics: list[str]) -> Any:
        return [{"topic": topics[0], "partitions": [{"partition": n} for n in self.described]}]

    # The reader.
    async def stop(self) -> None: ...

    def _end(self, tp: TopicPartition) -> int:
        records = self.records.get(tp)
        return records[-1].offset + 1 if records else self.begins.get(tp, 0)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> Any:
        return {tp: self.begins.get(tp, 0) for tp in partitions}

    async def end_offsets(self, partitions: list[TopicPartition]) -> Any:
        return {tp: self._end(tp) for tp in partitions}

    async def offsets_for_times(self, times: dict[TopicPartition, int]) -> Any:
        self.times = times
        found = {}
        for tp, at in times.items():
            later = [r for r in self.records.get(tp, []) if r.timestamp >= at]
            found[tp] = later[0] if later else None
        return found

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.sought[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self.sought[tp]

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> Any:
        await asyncio.sleep(0)
        found = {}
        for tp in partitions:
            records = [r for r in self.records.get(tp, []) if r.offset >= self.sought[tp]][:max_records]
            if records:
                found[tp] = records
                self.sought[tp] = records[-1].offset + 1
        return found

    def write(
        self,
        topic: str,
        *values: bytes,
        partition: int = 3,
        first: int = 0,
        at: int = 0,
        by_broker: bool = False,
    ) -> None:
        self.records[TopicPartition(topic, partition)] = [
            ConsumerRecord(topic, partition, first + n, at, int(by_broker), b"k", value, None, 1, 1, ())
            for n, value in enumerate(values)
        ]

    def append(self, topic: str, *values: bytes, partition: int = 3, at: int = 0) -> None:
        before = self.records.get(TopicPartition(topic, partition), [])
        self.write(topic, *values, partition=partition, first=len(before), at=at)
        self.records[TopicPartition(topic, partition)] = (
            before + self.records[TopicPartition(topic, partition)]
        )


class Told(Hook):
    def __init__(self) -> None:
        self.failed: list[str] = []
        self.out_of_range: list[tuple[int, int, int]] = []

    def recovery_failed(self, error: BaseException) -> None:
        self.failed.append(type(error).__name__)

    def offset_out_of_range(self, partition: int, committed: int, start: int) -> None:
        self.out_of_range.append((partition, committed, start))


ASKED, ANSWERED = TopicPartition("questions", 3), TopicPartition("answers", 3)


async def recover(log: Log, *numbers: int, hook: Hook | None = None) -> list[Recovered]:
    found: list[Recovered] = []
    recovery = Recovery(
        open_reader=lambda: log,
        open_admin=lambda: log,
        group_id="g",
        questions="questions",
        answers="answers",
        hook=hook or Hook(),
        repeats=Repeats(window_s=0, most=1),
    )
    tell: Callable[[Recovered], None] = found.append
    await asyncio.wait_for(recovery.arecover(numbers, tell), 10)
    return found


async def test_the_map_and_the_scan_together_name_the_completed_offsets() -> None:
    log = Log()
    log.write("questions", *[b"q"] * 20)
    log.write("answers", answer(2), answer(10), answer(13), b"other", answer(11), first=100)
    log.committed[ASKED] = (10, encode(10, [12, 15], 101).metadata)
    [found] = await recover(log, 3)
    assert (found.start, found.committed) == (10, 10)
    assert found.completed == {10, 11, 12, 13, 15}
    assert (found.scanned, found.position) == (4, 105)


@pytest.mark.parametrize(("by_broker", "skew_ms"), [(True, 300_000), (False, 3_900_000)])
async def test_without_a_map_of_ours_the_scan_begins_by_the_time_of_the_first_question(
    by_broker: bool, skew_ms: int
) -> None:
    log = Log()
    log.write("questions", *[b"q"] * 20, at=10**12, by_broker=by_broker)
    log.write("answers", answer(4), answer(6), at=10**12)
    log.committed[ASKED] = (5, "somebody else's")
    [found] = await recover(log, 3)
    assert found.completed == {6}
    assert log.times == {ANSWERED: 10**12 - skew_ms}


async def test_without_a_commit_a_partition_begins_at_its_beginning() -> None:
    log = Log()
    log.write("questions", *[b"q"] * 5, first=7)
    log.begins[ASKED] = 7
    log.write("answers", answer(8))
    [found] = await recover(log, 3)
    assert (found.start, found.committed, found.completed) == (7, None, {8})


@pytest.mark.parametrize("committed", [3, 99])
async def test_a_commit_that_is_not_in_the_log_is_reported_and_the_beginning_taken(committed: int) -> None:
    log, hook = Log(), Told()
    log.write("questions", *[b"q"] * 5, first=7)
    log.begins[ASKED] = 7
    log.committed[ASKED] = (committed, encode(committed, [committed + 2], 0).metadata)
    [found] = await recover(log, 3, hook=hook)
    assert (found.start, found.committed, found.completed) == (7, None, set())
    assert hook.out_of_range == [(3, committed, 7)]


def asked(question_id: str) -> bytes:
    return encode_message(Question(id=question_id, text="What now?"))


@pytest.mark.parametrize("committed", [None, (0, ""), (99, "")])
async def test_without_a_map_the_answers_of_an_earlier_topic_are_no_outcomes(
    committed: tuple[int, str] | None,
) -> None:
    log = Log()
    log.write("questions", asked("new"), asked("again"), asked("mine"), asked("both"), at=10**12)
    old = [(0, "old"), (1, "again"), (3, "old"), (9, "old")]
    new = [(2, "mine"), (3, "both")]
    for claimed, at in ((old, 10**12 - 1), (new, 10**12)):
        log.append("answers", *[answer(offset, question_id=name) for offset, name in claimed], at=at)
    if committed is not None:
        log.committed[ASKED] = committed
    [found] = await recover(log, 3)
    assert found.start == 0
    assert found.completed == {2, 3}
    assert (found.scanned, found.position) == (6, 6)


async def test_with_a_map_every_answer_since_counts() -> None:
    log = Log()
    log.write("questions", asked("a"), asked("b"), at=10**12)
    log.write("answers", answer(0, question_id="a"), answer(1, question_id="another"), at=5)
    log.committed[ASKED] = (0, encode(0, [], 0).metadata)
    [found] = await recover(log, 3)
    assert found.completed == {0, 1}


async def test_nothing_is_scanned_where_no_question_waits() -> None:
    log = Log()
    log.write("questions", *[b"q"] * 5)
    log.write("answers", *[answer(n) for n in range(5)])
    log.committed[ASKED] = (5, "")
    [found] = await recover(log, 3)
    assert (found.start, found.scanned, found.position) == (5, 0, 5)


async def test_a_failed_recovery_is_repeated_and_holds_up_no_other() -> None:
    log, hook = Log(), Told()
    log.refusals = [KafkaConnectionError("away")]
    log.described = [3]
    task = asyncio.create_task(recover(log, 3, 7, hook=hook))
    await eventually(lambda: "LookupError" in hook.failed, 10, "the report of the missing partition")
    log.described = [3, 7]
    found = await task
    assert [each.number for each in found] == [3, 7]
    assert hook.failed[:2] == ["KafkaConnectionError", "LookupError"]


@pytest.mark.parametrize("closing", ["stop", "close"])
async def test_a_client_whose_closing_raises_cancelled_error_does_not_end_the_recovery(closing: str) -> None:
    async def close() -> None:
        raise asyncio.CancelledError  # as aiokafka's do, where a fetch has just begun or the broker is gone

    log = Log()
    log.write("questions", *[b"q"] * 5)
    log.refusals = [KafkaConnectionError("away")]
    setattr(log, closing, close)
    [found] = await recover(log, 3)
    assert found.number == 3


async def test_a_recovery_cancelled_while_one_client_closes_closes_the_other() -> None:
    closing, stopped = asyncio.Event(), asyncio.Event()

    async def close() -> None:
        closing.set()
        await asyncio.Event().wait()

    async def stop() -> None:
        stopped.set()

    log = Log()
    log.close, log.stop = close, stop  # type: ignore[method-assign] - a broker that does not answer
    task = asyncio.create_task(recover(log, 3))
    async with asyncio.timeout(5):
        await closing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stopped.is_set()


def told(
    offset: int, position: int, at_s: float, *, name: str = "q", status: str = "answered", calls: int = 0
) -> ConsumerRecord:
    """A record of `answers` as a worker writes it."""
    one = Question(id=name, text="?")
    call = ToolCall(id="a", name="book", arguments={}, status="ok")
    value = encode_message(
        Answer(
            id=name,
            question_id=name,
            conversation_id=name,
            tenant="default",
            status=status,  # type: ignore[arg-type]
            source=Source("questions", 3, offset),
            tool_calls=(call,) * calls,
            created_at=datetime.now(UTC),
        )
    )
    headers = ((QUESTION_DIGEST, digest_of(one).hex().encode()),)
    return ConsumerRecord("answers", 3, position, int(at_s * 1000), 1, b"k", value, None, 1, 1, headers)


NOW_S = 1_000_000.0


async def recover_repeats(log: Log, most: int = 100) -> Recovered:
    found: list[Recovered] = []
    recovery = Recovery(
        open_reader=lambda: log,
        open_admin=lambda: log,
        group_id="g",
        questions="questions",
        answers="answers",
        hook=Hook(),
        repeats=Repeats(window_s=3600, most=most),
        wall_clock=lambda: NOW_S,
    )
    await asyncio.wait_for(recovery.arecover([3], found.append), 10)
    return found[0]


def answered_log(*records: ConsumerRecord, asked_at_s: float | None = None) -> Log:
    """All questions are committed, but one that was asked at that time."""
    log = Log()
    log.records[ANSWERED] = list(records)
    log.write("questions", *[b"q"] * 10, at=int((asked_at_s or 0) * 1000))
    log.committed[ASKED] = (10, "") if asked_at_s is None else (9, encode(9, [], 99).metadata)
    return log


async def test_the_scan_brings_back_the_results_of_the_window() -> None:
    log = answered_log(
        told(1, 0, NOW_S - 3700, name="old"),
        told(2, 1, NOW_S - 3500, name="a"),
        told(3, 2, NOW_S - 10, name="b", status="failed"),
        told(4, 3, NOW_S - 5, name="c"),
        written(answer(5), 4),
    )
    found = await recover_repeats(log)
    assert [entry.result for entry in found.results] == [
        Result(1, 2, NOW_S - 3500),
        Result(3, 4, NOW_S - 5),
    ]
    fingerprint_of_a = fingerprint(Question(id="a", text="?"))
    assert found.results[0][:2] == (fingerprint_of_a.identity, fingerprint_of_a.short)
    assert found.failed == {3}
    assert (found.completed, found.scanned, found.stood_still_s) == (set(), 0, 0.0)


async def test_the_scan_brings_back_failed_questions_that_called_tools() -> None:
    called = told(3, 2, NOW_S - 10, name="b", status="failed", calls=1)
    found = await recover_repeats(answered_log(called, told(4, 3, NOW_S - 5, name="c", status="failed")))
    assert [entry.result for entry in found.results] == [Result(FAILED, 3, NOW_S - 10)]
    assert found.failed == {3, 4}


async def test_no_more_results_are_read_than_are_kept() -> None:
    log = answered_log(*[told(n, n, NOW_S - 100, name=f"q{n}") for n in range(9)])
    found = await recover_repeats(log, most=4)
    assert [entry.result.source for entry in found.results] == [5, 6, 7, 8]


async def test_results_from_before_a_standstill_are_read_too() -> None:
    night_s = 30_000.0
    log = answered_log(told(8, 0, NOW_S - night_s - 60, name="a"), asked_at_s=NOW_S - night_s)
    found = await recover_repeats(log)
    assert [entry.result.source for entry in found.results] == [8]
    assert found.stood_still_s == night_s


async def test_answers_read_for_repeats_alone_complete_nothing() -> None:
    """Below the place that the map names may lie answers of an earlier topic."""
    log = answered_log(told(9, 0, NOW_S - 60, name="a"), asked_at_s=NOW_S - 30)
    log.committed[ASKED] = (9, encode(9, [], 1).metadata)
    found = await recover_repeats(log)
    assert found.completed == set()
    assert [entry.result.source for entry in found.results] == [9]
