"""The questions that wait for their answers, and the records that come for them. No I/O."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence

from schemas.answer import Answer, Source
from schemas.codec import decode_answer, decode_delta
from schemas.event import AnswerDelta
from schemas.headers import Header, delta_id, is_delta
from streams.client.streamed import StreamedText

DeltaListener = Callable[[AnswerDelta], None]
"""Takes the pieces of an answer's text in order, as `streams.client.streamed.StreamedText` returns them."""


class PendingAnswer:
    """A question that waits for its answer.

    Attributes:
        runs_done: how many runs of the question have sent their last delta: the outcome should follow.
        on_done: called after each of them.
    """

    def __init__(self, on_delta: DeltaListener | None) -> None:
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.runs_done = 0
        self.on_done: Callable[[], object] | None = None
        self._on_delta = on_delta
        self._source: Source | None = None
        self._early: list[Answer] = []
        self._early_deltas: list[tuple[str, AnswerDelta]] = []
        self._streamed = StreamedText()

    def written(self, source: Source) -> None:
        """Note the question's record; its answer may have come before."""
        self._source = source
        for ce_id, delta in self._early_deltas:
            self.streamed(ce_id, delta)
        for answer in self._early:
            self.answered(answer)

    def answered(self, answer: Answer) -> None:
        """Take an answer with the question's correlation id; drop one with another source, or a second."""
        if self._source is None:
            self._early.append(answer)
        elif answer.source == self._source and not self.answer.done():
            if self._on_delta is not None:
                self._on_delta(self._streamed.finish(answer))
            self.answer.set_result(answer)

    def streamed(self, ce_id: str, delta: AnswerDelta) -> None:
        """Take a delta with the question's correlation id; drop one of another record, by its `ce_id`."""
        if self._source is None:
            self._early_deltas.append((ce_id, delta))
            return
        if ce_id != delta_id(self._source, delta) or self.answer.done():
            return
        if self._on_delta is not None and (told := self._streamed.take(delta)) is not None:
            self._on_delta(told)
        if delta.done:
            self.runs_done += 1
            if self.on_done is not None:
                self.on_done()

    def failed(self, error: Exception) -> None:
        """Raise `error` for the question: its answer will not come."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Replies:
    """Gives each record read from the topics to the question that waits for it; ignores the others."""

    def __init__(self) -> None:
        self._pending: dict[bytes, PendingAnswer] = {}
        self._failure: Exception | None = None

    @contextlib.contextmanager
    def expect(self, correlation_id: str, on_delta: DeltaListener | None = None) -> Iterator[PendingAnswer]:
        """Wait for the records with this correlation id while the block lasts."""
        key = correlation_id.encode()
        pending = self._pending[key] = PendingAnswer(on_delta)
        if self._failure is not None:
            pending.failed(self._failure)
        try:
            yield pending
        finally:
            del self._pending[key]
            if not pending.answer.cancel() and not pending.answer.cancelled():
                pending.answer.exception()  # or asyncio would log an error that nobody fetched

    def take(self, headers: Sequence[Header], value: bytes | None) -> None:
        """Take an answer or a delta. Never raises."""
        named = dict(headers)
        correlation_id = named.get("correlation_id")
        pending = self._pending.get(correlation_id) if correlation_id is not None else None
        if pending is None:
            return
        try:
            if is_delta(headers):
                pending.streamed((named.get("ce_id") or b"").decode(errors="replace"), decode_delta(value))
            else:
                pending.answered(decode_answer(value))
        except Exception as error:  # noqa: BLE001 - also a listener's defect goes to the asker
            pending.failed(error)

    def fail(self, error: Exception) -> None:
        """Fail every question, later ones too, because nothing more can be read."""
        self._failure = error
        for pending in self._pending.values():
            pending.failed(error)
