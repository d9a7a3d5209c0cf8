"""Reads a whole body as one reply. Pure.

Nearly every body is a completion as OpenAI writes it. `_plain` reads that form in one look; all others are
read field by field (`agents.models.reply`), which would read the plain ones the same.
"""

from typing import Any

from agents.errors import BadOutputError
from agents.http.problems import told_by
from agents.json_values import read_json, unrounded
from agents.models.reply import THOUGHT_FIELDS, Reply, ReplyReading
from agents.models.sse import EventDecoder, begins_events
from agents.models.thoughts import Habit, is_answer_alone
from schemas.answer import Usage

_ENDS = {"stop": False, "tool_calls": True}
"""Whether the model wants to call tools, by the reason for which a plain reply ended."""


def read_reply(dependency: str, body: bytes, habit: Habit = Habit.ANSWERS_FIRST) -> Reply:
    """Return the reply in a body: one JSON object, or a stream of events that was not asked for."""
    if body[:1] != b"{" and begins_events(body):
        return _read_events(ReplyReading(dependency, habit), body)
    try:
        content = read_json(body)
    except ValueError as error:
        if body.lstrip().startswith(b"{") and b"\n" in body.strip():
            return _read_events(ReplyReading(dependency, habit), body)  # of bare lines
        told = told_by(body) or f"{error}"
        raise BadOutputError(dependency, f"did not answer in JSON: {told}") from error
    if isinstance(content, list) and len(content) == 1:
        (content,) = content  # Gemini's errors
    if not isinstance(content, dict):
        raise BadOutputError(dependency, "did not answer with a JSON object")
    content = unrounded(content, body)
    reply = None if habit is Habit.THINKS_FIRST else _plain(content)
    return reply or _read_fields(dependency, content, habit)


def _plain(content: dict[str, Any]) -> Reply | None:
    """Return the reply in a completion of the usual form; None if anything in it may mean something else."""
    try:
        (choice,) = content["choices"]
        usage, model = content["usage"], content["model"]
        asked, written = usage["prompt_tokens"], usage["completion_tokens"]
        message, wants_calls = choice["message"], _ENDS[choice["finish_reason"]]
        text, calls = message["content"], message.get("tool_calls")
    except (LookupError, TypeError, ValueError):
        return None
    # By type, because that costs less than `isinstance`, and JSON has no other ones.
    if not (type(asked) is type(written) is int and asked > 0 < written):
        return None
    told = (
        content.get("error")
        or choice.get("error")
        or message.get("error")
        or message.get("refusal")
        or message.get("function_call")
    )
    if told or "x_groq" in content or "usage" in choice or "delta" in choice or type(model) is not str:
        return None
    text = "" if text is None else text
    if type(text) is not str or not is_answer_alone(text := text.lstrip()) or not model.isascii():
        return None
    if not THOUGHT_FIELDS.isdisjoint(message) or (calls and type(calls) is not list):
        return None
    return Reply(text, tuple(calls or ()), wants_calls=wants_calls, model=model, usage=Usage(asked, written))


def _read_events(reading: ReplyReading, body: bytes) -> Reply:
    decoder = EventDecoder()
    for event in [*decoder.feed(body), *decoder.close()]:
        reading.feed(event)
        if reading.done:
            break
    return reading.reply()


def _read_fields(dependency: str, content: dict[str, Any], habit: Habit = Habit.ANSWERS_FIRST) -> Reply:
    reading = ReplyReading(dependency, habit)
    reading.take(content, whole=True)
    return reading.reply()
