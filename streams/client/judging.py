"""Makes the record of what somebody thinks of an answer. Pure."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from schemas.answer import Answer
from schemas.client_headers import feedback_headers
from schemas.codec import decode_feedback, encode
from schemas.feedback import Feedback
from schemas.headers import Header

Rating = Literal[-1, 1]
"""1: good; -1: bad."""


def feedback_record(
    answer: Answer, rating: Rating, at: datetime, *, comment: str, tags: Sequence[str], response_id: str
) -> tuple[bytes, bytes, list[Header]]:
    """Return the key, the value and the headers of a feedback.

    Raises:
        DecodeError: a value is out of bounds.
    """
    feedback = Feedback(
        question_id=answer.question_id,
        conversation_id=answer.conversation_id,
        source=answer.source,
        rating=rating,
        at=at,
        tenant=answer.tenant,
        response_id=response_id,
        comment=comment,
        tags=tuple(tags),
    )
    value = encode(feedback)
    decode_feedback(value)  # the contract has the bounds
    return feedback.conversation_id.encode(), value, feedback_headers(feedback, str(uuid.uuid4()))
