"""Inquiries, answers and the maker of their records, with fixed times and names."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRecord

from schemas.answer import Answer, AnswerError, Source
from schemas.errors import ErrorCode
from schemas.headers import parse_request_headers
from schemas.question import Question
from schemas.topics import Topics
from streams.publishing.gate import Gate
from streams.publishing.outcomes import Outcomes
from streams.publishing.records import Inquiry
from streams.publishing.replies import ReplyTopics

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOPICS = Topics("t.")
COUNTS = {"replies": 4, "t.answers.replies": 64}


def outcomes(*, reply_topics: Collection[str] = ("replies",), **options: Any) -> Outcomes:
    replies = ReplyTopics(TOPICS, reply_topics, lambda topic: COUNTS.get(topic, 0))
    return Outcomes(TOPICS, **({"replies": replies, "group_id": "g", "now": lambda: NOW} | options))


def inquiry(
    *,
    key: bytes | None = b"c",
    value: bytes | None = b'{"id":"q"}',
    headers: tuple[tuple[str, bytes], ...] = (),
    asked: Question | None = None,
) -> Inquiry:
    record = ConsumerRecord("t.questions", 4, 9, 0, 0, key, value, None, 0, 0, headers)
    return Inquiry(record, Source("t.questions", 4, 9), parse_request_headers(headers), Gate(), asked)


def answer(**fields: Any) -> Answer:
    values: dict[str, Any] = {
        "id": "q",
        "question_id": "q",
        "conversation_id": "c",
        "tenant": "acme",
        "status": "answered",
        "source": Source("t.questions", 4, 9),
        "created_at": NOW,
        "text": "Yes.",
    }
    return Answer(**(values | fields))


def failed_answer(**fields: Any) -> Answer:
    return answer(
        status="failed", text="", error=AnswerError(ErrorCode.MODEL_UNAVAILABLE, "generate", "gone"), **fields
    )
