"""The message on the `questions` topic."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

TEXT_MAX = 32_768
"""Characters of the longest question; a longer one is `too_large`."""

INSTRUCTIONS_MAX = 8_000
"""Characters of the longest instructions; longer ones are `invalid`."""

Identifier = Annotated[str, Meta(min_length=1, max_length=128)]


class Turn(Struct, frozen=True):
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: str


class Question(Struct, frozen=True, kw_only=True):
    """A question. Only `id` and `text` are required; unknown fields are ignored."""

    id: Annotated[Identifier, Meta(description="The producer's idempotency key.")]
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX, pattern=r"\S")]
    conversation_id: Annotated[
        str,
        Meta(
            max_length=128,
            description="Questions of one conversation are answered in order. Default: the id.",
        ),
    ] = ""
    tenant: Annotated[
        Identifier, Meta(description="Its documents and tools may be used, and no other tenant's.")
    ] = "default"
    history: tuple[Turn, ...] = ()
    tools: Annotated[
        tuple[str, ...] | None, Meta(description="Names of the tools allowed; default: all of the tenant's.")
    ] = None
    stream: Annotated[bool, Meta(description="Publish the answer's tokens on `answers.deltas` too.")] = False
    metadata: Annotated[dict[str, Any], Meta(description="Echoed in the answer.")] = {}
    instructions: Annotated[
        str,
        Meta(
            max_length=INSTRUCTIONS_MAX,
            description="Persona and style of the answer, told to the model below Kotae's own rules.",
        ),
    ] = ""

    def __post_init__(self) -> None:
        if not self.conversation_id:
            msgspec.structs.force_setattr(self, "conversation_id", self.id)
