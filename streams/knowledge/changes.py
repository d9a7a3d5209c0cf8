"""Records of the `documents` topic as changes to an index. Pure but for the pauses it makes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from agents.knowledge.pacing import Pacer
from agents.knowledge.version import Mark
from schemas.codec import DecodeError, decode_document
from schemas.document import Document, parse_document_key


@dataclass(slots=True)
class Changes:
    """What some records, in their order, come to: one change for each key, the last one.

    `problems` holds (offset, what is wrong) of the records that are no documents; `marks` the last
    record of each tenant.
    """

    latest: dict[tuple[str, str], Document | None] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def documents(self) -> list[Document]:
        """To be indexed."""
        return [document for document in self.latest.values() if document is not None]

    @property
    def deleted(self) -> list[tuple[str, str]]:
        """Tenant and id of each document to be removed."""
        return [key for key, document in self.latest.items() if document is None]


async def aread_changes(records: Iterable[ConsumerRecord]) -> Changes:
    """Decode records; gives way to others between them."""
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
    """Tenant and id, and the document; None for one that is deleted.

    Raises:
        ValueError: the key is none, the value is no document, or they name different ones: a document
            under a key that is not its own could never be deleted, and would follow another's order.
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
        raise ValueError(f"the key {key!r} is not that of document {document.id!r} of {document.tenant!r}")
    return named, document
