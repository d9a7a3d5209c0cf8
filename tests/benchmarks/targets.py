"""The targets of Kotae beside a run's results: the first table of its report."""

from collections.abc import Iterator, Sequence
from operator import attrgetter

import msgspec

from tests.benchmarks.figures import Row, of
from tests.benchmarks.results import Results
from tests.benchmarks.rig import W1, W2

PEERS = ("faststream", "faststream-concurrent", "faust")
USERS, MANY, FEW = 500, 2000, 100
"""Numbers of users: for comparing the peers; past saturation; below the saturation of the cores."""


class Target(msgspec.Struct, frozen=True):
    """One figure with its target. `least`: the target is a lower bound, otherwise an upper one."""

    what: str
    found: float
    asked: float
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool:
        return self.found >= self.asked if self.least else self.found <= self.asked


def targets(results: Results) -> list[Target]:
    """The targets with figures."""
    w1 = [each for each in results.compared if each.workload == W1.name]
    w2 = [each for each in results.compared if each.workload == W2.name]
    return [*_beside_peers(w1), *_by_load(w1), *_beside_floor(w2), *_gains(results), *_scaling(results)]


def _beside_floor(rows: Sequence[Row]) -> Iterator[Target]:
    ours, floor = of(rows, "kotae").get(USERS), of(rows, "floor").get(USERS)
    if ours and floor:
        asked = 1.3 if ours.workload == W1.name else 1.5
        what = f"{ours.workload.upper()}, {USERS:,} users: CPU a question, of the floor's"
        yield Target(what, ours.cpu_ms / floor.cpu_ms, asked, "x")


def _beside_peers(rows: Sequence[Row]) -> Iterator[Target]:
    yield from _beside_floor(rows)
    ours = of(rows, "kotae").get(USERS)
    peers = [found[USERS] for name in PEERS if USERS in (found := of(rows, name))]
    if ours and peers:
        best = max(each.rate for each in peers)
        yield Target(
            f"W1, {USERS:,} users: throughput, of the best peer's", ours.rate / best, 1.15, "x", True
        )
        quickest = min(each.p95_ms for each in peers)
        yield Target(f"W1, {USERS:,} users: p95, of the best peer's", ours.p95_ms / quickest, 1.0, "x")
    if ours:
        yield Target(f"W1, {USERS:,} users: success", ours.success * 100, 100.0, " %", True)


def _by_load(rows: Sequence[Row]) -> Iterator[Target]:
    ours = of(rows, "kotae")
    if few := ours.get(FEW):
        path_ms = W1.critical_path_s * 1000
        floor = of(rows, "floor").get(FEW)
        for name, milliseconds, asked in (
            ("mean", attrgetter("mean_ms"), 1.1),
            ("p95", attrgetter("p95_ms"), 1.2),
        ):
            # On a slow machine also 100 users take whole cores, as the hand-written loop shows.
            beside = f" (the floor: {milliseconds(floor) / path_ms:.2f}x)" if floor else ""
            what = f"W1, {FEW:,} users: {name}, of the critical path{beside}"
            yield Target(what, milliseconds(few) / path_ms, asked, "x")
    middle, many = ours.get(USERS), ours.get(MANY)
    if middle and many:
        where = f"W1, {MANY:,} users"
        then = f"of that at {USERS:,}"
        yield Target(f"{where}: throughput, {then}", many.rate / middle.rate, 0.9, "x", True)
        yield Target(f"{where}: CPU a question, {then}", many.cpu_ms / middle.cpu_ms, 1.2, "x")


def _gains(results: Results) -> Iterator[Target]:
    for each in results.gains:
        what = f"{each.workload}: of what concurrent stages can save"
        yield Target(what, each.saved / each.possible * 100, 95.0, " %", True)


def _scaling(results: Results) -> Iterator[Target]:
    found = of(results.in_flight, "kotae")
    if len(found) > 1:
        least, most = found[min(found)], found[max(found)]
        what = f"{most.users:,} in flight: CPU a question, of that with {least.users:,}"
        yield Target(what, most.cpu_ms / least.cpu_ms, 1.2, "x")
        yield Target(f"{most.users:,} in flight: memory each", most.kb_each, 20.0, " KB")
    if len(results.processes) > 1:
        one, two = results.processes[0], results.processes[-1]
        worth = 2 * one.cpu_ms / two.cpu_ms
        yield Target("two processes, by CPU a question, of one", worth, 1.8, "x", True)
    if results.start:
        what = f"start to ready with {results.start.documents:,} documents"
        yield Target(what, results.start.median_s, 2.5, " s")
