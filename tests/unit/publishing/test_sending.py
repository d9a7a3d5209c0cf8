"""The sender and the publisher with a producer that fails as a test tells it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    UnknownTopicOrPartitionError,
)

from schemas.answer import Answer
from schemas.codec import decode_answer
from streams.publishing.copies import MAX_DELTAS, Copies
from streams.publishing.gate import Gate
from streams.publishing.producer import LOOK_S
from streams.publishing.publisher import Publisher
from streams.publishing.records import Outcome, Record
from streams.publishing.sending import PACE_S, Sender
from tests.support.outcomes import answer, failed_answer, inquiry, outcomes
from tests.support.producer import FakeBroker, FakeProducer, Recorded, RecordingHook, record
from tests.support.system import eventually


async def publish(publisher: Publisher, *made: Outcome) -> list[Answer]:
    done: list[Answer] = []
    for outcome in made:
        publisher.publish(outcome, lambda outcome: done.append(outcome.message))
    await eventually(lambda: len(done) == len(made), 10, "all outcomes")
    return done


async def test_records_of_a_partition_keep_their_order_in_batches(sender: Sender, broker: FakeBroker) -> None:
    acked: list[bytes | None] = []
    values = [b"%03d" % n for n in range(200)]
    for number, value in enumerate(values):
        sender.put(record(value, number % 2), lambda record, error: acked.append(record.value))
    await asyncio.wait_for(sender.aflush(), 5)
    assert sorted(acked) == values  # type: ignore[type-var]
    for partition in (0, 1):
        sent = [value for _, at, batch in broker.log if at == partition for value in batch]
        assert sent == values[partition::2]
    assert 2 < len(broker.log) < 50


async def test_no_record_is_lost_while_a_topic_is_looked_up(
    sender: Sender, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = FakeProducer.send_batch
    found = asyncio.Event()

    async def look_up(self: FakeProducer, batch: Recorded, topic: str, *, partition: int) -> Any:
        if topic == "t.questions.dlq":
            await found.wait()
        return await send(self, batch, topic, partition=partition)

    monkeypatch.setattr(FakeProducer, "send_batch", look_up)
    broker.held["t.answers"] = []
    results: list[tuple[bytes | None, BaseException | None]] = []

    def put(prefix: bytes) -> None:
        for partition in range(6):
            made = record(prefix + b"%d" % partition, partition)
            sender.put(made, lambda record, error: results.append((record.value, error)))

    sender.put(record(b"letter", topic="t.questions.dlq"), lambda r, e: results.append((r.value, e)))
    put(b"a")
    await asyncio.sleep(0.02)
    put(b"b")
    found.set()
    for _ in range(10):
        await asyncio.sleep(0.01)
        held, broker.held["t.answers"] = broker.held["t.answers"], []
        for deliver in held:
            deliver()
    await asyncio.wait_for(sender.aflush(), 10)
    expected = [b"letter", *(b"%s%d" % (prefix, n) for prefix in (b"a", b"b") for n in range(6))]
    assert sorted(results) == [(value, None) for value in sorted(expected)]
    assert broker.opened == 1, "no failure"


async def test_a_stuck_partition_delays_no_other(sender: Sender, broker: FakeBroker) -> None:
    acked: list[str] = []
    broker.held["t.questions.dlq"] = []
    for number in range(5):
        sender.put(record(b"stuck", topic="t.questions.dlq"), lambda r, e: acked.append(r.topic))
        sender.put(record(b"fine"), lambda r, e: acked.append(r.topic))
        await eventually(lambda n=number: acked.count("t.answers") == n + 1, 10, "the others")
    assert acked == ["t.answers"] * 5
    held = broker.held.pop("t.questions.dlq")
    for deliver in held:
        deliver()
    await asyncio.wait_for(sender.aflush(), 5)
    assert len(acked) == 10


@pytest.mark.parametrize("gone", ["leaderless", "deleted"])
async def test_records_without_a_leader_wait_in_order_and_delay_no_other(
    sender: Sender, broker: FakeBroker, gone: str
) -> None:
    missing: set[str] = getattr(broker, gone)
    missing.add("t.questions.dlq")
    acked: list[tuple[bytes | None, BaseException | None]] = []
    for value in (b"1", b"2", b"3"):
        sender.put(record(value, topic="t.questions.dlq"), lambda r, e: acked.append((r.value, e)))
    for number in range(3):
        sender.put(record(b"fine"), lambda r, e: acked.append((r.value, e)))
        await eventually(lambda n=number: len(acked) == n + 1, 10, "the others")
    assert acked == [(b"fine", None)] * 3
    missing.clear()
    await asyncio.wait_for(sender.aflush(), 5)
    assert acked[3:] == [(b"1", None), (b"2", None), (b"3", None)]
    assert broker.opened == 1, "nothing was refused"


async def impatient(
    broker: FakeBroker, hook: RecordingHook, patience_s: float
) -> tuple[Sender, Callable[..., None], list[tuple[bytes | None, str]]]:
    """Make a sender with bounded patience, a function that puts a record, and the list of its reports."""
    sender = Sender(
        open_producer=broker.open,  # type: ignore[arg-type] - a fake
        topics=[],
        rebuild=False,
        hook=hook,
        patience_s=patience_s,
    )
    await sender.start()
    told: list[tuple[bytes | None, str]] = []

    def put(value: bytes, gate: Gate | None = None) -> None:
        sender.put(record(value), lambda r, e: told.append((r.value, type(e).__name__)), gate)

    return sender, put, told


@pytest.mark.looptime
async def test_records_of_a_second_outage_are_given_the_whole_patience(
    broker: FakeBroker, hook: RecordingHook
) -> None:
    sender, put, told = await impatient(broker, hook, LOOK_S + 0.4)  # ends at the second look
    broker.leaderless.add("t.answers")
    put(b"given up")
    await eventually(lambda: told == [(b"given up", "LeaderNotAvailableError")], 10, "the end of patience")
    broker.leaderless.clear()  # with nothing to send
    for learn in broker.listeners:
        learn(None)
    broker.leaderless.add("t.answers")
    put(b"patient")
    await asyncio.sleep(LOOK_S + 0.1)
    broker.leaderless.clear()
    await asyncio.wait_for(sender.aflush(), 5)
    assert told[1:] == [(b"patient", "NoneType")]
    await sender.aclose(timeout_s=1)


@pytest.mark.looptime
async def test_stale_metadata_of_an_outage_gives_up_no_later_record(
    broker: FakeBroker, hook: RecordingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: set[str] = set()

    def look(self: FakeProducer) -> None:
        known.clear()
        known.update(self.broker.leaderless)
        for learn in self.broker.listeners:
            asyncio.get_running_loop().call_soon(learn, None)

    def leader(_: FakeProducer, place: Any) -> int:
        return -1 if place.topic in known else 1

    monkeypatch.setattr(FakeProducer, "force_metadata_update", look)
    monkeypatch.setattr(FakeProducer, "leader_for_partition", leader)
    sender, put, told = await impatient(broker, hook, 0.1)
    broker.leaderless.add("t.answers")
    known.add("t.answers")
    put(b"given up")
    await eventually(lambda: told == [(b"given up", "LeaderNotAvailableError")], 10, "the end of patience")
    await asyncio.sleep(60)  # nothing is sent, so metadata is not refreshed
    broker.leaderless.clear()
    put(b"patient")
    await asyncio.wait_for(sender.aflush(), 5)
    assert told[1:] == [(b"patient", "NoneType")]
    await sender.aclose(timeout_s=1)


@pytest.mark.looptime
@pytest.mark.parametrize("end", ["given up while a round is paced", "fenced"])
async def test_an_outage_without_waiting_records_does_not_shorten_the_next_patience(
    broker: FakeBroker, hook: RecordingHook, end: str
) -> None:
    sender, put, told = await impatient(broker, hook, LOOK_S + 0.4)  # ends at the second look
    broker.leaderless.add("t.answers")
    gate = Gate()
    put(b"first", gate)
    if end == "fenced":
        gate.lose()
        await asyncio.sleep(LOOK_S + 0.1)
        assert told == [(b"first", "Fenced")]
    else:
        await asyncio.sleep(2 * LOOK_S - PACE_S / 2)
        sender.put(record(b"fine", topic="t.events"), lambda r, e: None)  # the next round is paced
        await asyncio.sleep(PACE_S / 4)
        put(b"second")
        await asyncio.sleep(PACE_S)
        assert told == [(value, "LeaderNotAvailableError") for value in (b"first", b"second")]
    broker.leaderless.clear()
    await asyncio.sleep(3600)  # nothing is sent, so metadata is not refreshed
    del told[:]
    broker.leaderless.add("t.answers")
    put(b"patient")
    await asyncio.sleep(LOOK_S + 0.1)
    broker.leaderless.clear()
    await asyncio.wait_for(sender.aflush(), 5)
    assert told == [(b"patient", "NoneType")]
    await sender.aclose(timeout_s=1)


async def test_many_records_without_a_leader_are_not_checked_at_every_turn(
    sender: Sender, broker: FakeBroker
) -> None:
    broker.leaderless.add("t.answers")
    looks = 0

    def member() -> bool:
        nonlocal looks
        looks += 1
        return True

    gate = Gate(member)
    for number in range(1000):
        sender.put(record(b"%d" % number), lambda r, e: None, gate)
        for _ in range(2):
            await asyncio.sleep(0)
    assert looks < 10_000
    broker.leaderless.clear()
    await asyncio.wait_for(sender.aflush(), 5)


async def test_a_record_without_a_leader_is_fenced_when_its_gate_is_lost(
    sender: Sender, broker: FakeBroker
) -> None:
    broker.leaderless.add("t.answers")
    told: list[tuple[bytes | None, str]] = []
    ours, lost = Gate(), Gate()
    for value, gate in ((b"ours", ours), (b"lost", lost)):
        sender.put(record(value), lambda r, e: told.append((r.value, type(e).__name__)), gate)
    lost.lose()
    await eventually(lambda: told == [(b"lost", "Fenced")], 10, "the fence")
    broker.leaderless.clear()
    await asyncio.wait_for(sender.aflush(), 5)
    assert told[1:] == [(b"ours", "NoneType")]


async def test_a_missing_partition_is_taken_modulo_or_refused_if_exact(
    sender: Sender, broker: FakeBroker
) -> None:
    results: list[Any] = []
    sender.put(record(b"folded", 8), lambda r, e: results.append(e))
    sender.put(record(b"exact", 8, exact=True), lambda r, e: results.append(e))
    sender.put(record(b"unknown", topic="nowhere"), lambda r, e: results.append(e))
    assert not results, "reported within put"
    await eventually(lambda: len(results) == 3, 10, "results")
    assert broker.log == [("t.answers", 2, [b"folded"])]
    assert sum(isinstance(error, UnknownTopicOrPartitionError) for error in results) == 2


async def test_only_the_large_record_of_a_batch_refused_for_its_size_fails(
    sender: Sender, broker: FakeBroker
) -> None:
    broker.refuse = lambda topic, values: MessageSizeTooLargeError() if b"large" in values else None
    results: dict[bytes | None, Any] = {}
    for value in (b"a", b"large", b"b"):
        sender.put(record(value), lambda r, e: results.update({r.value: e}))
    await asyncio.wait_for(sender.aflush(), 5)
    assert (results[b"a"], results[b"b"]) == (None, None)
    assert isinstance(results[b"large"], MessageSizeTooLargeError)
    assert broker.values("t.answers") == [b"a", b"b"]


async def test_records_in_flight_fail_once_when_the_producer_is_replaced(
    sender: Sender, broker: FakeBroker
) -> None:
    results: list[Any] = []
    broker.held["t.questions.dlq"] = []
    sender.put(record(b"in flight", topic="t.questions.dlq"), lambda r, e: results.append(e))
    await eventually(lambda: broker.held["t.questions.dlq"], 10, "the flight")
    broker.dead = sender._connection.producer
    sender.put(record(b"kills"), lambda r, e: results.append(e))
    await eventually(lambda: len(results) == 2, 10, "both results")
    assert all(results)
    assert (broker.opened, broker.closed) == (2, 1)
    broker.held.pop("t.questions.dlq")[0]()  # the old producer's answer comes after all
    broker.flying.clear()
    sender.put(record(b"after"), lambda r, e: results.append(e))
    await asyncio.wait_for(sender.aflush(), 5)
    assert len(results) == 3
    assert results[2] is None


async def test_the_dead_letter_is_acked_before_its_answer_leaves(
    publisher: Publisher, broker: FakeBroker
) -> None:
    broker.held["t.questions.dlq"] = []
    done: list[Any] = []
    publisher.publish(outcomes().answered(inquiry(), failed_answer()), done.append)
    publisher.publish(outcomes().answered(inquiry(), answer()), done.append)
    await eventually(lambda: len(done) == 1, 10, "the neighbour")
    assert broker.topics().count("t.answers") == 1
    assert publisher.unpublished == 1
    broker.held.pop("t.questions.dlq")[0]()
    await eventually(lambda: len(done) == 2, 10, "the failed one")
    order = broker.topics()
    assert order.index("t.questions.dlq") < len(order) - 1 - order[::-1].index("t.answers")
    assert publisher.unpublished == 0


async def test_an_outcome_is_repeated_until_the_broker_has_it(
    publisher: Publisher, broker: FakeBroker, hook: RecordingHook
) -> None:
    failures = iter([KafkaTimeoutError(), OutOfOrderSequenceNumber()])
    broker.refuse = lambda topic, values: next(failures, None) if topic == "t.answers" else None
    await publish(publisher, outcomes().answered(inquiry(), answer()))
    assert len(broker.values("t.answers")) == 1
    assert [topic for topic, _ in hook.failures] == ["t.answers"] * 2


async def test_an_outcome_is_not_done_while_its_dead_letter_cannot_be_written(
    publisher: Publisher, broker: FakeBroker, hook: RecordingHook
) -> None:
    broker.refuse = lambda topic, values: KafkaTimeoutError() if topic.endswith("dlq") else None
    done: list[Any] = []
    publisher.publish(outcomes().answered(inquiry(), failed_answer()), done.append)
    await eventually(lambda: len(hook.failures) >= 2, 10, "two attempts")
    assert not done
    assert broker.values("t.answers") == []
    assert publisher.unpublished == 1


@pytest.mark.parametrize("fault", ["held", "refused", "deleted"])
async def test_a_partition_is_paused_until_its_dead_letter_is_written(
    publisher: Publisher,
    broker: FakeBroker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("streams.publishing.publisher.LETTER_S", 0.15)
    if fault == "held":
        broker.held["t.questions.dlq"] = []
    elif fault == "refused":
        broker.refuse = lambda topic, values: KafkaTimeoutError() if topic.endswith("dlq") else None
    else:
        broker.deleted.add("t.questions.dlq")
    asked, fine = inquiry(), inquiry()
    done: list[Any] = []
    publisher.publish(outcomes().answered(asked, failed_answer()), done.append)
    assert not asked.gate.blocks, "at once"
    await eventually(lambda: asked.gate.blocks, 10, "the pause")
    (reason,) = asked.gate.blocks.values()
    source = asked.source
    assert f"{source.topic}/{source.partition}/{source.offset}" in reason
    assert "t.questions.dlq" in reason
    assert ("KafkaTimeoutError" in reason) == (fault == "refused")
    assert reason in caplog.text
    await publish(publisher, outcomes().answered(fine, answer()))
    assert not done
    broker.deleted.clear()
    broker.refuse = lambda topic, values: None
    for deliver in broker.held.pop("t.questions.dlq", []):
        deliver()
    await eventually(lambda: len(done) == 1, 10, "the outcome")
    assert not asked.gate.blocks
    assert "goes on" in caplog.text
    assert (publisher.unpublished, publisher.unpublished_bytes) == (0, 0)


async def test_bytes_of_outcomes_are_counted_until_the_broker_has_them(
    publisher: Publisher, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.publishing.publisher.MAX_BYTES", 3000)
    broker.held["t.answers"] = []
    done: list[Any] = []
    publisher.publish(outcomes().answered(inquiry(), answer(text="x" * 2000)), done.append)
    assert publisher.has_room()
    publisher.publish(outcomes().answered(inquiry(), answer(text="x" * 2000)), done.append)
    assert not publisher.has_room()
    assert publisher.unpublished_bytes > 4000
    while len(done) < 2:
        await eventually(lambda: broker.held["t.answers"], 10, "a batch")
        broker.held["t.answers"].pop()()
        await eventually(lambda: broker.held["t.answers"] or len(done) == 2, 10, "the next")
    assert publisher.has_room()
    assert publisher.unpublished_bytes == 0


async def test_an_answer_that_the_broker_refuses_for_its_size_becomes_a_failed_one(
    publisher: Publisher, broker: FakeBroker
) -> None:
    broker.refuse = lambda topic, values: (
        MessageSizeTooLargeError() if any(len(value or b"") > 2000 for value in values) else None
    )
    [message] = await publish(publisher, outcomes().answered(inquiry(), answer(text="x" * 3000)))
    assert message.error is not None
    assert message.error.code == "too_large"
    assert len(broker.values("t.questions.dlq")) == 1
    assert len(broker.values("t.answers")) == 1


async def test_a_failed_reply_delays_no_outcome(
    publisher: Publisher, broker: FakeBroker, hook: RecordingHook
) -> None:
    broker.refuse = lambda topic, values: KafkaTimeoutError() if topic == "replies" else None
    headers = (("reply_to", b"replies"),)
    await publish(publisher, outcomes().answered(inquiry(headers=headers), answer()))
    await eventually(lambda: hook.failures == [("replies", "KafkaTimeoutError")], 10, "the failure")
    assert broker.opened == 2, "the copies' producer needs no rebuilding, and the outcomes' is untouched"


@pytest.mark.parametrize("gone", ["leaderless", "deleted"])
async def test_a_reply_without_a_leader_delays_no_outcome_and_is_given_up(
    publisher: Publisher, broker: FakeBroker, hook: RecordingHook, gone: str
) -> None:
    getattr(broker, gone).add("replies")
    asked = inquiry(headers=(("reply_to", b"replies"),))
    await publish(publisher, *[outcomes().answered(asked, answer()) for _ in range(5)])
    assert hook.failures == [], "no outcome has waited for the replies"
    await eventually(lambda: hook.failures == [("replies", "LeaderNotAvailableError")] * 5, 10, "the end")
    await publish(publisher, outcomes().answered(asked, answer()))
    getattr(broker, gone).clear()
    await publish(publisher, outcomes().answered(asked, answer()))
    await eventually(lambda: broker.values("replies"), 10, "a reply once there is a leader")


async def test_replies_of_a_conversation_keep_their_order(publisher: Publisher, broker: FakeBroker) -> None:
    broker.held["replies"] = []
    asked = inquiry(headers=(("reply_to", b"replies"),))
    texts = [f"answer {number}" for number in range(20)]
    for text in texts:
        await publish(publisher, outcomes().answered(asked, answer(text=text)))
    while len(broker.values("replies")) < len(texts):
        await eventually(lambda: broker.held["replies"], 10, "a batch")
        broker.held["replies"].pop()()
    assert [decode_answer(value or b"").text for value in broker.values("replies")] == texts


@pytest.mark.parametrize("limit", ["MAX_REPLIES", "MAX_BYTES"])
async def test_a_slow_reply_topic_leaves_other_topics_their_room(
    copies: Copies, broker: FakeBroker, hook: RecordingHook, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(f"streams.publishing.copies.{limit}", 3 if limit == "MAX_REPLIES" else 33)
    broker.held["replies"] = []
    for _ in range(5):
        copies.reply(record(b"x" * 10, topic="replies"))
    assert hook.failures == [("replies", "BufferError")] * 2
    copies.trace(record(b"trace", topic="t.events"))
    copies.delta(record(b"delta", topic="t.answers.deltas"))
    await eventually(lambda: len(broker.log) == 2, 10, "the others")
    while len(broker.values("replies")) < 3:
        await eventually(lambda: broker.held["replies"], 10, "a batch")
        broker.held["replies"].pop()()
    await eventually(lambda: hook.sent.count("replies") == 3, 10, "the end")
    copies.reply(record(b"x" * 10, topic="replies"))
    assert len(hook.failures) == 2, "there is room again"
    broker.held.pop("replies")


async def test_too_many_deltas_are_dropped_but_never_the_last(
    copies: Copies, broker: FakeBroker, hook: RecordingHook
) -> None:
    for number in range(MAX_DELTAS + 10):
        copies.delta(record(b"%d" % number, topic="t.answers.deltas"))
    copies.delta(record(b"last", topic="t.answers.deltas"), last=True)
    assert hook.dropped == 10
    await copies.aclose(timeout_s=5)
    assert broker.values("t.answers.deltas")[-1] == b"last"
    assert len(broker.values("t.answers.deltas")) == MAX_DELTAS + 1


async def test_a_record_shortened_by_a_concealed_secret_gives_back_all_its_room(
    broker: FakeBroker, hook: RecordingHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.publishing.copies.MAX_BYTES", 100)

    def conceal(made: Record) -> None:
        made.value = b"***"

    sender = Sender(open_producer=broker.open, topics=[], rebuild=False, hook=hook, prepare=conceal)  # type: ignore[arg-type] - a fake
    copies = Copies(sender, reply_topics=["replies"], hook=hook)
    await copies.start()
    for number in range(1, 11):
        copies.reply(record(b"x" * 50, topic="replies"))
        copies.trace(record(b"x" * 50, topic="t.events"))
        await eventually(lambda number=number: len(hook.sent) == 2 * number, 10, "both are sent")  # type: ignore[misc] - as above
    await copies.aclose(timeout_s=1)
    assert hook.failures == []
