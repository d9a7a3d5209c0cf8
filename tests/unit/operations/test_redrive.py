"""Decisions on dead letters, and the records that are sent back."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import pytest

from schemas.answer import Source
from schemas.errors import Disposition, ErrorCode
from schemas.headers import DeadLetter, Header, dead_letter_headers
from streams.operations.letters import Letter
from streams.operations.redrive import REDRIVES_MAX, AskedAt, Sent, decide

VALUE = b'{"id": "q", "conversation_id": "c", "text": "Why?"}'
Q = "default", "c", "q"


def letter(
    offset: int,
    original: list[Header] | None = None,
    *,
    position: int = 0,
    disposition: str = "model_unavailable",
    value: bytes = VALUE,
    topic: str = "questions",
    written_ms: int = 1000,
) -> Letter:
    failed = DeadLetter(
        source=Source(topic, 2, offset),
        stage="generate",
        exception="TransientError",
        message="down",
        timestamp=datetime.now(UTC),
        consumer_group="kotae",
        attempts=1,
        disposition=disposition,
    )
    headers = tuple(dead_letter_headers(original or [], failed))
    return Letter(2, position, b"c", value, headers, written_ms, "questions")


def states(
    *letters: Letter,
    answered: Collection[AskedAt] = (),
    contents: Mapping[AskedAt, bytes | None] | None = None,
    sent: Collection[Sent] = (),
    force: bool = False,
) -> list[str]:
    decided = decide(letters, answered=answered, contents=contents or {}, sent=sent, force=force)
    return [one.state for one in decided]


def test_a_letter_is_sent_back_as_its_original_record() -> None:
    first = letter(
        5, [("correlation_id", b"c"), ("ce_expirytime", b"2020-01-01T00:00:00Z"), ("timeout_ms", b"9")]
    )
    assert states(first) == ["redrive"]
    assert first.redriven_headers == [
        ("correlation_id", b"c"),
        ("timeout_ms", b"9"),
        ("qa.dlq.origin", b"2/5"),
        ("qa.dlq.redrives", b"1"),
    ]
    assert first.question_id == "q"


def test_letters_of_one_question_are_recognised_and_parked_after_three_redrives() -> None:
    letters = [letter(5)]
    for time in range(1, REDRIVES_MAX + 1):
        again = letter(5 + 10 * time, letters[-1].redriven_headers, position=time)
        assert (again.origin, again.redrives) == ("2/5", time)
        letters.append(again)
        expected = "parked" if time == REDRIVES_MAX else "redrive"
        assert states(*letters) == ["superseded"] * time + [expected]


def test_a_pending_or_answered_question_is_not_sent_back() -> None:
    assert states(letter(5), sent={("2/5", Q, 1)}) == ["pending"]
    assert states(letter(5), answered={((2, 5), Q)}) == ["answered"]
    assert states(letter(5), answered={((2, 9), Q)}) == ["answered"]
    assert states(letter(5, value=b"{"), answered={((2, 5), ("default", "q", "q"))}) == ["answered"]


@pytest.mark.parametrize("code", [ErrorCode.UNDECODABLE, ErrorCode.INVALID, ErrorCode.TOO_LARGE])
def test_a_record_that_is_at_fault_itself_goes_back_by_force_alone(code: ErrorCode) -> None:
    assert states(letter(5, disposition=code)) == ["unfit"]
    assert states(letter(5, disposition=code), force=True) == ["redrive"]
    assert states(letter(5, disposition=code), sent={("2/5", Q, 1)}, force=True) == ["pending"]


def test_force_sends_no_damaged_or_parked_letter() -> None:
    parked = letter(5, [("qa.dlq.redrives", b"3")], disposition=ErrorCode.INVALID)
    assert states(
        parked, letter(9, position=1, disposition=Disposition.TRUNCATED, value=b"{"), force=True
    ) == [
        "parked",
        "damaged",
    ]


def test_two_letters_of_one_record_are_one_open_letter() -> None:
    assert states(letter(5), letter(5, position=1)) == ["superseded", "redrive"]
    assert states(letter(5, value=b"{"), letter(5, position=1, value=b"{")) == ["superseded", "redrive"]


def test_a_question_that_was_asked_again_and_failed_again_is_one_open_letter() -> None:
    again = letter(9, position=1, written_ms=2000)
    assert states(letter(5), again) == ["superseded", "redrive"]
    assert states(letter(5), again, sent={("2/5", Q, 1)}) == ["superseded", "pending"]
    assert states(letter(5), letter(9, position=1, written_ms=2000, disposition="internal")) == [
        "superseded",
        "redrive",
    ]


def test_a_damaged_letter_replaces_no_whole_one() -> None:
    lost = letter(9, position=1, written_ms=2000, disposition=Disposition.HEADERS_LOST)
    assert states(letter(5), lost) == ["redrive", "superseded"]


def test_two_questions_of_one_identity_are_two_letters() -> None:
    other = letter(9, position=1, value=VALUE.replace(b"Why?", b"How?"))
    assert states(letter(5), other) == ["redrive", "redrive"]
    asked = {((2, 9), Q): other.content}
    assert states(letter(5), other, answered={((2, 9), Q)}, contents=asked) == ["redrive", "answered"]
    again = {((2, 12), Q): letter(5).content}
    assert states(letter(5), other, answered={((2, 12), Q)}, contents=again) == ["answered", "redrive"]


def test_an_answer_to_an_earlier_record_of_the_same_identity_answers_no_letter() -> None:
    assert states(letter(5), answered={((2, 4), Q)}) == ["redrive"]
    assert states(letter(5), answered={((1, 4), Q)}) == ["answered"], (
        "another partition: the order is unknown"
    )


def test_another_question_at_the_same_place_of_a_new_topic_is_told_apart() -> None:
    another = "default", "c", "another"
    assert states(letter(5), answered={((2, 5), another)}) == ["redrive"]
    assert states(letter(5), sent={("2/5", another, 1)}) == ["redrive"]
    failed_again = letter(9, letter(5).redriven_headers, position=1)
    other = letter(5, position=2, value=VALUE.replace(b'"q"', b'"another"'))
    assert states(letter(5), other, failed_again) == ["superseded", "redrive", "redrive"]


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"Why?"', b'"Why?", "tenant": "acme"'), (b'"c"', b'"another conversation"')],
)
def test_another_tenants_or_conversations_question_with_the_same_id_is_told_apart(
    old: bytes, new: bytes
) -> None:
    other = letter(9, position=1, value=VALUE.replace(old, new))
    assert other.identity is not None
    assert states(letter(5), other) == ["redrive", "redrive"]
    assert states(letter(5), other, answered={((2, 9), other.identity)}) == ["redrive", "answered"]


def test_an_undecodable_question_counts_as_answered_by_its_salvaged_identity() -> None:
    blank = letter(5, value=b'{"id": "q", "text": " "}')
    assert blank.question_id == "q"
    mended = {((2, 9), ("default", "q", "q")): letter(5).content}
    assert states(blank, answered=mended, contents=mended) == ["answered"], "the default's, by its id"
    acmes = letter(5, value=b'{"id": "q", "text": " ", "tenant": "acme"}')
    assert states(acmes, answered=mended, contents=mended) == ["redrive"]


def test_a_truncated_letter_is_not_sent_back() -> None:
    assert states(letter(5, disposition=Disposition.TRUNCATED)) == ["damaged"]


def test_a_letter_about_no_record_of_the_questions_is_foreign_and_replaces_none() -> None:
    assert states(Letter(0, 0, None, VALUE, (), 0, "questions")) == ["foreign"]
    elsewhere = letter(7, position=1, topic="documents", written_ms=2000)
    assert states(letter(5), elsewhere) == ["foreign", "redrive"]
    assert states(elsewhere, force=True) == ["foreign"]


def test_letters_go_back_in_the_order_of_their_questions() -> None:
    letters = [letter(9, position=0), letter(3, position=1), letter(6, position=2)]
    assert [one.letter.source[1] for one in decide(letters, answered=(), contents={}, sent=())] == [3, 6, 9]
