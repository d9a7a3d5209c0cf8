"""The journal on its topic: how entries are written, read back and forgotten."""

import asyncio
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, UnknownTopicOrPartitionError
from hypothesis import given
from hypothesis import strategies as st

from agents.components import Plan, PlannedCall
from agents.journal import JournalError
from schemas.answer import Source, ToolCall, Usage
from schemas.codec import decode_journal_entry
from schemas.question import Question
from schemas.topics import Topics
from streams.publishing.gate import Gate
from streams.publishing.records import OnDelivery, Record
from tests.support.journal import Log

pytestmark = pytest.mark.looptime

QUESTION = Question(id="q/1", text="?", conversation_id="c")
SOURCE = Source("questions", 2, 40)
CALL = PlannedCall("call/1", "book", {"seats": 2, "names": ["ä", "龍"]})
PLAN = Plan((CALL, PlannedCall("call/2", "book", {}, "not a JSON object")), Usage(7, 3))


def result_of(planned: PlannedCall, result: Any = None, status: Any = "ok") -> ToolCall:
    return ToolCall(
        id=planned.id, name=planned.name, arguments=planned.arguments, status=status, result=result
    )


async def test_every_written_entry_is_read_back() -> None:
    log = Log()
    journal = log.journal(2)
    await journal.aplan(QUESTION, SOURCE, PLAN)
    await journal.aintent(QUESTION, SOURCE, CALL, "key")
    await journal.aresult(QUESTION, SOURCE, result_of(CALL, {"n": [1, None]}))
    recorded = log.journal(2).recorded(QUESTION, SOURCE)
    assert recorded is not None
    assert recorded.plan == PLAN
    assert recorded.intents == {"call/1": "key"}
    assert recorded.results == {"call/1": result_of(CALL, {"n": [1, None]})}


async def test_entries_go_to_their_questions_partition_and_are_not_kept() -> None:
    log = Log()
    journal = log.journal(2)
    await journal.aplan(QUESTION, SOURCE, PLAN)
    record = log.records[0]
    assert (record.topic, record.key, record.partition, record.exact) == (Topics().journal, b"c", 2, True)
    assert journal.held == 0
    assert journal.recorded(QUESTION, SOURCE) is None


TROUBLESOME = ["a", "a/b", "b", "a/b/c", "/", "", "a|b", 'a"', "a\0", "q/1", "1", "a%2Fb"]


@given(
    st.lists(
        st.tuples(st.sampled_from([*TROUBLESOME[:5], "x"]), st.integers(0, 2), st.sampled_from(TROUBLESOME)),
        max_size=20,
        unique=True,
    )
)
def test_ids_with_separators_are_not_confused(
    calls: list[tuple[str, int, str]],
) -> None:
    async def history() -> None:
        log = Log()
        journal = log.journal()
        calls_with_ids = [call for call in calls if call[2]]
        for question_id, offset, call_id in calls_with_ids:
            place = (Question(id=question_id, text="?"), Source("questions", 0, offset))
            await journal.aintent(*place, PlannedCall(call_id, "book", {}), call_id)
            if offset:
                await journal.aresult(*place, result_of(PlannedCall(call_id, "book", {}), [offset, call_id]))
        reader = log.journal()
        expected: dict[tuple[str, int], set[str]] = {}
        for question_id, offset, call_id in calls_with_ids:
            expected.setdefault((question_id, offset), set()).add(call_id)
        assert reader.held == len(expected)
        for _ in range(2):  # a look-up changes nothing
            for (question_id, offset), call_ids in expected.items():
                found = reader.recorded(Question(id=question_id, text="?"), Source("questions", 0, offset))
                assert found is not None
                assert found.intents == {call_id: call_id for call_id in call_ids}
                assert {name: call.result for name, call in found.results.items()} == (
                    {name: [offset, name] for name in call_ids} if offset else {}
                )
        for count, (question_id, offset) in enumerate(expected, start=1):
            reader.finish(question_id, Source("questions", 0, offset), None, failed=False)
            assert reader.held == len(expected) - count

    asyncio.run(history())


async def test_the_first_entry_of_a_kind_counts() -> None:
    log = Log()
    journal = log.journal(2)
    for plan in (PLAN, Plan((PlannedCall("other", "book", {}),))):
        await journal.aplan(QUESTION, SOURCE, plan)
    for text in ("first", "second"):
        await journal.aresult(QUESTION, SOURCE, result_of(CALL, text))
    recorded = log.journal(2).recorded(QUESTION, SOURCE)
    assert recorded is not None
    assert recorded.plan == PLAN
    assert recorded.results["call/1"].result == "first"


