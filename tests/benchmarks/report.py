"""The results as Markdown."""

from collections.abc import Iterable, Sequence

from tests.benchmarks.article import CACHED_MS, PUBLISHED
from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.figures import Row, doubts, of
from tests.benchmarks.results import Results
from tests.benchmarks.rig import W1, W2
from tests.benchmarks.scaling import WARMED, Depth
from tests.benchmarks.targets import Target, targets


def markdown(results: Results) -> str:
    """Every table that has results."""
    parts = ["# Benchmark", _machine(results)]
    every = [*results.compared, *results.seed, *results.in_flight, *results.processes]
    doubted = doubts(every, results.machine["cores"])
    if asked := targets(results):
        parts += ["## Targets", _asked(asked)]
        if doubted:
            parts.append(
                f"In {len(doubted)} of the {len(every)} rows below something other than the worker used a "
                "whole core, or the machine was full; the last section names them. There compare CPU a "
                "question only."
            )
    for workload in (W1, W2):
        rows = [each for each in results.compared if each.workload == workload.name]
        if rows:
            parts += [f"## {_TITLES[workload.name]}", comparison(rows, results.missing), _LEGEND]
    if results.seed:
        parts += ["## The article's load table", seed_table(results.seed)]
    if results.gains or results.cache:
        parts += ["## Gains of concurrency and cache", _gains(results)]
    if results.in_flight:
        parts += ["## Questions in flight, at one rate", _in_flight(results.in_flight)]
    if results.processes:
        parts += ["## Processes", _processes(results.processes)]
    if results.start:
        start = results.start
        parts.append(f"Start to ready with {start.documents:,} documents: {start.median_s:.2f} s (median).")
    if results.engine_us:
        parts += ["## The engine alone", _engine(results.engine_us)]
    if results.failed:
        lines = [f"* {what}: {reason}" for what, reason in results.failed.items()]
        parts += ["## Not measured", "\n".join(lines)]
    if doubted:
        parts += ["## Where the worker did not set the pace", "\n".join(f"* {line}" for line in doubted)]
    return "\n\n".join(parts) + "\n"


BEGUN = 0.9
"""The share of the users whose questions have to be in flight for a row to count."""

_TITLES = {
    "w1": f"W1: retrieval, plan, two tools, answer (critical path {W1.critical_path_s * 1000:.0f} ms)",
    "w2": f"W2: retrieval and one call (critical path {W2.critical_path_s * 1000:.0f} ms)",
}

_LEGEND = (
    "Each user asks again when answered. Latencies are the users', through Kafka; a question that was lost "
    "is no success; CPU is that of the worker's processes. The floor and the peers run on Python's default "
    "garbage collection; Kotae's worker tunes its own, and `floor-tuned` is the floor with the same."
)


def _asked(asked: Sequence[Target]) -> str:
    lines = [
        [
            each.what,
            f"{each.found:.2f}{each.unit}",
            f"{'>=' if each.least else '<='} {each.asked:.2f}{each.unit}",
            "yes" if each.met else "NO",
        ]
        for each in asked
    ]
    return table(["", "found", "asked", "met"], lines)


def _machine(results: Results) -> str:
    machine = results.machine
    load = ", ".join(f"{each:.2f}" for each in machine["load_before"])
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"`{results.command}` on {machine['at']}, commit {machine['commit']}: {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory']}, Python {machine['python']}, load average before "
        f"{load}. {results.length} Everything (broker, services, load, worker) ran on this machine: read "
        f"ratios.\n\n{versions}"
    )


def comparison(rows: Sequence[Row], missing: dict[str, str]) -> str:
    """Contenders against users: questions/s, p95, success, CPU a question and its ratio to the floor."""
    levels = sorted({each.users for each in rows})
    floor = of(rows, "floor")
    head = [f"{users:,} users: questions/s, p95 ms, success, CPU ms [x floor]" for users in levels]
    lines = []
    for name in CONTENDERS:
        found = of(rows, name)
        if name in missing and not found:
            lines.append([name, f"not measured: {missing[name]}", *[""] * (len(levels) - 1)])
        elif found:
            cells = [_cell(found.get(users), floor.get(users)) for users in levels]
            lines.append([f"{name} ({CONTENDERS[name].note})", *cells])
    broke_off = [f"{name} broke off: {why}" for name, why in missing.items() if of(rows, name)]
    return "\n\n".join([table(["", *head], lines), *broke_off])


