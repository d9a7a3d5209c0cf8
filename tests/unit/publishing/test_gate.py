"""Outcomes pass the gate of their partition, wait at it, or are dropped."""

import asyncio
import gc
import weakref

from schemas.answer import Answer
from streams.publishing.gate import Gate
from streams.publishing.publisher import Publisher
from streams.publishing.records import Outcome
from streams.publishing.sending import Sender
from tests.support.outcomes import answer, inquiry, outcomes
from tests.support.producer import FakeBroker, record
from tests.support.system import eventually


def outcome_at(gate: Gate) -> Outcome:
    asked = inquiry()
    asked.gate = gate
    return outcomes().answered(asked, answer())


class Results:
    def __init__(self) -> None:
        self.told: list[Answer | None] = []

    def __call__(self, outcome: Outcome | None) -> None:
        self.told.append(None if outcome is None else outcome.message)


def test_a_wait_at_a_gate_ends_when_it_opens_or_is_lost_and_at_once_if_it_is() -> None:
    gate, told = Gate(), list[str]()
    gate.wait(lambda: told.append("open"))
    assert told == ["open"]
    gate.hold()
    gate.wait(lambda: told.append("released"))
    assert told == ["open"]
    gate.release()
    gate.lose()
    gate.wait(lambda: told.append("lost"))
    assert told == ["open", "released", "lost"]


async def test_an_outcome_waits_at_a_held_gate_until_it_opens(
    publisher: Publisher, broker: FakeBroker
) -> None:
    gate, results = Gate(), Results()
    gate.hold()
    publisher.publish(outcome_at(gate), results)
    await asyncio.sleep(0.05)
    assert not broker.values("t.answers")
    assert publisher.unpublished == 1
    gate.release()
    await eventually(lambda: len(results.told) == 1, 10, "the outcome")
    assert len(broker.values("t.answers")) == 1


async def test_outcomes_at_a_lost_gate_never_go_out(publisher: Publisher, broker: FakeBroker) -> None:
    gate, results = Gate(), Results()
    gate.hold()
    publisher.publish(outcome_at(gate), results)
    gate.lose()
    publisher.publish(outcome_at(gate), results)
    await eventually(lambda: results.told == [None, None], 10, "both to be given up")
    assert publisher.unpublished == 0
    assert not broker.values("t.answers")


async def test_a_lost_gate_fences_outcomes_queued_behind_a_batch_on_its_way(
    publisher: Publisher, broker: FakeBroker
) -> None:
    broker.held["t.answers"] = []
    gate, results = Gate(), Results()
    publisher.publish(outcome_at(gate), results)
    await eventually(lambda: len(broker.held["t.answers"]) == 1, 10, "the first on its way")
    publisher.publish(outcome_at(gate), results)
    gate.hold()
    assert gate.flying == 1
    quiet = asyncio.create_task(gate.aquiet())
    held = broker.held.pop("t.answers")
    held[0]()
    await asyncio.wait_for(quiet, 10)
    gate.lose()
    await eventually(lambda: len(results.told) == 2, 10, "both results")
    assert None in results.told
    assert len(broker.values("t.answers")) == 1


async def test_the_end_of_answers_grows_with_each_acknowledged_answer(
    publisher: Publisher, broker: FakeBroker
) -> None:
    results = Results()
    asked = inquiry()
    assert publisher.end_of_answers("t.answers", asked.source.partition) == 0
    for count in (1, 2, 3):
        publisher.publish(outcomes().answered(inquiry(), answer()), results)
        await eventually(lambda count=count: len(results.told) == count, 10, "the outcome")  # type: ignore[misc]
    assert publisher.end_of_answers("t.answers", asked.source.partition) == 3


async def test_records_of_one_place_pass_each_its_own_gate(sender: Sender, broker: FakeBroker) -> None:
    mine, others, gone = Gate(), Gate(), Gate()
    gone.lose()
    broker.held["t.questions.dlq"] = []
    told: list[tuple[bytes | None, bool]] = []
    for value, gate in ((b"a", mine), (b"b", gone), (b"c", others), (b"d", mine), (b"e", None)):
        written = record(value, topic="t.questions.dlq")
        sender.put(written, lambda r, error: told.append((r.value, error is None)), gate)
    await eventually(lambda: broker.held["t.questions.dlq"], 10, "the batch")
    assert (mine.flying, others.flying, gone.flying) == (2, 1, 0)
    broker.held.pop("t.questions.dlq")[0]()
    await eventually(lambda: len(told) == 5, 10, "all of them")
    assert sorted(told) == [(b"a", True), (b"b", False), (b"c", True), (b"d", True), (b"e", True)]
    assert (mine.flying, others.flying, gone.flying) == (0, 0, 0)


async def test_a_published_outcome_is_freed_without_the_garbage_collector(publisher: Publisher) -> None:
    class Watched(Gate):
        """A weak reference to it shows when its last holder is freed."""

    results = asyncio.Event()
    made = outcome_at(Watched())
    watched = weakref.ref(made.inquiry.gate)
    gc.disable()
    try:
        publisher.publish(made, lambda _: results.set())
        del made
        await asyncio.wait_for(results.wait(), 10)
        await eventually(lambda: watched() is None, 10, "its end")
    finally:
        gc.enable()


def test_records_on_their_way_are_counted_over_all_batches() -> None:
    gate = Gate()
    gate.departed(2)
    gate.departed(3)
    assert gate.flying == 5
    gate.arrived(2)
    assert gate.flying == 3
