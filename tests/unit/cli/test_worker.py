"""`kotae worker` before anything is started."""

import subprocess
import sys

import pytest

from streams.cli.main import run


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOTAE_WORKER__HTTP_PORT", "65534")


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_the_number_of_processes_is_at_least_one(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--processes", number]) == 2
    assert "--processes" in capsys.readouterr().err


def test_processes_that_leave_no_port_for_each_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--processes", "3"]) == 2
    shown = capsys.readouterr().err
    assert "KOTAE_WORKER__HTTP_PORT" in shown
    assert "at most 65533" in shown


def test_help_hides_the_options_of_the_supervisor(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--processes" in shown
    assert "--index" not in shown


def test_the_garbage_collector_never_walks_all_questions_in_flight_at_once() -> None:
    """The collector holds the loop while it walks: half a second for the objects of 10,000 questions."""
    program = """if True:
        import gc
        from streams.cli.worker import spare_the_collector
        looked_at = []
        def look(phase, info):
            if phase == "start":
                looked_at.append(sum(len(gc.get_objects(older)) for older in range(info["generation"] + 1)))
        spare_the_collector()
        gc.callbacks.append(look)
        in_flight = [[] for _ in range(1_200_000)]
        print(max(looked_at), len(looked_at))
        gc.callbacks.clear()
    """
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    most, times = map(int, told.split())
    assert 0 < most < 100_000
    assert times <= 60
