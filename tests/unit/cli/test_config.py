"""`kotae config show`, and wrong settings seen from the command line."""

import json
from pathlib import Path

import pytest

from streams.cli.main import run


@pytest.fixture
def config(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("KOTAE_MODEL__API_KEY", "hunter2")
    monkeypatch.setenv("KOTAE_EMBEDDINGS__BASE_URL", "http://me:hunter2@host/v1")
    path = tmp_path / "kotae.toml"
    path.write_text(
        "[kafka]\npartitions = 12\n"
        '[tools.weather]\nurl = "http://me:hunter2@x/y"\nheaders = {Authorization = "Bearer hunter2"}\n',
        "utf-8",
    )
    return path


def test_show_json_lists_every_setting_with_its_source(config: Path, capsys) -> None:
    assert run(["--config", str(config), "config", "show", "--json"]) == 0
    out = capsys.readouterr().out
    shown = json.loads(out)
    assert shown["kafka.partitions"] == {"value": 12, "source": f"{config} [kafka] 'partitions'"}
    assert shown["model.api_key"] == {
        "value": "***",
        "source": "environment variable KOTAE_MODEL__API_KEY",
    }
    assert shown["worker.group_id"] == {"value": "kotae", "source": "default"}
    assert shown["tools.weather"]["value"] == {
        "url": "http://***@x/y",
        "headers": {"Authorization": "***"},
    }
    assert "hunter2" not in out


def test_show_prints_a_setting_a_line(config: Path, capsys) -> None:
    assert run(["--config", str(config), "config", "show"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert any(line.split() == ["worker.group_id", '"kotae"', "default"] for line in lines)
    assert "http://***@host/v1" in out
    assert "hunter2" not in out


def test_a_wrong_setting_is_one_line_and_exit_code_2(monkeypatch, capsys) -> None:
    monkeypatch.setenv("KOTAE_WORKER__MAX_IN_FLIGHT", "0")
    assert run(["config", "show"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "kotae: environment variable KOTAE_WORKER__MAX_IN_FLIGHT: "
        "worker.max_in_flight must be a whole number of at least 1, not '0'\n"
    )
