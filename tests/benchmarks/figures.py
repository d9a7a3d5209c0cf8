"""The figures that the benchmarks keep, and the medians that they report."""

import statistics
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from tests.benchmarks.load import Measured

BUSY = 0.9
"""A process that uses this share of a core sets the pace itself."""


class Row(msgspec.Struct, frozen=True):
    """One contender under one load, in one round or as the median of several.

    Attributes:
        questions: how many were answered during the measurement.
        success: the share with status `answered` among these and the lost ones.
        cpu_ms: CPU of the worker's processes a question.
        memory_mb: resident memory of the worker's processes at the end.
        cores: the use of each process, in cores: `worker`, `load`, `services`, `broker`, and `others`, which
            have no part in it.
    """

    contender: str
    workload: str
    users: int
    questions: float
    rate: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    success: float
    cpu_ms: float
    memory_mb: float
    cores: dict[str, float]


R = TypeVar("R", bound=Row)


def row(contender: str, workload: str, measured: Measured) -> Row:
    """The figures of one stretch of load.

    Raises:
        RuntimeError: nothing was answered, so there are no percentiles and no CPU a question.
    """
    if not measured.questions:
        raise RuntimeError(f"none of {measured.users:,} users was answered in {measured.seconds:.0f} s")
    ordered = sorted(measured.latencies_ms)

    def percentile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    count = measured.questions
    return Row(
        contender=contender,
        workload=workload,
        users=measured.users,
        questions=measured.questions,
        rate=measured.questions / measured.seconds,
        mean_ms=statistics.fmean(ordered),
        p50_ms=percentile(0.5),
        p95_ms=percentile(0.95),
        p99_ms=percentile(0.99),
        success=measured.answered / (count + measured.lost),
        cpu_ms=measured.cpu_s["worker"] * 1000 / count,
        memory_mb=measured.memory_mb,
        cores={name: spent / measured.seconds for name, spent in measured.cpu_s.items()},
    )


def medians(rows: Iterable[R]) -> list[R]:
    """One row for each contender, workload and number of users, in the order of their first rounds."""
    groups: dict[tuple[str, str, int], list[R]] = {}
    for each in rows:
        groups.setdefault((each.contender, each.workload, each.users), []).append(each)
    return [_median(group) for group in groups.values()]


def _median(rows: Sequence[R]) -> R:
    first = rows[0]
    figures = {
        name: statistics.median(getattr(each, name) for each in rows)
        for name in first.__struct_fields__
        if name not in {"contender", "workload", "users", "cores"}
    }
    cores = {name: statistics.median(each.cores[name] for each in rows) for name in first.cores}
    return msgspec.structs.replace(first, **figures, cores=cores)


def of(rows: Iterable[R], contender: str) -> dict[int, R]:
    """The rows of one contender, by users."""
    return {each.users: each for each in rows if each.contender == contender}


def doubts(rows: Iterable[Row], cpus: int) -> list[str]:
    """The rows in which another process than the worker set the pace, a line each."""
    found = []
    for each in rows:
        where = f"{each.contender}, {each.workload}, {each.users:,} users"
        limiting = [
            "other processes of the machine" if name == "others" else name
            for name, used in each.cores.items()
            if name != "worker" and used > BUSY
        ]
        if limiting:
            found.append(f"{where}: {' and '.join(limiting)} used a whole core: not the worker's limit")
        elif sum(each.cores.values()) > BUSY * cpus:
            shares = ", ".join(f"{name} {used:.2f}" for name, used in each.cores.items())
            found.append(f"{where}: the machine was full (cores: {shares}): read the CPU, not the rate")
    return found
