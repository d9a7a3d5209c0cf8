"""What makes two questions the same: one hash of everything that an answer depends on. Pure.

Texts are the same after normalisation, which goes no further than what nobody can see: Unicode's
canonical composition (NFC), line ends, and white space around the text. Everything else may change what
is asked: case (US, us), compatibility forms (x², x2) and white space within (indented code).

The key is a hash, so that no question's text is ever in one; and it holds what it is made of with
lengths, so that no two different questions make the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import msgspec

from agents.components import ToolSpec
from agents.composition import composed
from agents.knowledge.version import Version
from schemas.question import Question

KEY_BYTES = 20
_encode = msgspec.msgpack.Encoder().encode


class Offers(Protocol):
    """What knows the tools that a question may use (see `agents.components.ToolExecutor`)."""

    def offered(self, question: Question) -> Sequence[ToolSpec]:
        """Their specifications, in the order in which a planner sees them."""
        ...


class Versions(Protocol):
    """What knows the version of a tenant's knowledge (`agents.knowledge.version.KnowledgeVersions`)."""

    def of(self, tenant: str) -> Version | None:
        """The version of what a search finds now; None: it cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """A question's key, and what of it may have changed by the time that there is an answer."""

    digest: bytes
    tenant: str
    version: Version
    tools: Sequence[ToolSpec]


class AnswerKeys:
    """Makes the keys of one pipeline.

    Args:
        made_by: what else decides on answers: the model and its parameters, the prompt, settings. It is
            hashed; two processes that would answer differently must differ in it.
        offers: gives the tools of a question.
        versions: gives the version of a tenant's knowledge.
    """

    def __init__(self, made_by: object, offers: Offers, versions: Versions) -> None:
        self._made_by = blake2b(_encode(made_by), digest_size=KEY_BYTES)
        self._offers = offers
        self._versions = versions

    def of(self, question: Question) -> AnswerKey | None:
        """The key; None: the state of the knowledge cannot be told, so that nothing can be the same."""
        version = self._versions.of(question.tenant)
        if version is None:
            return None
        tools = self._offers.offered(question)
        history = [(turn.role, normalised(turn.content)) for turn in question.history]
        hashed = self._made_by.copy()
        hashed.update(_encode((question.tenant, normalised(question.text), history, tools, version)))
        return AnswerKey(hashed.digest(), question.tenant, version, tools)

    def holds(self, key: AnswerKey) -> bool:
        """Whether the tenant's knowledge is still what it was when the key was made."""
        return self._versions.of(key.tenant) == key.version


def normalised(text: str) -> str:
    """The text without what nobody can see of it."""
    text = composed("NFC", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return text.strip()
