"""Kotae beside its peers and a hand-written loop: `make bench`, or `python -m tests.benchmarks`.

One broker, services with known latencies, and contenders (`contenders`) that take turns under the same
closed loop of users. Only ratios within one run mean something on a busy machine, which is why everything
that is compared is measured in one, in rounds, of which the medians are told.

Written to a folder under var/bench: report.md, results.json with every round and the machine's facts, and
pictures. `--only` chooses among: peers (the contenders), seed (the article's load table, concurrency and
cache), scaling (questions in flight, memory, start, processes), engine (the engine with an empty pipeline,
and what open offsets cost).
"""

import argparse
import logging
import shlex
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import msgspec
import orjson

from tests.benchmarks import engine, machine, scaling, seed, tracking
from tests.benchmarks.comparison import Plan, compare
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.event_loop import run
from tests.benchmarks.figures import medians
from tests.benchmarks.progress import Steps
from tests.benchmarks.report import Results, markdown
from tests.benchmarks.rig import W1, W2, Rig, Workload

PARTS = ("peers", "seed", "scaling", "engine")
WORKLOADS = {"w1": W1, "w2": W2}
SEED_USERS = (50, 100, 200, 300, 500, 1000, 2000)
DEMO_DOCUMENTS = 22


async def main(options: argparse.Namespace) -> Results:
    results = Results(
        machine=machine.facts(), command=shlex.join(["python", "-m", "tests.benchmarks", *sys.argv[1:]])
    )
    workloads = [WORKLOADS[name] for name in options.workloads]
    plan = Plan(options.contenders, options.users, options.rounds, options.seconds, options.warm_up)
    of_seed = Plan(["kotae"], options.seed_users, options.rounds, options.seconds, options.warm_up)
    alone = Plan(["sequential", "kotae"], [1], options.rounds, options.seconds, options.warm_up)
    counts = {
        "peers": plan.steps * len(workloads),
        "seed": of_seed.steps + 2 * alone.steps + 1,
        "scaling": 2 * len(options.in_flight) + 3 * options.rounds,
        "engine": 2,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        Steps(sum(counts[part] for part in options.only)) as steps,
    ):
        async with Rig(Path(folder)) as rig:
            if "peers" in options.only:
                await _peers(rig, workloads, plan, steps, results)
            if "seed" in options.only:
                results.seed = await seed.table(rig, of_seed, steps)
                results.gains = await seed.gains(rig, alone, steps)
                steps.begin("cache")
                results.cache = await seed.cache(rig, options.cached)
                steps.done()
            if "scaling" in options.only:
                await _scaling(rig, options, steps, results)
            if "engine" in options.only:
                await _engine(rig, options, steps, results)
    return results


async def _peers(rig: Rig, workloads: list[Workload], plan: Plan, steps: Steps, results: Results) -> None:
    for workload in workloads:
        rows, missing = await compare(rig, workload, plan, steps)
        results.rounds += rows
        results.missing |= missing
    results.compared = medians(results.rounds)


async def _scaling(rig: Rig, options: argparse.Namespace, steps: Steps, results: Results) -> None:
    names = ["floor", "kotae"]
    results.in_flight = await scaling.in_flight(rig, options.in_flight, names, options.seconds, steps)
    results.start = await scaling.start(rig, DEMO_DOCUMENTS, options.rounds, steps)
    half = Plan(["kotae"], [min(options.users[-1], 500)], options.rounds, options.seconds, options.warm_up)
    results.processes = await scaling.processes(rig, half, steps)


async def _engine(rig: Rig, options: argparse.Namespace, steps: Steps, results: Results) -> None:
    steps.begin("the engine alone")
    results.engine_us = await engine.compare(
        rig.bootstrap, questions=options.questions, rounds=options.rounds, in_flight=(100, 10_000)
    )
    steps.done()
    steps.begin("open offsets")
    tracked = tracking.measure(offsets=100_000, partitions=64, rounds=10)
    results.open_offsets = msgspec.to_builtins(tracked)
    steps.done()


def write(results: Results, folder: Path) -> None:
    """The report, the figures and the pictures; the report to standard output too."""
    folder.mkdir(parents=True, exist_ok=True)
    told = markdown(results)
    (folder / "report.md").write_text(told)
    (folder / "results.json").write_bytes(
        orjson.dumps(msgspec.to_builtins(results), option=orjson.OPT_INDENT_2)
    )
    print(told)
    made = [folder / "report.md", folder / "results.json"]
    if find_spec("matplotlib"):
        from tests.benchmarks import plots

        made += plots.draw(results, folder)
    else:
        print("matplotlib is not installed: no pictures")
    print("\n".join(str(path) for path in made))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="two minutes: peers alone, W1, one round")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=None)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
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
    options.workloads = options.workloads or (["w1"] if quick else list(WORKLOADS))
    options.users = options.users or ([100, 500] if quick else [100, 500, 2000])
    options.rounds = options.rounds or (1 if quick else 3)
    options.seconds = options.seconds or (4 if quick else 10)
    options.output = options.output or Path("var/bench") / time.strftime("%Y%m%d-%H%M%S")
    return options


if __name__ == "__main__":
    chosen = arguments()
    # Of topics that were made a moment ago it tells that they have no leader yet, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    write(run(main(chosen)), chosen.output)
