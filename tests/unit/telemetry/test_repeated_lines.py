"""Repeated log lines."""

import logging

from streams.telemetry.repeated_lines import LINES_MAX, REPEAT_S, RepeatedLines


def line(
    text: str, at_s: float, *, name: str = "kafka.conn", level: int = logging.ERROR
) -> logging.LogRecord:
    record = logging.LogRecord(name, level, "", 0, "%s", (text,), None)
    record.created = at_s
    return record


def test_an_equal_line_is_written_once_in_ten_seconds_with_its_repetitions() -> None:
    repeats = RepeatedLines("kafka")
    assert repeats.filter(line("100% away", 0.0))
    assert not any(repeats.filter(line("100% away", at / 10)) for at in range(1, 60))
    again = line("100% away", REPEAT_S)
    assert repeats.filter(again)
    assert again.getMessage() == "100% away (and 59 times since it was last written)"
    after = line("100% away", 2 * REPEAT_S)
    assert repeats.filter(after)
    assert after.getMessage() == "100% away"


def test_different_lines_and_lines_of_other_loggers_are_written() -> None:
    repeats = RepeatedLines("kafka")
    for _ in range(2):
        assert repeats.filter(line("away", 0.0, name="kafkaesque"))
    assert repeats.filter(line("away", 0.0))
    assert repeats.filter(line("away", 0.0, level=logging.WARNING))
    assert repeats.filter(line("elsewhere", 0.0))
    other = line("away", 0.0)
    other.source = "questions/0/7"
    assert repeats.filter(other)


def test_equal_lines_of_several_loggers_are_held_back_but_info_is_not() -> None:
    repeats = RepeatedLines("tea", "kafka")
    assert [repeats.filter(line("away", 0.0)) for _ in range(2)] == [True, False]
    assert all(repeats.filter(line("joined", 0.0, level=logging.INFO)) for _ in range(2))


def test_a_clock_set_back_holds_no_line_back() -> None:
    repeats = RepeatedLines("kafka")
    assert repeats.filter(line("away", 1000.0))
    assert repeats.filter(line("away", 10.0))


def test_the_memory_of_lines_is_bounded_and_keeps_repeating_ones() -> None:
    repeats = RepeatedLines("kafka")
    assert repeats.filter(line("away", 0.0))
    for number in range(3 * LINES_MAX):
        assert repeats.filter(line(str(number), 0.0))
        assert not repeats.filter(line("away", 0.0))
        assert len(repeats._written) <= LINES_MAX
