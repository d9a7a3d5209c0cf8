"""`kotae topics`: creates, widens and lists them."""

import asyncio
from collections.abc import Sequence

import click
import msgspec
import orjson

from schemas.topics import Topics
from streams.cli.context import CommandContext
from streams.kafka.topics import TopicState, acreate_topics, alist_topics

_as_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")


MOVED = (
    "Keys move to other partitions: between questions asked before and after, the order of a conversation, "
    "repeats and memory do not hold."
)


@click.group()
def command() -> None:
    """Create, widen and list the topics."""


@command.command()
@click.option(
    "--partitions",
    type=click.IntRange(1),
    help="Partitions of the topics that are keyed by conversation; default: KOTAE_KAFKA__PARTITIONS.",
)
@click.option(
    "--replication",
    type=click.IntRange(1),
    help="Copies of each topic; default: 3, or as many as there are brokers.",
)
@click.option(
    "--alter", "altered", is_flag=True, help="Add partitions to topics that exist, as `alter` does."
)
@_as_json
@click.pass_obj
def create(
    context: CommandContext,
    *,
    partitions: int | None,
    replication: int | None,
    altered: bool,
    as_json: bool,
) -> None:
    """Create the topics that are missing.

    Existing topics are not changed, with one exception: `answers`, `journal` and `questions.control` get more
    partitions if they have fewer than `questions`. With --alter all topics that share the number get more.
    """
    _create(context, partitions, replication, alter=altered, as_json=as_json)


@command.command()
@click.option(
    "--partitions", type=click.IntRange(1), help="Partitions that `questions` is to have; default: no more."
)
@_as_json
@click.pass_obj
def alter(context: CommandContext, *, partitions: int | None, as_json: bool) -> None:
    """Bring the topics of an earlier version up to date, and add partitions if --partitions says so.

    The broker's clock dates the records of `answers` from now on; missing topics are created. Partitions are
    added to `questions` and to all topics that share its number, `questions` last. Keys move to other
    partitions: a conversation's order, repeats and memory do not hold across it. Do it when no question is
    asked, if that matters. Partitions cannot be removed.
    """
    _create(context, partitions, None, alter=True, only_settings=partitions is None, as_json=as_json)


def _create(
    context: CommandContext,
    partitions: int | None,
    replication: int | None,
    *,
    alter: bool,
    only_settings: bool = False,
    as_json: bool,
) -> None:
    kafka = context.settings.kafka
    if partitions is not None:
        kafka = msgspec.structs.replace(kafka, partitions=partitions)
    widen = not only_settings
    topics = asyncio.run(acreate_topics(kafka, replication=replication, alter=alter, widen=widen))
    _show(topics, as_json=as_json)
    questions = next(topic for topic in topics if topic.name == Topics(kafka.topic_prefix).questions)
    if not any(topic.created or topic.added or topic.stamped for topic in topics):
        click.echo("All topics exist already: nothing was changed.", err=as_json)
    for topic in topics:
        if topic.foreign_times:
            click.echo(
                f"{topic.name} is dated by other clocks than the broker's: 'kotae topics alter' mends that.",
                err=as_json,
            )
    if widen and questions.partitions != kafka.partitions:
        click.echo(
            f"{questions.name} keeps its {questions.partitions} partitions, though --partitions or "
            f"KOTAE_KAFKA__PARTITIONS says {kafka.partitions}: 'kotae topics alter' adds some, and none can "
            "be removed.",
            err=as_json,
        )
    if questions.added:
        click.echo(MOVED, err=as_json)


@command.command("list")
@_as_json
@click.pass_obj
def list_(context: CommandContext, *, as_json: bool) -> None:
    """List Kotae's topics, as they are on the cluster."""
    _show(asyncio.run(alist_topics(context.settings.kafka)), as_json=as_json)


def _show(topics: Sequence[TopicState], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(list(topics), option=orjson.OPT_INDENT_2))
        return
    width = max(len(topic.name) for topic in topics)
    for topic in topics:
        if not topic.partitions:
            click.echo(f"{topic.name:{width}}  missing")
        else:
            note = "  created" if topic.created else f"  {topic.added} added" if topic.added else ""
            note += "  dated by the broker's clock" if topic.stamped else ""
            click.echo(
                f"{topic.name:{width}}  partitions: {topic.partitions}, copies: {topic.replication}{note}"
            )
