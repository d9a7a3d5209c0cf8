"""`kotae schemas export`."""

from pathlib import Path

import click
import orjson

from schemas.export import export_schemas
from schemas.topics import Topics
from streams.cli.context import CommandContext
from streams.settings.errors import OperatorError


@click.group()
def command() -> None:
    """Export the message contracts."""


@command.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the paths as a JSON list.")
@click.pass_obj
def export(context: CommandContext, directory: Path, *, as_json: bool) -> None:
    """Write JSON Schema and AsyncAPI to DIRECTORY.

    Every message has a schema. The AsyncAPI document names the topics with the configured prefix, as they
    are on the cluster.
    """
    kafka = context.settings.kafka
    try:
        written = export_schemas(directory, Topics(kafka.topic_prefix), partitions=kafka.partitions)
    except OSError as error:
        raise OperatorError(
            f"cannot write {error.filename or directory}: {error.strerror}; name a writable directory"
        ) from None
    if as_json:
        click.echo(orjson.dumps([str(path) for path in written]))
    else:
        for path in written:
            click.echo(path)
