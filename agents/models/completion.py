"""Judges the replies of one model: which are a plan, an answer, less than an answer, or an error. Pure.

A server cannot cause any other exception than a `DependencyError`. Nothing incomplete passes for a whole
answer: text that was cut or filtered degrades it.
"""

from collections.abc import Collection

from agents.citing.marks import says_nothing
from agents.components import Generation, Plan, Rewriting
from agents.errors import UnfitOutputError
from agents.http.problems import TOLD_MAX
from agents.models.bodies import read_reply
from agents.models.reply import Reply, ReplyReading
from agents.models.sse import ServerEvent
from agents.models.thoughts import Habit
from agents.models.tool_calls import entries_in, planned_calls, without_calls
from schemas.errors import DegradeReason

REWRITTEN_MAX = 2_000
"""Characters of a rewritten question; a longer reply is no question."""


class Completions:
    """Reads the completions of one model, and remembers one habit of it.

    Args:
        dependency: the model's name in errors.
        name: the model's name if its server gives none.
    """

    def __init__(self, dependency: str, name: str) -> None:
        self._dependency = dependency
        self._name = name
        self.habit = Habit.UNKNOWN
        """Known from the first whole text on; a stream before that is withheld until it can be told."""

    def plan(self, body: bytes, offered: Collection[str]) -> Plan:
        """Return the tool calls of a completion as a plan; an empty plan if there are none."""
        reply = self._noted(read_reply(self._dependency, body, self.habit))
        written = reply.calls or tuple(entries_in(reply.text))
        if not written:
            if problem := _planned_nothing(reply):
                raise UnfitOutputError(self._dependency, problem)
            return Plan((), reply.usage)
        return Plan(planned_calls(written, offered), reply.usage, _incomplete(reply))

    def generation(self, body: bytes) -> Generation:
        """Return the text of a completion.

        Tool calls in it never run, because untrusted text must not decide on a call. Beside a text they
        degrade the answer (`Generation.degraded`); in place of a text they raise an `UnfitOutputError`.
        """
        return self.judged(read_reply(self._dependency, body, self.habit))

    def rewriting(self, body: bytes) -> Rewriting:
        """Return a completion as a question that stands alone: one short line."""
        generation = self.generation(body)
        text = generation.text.strip().strip("\"'“”„«»`").strip()
        if generation.degraded or "\n" in text or not 0 < len(text) <= REWRITTEN_MAX:
            raise UnfitOutputError(self._dependency, "did not rewrite the question on one line")
        return Rewriting(text, generation.usage)

    def stream(self) -> "StreamedGeneration":
        """Return the reader of a completion that comes in chunks."""
        return StreamedGeneration(self, ReplyReading(self._dependency, self.habit))

    def judged(self, reply: Reply) -> Generation:
        """Turn a whole reply into an answer, degraded by all that it lacks."""
        self._noted(reply)
        text = without_calls(reply.text)
        called = bool(reply.calls) or text != reply.text
        if says_nothing(text):
            raise UnfitOutputError(self._dependency, _no_text(reply, called=called))
        degraded = list(_incomplete(reply))
        if called:
            degraded.append(DegradeReason.TOOL_CALLS_REFUSED)
        return Generation(text, reply.model or self._name, reply.usage, tuple(degraded))

    def _noted(self, reply: Reply) -> Reply:
        # A text without any reasoning says as much as one with it: templates can be told not to think. One
        # that was broken off may have ended in the middle of reasoning.
        if reply.thought or (reply.text and not (reply.cut or reply.filtered)):
            self.habit = Habit.THINKS_FIRST if reply.opened_before else Habit.ANSWERS_FIRST
        return reply


class StreamedGeneration:
    """A completion that comes in chunks: feed it the events in order, then take the result.

    `done` turns true when the server says that nothing follows.
    """

    def __init__(self, completions: Completions, reading: ReplyReading) -> None:
        self._completions = completions
        self._reading = reading

    @property
    def done(self) -> bool:
        """Whether the server said that nothing follows."""
        return self._reading.done

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, though the server may still tell its token counts."""
        return self._reading.complete

    def feed(self, event: ServerEvent) -> str:
        """Return the piece of text in an event, "" if it has none. Raises the error in an error event."""
        # Another reply may have told it meanwhile.
        released = self._reading.learn(self._completions.habit)
        return released + self._reading.feed(event)

    def close(self) -> str:
        """Return the text that was held back until the end of the stream."""
        return self._reading.close()

    def result(self) -> Generation:
        """Return the whole after the stream's end; BadOutputError: the stream ended before the answer did."""
        return self._completions.judged(self._reading.reply())


def _incomplete(reply: Reply) -> tuple[DegradeReason, ...]:
    reasons = []
    if reply.cut:
        reasons.append(DegradeReason.ANSWER_TRUNCATED)
    if reply.filtered or reply.refusal:
        reasons.append(DegradeReason.ANSWER_FILTERED)
    return tuple(reasons)


def _planned_nothing(reply: Reply) -> str:
    """Return the reason why a plan without calls is none, "" if it is one."""
    if reply.refusal:
        return f"refused to plan: {reply.refusal[:TOLD_MAX]}"
    if reply.filtered:
        return "its filter stopped the plan"
    if reply.cut:
        return f"{_CUT} before the plan was complete"
    return "said that it calls tools, but named none" if reply.wants_calls else ""


_CUT = "reached the longest length of a reply (`max_tokens`)"


def _no_text(reply: Reply, *, called: bool) -> str:
    """Return the reason why there is no answer."""
    if reply.refusal:
        return f"refused to answer: {reply.refusal[:TOLD_MAX]}"
    if called:
        return "called tools in place of an answer"
    wrote = "wrote only reasoning" if reply.thought else "wrote no text"
    if reply.cut:
        return f"{wrote}, and {_CUT}"
    return f"{wrote}: its filter stopped the answer" if reply.filtered else wrote
