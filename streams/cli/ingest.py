"""`kotae ingest`."""

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
import orjson

from agents.knowledge.index import DocumentName
from schemas.document import Document
from streams.cli.context import CommandContext
from streams.ingestion.files import (
    DEFAULT_TENANT,
    KINDS,
    Problem,
    find_files,
    read_documents,
    stable_name,
)
from streams.ingestion.limited import LimitedReader
from streams.ingestion.sending import DocumentSender
from streams.operations.documents import adelete, aread_documents
from streams.operations.pruning import outdated
from streams.settings.model import Kafka
from streams.telemetry.terminal import harmless

READ_AT_ONCE = 32
"""Documents that the reading thread collects before the event loop sends them."""


@dataclass
class IngestReport:
    """The result of one run: how much was sent, and every problem."""

    topic: str
    files: int = 0
    documents: int = 0
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    dry_run: bool = False


@click.command(epilog=f"Kinds of files: {KINDS}. A directory stands for all such files in it, at any depth.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")
@click.option(
    "--tenant", help="The tenant that owns the documents; default: the one in the JSON line, else `default`."
)
@click.option(
    "--prune",
    is_flag=True,
    help="Also delete the documents of the tenant that `ingest` wrote earlier, whose source lies in a named "
    "folder, and that its files do not hold any more. Nothing is deleted if a file cannot be read.",
)
@click.option("--dry-run", is_flag=True, help="With --prune: write nothing, and say what would be deleted.")
@click.option("--force", is_flag=True, help="With --prune: take a folder that is missing or empty.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_obj
def command(
    context: CommandContext,
    *,
    paths: Sequence[Path],
    tenant: str | None,
    prune: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Add files to the documents that answers rest on.

    The documents go to the topic `documents`; workers index them from there. A file that is ingested again
    replaces its earlier version. A line of a JSON Lines file is an object with `text`, and optionally `id`,
    `title`, `source`, `tenant`, `format` and `metadata`.

    A file that cannot be read is reported, all others are ingested, and the exit code is 1. Pages of a PDF
    that have no text are named.
    """
    if tenant is not None and not 1 <= len(tenant) <= 128:
        raise click.BadParameter("it must have 1 to 128 characters", param_hint="--tenant")
    if (dry_run or force) and not prune:
        raise click.UsageError("--dry-run and --force go with --prune")
    found = list(find_files(paths))
    files = list(dict.fromkeys(path for path in found if isinstance(path, Path)))
    if prune:
        found = _check_folders(paths, found, force=force)
    folders = paths if prune else ()
    report = asyncio.run(_ingest(context.settings.kafka, files, tenant, folders, dry_run=dry_run))
    report.problems[:0] = [problem for problem in found if isinstance(problem, Problem)]
    _show(report, as_json=as_json)
    return 1 if report.problems else 0


def _check_folders(
    paths: Sequence[Path], found: Sequence[Path | Problem], *, force: bool
) -> list[Path | Problem]:
    """Refuse what `--prune` would take for a folder without files, and return what was found otherwise.

    A disk that is not mounted looks the same.
    """
    for path in paths:
        if path.exists() and not path.is_dir():
            raise click.UsageError(f"--prune takes folders, and {path} is a file")
        if not force and not any(isinstance(file, Path) and file.is_relative_to(path) for file in found):
            raise click.UsageError(
                f"{path} is missing or has no file of a readable kind: with --force, --prune deletes all "
                "documents that were ingested from it"
            )
    return [path for path in found if isinstance(path, Path)]


async def _ingest(
    kafka: Kafka, files: Sequence[Path], tenant: str | None, pruned: Sequence[Path], *, dry_run: bool
) -> IngestReport:
    """Send the files' documents, and prune the folders `pruned`."""
    sender = DocumentSender(kafka)
    report = IngestReport(sender.topic, dry_run=dry_run)
    written: set[DocumentName] = set()
    # A run that may be refused the right to prune must not begin.
    kept = await aread_documents(kafka, write=True) if pruned else {}
    async with sender:
        with _progress(len(files)) as advance, LimitedReader() as limited:
            for path in files:
                documents = read_documents(path, tenant, limited)
                # A thread reads: a large PDF takes long, and the producer needs the event loop meanwhile.
                while some := await asyncio.to_thread(_take, documents):
                    for document in some:
                        if isinstance(document, Document):
                            written.add((document.tenant, document.id))
                            if not dry_run:
                                await sender.send(document)
                            report.documents += 1
                        else:
                            (report.warnings if document.partial else report.problems).append(document)
                report.files += 1
                advance(path.name)
    for _, document_id in sender.too_large:
        report.documents -= 1
        report.problems.append(Problem(document_id, f"is too large for the topic {sender.topic}: split it"))
    if report.problems:
        return report  # the documents of a file that cannot be read now are not outdated
    folders = [stable_name(path) for path in pruned]
    old = outdated(kept.values(), folders, tenant or DEFAULT_TENANT, written)
    if old and not dry_run:
        await adelete(kafka, old)
    report.pruned = [each.document.id for each in old]
    return report


def _take(documents: Iterator[Document | Problem]) -> list[Document | Problem]:
    return list(itertools.islice(documents, READ_AT_ONCE))


@contextmanager
def _progress(files: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on a terminal, nothing elsewhere; yields a function to call with each finished file."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - 0.1 s that only a terminal needs
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - as above

    columns = (TextColumn("{task.description:.40}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=files)
        yield lambda name: bar.update(task, advance=1, description=name.replace("[", r"\["))


def _show(report: IngestReport, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2))
        return
    for problem in (*report.problems, *report.warnings):
        click.echo(harmless(f"kotae: {problem}"), err=True)
    documents = "1 document" if report.documents == 1 else f"{report.documents:,} documents"
    files = "1 file" if report.files == 1 else f"{report.files:,} files"
    for document_id in report.pruned:
        click.echo(harmless(f"{'would delete' if report.dry_run else 'deleted'} {document_id}", lines=False))
    wrote = "would write" if report.dry_run else "wrote"
    click.echo(f"{wrote} {documents} from {files} to the topic {report.topic}")
