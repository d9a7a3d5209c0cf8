"""Turns records of the `documents` topic into changes of an index. Pure but for its pauses."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord

from agents.knowledge.index import DocumentName
from agents.knowledge.pacing import Pacer
from agents.knowledge.version import Mark
from schemas.codec import DecodeError, decode_document
from schemas.document import Document, parse_document_key
from streams.knowledge.holders import Holders


@dataclass(slots=True)
class Changes:
    """The changes that some records make: the last one of each document.

    Attributes:
        holders: the keys that hold documents after them.
        records: how many there were.
        latest: the document by its name; None: it is deleted.
        places: partition and offset of the last record of each document.
        problems: document or key, place and problem of each record that is not a document.
        marks: the last record of each tenant.
        last: the last record of all, also of those that are no documents.
        times: the timestamp, in ms, of the last record of each document.
    """

    holders: Holders
    records: int = 0
    latest: dict[DocumentName, Document | None] = field(default_factory=dict)
    places: dict[DocumentName, tuple[int, int]] = field(default_factory=dict)
    problems: list[tuple[DocumentName, tuple[int, int], str]] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)
    last: Mark | None = None
    times: dict[DocumentName, int] = field(default_factory=dict)

    @property
    def documents(self) -> list[Document]:
        """The documents to be indexed."""
        return [document for document in self.latest.values() if document is not None]

    @property
    def deleted(self) -> list[DocumentName]:
        """The documents to be removed."""
        return [name for name, document in self.latest.items() if document is None]

    @property
    def keys(self) -> dict[DocumentName, str]:
        """The record key of each document that is held by another than its own."""
        return {
            name: key.decode("latin-1")
            for name, document in self.latest.items()
            if document is not None and (key := self.holders.key_of(name)) is not None
        }

    def take(self, record: ConsumerRecord) -> None:
        """Add the changes of one record.

        Raises:
            ValueError: it is neither a document nor the deletion of one.
        """
        if record.value is None:
            self._set(self.holders.remove(record.key), None, record)
            return
        try:
            document = decode_document(record.value)
        except DecodeError as error:
            raise ValueError(error.message) from error
        name = (document.tenant, document.id)
        replaced = self.holders.put(record.key, name)
        if replaced is not None:
            self._set(replaced, None, record)
        self._set(name, document, record)

    def _set(self, name: DocumentName, document: Document | None, record: ConsumerRecord) -> None:
        self.latest[name] = document
        self.places[name] = (record.partition, record.offset)
        self.times[name] = record.timestamp
        self.marks[name[0]] = Mark(record.offset, record.timestamp)


async def aread_changes(records: Iterable[ConsumerRecord], holders: Holders) -> Changes:
    """Decode records, and give way to other tasks between them. `holders` stays as it is."""
    changes = Changes(holders.over())
    pacer = Pacer()
    for record in records:
        changes.records += 1
        changes.last = Mark(record.offset, record.timestamp)
        try:
            changes.take(record)
        except ValueError as error:
            place = (record.partition, record.offset)
            changes.problems.append((name_in_key(record.key), place, str(error)))
        await pacer.abreathe()
    return changes


def name_in_key(key: bytes | None) -> DocumentName:
    """Return the document that a record's key names; for another form no tenant, and the key as text."""
    if key is None:
        return "", ""
    try:
        return parse_document_key(key)
    except ValueError:
        return "", key.decode(errors="backslashreplace")
