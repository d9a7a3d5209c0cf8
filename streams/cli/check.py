"""`kotae check`."""

import asyncio
from collections.abc import Sequence

import click
import orjson

from streams.assembly.checks import Checks, Finding
from streams.cli.context import CommandContext


@click.command()
@click.option(
    "--timeout",
    "limit_s",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds that each may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
@click.pass_obj
def command(context: CommandContext, *, limit_s: float, as_json: bool) -> int:
    """Try everything that the settings name once, and say how to mend a failure.

    It tries the cluster, the rights and topics of a worker, each model with and without tools, embeddings,
    index, Redis and the servers of tools. Nothing is written and no tool is called: of a GET tool that may be
    repeated only the head is asked for, the others are only connected to. The exit code is 1 if one fails.
    """
    findings = asyncio.run(Checks(context.settings, context.environ, limit_s=limit_s).arun())
    if as_json:
        click.echo(orjson.dumps(findings, option=orjson.OPT_INDENT_2))
    else:
        for line in lines(findings):
            click.echo(line)
    return 0 if all(finding.ok for finding in findings) else 1


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding."""
    width = max(len(finding.name) for finding in findings)
    return [
        f"{finding.name:{width}}  {'ok    ' if finding.ok else 'FAILED'}  {finding.told}"
        for finding in findings
    ]
