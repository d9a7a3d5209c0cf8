"""How a worker scales: CPU and memory against questions in flight, start, two processes.

    python -m tests.benchmarks --only scaling [--in-flight 100 1000 10000]

Questions in flight at one rate: the model's latency grows with their number, so that only the cost of waiting
among others changes. The worker reports how many really were in flight: while its event loop is late it
begins fewer.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence

import msgspec

from tests.benchmarks.comparison import Plan, why
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.figures import Row, row
from tests.benchmarks.progress import Steps
from tests.benchmarks.rig import W1, Rig, Running, Workload
from tests.benchmarks.services import Latencies

RATE = 200.0
"""Questions a second at every depth: so few that the event loop is prompt, and all may begin."""
WARMED = 100
"""Questions that a worker answers at once before its idle memory is measured."""
WARM_UP_S, SAMPLE_S = 2.0, 0.5


class Depth(Row, frozen=True):
    """A row of results with a number of users, each of whom waits for an answer.

    Attributes:
        in_flight: the mean number of questions begun and not ended; for a contender that does not report it,
            its users, because it begins every question that it reads.
        idle_mb: resident memory of the worker's processes before, when it had answered `WARMED` at once.
    """

    in_flight: float
    idle_mb: float

    @property
    def kb_each(self) -> float:
        """Memory a question in flight above the idle worker's, in KB (1,024 bytes)."""
        return (self.memory_mb - self.idle_mb) * 1024 / max(1.0, self.in_flight)


class Start(msgspec.Struct, frozen=True):
    """Seconds from the start of a worker's process until it says that it is ready, in each run."""

    documents: int
    seconds: list[float]

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)


def lasting(seconds: float) -> Workload:
    """W1 with a model that makes a question take a number of seconds."""
    planned = W1.latencies.plan_s + W1.latencies.tool_s
    latencies = Latencies(generate_s=max(0.0, seconds - planned))
    return Workload(f"{seconds:.2f} s", tools=2, latencies=latencies)


async def in_flight(
    rig: Rig,
    counts: Sequence[int],
    contenders: Sequence[str],
    rounds: int,
    seconds: float,
    steps: Steps,
    keep: Callable[[Depth], None],
) -> dict[str, str]:
    """Pass a `Depth` to `keep` for each round, number of users and contender; returns the missing ones."""
    missing: dict[str, str] = {}
    for _ in range(rounds):
        for count in counts:
            for name in contenders:
                steps.begin(f"in flight: {name}, {count:,}")
                try:
                    keep(await _depth(rig, name, count, seconds))
                except Exception as error:  # noqa: BLE001 - its failure is a result, the others go on
                    missing[f"{name}, {count:,} in flight"] = why(error)
                steps.done()
    return missing


async def _depth(rig: Rig, name: str, count: int, seconds: float) -> Depth:
    duration_s = max(count / RATE, W1.critical_path_s)
    lost_s = 10 * duration_s + 60
    # Nothing may end a question before its time, and nothing may keep it from beginning.
    patient = {
        "KOTAE_LIMITS__DEADLINE_S": str(lost_s),
        "KOTAE_WORKER__MAX_IN_FLIGHT": str(2 * count + 1000),
        "KOTAE_MODEL__MAX_CONCURRENCY": str(2 * count + 1000),
    }
    async with (
        rig.running(CONTENDERS[name], lasting(duration_s), patient) as running,
        running.load(lost_s) as load,
    ):
        await asyncio.gather(*(load.ask(user) for user in range(WARMED)))
        idle_mb = running.memory_mb
        found, begun = await asyncio.gather(
            running.measure(load, count, seconds, ramp_s=duration_s, warm_up_s=WARM_UP_S),
            _mean_in_flight(running, duration_s + WARM_UP_S, seconds),
        )
    shown = msgspec.structs.asdict(row(name, "in flight", found))
    return Depth(**shown, in_flight=count if begun is None else begun, idle_mb=idle_mb)


async def _mean_in_flight(running: Running, after_s: float, seconds: float) -> float | None:
    await asyncio.sleep(after_s)
    # Only while it is measured: afterwards the users leave, and fewer are in flight.
    until = time.perf_counter() + seconds - SAMPLE_S
    told = [await running.in_flight()]
    while time.perf_counter() < until:
        await asyncio.sleep(SAMPLE_S)
        told.append(await running.in_flight())
    known = [each for each in told if each is not None]
    return statistics.fmean(known) if known else None


async def start(rig: Rig, documents: int, rounds: int, steps: Steps) -> Start:
    """Measure the start with `documents` documents to index first."""
    workload = Workload("start", chunks=documents)
    took = []
    for _ in range(rounds):
        steps.begin("start to ready")
        async with rig.running(CONTENDERS["kotae"], workload) as running:
            took.append(running.ready_s)
        steps.done()
    return Start(documents, took)


async def processes(rig: Rig, plan: Plan, steps: Steps, keep: Callable[[Row], None]) -> None:
    """Measure one process and two under the same load, by turns; `contender` is `1 process` or so."""
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
            keep(row(name, W1.name, found))
            steps.done()
