"""The benchmarks' results for contenders that lose questions, die, or do not answer."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.benchmarks import comparison
from tests.benchmarks.__main__ import keep, part, put_down
from tests.benchmarks.comparison import Plan, compare
from tests.benchmarks.contenders import Contender
from tests.benchmarks.figures import Row, medians, row
from tests.benchmarks.load import Load, Measured
from tests.benchmarks.progress import Steps
from tests.benchmarks.report import markdown
from tests.benchmarks.results import Results
from tests.benchmarks.rig import W2
from tests.benchmarks.scaling import Depth
from tests.benchmarks.targets import targets

MACHINE = {
    "at": "now",
    "commit": "",
    "cpu": "",
    "cores": 2,
    "memory": "",
    "python": "",
    "load_before": [0.0],
    "versions": {},
}


def measured(answered: int = 3, lost: int = 0) -> Measured:
    return Measured(
        users=4,
        seconds=2.0,
        latencies_ms=[100.0] * answered,
        answered=answered,
        lost=lost,
        cpu_s={"worker": 0.1},
        memory_mb=80.0,
    )


class Answering(Load):
    """Users of whom some are answered after a tenth of a second, the others never."""

    def __init__(self, lost: int) -> None:
        self._lost = lost

    async def ask(self, user: int, text: str = "") -> tuple[float, str]:
        if user < self._lost:
            await asyncio.sleep(0.6)
            return 600.0, "lost"
        await asyncio.sleep(0.1)
        return 100.0, "answered"


@pytest.mark.looptime
async def test_a_lost_question_counts_though_it_is_known_only_at_the_end() -> None:
    found = await Answering(lost=2).run(4, 0.3, {"worker": [os.getpid()]}, warm_up_s=0.1)
    assert found.lost == 2
    assert row("x", "w1", found).success == pytest.approx(found.answered / (found.questions + 2))


async def test_users_stop_when_their_run_fails() -> None:
    with pytest.raises(FileNotFoundError):
        await Answering(lost=0).run(4, 0.1, {"worker": [2**30]}, warm_up_s=0.0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_contender_without_answers_has_no_row() -> None:
    with pytest.raises(RuntimeError, match="none of 4 users"):
        row("x", "w1", measured(answered=0, lost=4))


class Failing:
    """A rig on which one contender fails in its first round, without a word."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    @asynccontextmanager
    async def running(self, contender: Contender, workload: Any) -> AsyncIterator[Any]:
        self.begun.append(contender.note)
        if contender.note == "bad" and self.begun.count("bad") == 1:
            raise TimeoutError

        @asynccontextmanager
        async def load() -> AsyncIterator[None]:
            yield

        async def measure(load: None, users: int, seconds: float, **options: float) -> Measured:
            return measured()

        yield SimpleNamespace(load=load, measure=measure)


async def test_a_contender_that_breaks_off_is_named_and_retried_and_the_others_keep_their_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contenders = {name: Contender("pytest", note=name) for name in ("good", "bad")}
    monkeypatch.setattr(comparison, "CONTENDERS", contenders)
    rows: list[Row] = []
    rig: Any = Failing()
    missing = await compare(rig, W2, Plan(["good", "bad"], [1, 2], 2, 1.0), Steps(8), rows.append)
    assert missing == {"bad": "w2, round 1: TimeoutError"}
    assert [each.contender for each in rows] == ["good", "good", "bad", "bad", "good", "good"]


async def test_measurements_are_written_before_a_later_failure(tmp_path: Path) -> None:
    results = Results(machine=MACHINE, command="bench", length="")
    put_down(results.rounds, tmp_path, row("kotae", "w1", measured()))

    async def fail() -> None:
        raise KeyError("sequential")

    await part("gains", fail, results)
    keep(results, tmp_path)
    assert json.loads((tmp_path / "rounds.jsonl").read_text())["contender"] == "kotae"
    assert json.loads((tmp_path / "results.json").read_text())["compared"][0]["questions"] == 3
    report = (tmp_path / "report.md").read_text()
    assert "kotae (every guard on)" in report
    assert "* gains: 'sequential'" in report


def at(contender: str, users: int, **figures: float) -> Row:
    return msgspec.structs.replace(row(contender, "w1", measured()), users=users, **figures)


def test_targets_are_compared_with_the_floor_and_the_best_peer() -> None:
    rows = [
        at("floor", 500, cpu_ms=1.0),
        at("faust", 500, rate=100.0, p95_ms=600.0),
        at("faststream", 500, rate=200.0, p95_ms=700.0),
        at("kotae", 500, cpu_ms=1.4, rate=240.0, p95_ms=590.0, success=0.999),
    ]
    found = targets(Results(machine=MACHINE, command="", length="", compared=rows))
    assert [(round(each.found, 3), each.met) for each in found] == [
        (1.4, False),
        (1.2, True),
        (pytest.approx(0.983, abs=0.001), True),
        (99.9, False),
    ]


def test_with_few_users_the_floor_shows_the_time_of_the_machine() -> None:
    rows = [at("floor", 100, mean_ms=352.0, p95_ms=400.0), at("kotae", 100, mean_ms=336.0, p95_ms=416.0)]
    found = targets(Results(machine=MACHINE, command="", length="", compared=rows))
    assert [(each.what.partition(" users: ")[2], round(each.found, 3), each.met) for each in found] == [
        ("mean, of the critical path (the floor: 1.10x)", 1.05, True),
        ("p95, of the critical path (the floor: 1.25x)", 1.3, False),
    ]


def test_rounds_of_questions_in_flight_are_reported_as_medians() -> None:
    shown = msgspec.structs.asdict(row("kotae", "in flight", measured()))
    rounds = [Depth(**shown, in_flight=n, idle_mb=idle) for n, idle in ((3, 50.0), (1, 40.0), (2, 90.0))]
    (found,) = medians(rounds)
    assert (found.in_flight, found.idle_mb, found.kb_each) == (2, 50.0, 30.0 * 1024 / 2)


def test_verdicts_say_if_other_processes_had_the_processor() -> None:
    cores = {"worker": 0.5, "others": 1.4}
    rows = [msgspec.structs.replace(at(name, 500), cores=cores) for name in ("floor", "faust", "kotae")]
    told = markdown(Results(machine=MACHINE, command="", length="", compared=rows))
    assert "In 3 of the 3 rows below" in told.partition("## W1")[0]
    assert "* kotae, w1, 500 users: other processes of the machine used a whole core" in told
