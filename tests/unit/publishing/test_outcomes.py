from dataclasses import replace

import msgspec
import pytest

from schemas.answer import AnswerError, Usage
from schemas.codec import InvalidError, Salvaged, decode_answer, decode_delta, decode_trace, encode
from schemas.errors import ErrorCode
from schemas.event import AnswerDelta, StageTrace
from schemas.fingerprint import fingerprint
from schemas.headers import delta_headers, is_delta, question_digest, trace_headers
from schemas.question import Question
from streams.publishing.outcomes import BARE, TRUNCATED_BYTES
from streams.publishing.records import Outcome
from tests.support.outcomes import NOW, answer, failed_answer, inquiry, outcomes


def test_an_answer_goes_to_its_questions_partition_keyed_by_its_conversation() -> None:
    trace = StageTrace(stage="plan", status="ok", started_at=NOW, duration_ms=1.0)
    made = outcomes().answered(inquiry(), answer(), [trace])
    assert (made.answer.topic, made.answer.key, made.answer.partition) == ("t.answers", b"c", 4)
    assert made.answer.exact
    assert decode_answer(made.answer.value or b"") == answer()
    assert made.dead_letter is None
    assert made.reply is None
    assert made.trace is not None
    assert (made.trace.topic, made.trace.key, made.trace.partition) == ("t.events", b"c", 4)
    assert made.trace.headers == trace_headers(made.answer.headers)
    assert decode_trace(made.trace.value or b"").stages == (trace,)


@pytest.mark.parametrize(
    "topic", ["t.questions", "t.answers", "t.questions.dlq", "t.events", "other", "__consumer_offsets"]
)
def test_our_own_and_forbidden_topics_get_no_reply(topic: str) -> None:
    allowed = outcomes(reply_topics={"replies", "t.questions", "t.questions.dlq", "t.answers", "t.events"})
    asked = inquiry(headers=(("reply_to", topic.encode()),))
    made = allowed.answered(asked, answer())
    assert made.reply is None
    # An answer is on `answers` anyway.
    assert (made.refused_reply and made.refused_reply.topic) == (None if topic == "t.answers" else topic)


def test_a_reply_is_the_answer_byte_for_byte_on_the_askers_partition() -> None:
    headers = (("kafka_replyTopic", b"replies"), ("kafka_replyPartition", b"\0\0\0\2"))
    made = outcomes().answered(inquiry(headers=headers), answer())
    assert made.reply is not None
    assert made.refused_reply is None
    assert (made.reply.topic, made.reply.partition, made.reply.exact) == ("replies", 2, True)
    assert (made.reply.value, made.reply.headers) == (made.answer.value, made.answer.headers)


def test_the_topic_for_replies_is_always_allowed() -> None:
    made = outcomes(reply_topics=()).answered(
        inquiry(headers=(("reply_to", b"t.answers.replies"), ("reply_partition", b"63"))), answer()
    )
    assert made.reply is not None
    assert (made.reply.topic, made.reply.partition) == ("t.answers.replies", 63)
    assert made.message.warnings == ()


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (
            (("reply_to", b"t.answers.replies"), ("reply_partition", b"64")),
            "partition 64 of t.answers.replies",
        ),
        ((("reply_to", b"replies"), ("reply_partition", b"4")), "partition 4 of replies, which has 4"),
        ((("reply_to", b"replies"), ("reply_partition", b"two")), "no number"),
        ((("kafka_replyTopic", b"replies"), ("kafka_replyPartition", b"\0\0\0\7")), "partition 7"),
        ((("kafka_replyTopic", b"replies"), ("kafka_replyPartition", b"7")), "no number"),
    ],
)
def test_a_partition_that_is_not_there_gets_no_reply_and_its_asker_is_told(
    headers: tuple[tuple[str, bytes], ...], told: str
) -> None:
    for result in (answer(), failed_answer()):
        made = outcomes().answered(inquiry(headers=(*headers, ("reply_deltas", b"true"))), result)
        assert made.reply is None
        assert made.refused_reply is not None
        [warning] = decode_answer(made.answer.value or b"").warnings
        assert warning.startswith("unusable_reply_partition: ")
        assert told in warning
        assert made.message.warnings == (warning,)


def test_a_topic_that_is_not_known_yet_may_have_the_partition() -> None:
    headers = (("reply_to", b"late"), ("reply_partition", b"9"))
    made = outcomes(reply_topics={"late"}).answered(inquiry(headers=headers), answer())
    assert made.reply is not None
    assert (made.reply.partition, made.reply.exact) == (9, True), "and the sender finds out"


