"""The keys of the cache: a hash of everything that an answer depends on. Pure.

Two texts are the same if they are equal after normalisation, which changes only invisible differences:
Unicode's canonical composition (NFC), line ends, and white space around the text. Every other difference
may change the meaning: case (US, us), compatibility forms (x², x2), white space within (indented code).

A key is a hash, so that it never holds a question's text. Each part is hashed with its length, so that
two different questions never make the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import msgspec

from agents.components import ToolSpec
from agents.knowledge.version import Version
from agents.language.composition import composed
from schemas.question import Question

KEY_BYTES = 20
_encode = msgspec.msgpack.Encoder().encode


class Offers(Protocol):
    """The tools that each question may use (see `agents.components.ToolExecutor`)."""

    def offered(self, question: Question) -> Sequence[ToolSpec]:
        """Return the tools' specifications, in the order in which a planner sees them."""
        ...


class Versions(Protocol):
    """The version of each tenant's knowledge (see `agents.knowledge.version.KnowledgeVersions`)."""

    def of(self, tenant: str) -> Version | None:
        """Return the version of the knowledge that a search finds now; None: it is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """A question's key, with the parts that decide later whether its answer may be kept."""

    digest: bytes
    tenant: str
    version: Version
    tools: Sequence[ToolSpec]


class AnswerKeys:
    """Makes the keys of one pipeline.

    Args:
        made_by: everything else that decides on answers: the model and its parameters, the prompt,
            settings. It is hashed; two processes that would answer differently must differ in it.
        offers: returns the tools of a question.
        versions: returns the version of a tenant's knowledge.
    """

    def __init__(self, made_by: object, offers: Offers, versions: Versions) -> None:
        self._made_by = blake2b(_encode(made_by), digest_size=KEY_BYTES)
        self._offers = offers
        self._versions = versions

    def of(self, question: Question) -> AnswerKey | None:
        """Return the question's key; None: the version of the knowledge is unknown."""
        version = self._versions.of(question.tenant)
        if version is None:
            return None
        tools = self._offers.offered(question)
        history = [(turn.role, normalised(turn.content)) for turn in question.history]
        parts: tuple[object, ...] = question.tenant, normalised(question.text), history, tools, version
        if question.instructions:
            parts = *parts, normalised(question.instructions)
        hashed = self._made_by.copy()
        hashed.update(_encode(parts))
        return AnswerKey(hashed.digest(), question.tenant, version, tools)

    def holds(self, key: AnswerKey) -> bool:
        """Whether the tenant's knowledge has not changed since the key was made."""
        return self._versions.of(key.tenant) == key.version


def normalised(text: str) -> str:
    """Return the text without its invisible differences (see the module's docstring)."""
    text = composed("NFC", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return text.strip()
