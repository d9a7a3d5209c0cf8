"""Writes documents to their topic."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas.codec import encode
from schemas.document import Document, document_key
from schemas.topics import DOCUMENT_MAX_BYTES, Topics
from streams.kafka.authorization import ingest_rights
from streams.kafka.options import client_options
from streams.kafka.topics import acheck_topics
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

IN_FLIGHT = 500
"""The most documents that are sent and not yet acknowledged."""

REQUEST_MAX_BYTES = DOCUMENT_MAX_BYTES - 1024
"""The topic's limit counts a whole batch, headers included."""


INGESTED_HEADER = "kotae_ingest"
"""The header of what `kotae ingest` wrote: `--prune` deletes nothing else."""

Headers = Sequence[tuple[str, bytes]]


class DocumentSender:
    """Writes documents, acknowledged by all replicas, at most `IN_FLIGHT` at once. An async context manager.

    Leaving it without an error waits until all documents are written. `too_large` then lists (tenant, id) of
    the documents that are too large for the topic.

    Raises:
        OperatorError: no broker, no topic, or the broker refuses a document.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.topic = Topics(kafka.topic_prefix).documents
        self.too_large: list[tuple[str, str]] = []
        self._pending: dict[asyncio.Future[object], tuple[str, str]] = {}
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        await acheck_topics(self._kafka, needed=[self.topic], rights=ingest_rights(self._kafka))
        self._producer = AIOKafkaProducer(
            **client_options(self._kafka),
            acks="all",
            enable_idempotence=True,
            max_request_size=REQUEST_MAX_BYTES,
            linger_ms=5,
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._producer is not None  # noqa: S101 - a context that was entered
        try:
            if kind is None:
                await self._wait_for_at_most(0)
        finally:
            for future in self._pending:
                future.cancel()
            await self._producer.stop()

    async def send(self, document: Document) -> None:
        """Send a document that was ingested; waits while `IN_FLIGHT` documents are not acknowledged."""
        name = (document.tenant, document.id)
        await self.put(name, document_key(*name), encode(document), [(INGESTED_HEADER, b"1")])

    async def put(
        self, name: tuple[str, str], key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None:
        """Send a record as it stands; a null value deletes the document that `key` holds."""
        assert self._producer is not None  # noqa: S101 - a context that was entered
        await self._wait_for_at_most(IN_FLIGHT - 1)
        try:
            future = await self._producer.send(self.topic, value, key, headers=list(headers))
        except MessageSizeTooLargeError:
            self.too_large.append(name)
        except KafkaError as error:
            raise self._refused(error) from error
        else:
            self._pending[future] = name

    async def _wait_for_at_most(self, most: int) -> None:
        """Wait until at most `most` documents are not acknowledged."""
        while len(self._pending) > most:
            done, _ = await asyncio.wait(self._pending, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                sent = self._pending.pop(future)
                error = future.exception()
                if isinstance(error, MessageSizeTooLargeError):
                    self.too_large.append(sent)
                elif error is not None:
                    raise self._refused(error) from error

    def _refused(self, error: BaseException) -> OperatorError:
        return OperatorError(
            f"the cluster at {self._kafka.bootstrap_servers} refused a document for the topic {self.topic}: "
            f"{type(error).__name__} {error}"
        )
