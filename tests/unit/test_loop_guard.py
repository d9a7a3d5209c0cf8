"""The guard against a blocked event loop can fail a test."""

from pathlib import Path

import pytest
from blockbuster import BlockingError

from streams.settings_reader import load_settings


async def test_reading_a_file_on_the_loop_is_caught(tmp_path: Path) -> None:
    config = tmp_path / "kotae.toml"
    config.write_text("")
    with pytest.raises(BlockingError):
        load_settings(config)


def test_outside_of_the_loop_it_may_be_read(tmp_path: Path) -> None:
    config = tmp_path / "kotae.toml"
    config.write_text("")
    assert load_settings(config).settings.kafka.partitions
