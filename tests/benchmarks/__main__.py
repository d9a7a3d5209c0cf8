"""Kotae beside its peers and a hand-written loop: `make bench`, or `python -m tests.benchmarks`.

One broker, services with known latencies, and contenders (`contenders`) that take turns under the same
closed loop of users. On a busy machine only ratios within one run mean something. Everything that is compared
is therefore measured in one run, in rounds, and the medians are reported.

The run writes to a folder under var/bench: report.md, results.json with every round and the machine's facts,
and pictures. It writes them after every part, and when it is broken off; rounds.jsonl gets every measurement
at once. `--only` chooses among: peers (the contenders), seed (the article's load table, concurrency and
cache), scaling (questions in flight, memory, start, processes), engine (the engine with an empty pipeline,
and the cost of open offsets).
"""

import argparse
import logging
import shlex
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import msgspec
import orjson

from tests.benchmarks import machine, scaling, seed, tracking
from tests.benchmarks.comparison import Plan, compare, why
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.event_loop import run
from tests.benchmarks.figures import R, medians
from tests.benchmarks.progress import Steps
from tests.benchmarks.report import markdown
from tests.benchmarks.results import Results
from tests.benchmarks.rig import W1, W2, Rig, Workload
from tests.support.system import Program, environment

PARTS = {
    "peers": ["peers"],
    "seed": ["seed", "gains", "cache"],
    "scaling": ["in flight", "start", "processes"],
    "engine": ["engine", "open offsets"],
}
WORKLOADS = {"w1": W1, "w2": W2}
SEED_USERS = (50, 100, 200, 300, 500, 1000, 2000)
DEMO_DOCUMENTS = 22
ENGINE_S = 1200.0


async def main(options: argparse.Namespace, results: Results) -> None:
    """Fill `results`; a part that fails is noted there, and the others go on."""
    workloads = [WORKLOADS[name] for name in options.workloads]
    plan = Plan(options.contenders, options.users, options.rounds, options.seconds, options.warm_up)
    of_seed = Plan(["kotae"], options.seed_users, options.rounds, options.seconds, options.warm_up)
    alone = Plan(["sequential", "kotae"], [1], options.rounds, options.seconds, options.warm_up)
    counts = {
        "peers": plan.steps * len(workloads),
        "seed": of_seed.steps + 2 * alone.steps + 1,
        "scaling": options.rounds * (2 * len(options.in_flight) + 3),
        "engine": 2,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        Steps(sum(counts[part] for part in options.only)) as steps,
    ):
        async with Rig(Path(folder)) as rig:
            parts: dict[str, Callable[[], Awaitable[None]]] = {
                "peers": lambda: _peers(rig, workloads, plan, steps, results, options.output),
                "seed": lambda: _seed(rig, of_seed, steps, results, options.output),
                "gains": lambda: _gains(rig, alone, steps, results, options.output),
                "cache": lambda: _cache(rig, options.cached, steps, results),
                "in flight": lambda: _in_flight(rig, options, steps, results),
                "start": lambda: _start(rig, options, steps, results),
                "processes": lambda: _processes(rig, options, steps, results),
                "engine": lambda: _engine(rig, options, Path(folder), steps, results),
                "open offsets": lambda: _open_offsets(steps, results),
            }
            for chosen in [each for each in PARTS if each in options.only]:
                for name in PARTS[chosen]:
                    await part(name, parts[name], results)
                    keep(results, options.output)


async def part(name: str, measure: Callable[[], Awaitable[None]], results: Results) -> None:
    """Measure a part; its failure is noted in the results."""
    try:
        await measure()
    except Exception as error:  # noqa: BLE001 - the earlier measurements are worth more than a traceback
        results.failed[name] = why(error)


def put_down(rows: list[R], folder: Path, row: R) -> None:
    """Add a row to the rounds, and to rounds.jsonl, which also a killed run leaves."""
    rows.append(row)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rounds.jsonl").open("ab") as file:
        file.write(orjson.dumps(msgspec.to_builtins(row)) + b"\n")


async def _peers(
    rig: Rig, workloads: list[Workload], plan: Plan, steps: Steps, results: Results, folder: Path
) -> None:
    for workload in workloads:
        missing = await compare(rig, workload, plan, steps, partial(put_down, results.rounds, folder))
        results.missing |= missing


async def _seed(rig: Rig, plan: Plan, steps: Steps, results: Results, folder: Path) -> None:
    rows = results.others.setdefault("seed", [])
    results.failed |= await seed.table(rig, plan, steps, partial(put_down, rows, folder))


async def _gains(rig: Rig, plan: Plan, steps: Steps, results: Results, folder: Path) -> None:
    rows = results.others.setdefault("gains", [])
    results.gains, missing = await seed.gains(rig, plan, steps, partial(put_down, rows, folder))
    results.failed |= missing


async def _cache(rig: Rig, questions: int, steps: Steps, results: Results) -> None:
    steps.begin("cache")
    results.cache = await seed.cache(rig, questions)
    steps.done()


