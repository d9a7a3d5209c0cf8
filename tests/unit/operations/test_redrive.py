"""Decisions on dead letters, and the records that are sent back."""

from datetime import UTC, datetime

from schemas.answer import Source
from schemas.errors import Disposition
from schemas.headers import DeadLetter, Header, dead_letter_headers
from streams.operations.redrive import REDRIVES_MAX, Letter, decide

VALUE = b'{"id": "q", "text": "Why?"}'
Q = "default", "q"


def letter(
    offset: int,
    original: list[Header] | None = None,
    *,
    position: int = 0,
    disposition: str = "model_unavailable",
    value: bytes = VALUE,
) -> Letter:
    failed = DeadLetter(
        source=Source("questions", 2, offset),
        stage="generate",
        exception="TransientError",
        message="down",
        timestamp=datetime.now(UTC),
        consumer_group="kotae",
        attempts=1,
        disposition=disposition,
    )
    return Letter(2, position, b"c", value, tuple(dead_letter_headers(original or [], failed)), 1000)


def actions(*letters: Letter, answered: object = (), sent: object = ()) -> list[str]:
    return [one.action for one in decide(letters, answered=answered, sent=sent)]  # type: ignore[arg-type]


def test_a_letter_is_sent_back_as_its_original_record() -> None:
    first = letter(
        5, [("correlation_id", b"c"), ("ce_expirytime", b"2020-01-01T00:00:00Z"), ("timeout_ms", b"9")]
    )
    assert actions(first) == ["redrive"]
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
        assert actions(*letters) == ["superseded"] * time + [expected]


def test_a_pending_or_answered_question_is_not_sent_back() -> None:
    assert actions(letter(5), sent={("2/5", Q, 1)}) == ["pending"]
    assert actions(letter(5), answered={Q}) == ["answered"]
    assert actions(letter(5, value=b"{"), answered={(2, 5)}) == ["answered"]


def test_another_question_at_the_same_place_of_a_new_topic_is_told_apart() -> None:
    assert actions(letter(5), answered={(2, 5), ("default", "another")}) == ["redrive"]
    assert actions(letter(5), sent={("2/5", ("default", "another"), 1)}) == ["redrive"]
    failed_again = letter(9, letter(5).redriven_headers, position=1)
    another = letter(5, position=2, value=VALUE.replace(b'"q"', b'"another"'))
    assert actions(letter(5), another, failed_again) == ["superseded", "redrive", "redrive"]


def test_another_tenants_question_with_the_same_id_is_told_apart() -> None:
    assert actions(letter(5), answered={("acme", "q")}) == ["redrive"]
    acmes = letter(5, value=VALUE.replace(b'"Why?"', b'"Why?", "tenant": "acme"'))
    assert actions(acmes, answered={("acme", "q")}) == ["answered"]


def test_an_undecodable_question_counts_as_answered_by_its_salvaged_id_and_tenant() -> None:
    blank = letter(5, value=b'{"id": "q", "text": " "}')
    assert blank.question_id == "q"
    assert actions(blank, answered={Q}) == ["answered"], "without a tenant it is the default's"
    acmes = letter(5, value=b'{"id": "q", "text": " ", "tenant": "acme"}')
    assert actions(acmes, answered={Q}) == ["redrive"]


def test_a_truncated_letter_is_not_sent_back() -> None:
    assert actions(letter(5, disposition=Disposition.TRUNCATED)) == ["damaged"]
    assert actions(Letter(0, 0, None, VALUE, (), 0)) == ["damaged"]


def test_letters_go_back_in_the_order_of_their_questions() -> None:
    letters = [letter(9, position=0), letter(3, position=1), letter(6, position=2)]
    assert [one.letter.source[1] for one in decide(letters, answered=(), sent=())] == [3, 6, 9]
