"""The repeats of questions, without a broker."""

from typing import Any

from schemas.answer import Answer
from schemas.codec import decode_answer
from streams.consumer.repeats import Repeats
from streams.publishing.records import Outcome
from streams.worker.first_answers import GoneError
from streams.worker.repeating import Repeating


class AnswersInMemory:
    """Reads what was published, in place of a topic.

    Attributes:
        problem: raised by each reading, in place of an answer.
    """

    def __init__(self, published: list[Outcome]) -> None:
        self.published = published
        self.problem: Exception | None = None
        self.read: list[tuple[int, int]] = []

    async def aread(self, partition: int, position: int, offset: int, *, limit_s: float) -> Answer:
        self.read.append((position, offset))
        if self.problem is not None:
            raise self.problem
        for outcome in self.published[position:]:
            if outcome.message.source.offset == offset:
                return decode_answer(outcome.answer.value)
        raise GoneError("it is gone")


def repeating_of(reader: Any = None) -> Repeating:
    return Repeating(Repeats(window_s=3600.0, most=100), reader or AnswersInMemory([]))
