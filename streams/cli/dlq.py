"""`kotae dlq`: look at dead letters and send them back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from streams.cli.context import CommandContext
from streams.telemetry.terminal import harmless

if TYPE_CHECKING:
    from streams.operations.redrive import Letter, RedriveDecision
    from streams.settings.model import Kafka

MESSAGE_SHOWN = 100


@click.group()
def command() -> None:
    """Look at the questions that failed, and send them back to be answered again."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
@click.pass_obj
def list_letters(context: CommandContext, *, as_json: bool) -> None:
    """List the dead letters.

    The word in brackets says how `redrive` would treat the letter. Nothing is changed.
    """
    import orjson  # noqa: PLC0415 - keeps `kotae --help` quick

    decisions = asyncio.run(_decisions(context.settings.kafka))
    if as_json:
        shown = [_as_object(one.letter) | {"redrive": one.action} for one in decisions]
        click.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
        return
    for one in decisions:
        letter = one.letter
        line = (
            f"{letter.position}  {_when(letter)}  {letter.header_texts.get('qa.dlq.disposition', '?')}"
            f"  {letter.question_id or '-'}  [{one.action}]"
            f"  {letter.header_texts.get('__connect.errors.exception.message', '')[:MESSAGE_SHOWN]}"
        )
        click.echo(harmless(line, lines=False))
    click.echo("1 dead letter" if len(decisions) == 1 else f"{len(decisions)} dead letters")


@command.command()
@click.argument("position", metavar="PARTITION/OFFSET")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_obj
def show(context: CommandContext, *, position: str, as_json: bool) -> None:
    """Show one dead letter: all its headers and its value."""
    import orjson  # noqa: PLC0415 - as above

    letter = _chosen(asyncio.run(_letters(context.settings.kafka)), [position])[0]
    if as_json:
        click.echo(orjson.dumps(_as_object(letter), option=orjson.OPT_INDENT_2))
        return
    for name, value in letter.headers:
        click.echo(harmless(f"{name}: {(value or b'').decode(errors='backslashreplace')}", lines=False))
    click.echo()
    asked = "(null)" if letter.value is None else letter.value.decode(errors="backslashreplace")
    click.echo(harmless(asked))


@command.command()
@click.argument("positions", metavar="[PARTITION/OFFSET]…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Send back every letter that may be sent back.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Letters to send a second.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and send nothing.")
@click.pass_obj
def redrive(
    context: CommandContext, *, positions: tuple[str, ...], everything: bool, rate: float, dry_run: bool
) -> None:
    """Send questions back to be answered again.

    They go back in the order in which they were asked, each at most three times in all. A letter is left
    alone if its question has been answered since, or was sent back and has no outcome yet. An absolute
    deadline (ce_expirytime) is removed, because it has passed; timeout_ms counts anew.
    """
    if positions and everything:
        raise click.UsageError("give either --all or the letters to send back, not both")
    if not positions and not everything:
        raise click.UsageError("name the letters to send back, or give --all ('kotae dlq list' shows them)")
    asyncio.run(_redrive(context.settings.kafka, positions, rate, dry_run=dry_run))


async def _redrive(kafka: "Kafka", positions: Sequence[str], rate: float, *, dry_run: bool) -> None:
    from streams.operations.dead_letters import adecide, aread_letters, aredrive  # noqa: PLC0415 - as above
    from streams.operations.redrive import REDRIVES_MAX  # noqa: PLC0415 - as above

    letters = await aread_letters(kafka)
    decisions = await adecide(kafka, letters)
    if positions:
        chosen = {letter.position for letter in _chosen(letters, positions)}
        decisions = [one for one in decisions if one.letter.position in chosen]
    for one in decisions:
        if one.action != "redrive" and (positions or dry_run):
            click.echo(f"{one.letter.position} is not sent back: {one.reason}")
    count = 0
    if dry_run:
        for one in decisions:
            if one.action == "redrive":
                count += 1
                click.echo(f"{one.letter.position} would be sent back")
    else:
        async for letter in aredrive(kafka, decisions, rate_per_s=rate):
            count += 1
            click.echo(f"{letter.position} sent back ({letter.redrives + 1} of {REDRIVES_MAX})")
    click.echo(f"{count} of {len(decisions)} dead letters {'would be ' if dry_run else ''}sent back")


async def _letters(kafka: "Kafka") -> list["Letter"]:
    from streams.operations.dead_letters import aread_letters  # noqa: PLC0415 - as above

    return await aread_letters(kafka)


async def _decisions(kafka: "Kafka") -> list["RedriveDecision"]:
    from streams.operations.dead_letters import adecide, aread_letters  # noqa: PLC0415 - as above

    return await adecide(kafka, await aread_letters(kafka))


def _chosen(letters: Sequence["Letter"], positions: Sequence[str]) -> list["Letter"]:
    known = {letter.position: letter for letter in letters}
    if missing := [position for position in positions if position not in known]:
        raise click.UsageError(f"there is no dead letter {', '.join(missing)} ('kotae dlq list' shows them)")
    return [known[position] for position in positions]


def _when(letter: "Letter") -> str:
    return datetime.fromtimestamp(letter.timestamp_ms / 1000, UTC).isoformat(timespec="seconds")


def _as_object(letter: "Letter") -> dict[str, Any]:
    return {
        "position": letter.position,
        "written_at": _when(letter),
        "question_id": letter.question_id,
        "key": None if letter.key is None else letter.key.decode(errors="backslashreplace"),
        "value": None if letter.value is None else letter.value.decode(errors="backslashreplace"),
        "redrives": letter.redrives,
        "headers": dict(letter.header_texts),
    }