@pytest.mark.parametrize("partition", [(), (("reply_partition", b"3"),)])
def test_deltas_go_where_their_answer_follows(partition: tuple[tuple[str, bytes], ...]) -> None:
    headers = (("reply_to", b"replies"), ("reply_deltas", b"true"), *partition)
    delta = AnswerDelta(question_id="q", conversation_id="c", epoch=1, sequence=0, text="It ")
    asked = inquiry(headers=headers)
    made, reply = outcomes().delta(asked, delta), outcomes().answered(asked, answer()).reply
    assert reply is not None
    assert (made.topic, made.key, made.partition) == ("replies", reply.key, reply.partition)
    assert is_delta(made.headers)
    assert not is_delta(reply.headers)


@pytest.mark.parametrize(
    "headers",
    [
        (("reply_to", b"replies"),),
        (("reply_to", b"elsewhere"), ("reply_deltas", b"true")),
        (("reply_to", b"t.answers"), ("reply_deltas", b"true")),
        (("reply_to", b"replies"), ("reply_partition", b"4"), ("reply_deltas", b"true")),
        (("reply_deltas", b"true"),),
    ],
)
def test_other_deltas_go_to_the_topic_for_deltas(headers: tuple[tuple[str, bytes], ...]) -> None:
    delta = AnswerDelta(question_id="q", conversation_id="c", epoch=1, sequence=0, text="It ")
    made = outcomes().delta(inquiry(headers=headers), delta)
    assert (made.topic, made.partition) == ("t.answers.deltas", 4)


def test_a_failed_answer_has_its_record_as_a_dead_letter() -> None:
    asked = inquiry(value=b"\xff", headers=(("a", b"\x00"), ("a", b"\xff")))
    letter = outcomes().answered(asked, failed_answer()).dead_letter
    assert letter is not None
    assert (letter.topic, letter.key, letter.value) == ("t.questions.dlq", b"c", b"\xff")
    assert letter.headers[:2] == [("a", b"\x00"), ("a", b"\xff")]
    found = dict(letter.headers)
    assert found["__connect.errors.topic"] == b"t.questions"
    assert found["__connect.errors.offset"] == b"9"
    assert found["__connect.errors.exception.message"] == b"gone"
    assert found["qa.dlq.disposition"] == b"model_unavailable"


def test_a_dead_letter_names_the_failure_and_lies_on_its_questions_partition() -> None:
    letter = outcomes().answered(inquiry(), failed_answer()).dead_letter
    assert letter is not None
    assert letter.partition == 4
    found = dict(letter.headers)
    assert found["__connect.errors.stage"] == b"generate"
    assert found["__connect.errors.exception.class.name"] == b"StageFailed"
    assert found["qa.dlq.attempts"] == b"1"


def test_a_failed_answer_that_names_no_error_has_an_internal_one_in_its_dead_letter() -> None:
    letter = outcomes().answered(inquiry(), answer(status="failed", text="")).dead_letter
    assert letter is not None
    found = dict(letter.headers)
    assert found["qa.dlq.disposition"] == b"internal"
    assert (found["__connect.errors.stage"], found["__connect.errors.exception.message"]) == (b"", b"")


def test_a_dead_letter_without_all_headers_of_its_record_says_so() -> None:
    letter = outcomes().answered(replace(inquiry(), headers_lost=True), failed_answer()).dead_letter
    assert letter is not None
    assert dict(letter.headers)["qa.dlq.disposition"] == b"headers_lost"


@pytest.mark.parametrize(
    ("salvaged", "key", "expected"),
    [
        (Salvaged("q", "c", "acme"), b"k", ("q", "c", "acme")),
        (Salvaged("q"), b"k", ("q", "q", "default")),
        (Salvaged(), b"k", ("t.questions/4/9", "k", "default")),
        (Salvaged(), b"\xff", ("t.questions/4/9", "t.questions/4/9", "default")),
        (Salvaged(), b"k" * 128, ("t.questions/4/9", "k" * 128, "default")),
        (Salvaged(), b"k" * 129, ("t.questions/4/9", "t.questions/4/9", "default")),
        (Salvaged(), "😀".encode() * 128, ("t.questions/4/9", "😀" * 128, "default")),
        (Salvaged(), "😀".encode() * 129, ("t.questions/4/9", "t.questions/4/9", "default")),
        (Salvaged(), None, ("t.questions/4/9", "t.questions/4/9", "default")),
    ],
)
def test_the_outcome_of_a_record_without_a_question_has_the_ids_that_were_salvaged(
    salvaged: Salvaged, key: bytes | None, expected: tuple[str, str, str]
) -> None:
    made = outcomes().refused(inquiry(key=key), InvalidError("id: missing", salvaged))
    message = made.message
    assert (message.question_id, message.conversation_id, message.tenant) == expected
    assert message.error == AnswerError(ErrorCode.INVALID, "decode", "id: missing")
    assert made.dead_letter is not None
    assert dict(made.dead_letter.headers)["__connect.errors.exception.class.name"] == b"InvalidError"


