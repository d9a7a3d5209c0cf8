"""The outcomes that records of `answers` claim to be, and whether they are. Pure.

A record of `answers` names its question's record by topic, partition and offset. Where `questions` was
deleted and created again, the answers of the old topic name offsets of the new one. So where no map says
which offsets are done, such a claim counts only if it names the id of the question that is there now, and
is not older than it. A claim that names no id is judged by its time alone.

A record that has the id, the offset and an earlier time of a record of the old topic (a backup that was
restored, say) is the same question, and has its answer. If the clock of the worker that answered was ahead
of the broker's, an old claim on an equal id may count wrongly; if it was behind, a question may be answered
again.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from aiokafka import ConsumerRecord

from schemas.codec import DecodeError, decode_question
from schemas.fingerprint import identity_of, short_of
from schemas.headers import question_digest
from streams.consumer.repeats import FAILED, Entry, Result

log = logging.getLogger(__name__)


class Claim(NamedTuple):
    """An outcome of the record at `offset`, by a question's id and in unix milliseconds."""

    offset: int
    question_id: str | None
    written_ms: int


class _Source(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Written(msgspec.Struct):
    source: _Source
    question_id: object = None
    tenant: object = None
    conversation_id: object = None
    status: object = None
    tool_calls: msgspec.Raw = msgspec.Raw(b"[]")


_NO_CALLS = {b"[]", b"null"}
_read = msgspec.json.Decoder(_Written).decode


class Told(NamedTuple):
    """A record of `answers`, and its parts that tell whose outcome it is."""

    record: ConsumerRecord
    written: _Written

    @property
    def claim(self) -> Claim:
        """The claim that the record makes."""
        question_id = self.written.question_id
        identifier = question_id if isinstance(question_id, str) else None
        return Claim(self.written.source.offset, identifier, self.record.timestamp)

    @property
    def failed(self) -> bool:
        """Whether the outcome is a failed one."""
        return self.written.status == "failed"

    @property
    def result(self) -> Entry | None:
        """The result for a repeat of the question; None: it failed before any tool, or tells too little."""
        written, digest = self.written, question_digest(self.record.headers)
        tenant, conversation_id, question_id = written.tenant, written.conversation_id, written.question_id
        if digest is None or (self.failed and bytes(written.tool_calls) in _NO_CALLS):
            return None
        if not isinstance(tenant, str) or not isinstance(conversation_id, str):
            return None
        if not isinstance(question_id, str):
            return None
        identity = identity_of(tenant, conversation_id, question_id)
        position = FAILED if self.failed else self.record.offset
        result = Result(position, written.source.offset, self.record.timestamp / 1000)
        return Entry(identity, short_of(identity, digest), result)


def read_outcomes(records: Iterable[ConsumerRecord], topic: str, partition: int) -> Iterator[Told]:
    """Read the outcomes of records of this partition; records of other writers are none."""
    for record in records:
        try:
            written = _read(record.value or b"")
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            continue
        if written.source.topic == topic and written.source.partition == partition:
            yield Told(record, written)


def holds(claim: Claim, record: ConsumerRecord) -> bool:
    """Return whether the claim is an outcome of the record that is at its offset now."""
    return claim.written_ms >= record.timestamp and claim.question_id in (None, question_id_of(record))


def question_id_of(record: ConsumerRecord) -> str:
    """Return the id that an outcome of this record of `questions` bears."""
    salvaged: str | None = None
    try:
        return decode_question(record.value).id
    except DecodeError as error:
        salvaged = error.salvaged.question_id
    except Exception as error:  # noqa: BLE001 - its handler makes a failed answer of any defect, too
        log.debug("a question cannot be decoded: %r", error)
    return salvaged or f"{record.topic}/{record.partition}/{record.offset}"