def _cell(row: Row | None, floor: Row | None) -> str:
    if row is None:
        return "-"
    ratio = f" [{row.cpu_ms / floor.cpu_ms:.2f}]" if floor else ""
    return f"{row.rate:,.0f}, {row.p95_ms:,.0f}, {row.success:.1%}, {row.cpu_ms:.2f}{ratio}"


def seed_table(rows: Sequence[Row]) -> str:
    """Our table beside the article's."""
    lines = []
    for row in rows:
        theirs = PUBLISHED.get(row.users)
        published = (
            [f"{theirs.mean_ms:.0f}", f"{theirs.p95_ms:.0f}", f"{theirs.rate:.0f}", f"{theirs.success:.1%}"]
            if theirs
            else ["-"] * 4
        )
        ours = [f"{row.mean_ms:.0f}", f"{row.p95_ms:.0f}", f"{row.rate:.0f}", f"{row.success:.1%}"]
        lines.append([f"{row.users:,}", *(" / ".join(pair) for pair in zip(ours, published, strict=True))])
    head = ["users", "mean ms: ours / article", "p95 ms", "requests/s", "success"]
    return table(head, lines)


def _gains(results: Results) -> str:
    lines = [
        [
            gain.workload,
            f"{gain.sequential_ms:.0f}",
            f"{gain.concurrent_ms:.0f}",
            f"{gain.saved:.1%} of {gain.possible:.1%}",
        ]
        for gain in results.gains
    ]
    parts = []
    if lines:
        parts.append(table(["one user", "sequential ms", "Kotae ms", "saved, of what can be"], lines))
    if results.cache:
        cache = results.cache
        cold, warm = CACHED_MS
        parts.append(
            f"A question asked again: {cache.asked_first_ms:.0f} -> {cache.asked_again_ms:.1f} ms (median; "
            f"p95 {cache.asked_again_p95_ms:.1f}), through Kafka. The article: {cold:.0f} -> under "
            f"{warm:.0f} ms."
        )
    return "\n\n".join(parts)


def _in_flight(rows: Sequence[Depth]) -> str:
    lines = [
        [
            each.contender,
            f"{each.users:,}",
            f"{each.in_flight:,.0f}",
            f"{each.rate:.0f}",
            f"{each.success:.1%}",
            f"{each.cpu_ms:.2f}",
            f"{each.memory_mb:.0f}",
            f"{each.idle_mb:.0f}",
            f"{each.kb_each:.1f}" if each.users > WARMED else "",
        ]
        for each in rows
    ]
    head = ["", "users", "in flight", "questions/s", "success", "CPU ms", "memory MB", "idle MB", "KB each"]
    parts = [table(head, lines)]
    for name in dict.fromkeys(each.contender for each in rows):
        found = of(rows, name)
        least, most = found[min(found)], found[max(found)]
        if least is not most:
            times = f"{most.cpu_ms / least.cpu_ms:.2f} times the CPU"
            parts.append(
                f"{name}: with {most.users:,} a question takes {times} that it takes with {least.users:,}."
            )
    parts += [
        f"{each.contender} had {each.in_flight:,.0f} of {each.users:,} in flight: its event loop was late, "
        "by its own work or because others had the processor. The row says nothing of so many."
        for each in rows
        if each.in_flight < BEGUN * each.users
    ]
    return "\n\n".join(parts)


def _processes(rows: Sequence[Row]) -> str:
    lines = [
        [each.contender, f"{each.rate:.0f}", f"{each.cpu_ms:.2f}", f"{each.memory_mb:.0f}"] for each in rows
    ]
    told = table(["", "questions/s", "CPU ms", "memory MB"], lines)
    one, two = rows[0], rows[-1]
    return f"{told}\n\nBy CPU a question, two are worth {2 * one.cpu_ms / two.cpu_ms:.2f} of one."


def _engine(spent: dict[str, float]) -> str:
    lines = [[name, f"{each:.1f}", f"{each / spent['raw']:.2f}"] for name, each in spent.items()]
    return table(["", "CPU us a question", "x raw"], lines)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; its first column is text, the others are figures."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines])
