"""The load table of the article that Kotae began from, beside ours; and the gains of concurrency and cache.

    python -m tests.benchmarks --only seed

The article does not give the latencies of its services, so its mean at 50 users (320 ms) is taken for the
critical path, which is W1's.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from tests.benchmarks.comparison import Plan, compare
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.figures import Row, medians
from tests.benchmarks.progress import Steps
from tests.benchmarks.rig import W1, W2, Rig, Workload

TWO_TOOLS = Workload("two tools", tools=2, remote=True)
FIVE_TOOLS = Workload("five tools", tools=5, remote=True)


class Gain(msgspec.Struct, frozen=True):
    """The time that concurrent stages save over sequential ones, for one user. Milliseconds, medians.

    Attributes:
        possible: the share that the services alone would save.
    """

    workload: str
    sequential_ms: float
    concurrent_ms: float
    possible: float

    @property
    def saved(self) -> float:
        """The saved share of the sequential time."""
        return 1 - self.concurrent_ms / self.sequential_ms


class CacheGain(msgspec.Struct, frozen=True):
    """Latency of a new question and of one asked before, through Kafka. Milliseconds."""

    asked_first_ms: float
    asked_again_ms: float
    asked_again_p95_ms: float


async def table(rig: Rig, plan: Plan, steps: Steps, keep: Callable[[Row], None]) -> dict[str, str]:
    """Measure our lines, by users, and pass each to `keep`; returns the missing ones."""
    return await compare(rig, W1, replace(plan, contenders=["kotae"]), steps, keep)


async def gains(
    rig: Rig, plan: Plan, steps: Steps, keep: Callable[[Row], None]
) -> tuple[list[Gain], dict[str, str]]:
    """The gains, and the parts that are missing.

    Kotae is compared with the sequential loop at one user, so that nothing waits for a core. Retrieval asks a
    server, as the article's did: the embedded index would leave nothing to save there.
    """
    found: list[Gain] = []
    missing: dict[str, str] = {}
    for workload in (TWO_TOOLS, FIVE_TOOLS):
        alone = replace(plan, contenders=["sequential", "kotae"], users=[1])
        rows: list[Row] = []
        missing |= await compare(rig, workload, alone, steps, rows.append)
        for each in rows:
            keep(each)
        if {each.contender for each in rows} < set(alone.contenders):
            continue
        latency = {each.contender: each.p50_ms for each in medians(rows)}
        possible = 1 - workload.critical_path_s / workload.sequential_s
        found.append(Gain(workload.name, latency["sequential"], latency["kotae"], possible))
    return found, missing


async def cache(rig: Rig, questions: int) -> CacheGain:
    """Ask distinct questions one after another, then all of them again, in other conversations."""
    texts = [f"How long are spare parts of product {n} kept?" for n in range(questions)]
    on = {"KOTAE_CACHE__TTL_S": "3600"}
    async with rig.running(CONTENDERS["kotae"], W2, on) as running, running.load() as load:
        await load.ask(0)
        first = [(await load.ask(n, text))[0] for n, text in enumerate(texts, 1)]
        again = [(await load.ask(n, text))[0] for n, text in enumerate(texts, 1 + questions)]
    return CacheGain(statistics.median(first), statistics.median(again), _p95(again))


def _p95(latencies: Sequence[float]) -> float:
    return sorted(latencies)[int(len(latencies) * 0.95)]
