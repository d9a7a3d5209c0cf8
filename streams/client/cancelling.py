"""Calls questions back that a client has asked: each cancel is written after its question's record."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from schemas.answer import Source
from schemas.codec import encode
from schemas.control import Cancel, CancelReason
from schemas.question import Question

log = logging.getLogger(__name__)

CLOSE_S = 2.0
"""How long cancels that are on their way are waited for at the end."""


class Asked:
    """A question that a client waits for. Only when it is written, it can be cancelled."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.cancelled = False
        self.writing: asyncio.Task[RecordMetadata] | None = None

    def write(self, writing: Coroutine[Any, Any, RecordMetadata]) -> "asyncio.Future[RecordMetadata]":
        """Begin to write the question; cancelling the result does not stop that."""
        self.writing = asyncio.create_task(writing)
        return asyncio.shield(self.writing)


class Cancels:
    """The cancels of one client.

    Args:
        topic: `questions.control`, with its prefix.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._asked: set[Asked] = set()
        self._writing: set[asyncio.Task[None]] = set()

    def start(self, producer: AIOKafkaProducer | None) -> None:
        """Write with this producer; None: the cluster has no such topic, and nothing can be cancelled."""
        self._producer = producer

    async def aclose(self) -> None:
        """Wait for the cancels that are on their way, for `CLOSE_S` at most."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=CLOSE_S)
        for task in self._writing:
            task.cancel()
        self._producer = None

    @contextlib.contextmanager
    def of(self, question: Question) -> Iterator[Asked]:
        """Wait for an answer while the block lasts. If its task is cancelled, so is the question."""
        asked = Asked(question)
        self._asked.add(asked)
        try:
            yield asked
        except asyncio.CancelledError:
            self._cancel(asked, "disconnect")
            raise
        finally:
            self._asked.remove(asked)
            if asked.writing is not None and not asked.cancelled:
                asked.writing.cancel()

    def cancel(self, question_id: str) -> bool:
        """Cancel the questions with this id that are waited for; return whether there was one."""
        found = [asked for asked in self._asked if asked.question.id == question_id]
        return sum(self._cancel(asked, "request") for asked in found) > 0

    def _cancel(self, asked: Asked, reason: CancelReason) -> bool:
        producer, writing = self._producer, asked.writing
        if producer is None or writing is None:
            return False
        if not asked.cancelled:
            asked.cancelled = True
            task = asyncio.create_task(self._write(producer, asked.question, writing, reason))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
        return True

    async def _write(
        self,
        producer: AIOKafkaProducer,
        question: Question,
        writing: "asyncio.Task[RecordMetadata]",
        reason: CancelReason,
    ) -> None:
        try:
            written = await writing
            source = Source(written.topic, written.partition, written.offset)
            cancel = Cancel(
                type="cancel", source=source, tenant=question.tenant, reason=reason, at=datetime.now(UTC)
            )
            key = question.conversation_id.encode()
            await producer.send_and_wait(self._topic, encode(cancel), key=key, partition=source.partition)
        except Exception as error:  # noqa: BLE001 - nobody waits for it any more; aiokafka raises anything
            log.warning("question %s could not be cancelled: %r", question.id, error)
