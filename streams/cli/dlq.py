"""`kotae dlq`: look at dead letters and send them back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from streams.cli.context import CommandContext
from streams.cli.moments import MOMENT
from streams.operations.letters import header_text
from streams.operations.redrive import REDRIVES_MAX, STATES
from streams.telemetry.terminal import harmless

if TYPE_CHECKING:
    from streams.operations.letters import Letter
    from streams.operations.redrive import RedriveDecision
    from streams.settings.model import Kafka

MESSAGE_SHOWN = 100


_STATES = "\b\nThe state of a letter:\n" + "\n".join(
    f"  {state:10}  {reason}" for state, reason in STATES.items()
)
"""The states for --help, which keeps the lines after `\\b` as they are."""


@click.group(epilog=_STATES)
def command() -> None:
    """Look at the questions that failed, and send them back to be answered again.

    Letters that Kafka Connect, Spring or a share group wrote to the same topic are read too, where they name
    a record of the questions' topic.
    """


@command.command("list", epilog=_STATES)
@click.option("--all", "everything", is_flag=True, help="List the letters that are closed, too.")
@click.option("--state", "states", multiple=True, type=click.Choice(list(STATES)), help="Only these states.")
@click.option("--code", "codes", multiple=True, help="Only these error codes or dispositions.")
@click.option("--tenant", "tenants", multiple=True, help="Only these tenants.")
@click.option(
    "--since", type=MOMENT, help="Only letters written then or later: RFC 3339, or 90m, 12h, 7d ago."
)
@click.option("--until", type=MOMENT, help="Only letters written before then.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
@click.pass_obj
def list_letters(
    context: CommandContext,
    *,
    everything: bool,
    states: tuple[str, ...],
    codes: tuple[str, ...],
    tenants: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """List the dead letters that are open: their question has no answer and no later letter.

    The word in brackets is the letter's state. An option that is given twice takes both values. Nothing is
    changed.
    """
    import orjson  # noqa: PLC0415 - keeps `kotae --help` quick

    decisions = asyncio.run(_decisions(context.settings.kafka))
    chosen = [
        one
        for one in decisions
        if (one.state in states if states else everything or one.open)
        and (not codes or one.letter.code in codes)
        and (not tenants or (one.letter.identity or ("",))[0] in tenants)
        and (since is None or _written(one.letter) >= since)
        and (until is None or _written(one.letter) < until)
    ]
    if as_json:
        shown = [_as_object(one.letter) | {"state": one.state, "redrive": one.state} for one in chosen]
        click.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2))
        return
    for one in chosen:
        letter = one.letter
        line = (
            f"{letter.position}  {_when(letter)}  {letter.code}  {letter.question_id or '-'}  [{one.state}]"
            f"  {letter.message[:MESSAGE_SHOWN]}"
        )
        click.echo(harmless(line, lines=False))
    hidden = len(decisions) - len(chosen)
    others = f"; {hidden} not shown (--all shows all)" if hidden and not everything else ""
    click.echo(f"{len(chosen)} dead letter{'s' * (len(chosen) != 1)}{others}")


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
        click.echo(harmless(f"{name}: {header_text(name, value or b'')}", lines=False))
    click.echo()
    asked = "(null)" if letter.value is None else letter.value.decode(errors="backslashreplace")
    click.echo(harmless(asked))


@command.command(epilog=_STATES)
@click.argument("positions", metavar="[PARTITION/OFFSET]…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Send back every letter that may be sent back.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Letters to send a second.",
)
@click.option("--force", is_flag=True, help="Send back letters that are unfit, too.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and send nothing.")
@click.pass_obj
def redrive(
    context: CommandContext,
    *,
    positions: tuple[str, ...],
    everything: bool,
    rate: float,
    force: bool,
    dry_run: bool,
) -> None:
    """Send questions back to be answered again: the letters whose state is `redrive`.

    They go back in the order in which they were asked, each at most three times in all. An absolute
    deadline (ce_expirytime) is removed, because it has passed; timeout_ms counts anew.
    """
    if positions and everything:
        raise click.UsageError("give either --all or the letters to send back, not both")
    if not positions and not everything:
        raise click.UsageError("name the letters to send back, or give --all ('kotae dlq list' shows them)")
    asyncio.run(_redrive(context.settings.kafka, positions, rate, force=force, dry_run=dry_run))


async def _redrive(
    kafka: "Kafka", positions: Sequence[str], rate: float, *, force: bool, dry_run: bool
) -> None:
    from streams.operations.dead_letters import adecide, aread_letters, aredrive  # noqa: PLC0415 - as above

    letters = await aread_letters(kafka)
    decisions = await adecide(kafka, letters, force=force)
    if positions:
        chosen = {letter.position for letter in _chosen(letters, positions)}
        decisions = [one for one in decisions if one.letter.position in chosen]
    for one in decisions:
        if one.state != "redrive" and (positions or dry_run):
            click.echo(f"{one.letter.position} is not sent back: {one.reason}")
    count = 0
    if dry_run:
        for one in decisions:
            if one.state == "redrive":
                count += 1
                click.echo(f"{one.letter.position} would be sent back")
    else:
        async for letter in aredrive(kafka, decisions, rate_per_s=rate):
            count += 1
            click.echo(f"{letter.position} sent back ({letter.redrives + 1} of {REDRIVES_MAX})")
    click.echo(f"{count} of {len(decisions)} dead letters {'would be ' if dry_run else ''}sent back")
    if unfit := sum(one.state == "unfit" for one in decisions):
        click.echo(f"{unfit} left out as unfit: {STATES['unfit']}")


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


def _written(letter: "Letter") -> datetime:
    return datetime.fromtimestamp(letter.timestamp_ms / 1000, UTC)


def _when(letter: "Letter") -> str:
    return _written(letter).isoformat(timespec="seconds")


def _as_object(letter: "Letter") -> dict[str, Any]:
    tenant, conversation_id, question_id = letter.identity or (None, None, None)
    return {
        "position": letter.position,
        "written_at": _when(letter),
        "code": letter.code,
        "tenant": tenant,
        "conversation_id": conversation_id,
        "question_id": question_id,
        "key": None if letter.key is None else letter.key.decode(errors="backslashreplace"),
        "value": None if letter.value is None else letter.value.decode(errors="backslashreplace"),
        "redrives": letter.redrives,
        "headers": dict(letter.header_texts),
    }
