"""Turns records of the `documents` topic into changes of an index. Pure but for its pauses."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from agents.knowledge.pacing import Pacer
from agents.knowledge.version import Mark
from schemas.codec import DecodeError, decode_document
from schemas.document import Document, parse_document_key


@dataclass(slots=True)
class Changes:
    """The changes that some records make, in their order: the last one of each key.

    Attributes:
        latest: the document by tenant and id; None: it is deleted.
        problems: (offset, problem) of each record that is not a document.
        marks: the last record of each tenant.
    """

    latest: dict[tuple[str, str], Document | None] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def documents(self) -> list[Document]:
        """The documents to be indexed."""
        return [document for document in self.latest.values() if document is not None]

    @property
    def deleted(self) -> list[tuple[str, str]]:
        """The tenant and id of each document to be removed."""
        return [key for key, document in self.latest.items() if document is None]


async def aread_changes(records: Iterable[ConsumerRecord]) -> Changes:
    """Decode records, and give way to other tasks between them."""
    changes = Changes()
    pacer = Pacer()
    for record in records:
        try:
            key, document = read_record(record.key, record.value)
        except ValueError as error:
            changes.problems.append((record.offset, str(error)))
        else:
            changes.latest[key] = document
            changes.marks[key[0]] = Mark(record.offset, record.timestamp)
        await pacer.abreathe()
    return changes


def read_record(key: bytes | None, value: bytes | None) -> tuple[tuple[str, str], Document | None]:
    """Return tenant and id, and the document; None: it is deleted.

    Raises:
        ValueError: the key or the value cannot be read, or they name different documents. A document
            under another's key could never be deleted, and would follow the other's order.
    """
    if key is None:
        raise ValueError("there is no key (expected <tenant>/<document id>)")
    named = parse_document_key(key)
    if value is None:
        return named, None
    try:
        document = decode_document(value)
    except DecodeError as error:
        raise ValueError(error.message) from error
    if (document.tenant, document.id) != named:
        raise ValueError(f"the key {key!r} does not name document {document.id!r} of {document.tenant!r}")
    return named, document
