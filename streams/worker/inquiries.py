"""A record of `questions` becomes an inquiry: its value and its headers are decoded here, once."""

from dataclasses import replace

from aiokafka import ConsumerRecord

from schemas.answer import Source
from schemas.codec import DecodeError, UndecodableError, decode_question
from schemas.fingerprint import fingerprint
from schemas.headers import parse_request_headers
from streams.kafka.header_names import UNREADABLE
from streams.publishing.gate import Gate
from streams.publishing.records import Inquiry


def decode_record(record: ConsumerRecord, gate: Gate) -> Inquiry:
    """Decode a record. Never raises: the inquiry says why a record holds no question.

    `gate`: the gate of the record's partition.
    """
    headers_lost = bool(record.headers) and record.headers[-1] is UNREADABLE
    if headers_lost:
        record = replace(record, headers=record.headers[:-1])
    source = Source(record.topic, record.partition, record.offset)
    inquiry = Inquiry(
        record, source, parse_request_headers(record.headers), gate=gate, headers_lost=headers_lost
    )
    try:
        question = inquiry.question = decode_question(record.value, inquiry.warn)
        if headers_lost:
            # The lost headers may have named a deadline or a reply topic.
            raise UndecodableError(
                "the name of a header is not UTF-8; the dead letter leaves such headers out"
            )
        inquiry.fingerprint = fingerprint(question)
    except DecodeError as error:
        # The inquiry keeps it, and its traceback's frames hold every caller, up to the whole polled batch:
        # memory that only the garbage collector would free, in its own time.
        error.__context__ = None
        inquiry.problem = error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - a defect becomes the outcome of its own record
        inquiry.problem = error
    return inquiry
