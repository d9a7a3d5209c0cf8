"""The settings that every command gets."""

import pytest

from streams.cli.context import CommandContext


def test_a_variable_that_is_nearly_a_setting_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOTAE_MODEL_BASE_URL", "http://127.0.0.1:1/v1")
    context = CommandContext()
    assert context.settings.model.base_url == ""
    assert context.settings is context.loaded.settings
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("kotae: environment variable KOTAE_MODEL_BASE_URL is not read: KOTAE_MODEL__")
    assert told.err.count("\n") == 1