async def test_without_the_plan_the_other_entries_tell_which_calls_started() -> None:
    log = Log()
    journal = log.journal(2)
    await journal.aplan(QUESTION, SOURCE, PLAN)
    await journal.aintent(QUESTION, SOURCE, CALL, "key")
    await journal.aresult(QUESTION, SOURCE, result_of(CALL, "done"))
    del log.records[0]
    recorded = log.journal(2).recorded(QUESTION, SOURCE)
    assert recorded is not None
    assert recorded.plan.calls == (CALL,)
    assert recorded.results.keys() == {"call/1"}


async def test_entries_are_forgotten_with_their_outcome_and_with_their_partition() -> None:
    log = Log()
    writer = log.journal(2)
    others = [Source("questions", 2, offset) for offset in range(3)]
    for source in others:
        await writer.aplan(QUESTION, source, PLAN)
    journal = log.journal(2)
    assert journal.held == 3
    journal.finish(QUESTION.id, others[1], None, failed=False)
    journal.finish(QUESTION.id, others[1], None, failed=False)
    journal.finish("unheard-of", others[0], None, failed=False)
    assert journal.held == 2
    assert journal.recorded(QUESTION, others[0])
    assert not journal.recorded(QUESTION, others[1])
    journal.drop(2)
    journal.drop(2)
    assert journal.held == 0


async def test_dropping_a_partition_forgets_its_entries_only() -> None:
    log = Log()
    writer = log.journal(2)
    elsewhere = Source("questions", 1, 5)
    await writer.aplan(QUESTION, SOURCE, PLAN)
    await writer.aplan(QUESTION, elsewhere, PLAN)
    journal = log.journal(2)
    journal.load(1, [decode_journal_entry(log.records[1].value)])
    journal.drop(2)
    journal.load(2, [])
    assert journal.recorded(QUESTION, SOURCE) is None
    assert journal.recorded(QUESTION, elsewhere) is not None


async def test_an_intent_waits_while_its_partition_is_held() -> None:
    log = Log()
    gates = {1: Gate(), 2: Gate()}
    journal = log.journal(2, gates)
    gates[2].hold()
    intent = asyncio.create_task(journal.aintent(QUESTION, SOURCE, CALL, "key"))
    await asyncio.sleep(5)
    assert not intent.done()
    assert log.records == []
    await journal.aintent(QUESTION, Source("questions", 1, 1), CALL, "key")
    gates[2].release()
    await intent
    assert log.kinds == ["intent call/1"] * 2


@pytest.mark.parametrize("held_first", [True, False])
async def test_an_intent_fails_when_its_partition_is_lost(held_first: bool) -> None:
    log = Log(step=lambda: asyncio.sleep(1))
    gate = Gate()
    journal = log.journal(2, {2: gate})
    if held_first:
        gate.hold()
    intent = asyncio.create_task(journal.aintent(QUESTION, SOURCE, CALL, "key"))
    await asyncio.sleep(0.5)
    gate.lose()
    with pytest.raises(JournalError, match="revoked"):
        await intent
    assert log.records == []


async def test_an_entry_is_sent_until_the_broker_has_it() -> None:
    refusals = iter([KafkaTimeoutError(), KafkaTimeoutError(), None])
    log = Log(refusal=lambda _: next(refusals))
    await log.journal(2).aintent(QUESTION, SOURCE, CALL, "key")
    assert log.kinds == ["intent call/1"]
    assert log.batches == 3


async def test_an_entry_that_fails_is_given_up_once_the_partition_is_taken_away() -> None:
    class NoTopic(Log):
        """The topic is gone: a record fails before it comes to its gate."""

        def put(self, record: Record, on_delivery: OnDelivery, gate: Gate) -> None:
            asyncio.get_running_loop().call_soon(on_delivery, record, UnknownTopicOrPartitionError())

    gate = Gate()
    intent = asyncio.create_task(NoTopic().journal(2, {2: gate}).aintent(QUESTION, SOURCE, CALL, "key"))
    await asyncio.sleep(1)
    assert not intent.done()
    gate.lose()
    with pytest.raises(JournalError, match="revoked"):
        await asyncio.wait_for(intent, 20)


