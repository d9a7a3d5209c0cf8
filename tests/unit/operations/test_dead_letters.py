"""The records that are read to decide on dead letters."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import pytest
from aiokafka import ConsumerRecord

from schemas.errors import Disposition
from streams.kafka.options import COMMITTED
from streams.operations import dead_letters
from streams.operations.letters import Letter
from streams.publishing.outcomes import TRUNCATED_BYTES
from streams.settings.model import Kafka
from tests.unit.operations.test_redrive import VALUE, letter

LARGE = b'{"id": "q", "text": "%s"}' % (b"w" * TRUNCATED_BYTES)
CUT = letter(5, disposition=Disposition.TRUNCATED, value=LARGE[:TRUNCATED_BYTES])


@pytest.mark.parametrize(
    ("letters", "there", "all_read"),
    [
        ([letter(5)], VALUE, False),
        ([letter(5)], b"another question", True),
        ([CUT], LARGE, False),
        ([letter(5, value=LARGE), CUT], LARGE, False),
        ([letter(5), CUT], LARGE, True),
    ],
)
async def test_all_questions_are_read_only_if_another_record_is_at_a_letters_place(
    monkeypatch: pytest.MonkeyPatch, letters: list[Letter], there: bytes, all_read: bool
) -> None:
    reads: list[Mapping[int, int] | None] = []

    async def read(
        _: Kafka,
        topic: str,
        *,
        since: Mapping[int, int] | None = None,
        since_ms: int | None = None,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> AsyncIterator[ConsumerRecord]:
        assert (options == COMMITTED) == topic.endswith("questions")
        if topic.endswith("questions"):
            reads.append(since)
            yield ConsumerRecord(topic, 2, 5, 0, 0, None, there, None, 0, 0, ())

    async def check(_: Kafka, *, needed: list[str]) -> None: ...

    monkeypatch.setattr(dead_letters, "aread_to_end", read)
    monkeypatch.setattr(dead_letters, "acheck_topics", check)
    await dead_letters.adecide(Kafka(bootstrap_servers="localhost:9092"), letters)
    assert reads == [{2: 5}, *([None] if all_read else [])]
