"""The client gives each record to its question: answers by source, deltas by epoch and sequence."""

from datetime import UTC, datetime

import pytest

from schemas.answer import Answer, Source
from schemas.codec import DecodeError, encode
from schemas.event import AnswerDelta
from schemas.headers import Header, delta_id
from streams.client.asking import AskClient
from streams.client.pending import Replies
from streams.settings.model import Kafka

MINE = Source("questions", 1, 7)
HEADERS: list[Header] = [("ce_type", b"kotae.answer"), ("correlation_id", b"mine")]
DELTA_HEADERS: list[Header] = [("ce_type", b"kotae.answer.delta"), ("correlation_id", b"mine")]


def answer(source: Source = MINE, text: str = "yes") -> Answer:
    return Answer(
        id="q",
        question_id="q",
        conversation_id="q",
        tenant="default",
        status="answered",
        source=source,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        text=text,
    )


def delta(epoch: int, sequence: int, text: str = "x") -> AnswerDelta:
    return AnswerDelta(question_id="q", conversation_id="q", epoch=epoch, sequence=sequence, text=text)


def take(replies: Replies, delta: AnswerDelta, source: Source = MINE) -> None:
    identity = ("ce_id", delta_id(source, delta).encode())
    replies.take([identity, *DELTA_HEADERS], encode(delta))


async def test_the_answer_whose_source_is_the_written_record_is_taken() -> None:
    replies = Replies()
    with replies.expect("mine") as pending:
        pending.written(MINE)
        replies.take(HEADERS, encode(answer(Source("questions", 1, 6), "an earlier one's")))
        replies.take([("correlation_id", b"other")], encode(answer(text="another's")))
        replies.take([], b"no header at all")
        assert not pending.answer.done()
        replies.take(HEADERS, encode(answer(text="first")))
        replies.take(HEADERS, encode(answer(text="second")))
        assert pending.answer.result().text == "first"


async def test_an_answer_may_come_before_the_acknowledgement() -> None:
    replies = Replies()
    with replies.expect("mine") as pending:
        replies.take(HEADERS, encode(answer(Source("questions", 0, 7), "not this")))
        replies.take(HEADERS, encode(answer()))
        assert not pending.answer.done()
        pending.written(MINE)
        assert pending.answer.result().text == "yes"


async def test_after_the_block_no_answer_is_awaited() -> None:
    replies = Replies()
    with replies.expect("mine") as pending:
        pass
    replies.take(HEADERS, encode(answer()))
    assert pending.answer.cancelled()


async def test_an_answer_that_cannot_be_read_fails_its_question_only() -> None:
    replies = Replies()
    with replies.expect("mine") as pending, replies.expect("other") as other:
        replies.take(HEADERS, b"{")
        with pytest.raises(DecodeError):
            pending.answer.result()
        assert not other.answer.done()


async def test_a_listener_that_raises_fails_its_own_question() -> None:
    def refuse(_: AnswerDelta) -> None:
        raise RuntimeError("defect")

    replies = Replies()
    with replies.expect("mine", refuse) as pending:
        pending.written(MINE)
        take(replies, delta(1, 0))
        with pytest.raises(RuntimeError, match="defect"):
            pending.answer.result()


async def test_when_reading_ends_pending_and_later_questions_fail_at_once() -> None:
    replies = Replies()
    with replies.expect("mine") as pending:
        replies.fail(ConnectionError("gone"))
        with pytest.raises(ConnectionError):
            pending.answer.result()
    with replies.expect("later") as later, pytest.raises(ConnectionError):
        later.answer.result()


async def test_an_error_of_the_reader_is_raised_to_the_askers() -> None:
    class Consumer:
        async def getmany(self, **_: object) -> object:
            raise RuntimeError("a defect")

    client = AskClient(Kafka())
    with client._replies.expect("mine") as pending:
        await client._inbox.keep_reading(Consumer())
        with pytest.raises(RuntimeError, match="a defect"):
            await pending.answer


async def test_pieces_add_up_to_the_answer_that_comes_with_the_last() -> None:
    told: list[AnswerDelta] = []
    replies = Replies()
    with replies.expect("mine", told.append) as pending:
        # They may come before the record's acknowledgement, and another record's with the same correlation.
        take(replies, delta(1, 0, "ye"))
        take(replies, delta(1, 0, "no"), Source("questions", 1, 6))
        assert told == []
        pending.written(MINE)
        take(replies, delta(1, 1, "s, "))
        take(replies, delta(9, 0, "not mine"), Source("questions", 0, 7))
        replies.take(DELTA_HEADERS, encode(delta(1, 2, "without an identity")))
        replies.take(HEADERS, encode(answer(text="yes, it is")))
        assert pending.answer.result().text == "yes, it is"
        take(replies, delta(1, 2, "late"))
    assert [(piece.text, piece.done) for piece in told] == [("ye", False), ("s, ", False), ("it is", True)]
