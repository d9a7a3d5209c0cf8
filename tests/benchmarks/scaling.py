"""How a worker scales: CPU and memory against questions in flight, start, two processes.

    python -m tests.benchmarks --only scaling [--in-flight 100 1000 10000]

Questions in flight at one rate: the model takes as much longer as there are more of them, so that what
is measured is what a question costs by waiting among others.
"""

import statistics
from collections.abc import Sequence

import msgspec

from tests.benchmarks.comparison import Plan
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.figures import Row, medians, row
from tests.benchmarks.progress import Steps
from tests.benchmarks.rig import W1, Rig, Workload
from tests.benchmarks.services import Latencies

RATE = 300.0
"""Questions a second, whatever is in flight."""


class Start(msgspec.Struct, frozen=True):
    """Seconds from the start of a worker's process until it says that it is ready, in each run."""

    documents: int
    seconds: list[float]

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)


def lasting(seconds: float) -> Workload:
    """W1 with a model that makes a question take so long."""
    planned = W1.latencies.plan_s + W1.latencies.tool_s
    latencies = Latencies(generate_s=max(0.0, seconds - planned))
    return Workload(f"{seconds:.2f} s", tools=2, latencies=latencies)


async def in_flight(
    rig: Rig, counts: Sequence[int], contenders: Sequence[str], seconds: float, steps: Steps
) -> list[Row]:
    """One row for each contender and number of questions in flight (`users`)."""
    rows = []
    for count in counts:
        duration_s = max(count / RATE, W1.critical_path_s)
        # Nothing may end a question before its time, and nothing may keep it from beginning.
        patient = {
            "KOTAE_LIMITS__DEADLINE_S": str(10 * duration_s + 60),
            "KOTAE_WORKER__MAX_IN_FLIGHT": str(2 * count + 1000),
            "KOTAE_MODEL__MAX_CONCURRENCY": str(2 * count + 1000),
        }
        for name in contenders:
            steps.begin(f"in flight: {name}, {count:,}")
            lost_s = 10 * duration_s + 60
            workload = lasting(duration_s)
            async with (
                rig.running(CONTENDERS[name], workload, patient) as running,
                running.load(lost_s) as load,
            ):
                found = await running.measure(load, count, seconds, ramp_s=duration_s, warm_up_s=2.0)
            rows.append(row(name, "in flight", found))
            steps.done()
    return rows


def bytes_each(rows: Sequence[Row]) -> float:
    """Memory a question in flight, from the fewest to the most, in bytes."""
    least, most = min(rows, key=lambda each: each.users), max(rows, key=lambda each: each.users)
    if least.users == most.users:
        return float("nan")
    return (most.memory_mb - least.memory_mb) * 2**20 / (most.users - least.users)


async def start(rig: Rig, documents: int, rounds: int, steps: Steps) -> Start:
    """With so many documents to read before."""
    workload = Workload("start", chunks=documents)
    took = []
    for _ in range(rounds):
        steps.begin("start to ready")
        async with rig.running(CONTENDERS["kotae"], workload) as running:
            took.append(running.ready_s)
        steps.done()
    return Start(documents, took)


async def processes(rig: Rig, plan: Plan, steps: Steps) -> list[Row]:
    """One process, then two, under the same load, by turns; `contender` is `1 process` or so."""
    rows = []
    for _ in range(plan.rounds):
        for count in (1, 2):
            name = f"{count} process{'es' if count > 1 else ''}"
            settings = {"KOTAE_WORKER__PROCESSES": str(count)}
            steps.begin(f"{name}, {plan.users[0]:,} users")
            async with (
                rig.running(CONTENDERS["kotae"], W1, settings) as running,
                running.load() as load,
            ):
                found = await running.measure(load, plan.users[0], plan.seconds)
            rows.append(row(name, W1.name, found))
            steps.done()
    return medians(rows)
