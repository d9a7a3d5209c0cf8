"""`kotae config show`."""

from typing import Any

import click
import msgspec
import orjson

from streams.cli.context import CommandContext
from streams.settings.secrets import masked


@click.group()
def command() -> None:
    """Show the settings and where each one was set."""


@command.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object: each name with its value and source."
)
@click.pass_obj
def show(context: CommandContext, *, as_json: bool) -> None:
    """Print every setting with its value and source.

    Secrets are masked.
    """
    rows = {
        name: {"value": _shown(context, name), "source": source}
        for name, source in context.loaded.sources.items()
    }
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    texts = [(name, orjson.dumps(row["value"]).decode(), row["source"]) for name, row in rows.items()]
    name_width = max(len(name) for name, _, _ in texts)
    value_width = min(40, max(len(value) for _, value, _ in texts))
    for name, value, source in texts:
        click.echo(f"{name:{name_width}}  {value:{value_width}}  {source}")


def _shown(context: CommandContext, name: str) -> Any:
    section, _, option = name.partition(".")
    return masked(option, msgspec.to_builtins(getattr(context.settings, section))[option])
