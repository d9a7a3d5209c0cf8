"""Outcomes at the gate of their partition."""

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


class Settled:
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


async def test_what_comes_to_a_held_gate_waits_until_it_opens(
    publisher: Publisher, broker: FakeBroker
) -> None:
    gate, settled = Gate(), Settled()
    gate.hold()
    publisher.publish(outcome_at(gate), settled)
    await asyncio.sleep(0.05)
    assert not broker.values("t.answers")
    assert publisher.unpublished == 1
    gate.release()
    await eventually(lambda: len(settled.told) == 1, 10, "the outcome")
    assert len(broker.values("t.answers")) == 1


async def test_what_waits_at_a_gate_that_is_lost_never_goes_out(
    publisher: Publisher, broker: FakeBroker
) -> None:
    gate, settled = Gate(), Settled()
    gate.hold()
    publisher.publish(outcome_at(gate), settled)
    gate.lose()
    publisher.publish(outcome_at(gate), settled)
    await eventually(lambda: settled.told == [None, None], 10, "both to be given up")
    assert publisher.unpublished == 0
    assert not broker.values("t.answers")


async def test_the_fence_holds_for_what_is_queued_behind_a_batch_on_its_way(
    publisher: Publisher, broker: FakeBroker
) -> None:
    broker.held["t.answers"] = []
    gate, settled = Gate(), Settled()
    publisher.publish(outcome_at(gate), settled)
    await eventually(lambda: len(broker.held["t.answers"]) == 1, 10, "the first on its way")
    publisher.publish(outcome_at(gate), settled)
    gate.hold()
    assert gate.flying == 1
    quiet = asyncio.create_task(gate.aquiet())
    held = broker.held.pop("t.answers")
    held[0]()
    await asyncio.wait_for(quiet, 10)
    gate.lose()
    await eventually(lambda: len(settled.told) == 2, 10, "both settled")
    assert None in settled.told
    assert len(broker.values("t.answers")) == 1


async def test_the_end_of_answers_grows_with_what_is_acknowledged(
    publisher: Publisher, broker: FakeBroker
) -> None:
    settled = Settled()
    asked = inquiry()
    assert publisher.end_of_answers("t.answers", asked.source.partition) == 0
    for count in (1, 2, 3):
        publisher.publish(outcomes().answered(inquiry(), answer()), settled)
        await eventually(lambda count=count: len(settled.told) == count, 10, "the outcome")  # type: ignore[misc]
    assert publisher.end_of_answers("t.answers", asked.source.partition) == 3


async def test_records_at_several_gates_share_a_place_and_each_passes_its_own(
    sender: Sender, broker: FakeBroker
) -> None:
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


async def test_what_was_published_is_freed_without_the_garbage_collector(publisher: Publisher) -> None:
    class Watched(Gate):
        """It is freed with the last that holds it."""

    settled = asyncio.Event()
    made = outcome_at(Watched())
    watched = weakref.ref(made.inquiry.gate)
    gc.disable()
    try:
        publisher.publish(made, lambda _: settled.set())
        del made
        await asyncio.wait_for(settled.wait(), 10)
        await eventually(lambda: watched() is None, 10, "its end")
    finally:
        gc.enable()
