"""The guard against a blocked event loop fails a test that blocks it."""

import contextlib
from pathlib import Path

import pytest
from blockbuster import BlockingError

from streams.settings.reader import load_settings


async def test_reading_a_file_on_the_event_loop_fails_the_test(
    tmp_path: Path, blocked_calls: list[str]
) -> None:
    config = tmp_path / "kotae.toml"
    config.write_text("")
    with pytest.raises(BlockingError):
        load_settings(config)
    assert blocked_calls.pop().startswith("io.")


async def test_a_blocking_call_whose_error_is_caught_fails_the_test(
    tmp_path: Path, blocked_calls: list[str]
) -> None:
    config = tmp_path / "kotae.toml"
    config.write_text("")
    with contextlib.suppress(Exception):
        load_settings(config)
    assert blocked_calls.pop(), "the fixture fails the test where this is left in"


def test_reading_a_file_outside_of_the_event_loop_is_allowed(tmp_path: Path) -> None:
    config = tmp_path / "kotae.toml"
    config.write_text("")
    assert load_settings(config).settings.kafka.partitions