def test_a_question_that_failed_early_has_its_metadata_echoed() -> None:
    asked = Question(id="q", text="?", conversation_id="c", tenant="acme", metadata={"a": 1})
    made = outcomes().failed(
        inquiry(asked=asked), ErrorCode.EXPIRED_BEFORE_START, "deadline", "late", exception="Expired"
    )
    assert (made.message.id, made.message.tenant, made.message.metadata) == ("q", "acme", {"a": 1})
    assert made.message.created_at == NOW


def test_an_answer_that_is_too_large_fails_and_keeps_its_metadata_if_it_fits() -> None:
    made = outcomes(max_bytes=2000).answered(inquiry(), answer(text="x" * 3000, metadata={"a": 1}))
    assert made.message.error is not None
    assert made.message.error.code is ErrorCode.TOO_LARGE
    assert made.message.metadata == {"a": 1}
    assert made.dead_letter is not None
    assert dict(made.dead_letter.headers)["qa.dlq.disposition"] == b"too_large"
    assert len(made.answer.value or b"") < 2000


def test_warnings_of_the_question_come_after_those_of_the_answer() -> None:
    asked = replace(inquiry(), warnings=("asked: late",))
    made = outcomes().answered(asked, answer(warnings=("answered: short",)))
    assert made.message == answer(warnings=("answered: short", "asked: late"))


def test_an_answer_of_just_the_size_that_its_topic_accepts_is_left_whole() -> None:
    size = outcomes().answered(inquiry(), answer(text="x" * 3000)).answer.size_with_headers
    assert outcomes(max_bytes=size).answered(inquiry(), answer(text="x" * 3000)).message.error is None
    assert outcomes(max_bytes=size - 1).answered(inquiry(), answer(text="x" * 3000)).message.error is not None


def test_an_answer_carries_the_digest_of_its_question() -> None:
    asked = Question(id="q", text="?")
    made = outcomes().answered(replace(inquiry(asked=asked), fingerprint=fingerprint(asked)), answer())
    assert question_digest(made.answer.headers) == fingerprint(asked).digest
    assert question_digest(outcomes().answered(inquiry(), answer()).answer.headers) is None


def test_the_trace_of_an_answer_that_was_too_large_tells_no_stages() -> None:
    trace = StageTrace(stage="plan", status="ok", started_at=NOW, duration_ms=1.0)
    made = outcomes(max_bytes=2000).answered(inquiry(), answer(text="x" * 3000), [trace])
    assert made.trace is not None
    assert msgspec.json.decode(made.trace.value or b"")["stages"] == []


def test_an_answer_is_made_smaller_twice_at_most() -> None:
    assert outcomes(max_bytes=10).answered(inquiry(), answer()).shrunk == BARE


def test_an_answer_that_is_too_large_keeps_all_but_what_made_it_so() -> None:
    usage, timings = Usage(prompt_tokens=5), {"total": 7.0}
    whole = answer(text="x" * 3000, usage=usage, model="m", timings_ms=timings)
    made = outcomes(max_bytes=2000).answered(inquiry(), whole)
    assert made.message == answer(
        status="failed",
        text="",
        error=AnswerError(ErrorCode.TOO_LARGE, "publish", "the answer is larger than its topic accepts"),
        usage=usage,
        model="m",
        timings_ms=timings,
    )
    assert made.dead_letter is not None
    found = dict(made.dead_letter.headers)
    assert found["__connect.errors.exception.class.name"] == b"MessageSizeTooLargeError"
    assert made.trace is not None
    assert msgspec.json.decode(made.trace.value or b"")["stages"] == []


def test_a_piece_of_an_answer_goes_to_its_questions_partition_keyed_by_its_conversation() -> None:
    asked = inquiry(headers=(("correlation_id", b"7"),))
    delta = AnswerDelta(question_id="q", conversation_id="c", epoch=1, sequence=2, text="Yes")
    record = outcomes().delta(asked, delta)
    assert (record.topic, record.key, record.partition) == ("t.answers.deltas", b"c", 4)
    assert decode_delta(record.value or b"") == delta
    assert record.headers == delta_headers(asked.request, delta, asked.source, NOW)


