"""Lines that say the same again and again."""

import logging

from streams.telemetry.repeats import LINES_MAX, REPEAT_S, Repeats


def line(
    text: str, at_s: float, *, name: str = "kafka.conn", level: int = logging.ERROR
) -> logging.LogRecord:
    record = logging.LogRecord(name, level, "", 0, "%s", (text,), None)
    record.created = at_s
    return record


def test_the_same_is_written_once_in_a_while_and_says_how_often_it_came() -> None:
    repeats = Repeats("kafka")
    assert repeats.filter(line("100% away", 0.0))
    assert not any(repeats.filter(line("100% away", at / 10)) for at in range(1, 60))
    again = line("100% away", REPEAT_S)
    assert repeats.filter(again)
    assert again.getMessage() == "100% away (and 59 times since it was last written)"
    after = line("100% away", 2 * REPEAT_S)
    assert repeats.filter(after)
    assert after.getMessage() == "100% away"


def test_what_differs_and_what_others_say_is_written() -> None:
    repeats = Repeats("kafka")
    for _ in range(2):
        assert repeats.filter(line("away", 0.0, name="kafkaesque"))
    assert repeats.filter(line("away", 0.0))
    assert repeats.filter(line("away", 0.0, level=logging.WARNING))
    assert repeats.filter(line("elsewhere", 0.0))
    other = line("away", 0.0)
    other.source = "questions/0/7"
    assert repeats.filter(other)


def test_several_loggers_are_held_back_and_no_news() -> None:
    repeats = Repeats("tea", "kafka")
    assert [repeats.filter(line("away", 0.0)) for _ in range(2)] == [True, False]
    assert all(repeats.filter(line("joined", 0.0, level=logging.INFO)) for _ in range(2))


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    repeats = Repeats("kafka")
    assert repeats.filter(line("away", 1000.0))
    assert repeats.filter(line("away", 10.0))


def test_what_is_remembered_is_bounded_and_what_goes_on_coming_among_it() -> None:
    repeats = Repeats("kafka")
    assert repeats.filter(line("away", 0.0))
    for number in range(3 * LINES_MAX):
        assert repeats.filter(line(str(number), 0.0))
        assert not repeats.filter(line("away", 0.0))
        assert len(repeats._written) <= LINES_MAX
