"""The headers of records that clients write."""

from datetime import datetime

from schemas.feedback import Feedback
from schemas.headers import FIXED, Header, rfc3339, to_bytes
from schemas.question import Question


def request_headers(
    question: Question,
    now: datetime,
    *,
    correlation_id: str,
    reply_to: str | None = None,
    reply_partition: int | None = None,
    reply_deltas: bool = False,
    expires_at: datetime | None = None,
    traceparent: str | None = None,
) -> list[Header]:
    """Return the headers of a question, for a client that asks; both times in UTC.

    `reply_partition` and `reply_deltas` count with `reply_to` only.
    """
    headers = [
        ("correlation_id", to_bytes(correlation_id)),
        *FIXED,
        ("ce_id", to_bytes(question.id)),
        ("ce_type", b"kotae.question"),
        ("ce_time", rfc3339(now)),
        ("ce_partitionkey", to_bytes(question.conversation_id)),
    ]
    if reply_to is not None:
        headers.append(("reply_to", to_bytes(reply_to)))
        if reply_partition is not None:
            headers.append(("reply_partition", b"%d" % reply_partition))
        if reply_deltas:
            headers.append(("reply_deltas", b"true"))
    if expires_at is not None:
        headers.append(("ce_expirytime", rfc3339(expires_at)))
    if traceparent is not None:
        headers.append(("traceparent", to_bytes(traceparent)))
    return headers


def feedback_headers(feedback: Feedback, identity: str) -> list[Header]:
    """Return the headers of a feedback; `identity` is its own, the same however often it is sent."""
    return [
        *FIXED,
        ("ce_id", to_bytes(identity)),
        ("ce_type", b"kotae.feedback"),
        ("ce_time", rfc3339(feedback.at)),
        ("ce_partitionkey", to_bytes(feedback.conversation_id)),
        ("ce_causationid", to_bytes(feedback.question_id)),
    ]
