"""The message on the `feedback` topic: what somebody thinks of an answer."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.answer import Instant, Source
from schemas.question import Identifier

COMMENT_MAX = 2_000
"""Characters of the longest comment."""

TAGS_MAX = 10
"""The most tags of one feedback."""


Name = Annotated[str, Meta(min_length=1, max_length=512)]
"""An id as an answer has it: that of an unreadable question is the name of its record."""


class Feedback(Struct, frozen=True, kw_only=True):
    """A judgement of one answer. Of several about one `source`, the last one counts.

    The key of its record is the conversation id. Unknown fields are ignored.
    """

    question_id: Name
    conversation_id: Name
    source: Annotated[Source, Meta(description="The `source` of the answer.")]
    rating: Annotated[Literal[-1, 1], Meta(description="1: good; -1: bad.")]
    at: Annotated[Instant, Meta(description="The time at which it was given.")]
    tenant: Identifier = "default"
    response_id: Annotated[
        str, Meta(max_length=128, description="The name that an HTTP API gave the answer, if one did.")
    ] = ""
    comment: Annotated[str, Meta(max_length=COMMENT_MAX)] = ""
    tags: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=TAGS_MAX)
    ] = ()