async def test_an_entry_that_is_too_large_fails_its_intent() -> None:
    log = Log(refusal=lambda _: MessageSizeTooLargeError())
    with pytest.raises(JournalError, match="larger"):
        await log.journal(2).aintent(QUESTION, SOURCE, CALL, "key")


@pytest.mark.parametrize(
    "arguments",
    [
        {"deep": orjson.loads("[" * 150 + "]" * 150)},
        {"lone surrogate": "\ud800"},
        {"not JSON": object()},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
async def test_an_entry_that_could_not_be_read_back_fails(arguments: dict[str, Any]) -> None:
    log = Log()
    planned = PlannedCall("call/1", "book", arguments)
    for write in (
        lambda journal: journal.aplan(QUESTION, SOURCE, Plan((planned,))),
        lambda journal: journal.aintent(QUESTION, SOURCE, planned, "key"),
    ):
        with pytest.raises(JournalError, match="cannot be written"):
            await write(log.journal(2))
    assert log.records == []


async def test_entries_that_name_no_call_or_no_end_are_passed_over() -> None:
    fields = '"question_id":"q/1","conversation_id":"c","created_at":"2026-01-02T03:04:05Z"'
    source = '"source":{"topic":"questions","partition":2,"offset":40}'
    journal = Log().journal(2)
    journal.load(
        2,
        [
            decode_journal_entry(f"{{{fields},{source},{rest}}}".encode())
            for rest in ('"kind":"intent"', '"kind":"result","call_id":"call/1"')
        ],
    )
    assert journal.recorded(QUESTION, SOURCE) is None


@pytest.mark.parametrize("stays", [True, False])
async def test_a_call_waits_for_a_rebalance_that_began_after_its_intent(stays: bool) -> None:
    gate = Gate()
    journal = Log().journal(2, {2: gate})
    await journal.aintent(QUESTION, SOURCE, CALL, "key")
    gate.hold()
    owned = asyncio.create_task(journal.aowned(QUESTION, SOURCE))
    await asyncio.sleep(5)
    assert not owned.done()
    if stays:
        gate.release()
        await owned
    else:
        gate.lose()
        with pytest.raises(JournalError, match="revoked"):
            await owned


async def test_a_call_of_our_question_starts_in_the_same_turn() -> None:
    owned = Log().journal(2).aowned(QUESTION, SOURCE)
    with pytest.raises(StopIteration):
        owned.send(None)


def test_no_entry_is_kept_of_ended_questions_and_lost_partitions() -> None:
    log = Log()
    writer = log.journal()

    async def write(source: Source) -> None:
        await writer.aplan(QUESTION, source, PLAN)
        await writer.aintent(QUESTION, source, CALL, "key")

    journal = Log().journal()
    for round_ in range(20):
        log.records.clear()
        for partition in range(4):
            asyncio.run(write(Source("questions", partition, round_)))
        entries = [decode_journal_entry(record.value) for record in log.records]
        for partition in range(4):
            journal.load(partition, [entry for entry in entries if entry.source.partition == partition])
        assert journal.held == 4
        for partition in (0, 1):
            journal.finish(QUESTION.id, Source("questions", partition, round_), None, failed=False)
        for partition in (2, 3):
            journal.drop(partition)
        assert journal.held == 0
        begun = journal._begun
        assert not begun._cut_off
        assert not begun._running
        assert not begun._failed


@pytest.mark.parametrize("problem", [asyncio.CancelledError(), TimeoutError(), OSError("reset")])
async def test_reading_is_repeated_after_any_error_of_the_client(
    problem: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reader:
        """A reader of an empty partition; the first one raises the problem."""

        problems = [problem]  # noqa: RUF012 - shared by all of them

        def __init__(self, **_: Any) -> None: ...

        async def start(self) -> None: ...

        def assign(self, places: Any) -> None: ...

        async def end_offsets(self, places: Any) -> Any:
            if self.problems and not isinstance(self.problems[0], asyncio.CancelledError):
                raise self.problems.pop()
            return dict.fromkeys(places, 0)

        def seek(self, place: Any, offset: int) -> None: ...

        async def position(self, place: Any) -> int:
            return 0

        async def stop(self) -> None:
            if self.problems:
                raise self.problems.pop()

    monkeypatch.setattr("streams.kafka.reading.AIOKafkaConsumer", Reader)
    await asyncio.wait_for(Log().journal().arecover(2, 7, lambda _: True), 10)
    assert not Reader.problems
