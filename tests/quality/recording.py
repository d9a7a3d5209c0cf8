"""A retriever that keeps what it found, for the product to load as a component (`COMPONENTS.RETRIEVER`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.components import Call, Passage, Retriever
from agents.loading import Resources
from schemas.question import Question

FOUND: dict[str, Sequence[Passage]] = {}
"""The passages by question. The settings name a component by its module, so it can be reached so only."""


@dataclass(frozen=True, slots=True)
class RecordingRetriever:
    inner: Retriever

    async def aretrieve(self, question: Question, call: Call) -> Sequence[Passage]:
        FOUND[question.id] = passages = await self.inner.aretrieve(question, call)
        return passages


def recording_retriever(resources: Resources) -> RecordingRetriever:
    return RecordingRetriever(resources.retriever)
