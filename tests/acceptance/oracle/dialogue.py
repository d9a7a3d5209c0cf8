"""A scenario's own questions and documents, and the answers to them."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.codec import encode
from schemas.document import Document
from schemas.question import Question
from streams.ingestion.sending import DocumentSender
from tests.acceptance.oracle.world import World
from tests.support.engine import end_offsets, read_topic

WARRANTY = Document(
    id="warranty",
    tenant="default",
    title="Warranty",
    text="The warranty of the Heron lasts three years. Batteries are not part of it.",
)
WARRANTY_ASKED = "How long does the warranty of the Heron last?"


@dataclass(frozen=True)
class Told:
    """One answer, with the times by the broker's clock, in unix seconds, of its question and itself."""

    answer: dict[str, Any]
    asked_at: float
    told_at: float

    @property
    def id(self) -> str:
        """The question's id."""
        return str(self.answer["question_id"])

    @property
    def status(self) -> str:
        """The answer's status."""
        return str(self.answer["status"])

    @property
    def took_s(self) -> float:
        """How long the asker waited."""
        return self.told_at - self.asked_at


async def teach(world: World, *documents: Document) -> None:
    """Put documents onto their topic."""
    async with DocumentSender(world.kafka) as sender:
        for document in documents:
            await sender.send(document)


async def ask(
    world: World,
    questions: Sequence[Question],
    over_s: float = 0.0,
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Send questions evenly over a time."""
    start = time.monotonic()
    sending = []
    for number, question in enumerate(questions, 1):
        key = question.conversation_id.encode()
        sending.append(asyncio.ensure_future(world.send(question.id, key, encode(question), headers)))
        await asyncio.sleep(max(0.0, start + over_s * number / len(questions) - time.monotonic()))
    await asyncio.gather(*sending)


def about_warranty(prefix: str, count: int, **fields: Any) -> list[Question]:
    """Questions that `WARRANTY` answers, each of a conversation of its own."""
    return [Question(id=f"{prefix}{number}", text=WARRANTY_ASKED, **fields) for number in range(count)]


async def all_told(world: World) -> list[Told]:
    """Every answer so far, in the order in which they were given."""
    answers, questions = await asyncio.gather(
        *(_whole(world, topic) for topic in (world.topics.answers, world.topics.questions))
    )
    asked_at = {(record.partition, record.offset): record.timestamp / 1000 for record in questions}
    told = []
    for record in answers:
        answer = orjson.loads(record.value)
        source = answer["source"]["partition"], answer["source"]["offset"]
        told.append(Told(answer, asked_at[source], record.timestamp / 1000))
    return sorted(told, key=lambda one: one.told_at)


async def _whole(world: World, topic: str) -> Sequence[Any]:
    count = sum((await end_offsets(world.kafka, topic)).values())
    return await read_topic(world.kafka, topic, count)


def quotes_hold(answers: Iterable[Told], documents: Iterable[Document]) -> bool:
    """Whether each answer cites something, and each quote stands in the document that it names."""
    texts = {document.id: document.text for document in documents}
    return all(
        one.answer["citations"]
        and all(quote["quote"] in texts[quote["document_id"]] for quote in one.answer["citations"])
        for one in answers
    )
