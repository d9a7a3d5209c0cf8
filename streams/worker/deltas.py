"""The pieces of one streaming answer, as records."""

from schemas.event import AnswerDelta
from schemas.question import Question
from streams.publishing.copies import Copies
from streams.publishing.outcomes import Outcomes
from streams.publishing.records import Inquiry


class Deltas:
    """The pieces of one streaming answer (`agents.components.DeltaSink`)."""

    __slots__ = ("_copies", "_epoch", "_inquiry", "_outcomes", "_question", "_sent", "_sequence")

    def __init__(
        self, outcomes: Outcomes, copies: Copies, inquiry: Inquiry, question: Question, now: float
    ) -> None:
        self._outcomes = outcomes
        self._copies = copies
        self._inquiry = inquiry
        self._question = question
        # Two runs differ in it. Their order is that of their records: clocks of two workers are none.
        self._epoch = int(now * 1000)
        self._sequence = 0
        self._sent: list[str] = []

    def __call__(self, text: str) -> None:
        """Send a piece of the text."""
        self._sent.append(text)
        self._send(text)

    def close(self, text: str | None) -> None:
        """Send what is left of the answer's `text`, and the last piece; None: the run has no outcome.

        The last piece is empty, and tells readers whether the answer has another text than was sent.
        """
        sent = "".join(self._sent)
        replaced = text is not None and not text.startswith(sent)
        if text is not None and not replaced and len(text) > len(sent):
            self(text[len(sent) :])
        self._send("", last=True, replaced=replaced)

    def _send(self, text: str, *, last: bool = False, replaced: bool = False) -> None:
        delta = AnswerDelta(
            question_id=self._question.id,
            conversation_id=self._question.conversation_id,
            epoch=self._epoch,
            sequence=self._sequence,
            text=text,
            done=last,
            replaced=replaced,
        )
        self._sequence += 1
        self._copies.delta(self._outcomes.delta(self._inquiry, delta), last=last)
