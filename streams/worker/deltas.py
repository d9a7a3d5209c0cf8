"""The pieces of one streaming answer, as records."""

from schemas.event import AnswerDelta
from schemas.question import Question
from streams.publishing.copies import Copies
from streams.publishing.outcomes import Outcomes
from streams.publishing.records import Inquiry


class Deltas:
    """The pieces of one streaming answer (`agents.components.DeltaSink`)."""

    __slots__ = ("_copies", "_epoch", "_inquiry", "_outcomes", "_question", "_sequence")

    def __init__(
        self, outcomes: Outcomes, copies: Copies, inquiry: Inquiry, question: Question, now: float
    ) -> None:
        self._outcomes = outcomes
        self._copies = copies
        self._inquiry = inquiry
        self._question = question
        # A later run of the question starts later, and so has a higher epoch.
        self._epoch = int(now * 1000)
        self._sequence = 0

    def __call__(self, text: str) -> None:
        """Send a piece of the text."""
        self._send(text, last=False)

    def close(self) -> None:
        """Send the last piece, which is empty: it tells readers that no more will come."""
        self._send("", last=True)

    def _send(self, text: str, *, last: bool) -> None:
        delta = AnswerDelta(
            question_id=self._question.id,
            conversation_id=self._question.conversation_id,
            epoch=self._epoch,
            sequence=self._sequence,
            text=text,
            done=last,
        )
        self._sequence += 1
        self._copies.delta(self._outcomes.delta(self._inquiry, delta), last=last)
