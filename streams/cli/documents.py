"""`kotae documents`: look at the documents, and at those that workers skipped."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from agents.documents.plain import plain_text
from schemas.document import document_key, parse_document_key
from streams.cli.context import CommandContext
from streams.operations.documents import (
    KeptDocument,
    adelete,
    aread_documents,
    aread_problems,
    aretry,
    state_urls,
)
from streams.telemetry.terminal import harmless

_URL = click.option(
    "--url",
    "urls",
    multiple=True,
    help="A worker's status address, such as http://worker-1:9464; default: KOTAE_WORKER__HTTP_PORT here.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_NAMES = click.argument("names", nargs=-1, metavar="TENANT/ID…")


@click.group()
def command() -> None:
    """Look at the documents that answers rest on, and at those that were skipped."""


@command.command("list")
@click.option("--tenant", help="Only this tenant's; default: all.")
@_JSON
@click.pass_obj
def list_documents(context: CommandContext, *, tenant: str | None, as_json: bool) -> None:
    """List the documents that the topic `documents` holds."""
    kept = asyncio.run(aread_documents(context.settings.kafka))
    chosen = [each for (owner, _), each in sorted(kept.items()) if tenant in {None, owner}]
    if as_json:
        _print_json([_as_object(each) for each in chosen])
        return
    for each in chosen:
        document = each.document
        line = f"{_shown(document.tenant, document.id)}  {len(document.text):,} characters  {document.title}"
        click.echo(harmless(line, lines=False))
    click.echo(_count(len(chosen), "document"))


@command.command()
@click.argument("name", metavar="TENANT/ID")
@click.option(
    "--text",
    "plain",
    is_flag=True,
    help="Print the plain text alone: what is quoted, and what offsets count.",
)
@_JSON
@click.pass_obj
def show(context: CommandContext, *, name: str, plain: bool, as_json: bool) -> None:
    """Show one document with its text."""
    if plain and as_json:
        raise click.UsageError("give --text or --json")
    [found] = _find(context, [name])
    if plain:
        click.echo(harmless(plain_text(found.document).text))
        return
    if as_json:
        _print_json(_as_object(found) | {"text": found.document.text})
        return
    for field, value in _as_object(found).items():
        click.echo(harmless(f"{field}: {value}", lines=False))
    click.echo()
    click.echo(harmless(found.document.text))


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="TENANT/ID…")
@click.pass_obj
def delete(context: CommandContext, *, names: Sequence[str]) -> None:
    """Delete documents: workers remove them from the index."""
    found = _find(context, names, write=True)
    asyncio.run(adelete(context.settings.kafka, found))
    click.echo(f"deleted {_count(len(found), 'document')}")


@command.command()
@_URL
@_JSON
@click.pass_obj
def problems(context: CommandContext, *, urls: Sequence[str], as_json: bool) -> None:
    """List the documents that workers skipped, and why.

    A worker lists what it has skipped since it started, and an index on disk lists earlier ones. A
    record that was no document keeps its key's earlier one in the index.
    """
    found = asyncio.run(_problems(context, urls))
    if as_json:
        _print_json(found)
        return
    for each in found:
        place = "-" if each["offset"] is None else f"{each['partition']}/{each['offset']}"
        name = _shown(each["tenant"], each["id"])
        click.echo(harmless(f"{each['at']}  {name}  {place}  {each['reason']}", lines=False))
    click.echo(_count(len(found), "skipped document"))


@command.command()
@_NAMES
@click.option("--all", "everything", is_flag=True, help="All that `problems` lists.")
@_URL
@click.pass_obj
def retry(context: CommandContext, *, names: Sequence[str], everything: bool, urls: Sequence[str]) -> int:
    """Write documents to their topic again, each as its last record has it, so that workers try once more."""
    if bool(names) == everything:
        raise click.UsageError("name documents as TENANT/ID, or give --all")
    wanted = [_parsed(name) for name in names]
    if everything:
        wanted = [(each["tenant"], each["id"]) for each in asyncio.run(_problems(context, urls))]
    written = asyncio.run(aretry(context.settings.kafka, wanted)) if wanted else {}
    for name, done in written.items():
        if not done:
            line = (
                f"kotae: {_shown(*name)}: the topic holds no record of it: it was deleted, or never written"
            )
            click.echo(harmless(line, lines=False), err=True)
    click.echo(f"wrote {_count(sum(written.values()), 'document')} again")
    return 0 if all(written.values()) else 1


async def _problems(context: CommandContext, urls: Sequence[str]) -> list[dict[str, Any]]:
    return await aread_problems(urls or state_urls(context.settings.worker))


def _find(context: CommandContext, names: Sequence[str], *, write: bool = False) -> list[KeptDocument]:
    wanted = [_parsed(name) for name in names]
    kept = asyncio.run(aread_documents(context.settings.kafka, write=write))
    for name in wanted:
        if name not in kept:
            raise click.UsageError(f"there is no document {_shown(*name)}: see 'kotae documents list'")
    return [kept[name] for name in dict.fromkeys(wanted)]


def _parsed(name: str) -> tuple[str, str]:
    try:
        return parse_document_key(name.encode())
    except ValueError:
        raise click.UsageError(f"{name!r} is not TENANT/ID, each percent-encoded") from None


def _shown(tenant: str, document_id: str) -> str:
    return document_key(tenant, document_id).decode()


def _as_object(kept: KeptDocument) -> dict[str, Any]:
    document, record = kept.document, kept.record
    return {
        "tenant": document.tenant,
        "id": document.id,
        "title": document.title,
        "source": document.source,
        "format": document.format,
        "characters": len(document.text),
        "partition": record.partition,
        "offset": record.offset,
        "at": datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds"),
    }


def _print_json(value: object) -> None:
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def _count(number: int, thing: str) -> str:
    return f"1 {thing}" if number == 1 else f"{number:,} {thing}s"
