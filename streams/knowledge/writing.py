"""Writes the changes of records into the index, and waits for as long as its server does not take them.

A record is skipped only for its own fault: it is no document, or the index refuses it while it takes a
control document before and after it. Anything else is trouble of the server or of its settings.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any

from agents.errors import DependencyError, PermanentError
from agents.knowledge.index import DocumentName, EmbeddingIndex, Index, KeyedIndex, OwnIndex, Positions
from agents.knowledge.vectors import CONTROL_TEXT, OWN_FAULTS, Refusal
from agents.knowledge.version import KnowledgeVersions
from schemas.document import Document
from streams.knowledge.changes import Changes
from streams.knowledge.holders import Holders
from streams.knowledge.skipped import Skipped
from streams.knowledge.waiting import Waiting
from streams.telemetry.hook import Hook

log = logging.getLogger(__name__)

CONTROL = Document(id="control", tenant="", text=CONTROL_TEXT)
"""In the index for a moment, for a tenant that no question can have."""


class IndexWriter:
    """Writes records into one index, in their order.

    Attributes:
        holders: which keys hold which documents.
        skipped: the records that were skipped.
        records, documents, tombstones: how many were read, and written.
    """

    def __init__(
        self,
        index: Index,
        versions: KnowledgeVersions,
        waiting: Waiting,
        hook: Hook,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._index = index
        self._versions = versions
        self._waiting = waiting
        self._hook = hook
        self._wall_clock = wall_clock
        self.holders = Holders()
        self.skipped = Skipped()
        self.records = self.documents = self.tombstones = 0
        # Where the documents that may still lack their vectors come from.
        self._bare: dict[DocumentName, tuple[int, int]] = {}

    def note(self, changes: Changes) -> None:
        """Take in what records say that are not written now: a later record may say something else."""
        self.records += changes.records
        for name, place, problem in changes.problems:
            self._skip(name, place, f"not a document: {problem}")
        self.holders.settle(changes.holders)
        self.skipped.indexed(changes.latest.keys())

    async def aremove(self, names: Collection[DocumentName]) -> None:
        """Remove documents that the topic does not hold; wait until the index has done so."""
        for name in names:
            await self._auntil_done(partial(self._index.adelete, *name))
        self.tombstones += len(names)
        self._hook.knowledge_changed(0, len(names))

    async def awrite(self, partition: int, changes: Changes, timed_from: float = math.inf) -> None:
        """Write the changes that records of a partition make to `holders`; wait until the index has them.

        The hook is told how long they took, of the records from the offset `timed_from` on: those before it
        were there already when the worker started.
        """
        self.records += changes.records
        if not isinstance(self._index, OwnIndex):  # it tells itself when it begins
            self._versions.changing(changes.marks)
        for name, place, problem in changes.problems:
            self._skip(name, place, f"not a document: {problem}")
        refused = await self._awrite_documents(changes)
        if changes.deleted:
            self._versions.changing(changes.marks)
        for name in changes.deleted:
            await self._auntil_done(partial(self._index.adelete, *name))
        keys = changes.keys
        if keys and isinstance(self._index, KeyedIndex):
            await self._auntil_done(partial(self._index.ahold, keys))
        self.holders.settle(changes.holders)
        self.skipped.indexed(changes.latest.keys() - refused)
        self._versions.changed(partition, changes.marks, {tenant for tenant, _ in refused})
        if changes.last is not None:  # in the same step: a search must not see these records and not this
            self._versions.read_to(partition, changes.last.offset + 1, changes.last.timestamp)
        self._note_bare(changes)
        indexed = len(changes.documents) - len(refused)
        self.documents += indexed
        self.tombstones += len(changes.deleted)
        self._hook.knowledge_changed(indexed, len(changes.deleted))
        for name, timestamp in changes.times.items():
            if changes.places[name][1] >= timed_from and name not in refused:
                self._hook.knowledge_delayed(name[0], max(0.0, self._wall_clock() - timestamp / 1000))

    def notes(self, topic: str) -> list[str]:
        """Say how many records were skipped, if any."""
        listed = len(self.skipped.listed())
        if not self.skipped.count and not listed:
            return []
        count = f"{self.skipped.count} of {self.records} records of {topic} were skipped"
        if not self.skipped.count:
            count = f"{listed} documents of {topic} were skipped before"
        return [f"{count}: 'kotae documents problems' lists them"]

    def state(self) -> dict[str, Any]:
        """Return its part of `/state`."""
        return {
            "documents": self.documents,
            "tombstones": self.tombstones,
            "skipped": self.skipped.count,
            "problems": self.skipped.listed(),
        }

    def restore(self, saved: Positions) -> None:
        """Begin with the state that was saved with the index."""
        self.holders.restore(saved.held)
        self.skipped.restore(saved.skipped)

    def forget(self) -> None:
        """Begin with nothing: all records are read again."""
        self.holders.restore({})
        self.skipped.clear()

    def refused(self, refusal: Refusal) -> None:
        """Note a document whose text the embeddings refuse: it is found by words alone."""
        name = (refusal.tenant, refusal.document_id)
        if name in self.skipped:
            return  # it was tried once more, after a rebalance or a restart
        self._skip(name, self._bare.get(name), f"found by words alone: {refusal.reason}")

    async def _awrite_documents(self, changes: Changes) -> set[DocumentName]:
        """Return the documents that the index refuses."""
        refused: set[DocumentName] = set()
        documents = changes.documents
        if not documents:
            return refused
        try:
            await self._auntil_done(self._upsert(documents, changes), may_refuse=True)
        except PermanentError:
            # Perhaps one of them is the cause: the others must not be lost with it.
            for document in documents:
                name = (document.tenant, document.id)
                try:
                    await self._awrite_alone(document, changes)
                except PermanentError as error:
                    refused.add(name)
                    self._skip(name, changes.places[name], f"the index refuses it: {error}")
        return refused

    def _upsert(self, documents: Sequence[Document], changes: Changes) -> Callable[[], Awaitable[None]]:
        if isinstance(self._index, OwnIndex):
            return partial(self._index.aupsert, documents, partial(self._versions.changing, changes.marks))
        return partial(self._index.aupsert, documents)

    async def _awrite_alone(self, document: Document, changes: Changes) -> None:
        """Index one document.

        Raises:
            PermanentError: the index refuses it, and takes a control document before and after it.
        """
        write = self._upsert([document], changes)
        try:
            await self._auntil_done(write, may_refuse=True)
        except PermanentError:
            await self._auntil_done(self._atake_control)
            try:
                await self._auntil_done(write, may_refuse=True)
            except PermanentError:
                await self._auntil_done(self._atake_control)
                raise

    async def _atake_control(self) -> None:
        await self._index.aupsert([CONTROL])
        await self._index.adelete(CONTROL.tenant, CONTROL.id)

    async def _auntil_done(self, change: Callable[[], Awaitable[None]], *, may_refuse: bool = False) -> None:
        """Repeat a change until the index has it.

        Raises:
            PermanentError: the index refuses it as a request of its kind is refused (with `may_refuse`).
        """
        while True:
            try:
                await change()
            except DependencyError as error:
                if may_refuse and isinstance(error, PermanentError) and error.status in {None, *OWN_FAULTS}:
                    raise
                if not isinstance(self._index, OwnIndex):  # it is a server
                    self._hook.attempt_failed(error.dependency, error)
                await self._waiting.apause(str(error), error.retry_after_s)
            else:
                self._waiting.over()
                return

    def _note_bare(self, changes: Changes) -> None:
        if isinstance(self._index, EmbeddingIndex) and self._index.lacking:
            self._bare |= changes.places
        else:
            self._bare.clear()

    def _skip(self, name: DocumentName, place: tuple[int, int] | None, reason: str) -> None:
        self.skipped.add(name, place, reason)
        tenant, document_id = name
        at = "" if place is None else f" (partition {place[0]}, offset {place[1]})"
        self._hook.document_skipped(f"{document_id!r} of {tenant!r}{at}: {reason}")