def test_metadata_and_headers_that_are_too_large_are_left_out() -> None:
    asked = inquiry(headers=(("correlation_id", b"c" * 1500),))
    made = outcomes(max_bytes=2000).answered(asked, answer(metadata={"a": "m" * 3000}))
    assert made.message.metadata == {}
    assert "correlation_id" not in dict(made.answer.headers)
    assert made.answer.size_with_headers < 2000


@pytest.mark.parametrize("name", ["ce_id", "tracestate", "baggage"])
def test_the_barest_answer_has_no_long_header_of_the_question(name: str) -> None:
    traceparent = ("traceparent", b"00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01")
    asked = inquiry(headers=(traceparent, (name, b"x" * 8000)))
    barest = outcomes().shrink(outcomes().shrink(outcomes().answered(asked, answer()), False), False)
    assert barest.answer.size_with_headers < 2000
    assert dict(barest.answer.headers)["ce_causationid"] == b"q"


def test_a_failure_that_is_too_large_keeps_its_reason_and_its_dead_letter() -> None:
    first = outcomes().answered(inquiry(), failed_answer(metadata={"a": 1}))
    second = outcomes().shrink(first, False)
    third = outcomes().shrink(second, False)
    assert [each.message.metadata for each in (first, second, third)] == [{"a": 1}, {"a": 1}, {}]
    assert {each.message.error for each in (first, second, third)} == {failed_answer().error}
    assert first.dead_letter is second.dead_letter is third.dead_letter
    assert outcomes().shrink(third, False) is third


def test_a_dead_letter_that_is_too_large_keeps_its_beginning_and_names_the_record() -> None:
    asked = inquiry(key=b"k" * 20_000, value=b"v" * 50_000, headers=(("h", b"x" * 1000),))
    first = outcomes().answered(asked, failed_answer())
    smaller: Outcome = outcomes().shrink(first, True)
    letter = smaller.dead_letter
    assert letter is not None
    assert (letter.key, letter.value) == (None, b"v" * TRUNCATED_BYTES)
    assert (letter.topic, letter.partition) == ("t.questions.dlq", 4)
    found = dict(letter.headers)
    assert "h" not in found
    assert found["qa.dlq.disposition"] == b"truncated"
    assert found["__connect.errors.partition"] == b"4"
    assert smaller.answer is first.answer
    assert outcomes().shrink(smaller, True) is smaller


@pytest.mark.parametrize(("size", "kept"), [(TRUNCATED_BYTES, True), (TRUNCATED_BYTES + 1, False)])
def test_a_truncated_dead_letter_keeps_its_key_if_it_is_short(size: int, kept: bool) -> None:
    asked = inquiry(key=b"k" * size, value=None)
    letter = outcomes().shrink(outcomes().answered(asked, failed_answer()), True).dead_letter
    assert letter is not None
    assert (letter.key, letter.value) == (b"k" * size if kept else None, b"")


def test_a_dead_letter_whose_headers_are_too_large_goes_without_them() -> None:
    asked = inquiry(value=b"v" * 100, headers=(("h", b"x" * 500_000),))
    smaller = outcomes().shrink(outcomes().answered(asked, failed_answer()), True)
    letter = smaller.dead_letter
    assert letter is not None
    assert (letter.key, letter.value) == (b"c", b"v" * 100)
    assert letter.size_with_headers < 1000
    assert dict(letter.headers)["qa.dlq.disposition"] == b"truncated"
    assert outcomes().shrink(smaller, True) is smaller


def test_an_oversize_dead_letter_is_truncated_before_anything_is_sent() -> None:
    made = outcomes(max_bytes=30_000).answered(inquiry(value=b"v" * 40_000), failed_answer())
    assert made.dead_letter is not None
    assert len(made.dead_letter.value or b"") == TRUNCATED_BYTES


def test_every_answer_can_be_read_again() -> None:
    made = outcomes().answered(inquiry(), failed_answer())
    assert decode_answer(made.answer.value or b"") == made.message
    assert encode(made.message) == made.answer.value


def test_the_barest_answer_fits_despite_long_texts_of_servers() -> None:
    error = AnswerError(ErrorCode.MODEL_UNAVAILABLE, "generate", "e" * 50_000)
    made = outcomes(max_bytes=20_000).answered(
        inquiry(), answer(status="failed", text="", model="m" * 50_000, error=error)
    )
    assert made.answer.size_with_headers < 20_000
    assert made.message.error is not None
    assert made.message.error.code is ErrorCode.MODEL_UNAVAILABLE
