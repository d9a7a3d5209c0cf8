import asyncio
import gc
import json
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from agents.components import Plan, PlannedCall
from agents.pipeline import Answered, Asked
from schemas.answer import Source, ToolCall, Usage
from schemas.codec import decode_answer, decode_delta, encode
from schemas.control import Cancel
from schemas.errors import ErrorCode
from schemas.topics import Topics
from streams.consumer.cancels import Cancels
from streams.consumer.partition import Partition, Work
from streams.kafka.header_names import UNREADABLE
from streams.publishing.gate import Gate
from streams.publishing.outcomes import Outcomes
from streams.publishing.records import Outcome, Record
from streams.publishing.replies import ReplyTopics
from streams.telemetry.hook import Hook
from streams.worker.answering import Answering
from streams.worker.first_answers import GoneError
from tests.support.engine import ScriptedPipeline, answer_to, question
from tests.support.journal import Log
from tests.support.repeating import AnswersInMemory, repeating_of
from tests.support.system import eventually

NOW = 1_800_000_000.0


class KeptOutcomes:
    """A publisher whose broker acknowledges each outcome one turn later."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def publish(self, outcome: Outcome, done: Callable[[Outcome], None]) -> None:
        outcome.answer.position = len(self.outcomes)
        self.outcomes.append(outcome)
        asyncio.get_running_loop().call_soon(done, outcome)


class KeptDeltas:
    def __init__(self) -> None:
        self.records: list[tuple[Record, bool]] = []

    def delta(self, record: Record, *, last: bool = False) -> None:
        self.records.append((record, last))


class Set:
    """An answering whose neighbours keep their calls."""

    def __init__(self, script: Any = None, deadline_s: float = 30.0) -> None:
        self.pipeline = ScriptedPipeline(script)
        self.published, self.copies = KeptOutcomes(), KeptDeltas()
        self.finished: list[Work] = []
        self.now = NOW
        self.log = Log()
        self.journal = self.log.journal()
        self.cancels = Cancels("questions")
        self.reader = AnswersInMemory(self.published.outcomes)
        self.repeating = repeating_of(self.reader)
        self.answering = Answering(
            pipeline=self.pipeline,
            outcomes=Outcomes(Topics(), replies=ReplyTopics(Topics(), ("replies",)), group_id="g"),
            publisher=self.published,  # type: ignore[arg-type]
            copies=self.copies,  # type: ignore[arg-type]
            hook=Hook(),
            deadline_s=deadline_s,
            journal=self.journal,
            cancels=self.cancels,
            repeating=self.repeating,
            wall_clock=lambda: self.now,
        )

    async def run(self, *works: Work) -> list[Outcome]:
        for work in works:
            self.answering.prepare(work)
            self.answering.start(work, self.finished.append)
        await eventually(lambda: len(self.finished) == len(works), 5, "all outcomes")
        return self.published.outcomes


def work(
    value: bytes | None,
    *headers: tuple[str, bytes],
    key: bytes | None = b"c",
    age_s: float = 0.0,
    offset: int = 7,
) -> Work:
    timestamp = int((NOW - age_s) * 1000)
    record = ConsumerRecord("questions", 0, offset, timestamp, 0, key, value, None, 0, 0, headers)
    return Work(record, Partition(0, 1), 1)


@pytest.mark.parametrize("value", [None, b"no question", question("q")])
async def test_a_prepared_record_is_freed_without_the_garbage_collector(value: bytes | None) -> None:
    class Watched(Gate):
        """A weak reference to it shows when its last holder is freed."""

    made, one = Set(), work(value)
    one.partition.gate = Watched()
    watched = weakref.ref(one.partition.gate)
    gc.disable()
    try:
        made.answering.prepare(one)
        del one
        # Otherwise a flood of large unreadable records would stay in memory until the collector runs.
        assert watched() is None
    finally:
        gc.enable()


async def test_an_old_question_without_a_deadline_has_its_whole_budget() -> None:
    made = Set(deadline_s=5.0)
    now = asyncio.get_running_loop().time()
    await made.run(work(question("q"), age_s=10**6))
    [asked] = made.pipeline.asked
    assert asked.deadline == pytest.approx(now + 5.0, abs=0.5)
    assert asked.queue_ms == pytest.approx(10**9)


@pytest.mark.parametrize(
    ("header", "age_s", "budget_s"),
    [
        (("timeout_ms", b"9000"), 6.0, 3.0),
        (("timeout_ms", b"900000"), 6.0, 5.0),
        (("timeout_ms", b"9000"), -100.0, 5.0),
        (("ce_expirytime", b"2027-01-15T08:00:02Z"), 0.0, 2.0),
        (("timeout_ms", b"soon"), 6.0, 5.0),
    ],
)
async def test_a_deadline_is_absolute_and_capped(
    header: tuple[str, bytes], age_s: float, budget_s: float
) -> None:
    made = Set(deadline_s=5.0)
    now = asyncio.get_running_loop().time()
    await made.run(work(question("q"), header, age_s=age_s))
    assert made.pipeline.asked[0].deadline == pytest.approx(now + budget_s, abs=0.5)


@pytest.mark.parametrize(
    ("value", "headers", "age_s", "refused"),
    [
        (question("q"), [("timeout_ms", b"5000")], 6.0, True),
        (question("q"), [("timeout_ms", b"5000")], 4.0, False),
        (question("q"), [], 10**6, False),
        (b"no question", [("timeout_ms", b"5000")], 6.0, True),
        (question("q"), [("timeout_ms", b"5000"), UNREADABLE], 6.0, False),
    ],
)
async def test_refuses_tells_before_the_start_that_the_deadline_has_passed(
    value: bytes, headers: list[tuple[str, bytes]], age_s: float, refused: bool
) -> None:
    made = Set()
    one = work(value, *headers, age_s=age_s)
    made.answering.prepare(one)
    assert made.answering.refuses(one) is refused


async def test_refuses_tells_late_questions_while_the_tenant_is_overloaded() -> None:
    made = Set()
    for n in range(60):
        now = NOW - 6 + n * 0.1
        made.answering._admission.judge("default", now, now - 5, now + 5)

    def refused(age_s: float, **dated: int) -> bool:
        one = work(question("q"), ("ce_expirytime", b"2027-01-15T08:00:05Z"), age_s=age_s)
        one.record = replace(one.record, **dated)
        made.answering.prepare(one)
        return made.answering.refuses(one)

    assert refused(5.0)
    assert not refused(1.0)
    assert not refused(-5.0), "its clock is ahead"
    assert not refused(5.0, timestamp=-1), "its age is unknown"


@pytest.mark.looptime
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2_000),
            st.integers(-1_000, 20_000),
            st.integers(1, 20_000),
            st.sampled_from(["acme", "default"]),
        ),
        max_size=100,
    )
)
async def test_a_question_that_refuses_reports_does_not_run(history: list[tuple[int, int, int, str]]) -> None:
    made = Set()
    made.now += 0.0005  # between two milliseconds: at the very limit, rounding may differ
    for passed_ms, waited_ms, timeout_ms, tenant in history:
        made.now += passed_ms / 1000
        age_s = NOW - made.now + waited_ms / 1000
        one = work(question("q", tenant=tenant), ("timeout_ms", b"%d" % timeout_ms), age_s=age_s)
        made.answering.prepare(one)
        refused = made.answering.refuses(one)
        runs = made.answering.start(one, made.finished.append)
        assert not (refused and runs)
    await eventually(lambda: len(made.finished) == len(history), 5, "all outcomes")


async def test_refuses_makes_no_call_but_to_the_clock() -> None:
    made = Set()
    one = work(question("q"), ("timeout_ms", b"5000"), age_s=0.5)
    made.answering.prepare(one)
    calls: list[str] = []
    # It is called four times a second for all waiting records, twice as many as run.
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        assert not made.answering.refuses(one)
    finally:
        sys.setprofile(None)
    assert calls == ["refuses", "<lambda>"], "the only call is to the clock"


async def test_an_expired_question_fails_without_a_call_to_the_pipeline() -> None:
    made = Set()
    [outcome] = await made.run(work(question("q", metadata={"a": 1}), ("timeout_ms", b"5000"), age_s=6.0))
    assert made.pipeline.asked == []
    assert outcome.message.error is not None
    assert outcome.message.error.code == "expired_before_start"
    assert outcome.message.error.message == (
        "the question expired at 2027-01-15T07:59:59Z, 1.0 seconds before work on it began"
    )
    assert outcome.message.metadata == {"a": 1}
    assert outcome.dead_letter is not None


async def test_a_clock_behind_the_brokers_makes_no_negative_wait() -> None:
    made = Set()
    await made.run(work(question("q"), age_s=-50.0))
    assert made.pipeline.asked[0].queue_ms == 0.0


async def test_a_defect_in_the_pipeline_fails_one_question_only() -> None:
    async def script(asked: Asked) -> Any:
        if asked.question.id == "bad":
            raise KeyError("secret")
        return answer_to(asked)

    made = Set(script)
    outcomes = await made.run(work(question("good")), work(question("bad")), work(question("too")))
    found = {outcome.message.id: outcome for outcome in outcomes}
    assert found["good"].message.status == found["too"].message.status == "answered"
    error = found["bad"].message.error
    assert error is not None
    assert (error.code, "secret" in error.message) == ("internal", False)
    assert made.answering.running == 0


class Panic(BaseException):
    """A panic of a library in Rust: it is no Exception."""


async def test_a_panic_in_the_pipeline_fails_its_question_and_frees_its_lane() -> None:
    async def script(asked: Asked) -> Any:
        raise Panic("secret")

    made = Set(script)
    [outcome] = await made.run(work(question("q")))
    error = outcome.message.error
    assert error is not None
    assert (error.code, error.message) == (
        "internal",
        "a defect stopped the question (Panic); the worker's log has the details",
    )
    assert made.answering.running == 0


async def test_an_answer_that_cannot_be_encoded_is_a_defect() -> None:
    async def script(asked: Asked) -> Any:
        return answer_to(asked, metadata={"not": {1, 2}, "json": object()})

    [outcome] = await Set(script).run(work(question("q")))
    assert outcome.message.error is not None
    assert outcome.message.error.code == "internal"


async def test_a_defect_of_the_decoder_becomes_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(value: bytes | None) -> Any:
        raise RecursionError("a defect of the decoder")

    monkeypatch.setattr("streams.worker.inquiries.decode_question", broken)
    made = Set()
    item = work(question("q"), key=None)
    [outcome] = await made.run(item)
    assert item.key == b"\x007"
    assert outcome.message.error is not None
    assert outcome.message.error.code == "internal"
    assert outcome.message.id == "questions/0/7"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (question("q", conversation_id="c"), b"c"),
        (question("q"), b"q"),
        (b'{"id": "q", "conversation_id": "c", "text": 1}', b"c"),
        (b'{"id": "q", "text": 1}', b"q"),
        (b"\xff", b"\x007"),
        (None, b"\x007"),
    ],
)
async def test_a_record_without_a_key_is_ordered_by_its_conversation(value: bytes | None, key: bytes) -> None:
    item = work(value, key=None)
    Set().answering.prepare(item)
    assert item.key == key


async def test_a_value_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from schemas.codec import decode_question

    decoded = []
    monkeypatch.setattr(
        "streams.worker.inquiries.decode_question", lambda v, _: decoded.append(v) or decode_question(v)
    )
    made = Set()
    await made.run(work(question("q"), key=None))
    assert len(decoded) == 1


async def test_parts_of_a_history_that_were_left_out_are_warnings_of_the_answer() -> None:
    turns = [{"role": "tool", "content": "21 degrees"}, {"role": "User", "content": None}]
    made = Set()
    value = json.dumps({"id": "q", "text": "Why?", "history": turns}).encode()
    [outcome] = await made.run(work(value))
    answer = decode_answer(outcome.answer.value)
    assert answer.status == "answered"
    assert [warning.partition(":")[0] for warning in answer.warnings] == ["unusable_role"]


@pytest.mark.parametrize(
    ("streamed", "text", "pieces", "replaced"),
    [
        (["It ", "is"], "It is so.", ["It ", "is", " so.", ""], False),
        (["It is so."], "It is so.", ["It is so.", ""], False),
        (["It was"], "It is so.", ["It was", ""], True),
        (["It is so. And"], "It is so.", ["It is so. And", ""], True),
        ([], "It is so.", ["It is so.", ""], False),
        ([], "", [""], False),
    ],
)
async def test_the_pieces_add_up_to_the_answer_or_say_that_it_replaces_them(
    streamed: list[str], text: str, pieces: list[str], replaced: bool
) -> None:
    async def script(asked: Asked) -> Any:
        assert asked.on_delta is not None
        for piece in streamed:
            asked.on_delta(piece)
        return answer_to(asked, text=text)

    made = Set(script)
    await made.run(work(question("q", stream=True)))
    deltas = [decode_delta(record.value or b"") for record, _ in made.copies.records]
    assert [delta.text for delta in deltas] == pieces
    assert [delta.sequence for delta in deltas] == list(range(len(pieces)))
    assert [(delta.done, delta.replaced) for delta in deltas[:-1]] == [(False, False)] * (len(pieces) - 1)
    assert (deltas[-1].done, deltas[-1].replaced) == (True, replaced)


async def test_deltas_are_numbered_and_end_even_if_the_question_fails() -> None:
    async def script(asked: Asked) -> Any:
        assert asked.on_delta is not None
        asked.on_delta("a")
        asked.on_delta("b")
        raise ValueError

    made = Set(script)
    await made.run(work(question("q", stream=True)))
    deltas = [(decode_delta(record.value or b""), last) for record, last in made.copies.records]
    assert [(d.text, d.sequence, d.done, d.replaced, last) for d, last in deltas] == [
        ("a", 0, False, False, False),
        ("b", 1, False, False, False),
        ("", 2, True, True, True),
    ]
    assert {delta.epoch for delta, _ in deltas} == {int(NOW * 1000)}


async def test_a_cancelled_question_has_no_outcome() -> None:
    async def script(asked: Asked) -> Any:
        assert asked.on_delta is not None
        asked.on_delta("a")
        await asyncio.Event().wait()

    made = Set(script)
    item = work(question("q", stream=True))
    made.answering.prepare(item)
    made.answering.start(item, made.finished.append)
    await eventually(lambda: made.pipeline.running, 10, "work")
    made.answering.cancel()
    await eventually(lambda: not made.answering.running, 10, "the end")
    assert made.published.outcomes == []
    assert made.finished == []
    # The run has no outcome: it ends, and says nothing of the answer.
    deltas = [decode_delta(record.value or b"") for record, _ in made.copies.records]
    assert [(delta.text, delta.done, delta.replaced) for delta in deltas] == [
        ("a", False, False),
        ("", True, False),
    ]


async def test_headers_that_cannot_be_read_make_a_record_undecodable() -> None:
    made = Set()
    [outcome] = await made.run(work(question("q", metadata={"a": 1}), ("correlation_id", b"c1"), UNREADABLE))
    assert made.pipeline.asked == []
    answer, letter = outcome.message, outcome.dead_letter
    assert answer.error is not None
    assert (answer.error.code, answer.error.stage) == ("undecodable", "decode")
    assert (answer.id, answer.metadata) == ("q", {"a": 1})
    assert ("correlation_id", b"c1") in outcome.answer.headers
    assert letter is not None
    assert letter.headers[0] == ("correlation_id", b"c1")
    assert letter.headers[1][0] == "__connect.errors.topic", "the mark is not sent as a header"
    assert dict(letter.headers)["qa.dlq.disposition"] == b"headers_lost"


async def test_a_header_equal_to_the_mark_for_unreadable_ones_is_a_header() -> None:
    name, value = UNREADABLE
    made = Set()
    [outcome] = await made.run(work(question("q"), (name, bytes(bytearray(value)))))
    assert outcome.message.status == "answered"


async def test_a_record_with_a_bad_value_and_bad_headers_names_the_value() -> None:
    made = Set()
    [outcome] = await made.run(work(b"{", UNREADABLE))
    assert outcome.message.error is not None
    assert outcome.message.error.message.startswith("not JSON")
    assert outcome.dead_letter is not None
    assert dict(outcome.dead_letter.headers)["qa.dlq.disposition"] == b"headers_lost"


async def test_a_pipeline_that_cancels_itself_fails_its_question_and_frees_its_lane() -> None:
    async def script(asked: Asked) -> Any:
        raise asyncio.CancelledError

    made = Set(script)
    [outcome] = await made.run(work(question("q")))
    assert outcome.message.error is not None
    assert outcome.message.error.code == "internal"
    assert made.answering.running == 0


async def test_a_record_without_a_timestamp_has_not_waited() -> None:
    made = Set(deadline_s=5.0)
    undated = work(question("q"), ("timeout_ms", b"3000"))
    undated.record = replace(undated.record, timestamp=-1)
    await made.run(undated)
    assert made.pipeline.asked[0].queue_ms == 0.0


async def one_after_the_other(made: Set, *works: Work) -> list[Outcome]:
    """A lane: each starts when the one before it is finished."""
    for count, one in enumerate(works, start=len(made.finished) + 1):
        made.answering.prepare(one)
        made.answering.start(one, made.finished.append)
        await eventually(lambda count=count: len(made.finished) == count, 5, "its outcome")  # type: ignore[misc]
    return made.published.outcomes


TICKET = {
    "tool_calls": (ToolCall(id="a", name="open_ticket", arguments={}, status="ok", result={"ticket": 1}),),
    "usage": Usage(10, 5),
    "citations": (),
    "degraded": ("model_fallback",),
    "status": "degraded",
    "model": "m",
}


async def ticket(asked: Asked) -> Any:
    return answer_to(asked, "Ticket 1 is open.", **TICKET)


async def test_a_repeat_gets_the_first_result_and_runs_nothing() -> None:
    made = Set(ticket)
    first, again = await one_after_the_other(
        made,
        work(question("q", metadata={"try": 1})),
        work(
            question("q", metadata={"try": 2}),
            ("correlation_id", b"second"),
            ("reply_to", b"replies"),
            offset=9,
        ),
    )
    assert len(made.pipeline.asked) == 1
    assert made.repeating.state() == {"results": 1, "served": 1}
    one, two = first.message, again.message
    assert (two.text, two.status, two.degraded, two.model) == (one.text, one.status, one.degraded, one.model)
    assert two.source == Source("questions", 0, 9)
    assert (one.duplicate_of, two.duplicate_of) == (None, Source("questions", 0, 7))
    assert two.usage == Usage()
    assert two.tool_calls == (structs.replace(one.tool_calls[0], reused=True),)
    assert two.metadata == {"try": 2}
    assert dict(again.answer.headers)["correlation_id"] == b"second"
    assert again.reply is not None
    assert again.reply.topic == "replies"


async def test_a_repeat_of_a_repeat_names_the_first_record() -> None:
    made = Set(ticket)
    outcomes = await one_after_the_other(made, *[work(question("q"), offset=n) for n in (7, 8, 9)])
    assert [outcome.message.duplicate_of for outcome in outcomes] == [
        None,
        Source("questions", 0, 7),
        Source("questions", 0, 7),
    ]
    assert len(made.pipeline.asked) == 1


async def test_a_repeat_takes_no_slot_and_sends_its_text_as_one_delta() -> None:
    made = Set(ticket)
    await one_after_the_other(made, work(question("q", stream=True)))
    made.copies.records.clear()
    again = work(question("q", stream=True), offset=8)
    made.answering.prepare(again)
    assert made.answering.start(again, made.finished.append) is False
    await eventually(lambda: len(made.finished) == 2, 5, "its outcome")
    deltas = [decode_delta(record.value or b"") for record, _ in made.copies.records]
    assert [(delta.text, delta.done, delta.replaced) for delta in deltas] == [
        ("Ticket 1 is open.", False, False),
        ("", True, False),
    ]
    assert made.copies.records[-1][1]


async def test_a_repeat_whose_deadline_passed_while_it_waited_gets_the_result() -> None:
    made = Set(ticket)
    late = work(question("q"), ("timeout_ms", b"100"), age_s=1.0, offset=8)
    _, again = await one_after_the_other(made, work(question("q")), late)
    assert made.answering.refuses(late), "it is started though no slot is free"
    assert again.message.status == "degraded"
    assert again.message.text == "Ticket 1 is open."


async def test_another_question_under_a_used_id_runs_and_is_told() -> None:
    made = Set()
    first, other = await one_after_the_other(
        made, work(question("q")), work(question("q", tools=("a",)), offset=8)
    )
    assert len(made.pipeline.asked) == 2
    assert first.message.warnings == ()
    [warning] = other.message.warnings
    assert warning.startswith("id_reused: ")
    assert other.message.duplicate_of is None


async def test_another_question_under_the_id_of_one_that_failed_after_tool_calls_is_told() -> None:
    async def failing(asked: Asked) -> Any:
        first = asked.question.tools is None
        call = ToolCall(id="a", name="book", arguments={}, status="ok")
        status = "failed" if first and len(made.pipeline.asked) == 1 else "answered"
        return answer_to(asked, status=status, tool_calls=(call,))

    made = Set(failing)
    outcomes = await one_after_the_other(
        made,
        *[work(question("q", **more), offset=n) for n, more in enumerate([{}, {}, {"tools": ("a",)}], 7)],
    )
    assert [outcome.message.status for outcome in outcomes] == ["failed", "answered", "answered"]
    assert [asked.id_reused for asked in made.pipeline.asked] == [False, False, True]
    made = Set(failing)
    await one_after_the_other(made, work(question("q")), work(question("q", tools=("a",)), offset=8))
    assert [asked.id_reused for asked in made.pipeline.asked] == [False, True]


async def test_a_failed_outcome_is_no_result() -> None:
    async def fail_once(asked: Asked) -> Any:
        if len(made.pipeline.asked) == 1:
            raise ValueError
        return answer_to(asked)

    made = Set(fail_once)
    first, again, third = await one_after_the_other(made, *[work(question("q"), offset=n) for n in (7, 8, 9)])
    assert [one.message.status for one in (first, again, third)] == ["failed", "answered", "answered"]
    assert third.message.duplicate_of == Source("questions", 0, 8)
    assert len(made.pipeline.asked) == 2


async def test_a_repeat_of_a_failed_question_has_what_its_tools_began() -> None:
    call = PlannedCall("a", "book", {})
    found: list[Any] = []

    async def begin_and_fail(asked: Asked) -> Any:
        found.append(made.journal.recorded(asked.question, asked.source))
        if len(found) == 1:
            await made.journal.aplan(asked.question, asked.source, Plan((call,)))
            await made.journal.aintent(asked.question, asked.source, call, "key")
        if len(found) < 3:
            raise ValueError
        return answer_to(asked)

    made = Set(begin_and_fail)
    other = work(question("q", tools=("a",)), offset=10)
    await one_after_the_other(made, *[work(question("q"), offset=n) for n in (7, 8, 9)], other)
    assert found[0] is None
    assert found[1].intents == {"a": "key"}
    assert found[2].intents == {"a": "key"}
    assert found[3] is None, "another question under the same id"


@pytest.mark.parametrize("problem", [GoneError("it is gone"), TimeoutError()])
async def test_a_repeat_whose_first_answer_cannot_be_read_fails_and_runs_nothing(problem: Exception) -> None:
    made = Set(ticket)
    made.reader.problem = problem
    _, again = await one_after_the_other(made, work(question("q")), work(question("q"), offset=8))
    assert len(made.pipeline.asked) == 1
    assert again.message.status == "failed"
    assert again.dead_letter is not None
    error = again.message.error
    assert error is not None
    assert (error.code, error.stage) == ("internal", "repeat")
    assert "questions/0/7" in error.message


async def test_results_are_forgotten_with_their_partition() -> None:
    made = Set(ticket)
    await one_after_the_other(made, work(question("q")))
    made.answering.drop(0)
    await one_after_the_other(made, work(question("q"), offset=8))
    assert len(made.pipeline.asked) == 2


async def test_a_result_of_a_lost_partition_is_not_kept() -> None:
    made = Set(ticket)
    lost = work(question("q"))
    lost.partition.gate.lose()
    await one_after_the_other(made, lost, work(question("q"), offset=8))
    assert len(made.pipeline.asked) == 2


async def test_a_repeat_has_each_warning_once() -> None:
    made = Set(ticket)
    value = b'{"id":"q","text":"?","history":[{"role":"tool","content":"x"},{"role":"user","content":"Hi"}]}'
    first, again = await one_after_the_other(made, work(value), work(value, offset=8))
    assert len(first.message.warnings) == 1
    assert again.message.warnings == first.message.warnings


def called_back(made: Set, offset: int = 7, **fields: Any) -> None:
    """A cancel of the question at an offset of partition 0."""
    value = encode(Cancel(type="cancel", source=Source("questions", 0, offset), **fields))
    at = int(NOW * 1000)
    record = ConsumerRecord("questions.control", 0, 0, at, 1, b"c", value, None, 0, 0, ())
    assert made.cancels.take(record, lambda *_: False)


async def test_a_question_that_was_called_back_is_refused_without_a_call() -> None:
    made = Set()
    one = work(question("q", conversation_id="c"))
    made.answering.prepare(one)
    assert not made.answering.refuses(one)
    called_back(made)
    assert made.answering.refuses(one)
    assert not made.answering.start(one, made.finished.append)
    await eventually(lambda: made.finished, 5, "the outcome")
    [outcome] = made.published.outcomes
    assert outcome.message.error is not None
    assert (outcome.message.error.code, outcome.dead_letter) == (ErrorCode.CANCELLED, None)
    assert (made.pipeline.asked, made.cancels.count) == ([], 0)


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_running_question_is_stopped_and_has_one_outcome(swallows: bool) -> None:
    begun = asyncio.Event()

    async def script(asked: Asked) -> Answered:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert asked.cancelled()
            if not swallows:
                raise
        return answer_to(asked)

    made, one = Set(script), work(question("q", conversation_id="c", stream=True))
    made.answering.prepare(one)
    assert made.answering.start(one, made.finished.append)
    await begun.wait()
    called_back(made)
    made.answering.stop(one, "request")
    made.answering.stop(one, "request")
    await eventually(lambda: made.finished, 5, "the outcome")
    made.answering.stop(one, "request")
    [outcome] = made.published.outcomes
    assert outcome.message.status == ("answered" if swallows else "failed")
    assert (made.answering.running, made.cancels.count) == (0, 0)
    assert made.copies.records[-1][1], "the stream is closed"


async def test_a_cancelled_question_of_a_lost_partition_has_no_outcome_here() -> None:
    async def script(asked: Asked) -> Answered:
        await asyncio.Event().wait()
        return answer_to(asked)

    made, one = Set(script), work(question("q", conversation_id="c"))
    made.answering.prepare(one)
    made.answering.start(one, made.finished.append)
    await asyncio.sleep(0)
    made.answering.stop(one, "disconnect")
    made.answering.abandon(one)
    await eventually(lambda: made.finished, 5, "nothing is left")
    assert made.published.outcomes == []


async def test_a_cancelled_question_that_is_sent_again_is_run() -> None:
    made = Set()
    called_back(made)
    outcomes = await made.run(
        work(question("q", conversation_id="c")), work(question("q", conversation_id="c"), offset=8)
    )
    assert [outcome.message.status for outcome in outcomes] == ["failed", "answered"]
    assert outcomes[1].message.duplicate_of is None
