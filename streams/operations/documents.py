"""An operator's view of `documents`: the records of the topic, and those that workers skipped."""

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import aiohttp
import orjson
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from agents.knowledge.index import DocumentName
from schemas.document import Document, document_key
from schemas.topics import Topics
from streams.ingestion.sending import DocumentSender
from streams.kafka.authorization import document_rights
from streams.kafka.reading import aread_to_end
from streams.kafka.topics import acheck_topics
from streams.knowledge.changes import Changes, name_in_key
from streams.knowledge.holders import Holders
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka, Worker

STATE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """A document as the topic holds it: its last record."""

    document: Document
    record: ConsumerRecord


async def aread_documents(kafka: Kafka, *, write: bool = False) -> dict[DocumentName, KeptDocument]:
    """Read every document that `documents` holds, by its name; `write`: they are to be changed.

    Raises:
        OperatorError: there is no broker, no topic, or a right is missing.
    """
    kept: dict[DocumentName, KeptDocument] = {}
    changes = Changes(Holders())
    async for record in _records(kafka, write=write):
        changes.latest.clear()
        try:
            changes.take(record)
        except ValueError:
            continue  # no document; 'kotae documents problems' tells of it
        for name, document in changes.latest.items():
            kept.pop(name, None)
            if document is not None:
                kept[name] = KeptDocument(document, record)
    return kept


async def aread_problems(urls: Sequence[str]) -> list[dict[str, Any]]:
    """Read the skipped documents from the `/state` of workers, each document once, oldest first.

    Raises:
        OperatorError: a worker does not answer.
    """
    found: dict[DocumentName, dict[str, Any]] = {}
    timeout = aiohttp.ClientTimeout(total=STATE_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for url in urls:
            at = f"{url.rstrip('/').removesuffix('/state')}/state"
            try:
                async with session.get(at) as response:
                    response.raise_for_status()
                    problems = orjson.loads(await response.read())["knowledge"]["problems"]
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                raise OperatorError(
                    f"cannot read the state of a worker at {at} ({type(error).__name__}: {error}): "
                    "name the address of a worker's status port with --url"
                ) from error
            found |= {(each["tenant"], each["id"]): each for each in problems}
    return sorted(found.values(), key=lambda each: str(each["at"]))


def state_urls(worker: Worker) -> list[str]:
    """Return the addresses of the status ports that the settings give to the workers on this machine.

    Raises:
        OperatorError: they are turned off.
    """
    if not worker.http_port:
        raise OperatorError(
            "KOTAE_WORKER__HTTP_PORT is 0: name the address of a worker's status port with --url"
        )
    host = worker.http_host or "127.0.0.1"
    with contextlib.suppress(ValueError):  # a name
        address = ip_address(host)
        host = "127.0.0.1" if address.is_unspecified else host
        host = f"[{host}]" if ":" in host else host
    return [f"http://{host}:{worker.http_port + number}" for number in range(max(1, worker.processes))]


async def aretry(kafka: Kafka, names: Collection[DocumentName]) -> dict[DocumentName, bool]:
    """Write the last record under each document's key once more, so that workers try it again.

    Returns whether there was one to write, for each name: a key may have been deleted, or never written.

    Raises:
        OperatorError: a record cannot be read or written.
    """
    wanted = set(names)
    keys: dict[DocumentName, bytes | None] = {}
    last: dict[bytes | None, ConsumerRecord] = {}
    changes = Changes(Holders())
    async for record in _records(kafka, write=True):
        changes.latest.clear()
        named = {name_in_key(record.key)}
        try:
            changes.take(record)
        except ValueError:
            pass  # its key names it, then
        else:
            named = {name for name, document in changes.latest.items() if document is not None}
        for name in named & wanted:
            keys[name] = record.key
        if record.key in last or named & wanted:
            last[record.key] = record
    found = {name: last[keys[name]] for name in names if name in keys}
    again = {name: record for name, record in found.items() if record.value is not None}
    async with DocumentSender(kafka) as sender:
        for name, record in again.items():
            await sender.put(name, record.key, record.value, record.headers)
    return {name: name in again and name not in sender.too_large for name in names}


async def adelete(kafka: Kafka, documents: Collection[KeptDocument]) -> None:
    """Write a tombstone under the key that holds each document.

    Raises:
        OperatorError: a record cannot be written.
    """
    async with DocumentSender(kafka) as sender:
        for kept in documents:
            name = (kept.document.tenant, kept.document.id)
            await sender.put(name, kept.record.key or document_key(*name), None)


async def _records(kafka: Kafka, *, write: bool) -> AsyncIterator[ConsumerRecord]:
    topic = Topics(kafka.topic_prefix).documents
    await acheck_topics(kafka, needed=[topic], rights=document_rights(kafka, write=write))
    try:
        async for record in aread_to_end(kafka, topic):
            yield record
    except KafkaError as error:
        raise OperatorError(f"cannot read the topic {topic}: {error!r}") from error
