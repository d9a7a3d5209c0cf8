"""The results as pictures."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from tests.benchmarks.article import PUBLISHED
from tests.benchmarks.figures import Row, of
from tests.benchmarks.results import Results
from tests.benchmarks.scaling import Depth

NOT_PEERS = ("floor", "floor-tuned", "sequential", "kotae-unguarded")


def draw(results: Results, folder: Path) -> list[Path]:
    """PNG files of all parts that have results."""
    made = []
    for workload in dict.fromkeys(each.workload for each in results.compared):
        rows = [each for each in results.compared if each.workload == workload]
        made.append(_compared(rows, workload, folder))
    if results.in_flight:
        made.append(_in_flight(results.in_flight, folder))
    if results.seed:
        made.append(_seed(results.seed, folder))
    return made


def _compared(rows: Sequence[Row], workload: str, folder: Path) -> Path:
    figure, axes = plt.subplots(2, 3, figsize=(16, 9), layout="constrained")
    rate, cpu, legend, *latencies = axes.flat
    for name in dict.fromkeys(each.contender for each in rows):
        found = of(rows, name)
        users = sorted(found)
        drawn = zip((rate, cpu, *latencies), ("rate", "cpu_ms", "p50_ms", "p95_ms", "p99_ms"), strict=True)
        for axis, attribute in drawn:
            axis.plot(
                users,
                [getattr(found[each], attribute) for each in users],
                marker="o",
                label=name,
                linewidth=3 if name == "kotae" else 1.5,
                linestyle="--" if name in NOT_PEERS else "-",
            )
    levels = sorted({each.users for each in rows})
    for axis in (rate, cpu, *latencies):
        axis.set_xscale("log")
        axis.set_xticks(levels, [f"{each:,}" for each in levels])
    _name(rate, "users", "questions/s")
    _name(cpu, "users", "the worker's CPU a question, ms")
    for axis, share in zip(latencies, ("50th", "95th", "99th"), strict=True):
        axis.set_yscale("log")
        for of_axis in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
            of_axis(StrMethodFormatter("{x:,.0f}"))
        _name(axis, "users", f"latency, {share} percentile, ms")
    for axis in (rate, cpu, *latencies):
        axis.xaxis.minorticks_off()
    legend.set_axis_off()
    legend.legend(*rate.get_legend_handles_labels(), loc="center", fontsize="large")
    return _save(figure, folder / f"{workload}.png", f"{workload.upper()}: throughput, cost and latency")


def _in_flight(rows: Sequence[Depth], folder: Path) -> Path:
    figure, (cpu, memory) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for name in dict.fromkeys(each.contender for each in rows):
        found = [each for each in rows if each.contender == name]
        begun = [each.in_flight for each in found]
        cpu.plot(begun, [each.cpu_ms for each in found], marker="o", label=name)
        memory.plot(begun, [each.memory_mb for each in found], marker="o", label=name)
    _name(cpu, "questions really in flight", "CPU ms a question")
    _name(memory, "questions really in flight", "resident memory, MB")
    cpu.set_xscale("log")
    cpu.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    cpu.xaxis.set_minor_formatter("")
    for axis in (cpu, memory):
        axis.legend(loc="best")
    return _save(figure, folder / "in-flight.png", "Questions in flight, at one rate")


def _seed(rows: Sequence[Row], folder: Path) -> Path:
    figure, axes = plt.subplots(2, 2, figsize=(12, 9), layout="constrained")
    users = [each.users for each in rows]
    told = {
        "mean_ms": "mean latency, ms",
        "p95_ms": "latency, 95th percentile, ms",
        "rate": "questions answered a second",
        "success": "share that succeeds",
    }
    for axis, (attribute, label) in zip(axes.flat, told.items(), strict=True):
        axis.plot(users, [getattr(each, attribute) for each in rows], marker="o", label="Kotae, this machine")
        theirs = [getattr(each, attribute) for each in PUBLISHED.values()]
        axis.plot(list(PUBLISHED), theirs, marker="s", label="the article, 4 cores")
        # If one always succeeds, the last percents of the other have to be visible.
        _name(
            axis, "users (each asks again when answered)", label, bottom=0.9 if attribute == "success" else 0
        )
        axis.set_xscale("log")
        axis.set_xticks(users, [f"{each:,}" for each in users])
        axis.minorticks_off()
        axis.legend()
    axes[1, 1].set_ylim(top=1.005)
    return _save(
        figure, folder / "article.png", "The load table of the article that Kotae began from, and ours"
    )


def _name(axis: Axes, x: str, y: str, bottom: float = 0) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    if axis.get_yscale() != "log":
        axis.set_ylim(bottom=bottom)
    axis.grid(visible=True, alpha=0.3)


def _save(figure: plt.Figure, path: Path, title: str) -> Path:
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
