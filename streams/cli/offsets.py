"""`kotae offsets show`."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from streams.cli.context import CommandContext

if TYPE_CHECKING:
    from streams.operations.group_offsets import PartitionOffsets

RANGES_SHOWN = 12
_MAP = {
    "stripped": "the offset map was too long to be committed: finished questions above the commit point may "
    "run again",
    "foreign": "the commit's metadata is not an offset map of Kotae: finished questions above the commit "
    "point may run again",
}


@click.group()
def command() -> None:
    """Show how far the workers are and which questions are incomplete."""


@command.command()
@click.option("--group", help="The consumer group; default: KOTAE_WORKER__GROUP_ID.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects, with every range.")
@click.pass_obj
def show(context: CommandContext, *, group: str | None, as_json: bool) -> None:
    """Show each partition's commit point, lag and incomplete questions.

    `lag` counts questions without an outcome, and the markers of transactions between them. `done above`
    counts those above the commit point that have one, and `oldest` is the age of the oldest question
    without an outcome. After a crash, questions that the offset map marks as done do not run again; the
    recovery scan finds later ones in `answers`, from the offset `scan from` on. Nothing is changed.
    """
    import orjson  # noqa: PLC0415 - keeps `kotae --help` quick

    from streams.operations.group_offsets import aread_group_offsets  # noqa: PLC0415 - likewise

    settings = context.settings
    group_id = group or settings.worker.group_id
    partitions = asyncio.run(aread_group_offsets(settings.kafka, group_id))
    now = time.time()
    if as_json:
        shown = [_as_object(partition, now) for partition in partitions]
        click.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
    else:
        for line in lines(group_id, partitions, now):
            click.echo(line)


def lines(group_id: str, partitions: Sequence["PartitionOffsets"], now: float) -> Iterator[str]:
    """The table of partitions, line by line; `now` in unix seconds."""
    yield f"group {group_id}"
    rows = [("partition", "committed", "end", "lag", "done above", "oldest", "scan from")]
    rows += [
        (
            str(each.partition),
            "-" if each.commit_point is None else str(each.commit_point),
            str(each.end_offset),
            str(each.lag),
            str(each.completed),
            _duration(_age_s(each, now)),
            "-" if each.scan_from is None else str(each.scan_from),
        )
        for each in partitions
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for index, row in enumerate(rows):
        yield "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
        if index:
            yield from _notes(partitions[index - 1], " " * (widths[0] + 2))


def _notes(partition: "PartitionOffsets", indent: str) -> Iterator[str]:
    if partition.incomplete:
        ranges = [
            str(first) if first == last else f"{first}-{last}"
            for first, last in partition.incomplete[:RANGES_SHOWN]
        ]
        more = len(partition.incomplete) - len(ranges)
        yield f"{indent}incomplete: {', '.join(ranges)}{f' and {more} more ranges' if more else ''}"
    if partition.held:
        yield (
            f"{indent}held: a producer's transaction is open since offset {partition.end_offset}, and "
            f"{partition.held} offsets cannot be read until it ends"
        )
    if partition.map in _MAP:
        yield indent + _MAP[partition.map]
    if partition.commit_point is None:
        return
    if partition.commit_point > partition.end_offset:
        yield f"{indent}the log ends before the commit point: was the topic deleted and created again?"
    elif partition.commit_point < partition.start_offset:
        yield (
            f"{indent}the log now begins at {partition.start_offset}: "
            f"{partition.start_offset - partition.commit_point} uncommitted offsets passed their retention"
        )


def _as_object(partition: "PartitionOffsets", now: float) -> dict[str, Any]:
    return asdict(partition) | {"oldest_age_s": _age_s(partition, now)}


def _age_s(partition: "PartitionOffsets", now: float) -> float | None:
    written_ms = partition.oldest_timestamp_ms
    return None if written_ms is None else max(0.0, round(now - written_ms / 1000, 3))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