async def _in_flight(rig: Rig, options: argparse.Namespace, steps: Steps, results: Results) -> None:
    add = partial(put_down, results.depths, options.output)
    results.failed |= await scaling.in_flight(
        rig, options.in_flight, ["floor", "kotae"], options.rounds, options.seconds, steps, add
    )


async def _start(rig: Rig, options: argparse.Namespace, steps: Steps, results: Results) -> None:
    results.start = await scaling.start(rig, DEMO_DOCUMENTS, options.rounds, steps)


async def _processes(rig: Rig, options: argparse.Namespace, steps: Steps, results: Results) -> None:
    rows = results.others.setdefault("processes", [])
    half = Plan(["kotae"], [min(options.users[-1], 500)], options.rounds, options.seconds, options.warm_up)
    await scaling.processes(rig, half, steps, partial(put_down, rows, options.output))


async def _engine(
    rig: Rig, options: argparse.Namespace, folder: Path, steps: Steps, results: Results
) -> None:
    """Run the part in a process of its own: this one draws a progress bar and has another event loop."""
    steps.begin("the engine alone")
    found, log = folder / "engine.json", folder / "engine.log"
    arguments = ["--questions", str(options.questions), "--rounds", str(options.rounds), "--json", str(found)]
    settings = {"KOTAE_TEST_KAFKA": rig.bootstrap}
    command = ["tests.benchmarks.engine", *arguments, "--in-flight", "100", "10000"]
    await Program(command, environment(**settings), log).ended(limit_s=ENGINE_S)
    results.engine_us = orjson.loads(found.read_bytes())
    steps.done()


async def _open_offsets(steps: Steps, results: Results) -> None:
    steps.begin("open offsets")
    tracked = tracking.measure(offsets=100_000, partitions=64, rounds=10)
    results.open_offsets = msgspec.to_builtins(tracked)
    steps.done()


def keep(results: Results, folder: Path) -> str:
    """Write the report, which is returned, and the figures."""
    results.compared = medians(results.rounds)
    results.seed = medians(results.others.get("seed", []))
    results.in_flight = medians(results.depths)
    results.processes = medians(results.others.get("processes", []))
    folder.mkdir(parents=True, exist_ok=True)
    told = markdown(results)
    (folder / "results.json").write_bytes(
        orjson.dumps(msgspec.to_builtins(results), option=orjson.OPT_INDENT_2)
    )
    (folder / "report.md").write_text(told)
    return told


def write(results: Results, folder: Path) -> None:
    """The report, the figures and the pictures; the report to standard output too."""
    told = keep(results, folder)
    print(told)
    pictures: list[Path] = []
    if find_spec("matplotlib"):
        from tests.benchmarks import plots

        pictures = plots.draw(results, folder)
        shown = "\n\n".join(f"![{path.stem}]({path.name})" for path in pictures)
        (folder / "report.md").write_text(f"{told}\n## Pictures\n\n{shown}\n")
    else:
        print("matplotlib is not installed: no pictures")
    print("\n".join(str(path) for path in [folder / "report.md", folder / "results.json", *pictures]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two minutes: peers alone, W1, one round")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=None)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=None)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=None)
    parser.add_argument("--users", nargs="+", type=int, default=None, help="default: 100 500 2000")
    parser.add_argument("--seed-users", nargs="+", type=int, default=list(SEED_USERS))
    parser.add_argument("--in-flight", nargs="+", type=int, default=[100, 1000, 5000, 10_000])
    parser.add_argument("--rounds", type=int, default=None, help="default: 3")
    parser.add_argument("--seconds", type=float, default=None, help="of each measurement; default: 10")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before each")
    parser.add_argument("--cached", type=int, default=100, help="questions that are asked twice")
    parser.add_argument("--questions", type=int, default=30_000, help="for the engine alone")
    parser.add_argument("--output", type=Path, help="folder; default: var/bench/<time>")
    options = parser.parse_args()
    quick = options.quick
    options.only = options.only or (["peers"] if quick else list(PARTS))
    # The sequential contender takes longer; `seed` measures it, so a run of two minutes leaves it out.
    options.contenders = options.contenders or [
        name for name in CONTENDERS if not (quick and name == "sequential")
    ]
    options.workloads = options.workloads or (["w1"] if quick else list(WORKLOADS))
    options.users = options.users or ([100, 500] if quick else [100, 500, 2000])
    options.rounds = options.rounds or (1 if quick else 3)
    options.seconds = options.seconds or (4 if quick else 10)
    options.output = options.output or Path("var/bench") / time.strftime("%Y%m%d-%H%M%S")
    return options


if __name__ == "__main__":
    chosen = arguments()
    # It logs that new topics have no leader yet, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    found = Results(
        machine=machine.facts(),
        command=shlex.join(["python", "-m", "tests.benchmarks", *sys.argv[1:]]),
        length=(
            f"Medians of {chosen.rounds} rounds by turns"
            if chosen.rounds > 1
            else "One round, with whatever the machine did meanwhile in it: believe the verdicts of three"
        )
        + f"; each of {chosen.seconds:g} s after "
        f"{chosen.warm_up:g} s of warm-up, with 1,000 users and more twice as long.",
    )
    try:
        run(main(chosen, found))
    finally:
        write(found, chosen.output)
