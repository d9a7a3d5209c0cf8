"""Finds the documents that `kotae ingest` wrote from files of a folder that are not there any more. Pure."""

from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from agents.knowledge.index import DocumentName
from streams.ingestion.sending import INGESTED_HEADER
from streams.operations.documents import KeptDocument


def outdated(
    kept: Iterable[KeptDocument], folders: Collection[str], tenant: str, written: Collection[DocumentName]
) -> list[KeptDocument]:
    """Return the documents of the tenant whose source lies in one of the folders, and that are not `written`.

    Documents that another program wrote are left alone.

    Args:
        folders: their stable names (see `ingestion.files.stable_name`).
        written: the documents that the files in the folders hold now.
    """
    return [
        each
        for each in kept
        if each.document.tenant == tenant
        and (tenant, each.document.id) not in written
        and any(name == INGESTED_HEADER for name, _ in each.record.headers)
        and any(_lies_in(each.document.source, folder) for folder in folders)
    ]


def _lies_in(source: str, folder: str) -> bool:
    path = PurePosixPath(source)
    if "://" in source or not source:
        return False
    if folder == ".":
        return not path.is_absolute()
    return PurePosixPath(folder) in path.parents
