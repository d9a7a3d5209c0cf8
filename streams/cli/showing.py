"""Answers shown to a person: the text while it streams, the citations and tool calls, the stages in time."""

from collections.abc import Iterator

import click

from schemas.answer import Answer
from schemas.codec import encode
from schemas.event import AnswerDelta, QuestionTrace
from streams.telemetry.terminal import harmless

TIMELINE_WIDTH = 40


class StreamWriter:
    """Prints the pieces of an answer as they come."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._epoch: int | None = None
        self._shown = ""

    def __call__(self, delta: AnswerDelta) -> None:
        """Print one piece; another epoch starts the text again, and so does one that replaces it."""
        if self._as_json:
            click.echo(encode(delta))
            return
        if self._shown and (delta.replaced or delta.epoch != self._epoch):
            again = "the answer became another one" if delta.replaced else "the question runs again"
            click.echo(f"\n[{again}: it starts anew]")
            self._shown = ""
        self._epoch = delta.epoch
        self._shown += delta.text
        click.echo(harmless(delta.text), nl=False)

    def end(self, answer: Answer) -> None:
        """End the text, which is the whole of it if nothing was streamed."""
        if self._shown and not answer.text.startswith(self._shown):
            click.echo()
            self._shown = ""
        if self._shown or answer.text:
            click.echo(harmless(answer.text.removeprefix(self._shown)))


def details(answer: Answer) -> Iterator[str]:
    """Citations, tool calls, degrade reasons and the error of an answer, a line each."""
    return map(harmless, _details(answer))


def _details(answer: Answer) -> Iterator[str]:
    for citation in answer.citations:
        yield f"  [{citation.index}] {citation.title or citation.document_id}: “{citation.quote}”"
    for call in answer.tool_calls:
        arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
        result = call.result if isinstance(call.result, str) else encode(call.result).decode()
        yield f"  {call.name}({arguments}) {call.status} in {call.duration_ms:.0f} ms: {result}"
    if answer.degraded:
        yield f"  degraded: {', '.join(answer.degraded)}"
    if answer.error is not None:
        yield f"  failed: {answer.error.code} in stage {answer.error.stage}: {answer.error.message}"


def timeline(trace: QuestionTrace) -> Iterator[str]:
    """The stages that ran, a line each: a bar from the stage's start to its end on the question's time."""
    ran = [stage for stage in trace.stages if stage.status != "skipped"]
    if not ran:
        return
    began = min(stage.started_at for stage in ran)
    starts = [(stage.started_at - began).total_seconds() * 1000 for stage in ran]
    whole = max(start + stage.duration_ms for start, stage in zip(starts, ran, strict=True)) or 1.0
    widest = max(len(stage.stage) for stage in ran)
    for start, stage in sorted(zip(starts, ran, strict=True), key=lambda each: each[0]):
        status = "" if stage.status == "ok" else f" {stage.status}"
        bar = _bar(start / whole, stage.duration_ms / whole)
        yield f"  {stage.stage:{widest}} {bar} {stage.duration_ms:.0f} ms{status}"


def _bar(start: float, length: float) -> str:
    """A bar on a line of `TIMELINE_WIDTH` characters; `start` and `length` are shares of that width."""
    before = min(round(start * TIMELINE_WIDTH), TIMELINE_WIDTH - 1)
    long = min(max(1, round(length * TIMELINE_WIDTH)), TIMELINE_WIDTH - before)
    return f"{'·' * before}{'━' * long}{'·' * (TIMELINE_WIDTH - before - long)}"
