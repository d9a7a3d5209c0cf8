"""Tells whether a question is the same as one before, by its identity and its content."""

from hashlib import sha256
from typing import NamedTuple

import msgspec

from schemas.question import Question

DIGEST_BYTES = 16
"""Bytes that are kept of a hash where many are: two that differ are alike once in 2^64 questions."""

_encode = msgspec.json.Encoder().encode


class Fingerprint(NamedTuple):
    """A question's identity and content.

    Attributes:
        identity: of tenant, conversation and id, in 16 bytes.
        digest: SHA-256 of all that the question asks; 32 bytes.
    """

    identity: bytes
    digest: bytes

    @property
    def short(self) -> bytes:
        """Both in 16 bytes."""
        return short_of(self.identity, self.digest)


def fingerprint(question: Question) -> Fingerprint:
    """Return a question's fingerprint. Ways to deliver it (`stream`, `metadata`) are no part of it."""
    # Written out, because every question has one.
    names = question.tenant, question.conversation_id, question.id
    says: tuple[object, ...] = question.text, question.history, question.tools
    if question.instructions:  # an older worker's digest of a question without them must stay the same
        says = *says, question.instructions
    return Fingerprint(sha256(_encode(names)).digest()[:DIGEST_BYTES], sha256(_encode(says)).digest())


def digest_of(question: Question) -> bytes:
    """Return the SHA-256 of text, history, tools and instructions, in 32 bytes."""
    # As JSON, so that no character can move from one part into another.
    says: tuple[object, ...] = question.text, question.history, question.tools
    if question.instructions:
        says = *says, question.instructions
    return sha256(_encode(says)).digest()


def identity_of(tenant: str, conversation_id: str, question_id: str) -> bytes:
    """Return the hash of a question's three names, in 16 bytes."""
    return sha256(_encode((tenant, conversation_id, question_id))).digest()[:DIGEST_BYTES]


def short_of(identity: bytes, digest: bytes) -> bytes:
    """Return the hash of identity and digest, in 16 bytes."""
    return sha256(identity + digest).digest()[:DIGEST_BYTES]
