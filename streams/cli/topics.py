"""`kotae topics create` and `kotae topics list`."""

import asyncio
from collections.abc import Sequence

import click
import msgspec
import orjson

from streams.cli.context import CommandContext
from streams.kafka.topics import TopicState, acreate_topics, alist_topics

_as_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")


@click.group()
def command() -> None:
    """Create and list the topics."""


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
@_as_json
@click.pass_obj
def create(
    context: CommandContext, *, partitions: int | None, replication: int | None, as_json: bool
) -> None:
    """Create the topics that are missing.

    Existing topics are not changed, with one exception: `answers` and `journal` get more partitions if they
    have fewer than `questions`.
    """
    kafka = context.settings.kafka
    if partitions is not None:
        kafka = msgspec.structs.replace(kafka, partitions=partitions)
    _show(asyncio.run(acreate_topics(kafka, replication=replication)), as_json=as_json)


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
            note = "  created" if topic.created else ""
            click.echo(
                f"{topic.name:{width}}  partitions: {topic.partitions}, copies: {topic.replication}{note}"
            )
