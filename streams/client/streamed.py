"""The text of one answer as a reader of its deltas knows it. Pure."""

from schemas.answer import Answer
from schemas.event import AnswerDelta


class StreamedText:
    """Takes the deltas of one question in the order of their partition, then its answer.

    What it returns adds up to the answer's text, by two rules: a delta of another `epoch` than the one
    before, or one with `replaced`, begins the text anew; then its `text` is added. The last one is made of
    the answer and has `done` set.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._earlier: set[int | None] = set()
        self._next = 0
        self._whole = True
        self._text = ""

    def take(self, delta: AnswerDelta) -> AnswerDelta | None:
        """Return a delta that continues the text, or begins it anew.

        None: it came before, is of a run before this one, follows a gap, or has no text. The end of a run is
        no end of the text: the question may run again.
        """
        if delta.epoch != self._epoch:
            if delta.epoch in self._earlier:
                return None
            # The run that begins last counts: clocks of two workers are no order.
            self._earlier.add(self._epoch)
            self._epoch, self._next, self._whole, self._text = delta.epoch, 0, True, ""
        if delta.sequence < self._next:
            return None
        self._whole = self._whole and delta.sequence == self._next and not delta.replaced
        self._next = delta.sequence + 1
        if not self._whole or not delta.text:
            return None
        self._text += delta.text
        return delta

    def finish(self, answer: Answer) -> AnswerDelta:
        """Return the last delta: the rest of the answer's text, or all of it where it is another one."""
        replaced = not answer.text.startswith(self._text)
        return AnswerDelta(
            question_id=answer.question_id,
            conversation_id=answer.conversation_id,
            epoch=self._epoch or 0,
            sequence=self._next,
            text=answer.text if replaced else answer.text[len(self._text) :],
            done=True,
            replaced=replaced,
        )
