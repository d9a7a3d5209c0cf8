"""An answer is the outcome of the record that is at its offset now, or of one that was there before."""

import pytest
from aiokafka import ConsumerRecord

from schemas.codec import encode
from schemas.question import Question
from streams.consumer.claims import Claim, holds, question_id_of, read_outcomes


def asked(value: bytes | None, at_ms: int = 1000, offset: int = 7) -> ConsumerRecord:
    return ConsumerRecord("questions", 3, offset, at_ms, 1, b"k", value, None, 1, 1, ())


QUESTION = encode(Question(id="q7", text="What now?"))


@pytest.mark.parametrize(
    ("question_id", "written_ms", "counts"),
    [
        ("q7", 1000, True),
        ("q7", 5000, True),
        ("q7", 999, False),
        ("another", 5000, False),
        (None, 1000, True),
        (None, 999, False),
    ],
)
def test_a_claim_holds_that_names_the_question_and_is_not_older(
    question_id: str | None, written_ms: int, counts: bool
) -> None:
    assert holds(Claim(7, question_id, written_ms), asked(QUESTION)) is counts


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (QUESTION, "q7"),
        (b'{"id": "broken", "text": 7}', "broken"),
        (b"\xff", "questions/3/7"),
        (None, "questions/3/7"),
    ],
)
def test_a_question_has_the_id_that_its_answer_bears(value: bytes | None, named: str) -> None:
    assert question_id_of(asked(value)) == named


def test_a_question_that_breaks_the_decoder_has_its_place_for_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(_: object) -> None:
        raise KeyError

    monkeypatch.setattr("streams.consumer.claims.decode_question", defect)
    assert question_id_of(asked(QUESTION)) == "questions/3/7"


def test_claims_are_read_from_the_answers_of_this_partition() -> None:
    def answer(partition: int, offset: int, question_id: bytes) -> ConsumerRecord:
        value = b'{"question_id":%s,"source":{"topic":"questions","partition":%d,"offset":%d}}'
        return ConsumerRecord(
            "answers", 3, 0, 44, 0, b"k", value % (question_id, partition, offset), None, 1, 1, ()
        )

    records = [answer(3, 5, b'"q"'), answer(4, 6, b'"q"'), answer(3, 8, b"7")]
    assert [told.claim for told in read_outcomes(records, "questions", 3)] == [
        Claim(5, "q", 44),
        Claim(8, None, 44),
    ]
