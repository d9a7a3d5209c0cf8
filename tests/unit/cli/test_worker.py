"""`kotae worker` before anything is started."""

import pytest

from streams.cli.main import run


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOTAE_WORKER__HTTP_PORT", "65534")


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_the_number_of_processes_is_at_least_one(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--processes", number]) == 2
    assert "--processes" in capsys.readouterr().err


def test_each_process_needs_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--processes", "3"]) == 2
    shown = capsys.readouterr().err
    assert "KOTAE_WORKER__HTTP_PORT" in shown
    assert "up to 65533" in shown


def test_help_does_not_show_what_only_the_supervisor_uses(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--processes" in shown
    assert "--index" not in shown
