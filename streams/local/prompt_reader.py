"""Reads back the prompt of `agents.models.prompt`, for the model at the other end. Pure."""

import html
import re
from collections.abc import Sequence
from typing import Any

import orjson

from agents.components import Grounding, Passage
from agents.language.follow_ups import standing_alone
from agents.models.prompt import HEADINGS_BETWEEN, restore
from schemas.answer import ToolCall
from schemas.question import Question, Turn

_SOURCE = re.compile(
    r'<source id="(\d+)"(?: title="([^"]*)")?(?: section="([^"]*)")?>\n(.*?)\n</source>', re.DOTALL
)
_RESULT = re.compile(
    r'<tool_result name="([^"]*)" id="([^"]*)" status="([^"]*)">\n(.*?)\n</tool_result>', re.DOTALL
)
_MISSING = re.compile(r"<missing>(.*?)</missing>")
_QUESTION = re.compile(r"<question>\n(.*?)\n</question>", re.DOTALL)
_SAID_BEFORE = re.compile(r"(?!<)(.+?)\n\n<(?:source|tool_result|missing|question|follow_up)\b", re.DOTALL)
_FOLLOW_UP = re.compile(r"<follow_up>\n(.*)\n</follow_up>\Z", re.DOTALL)


def read_prompt(messages: Sequence[dict[str, Any]]) -> Grounding:
    """Return the question with its sources and tool results; for another prompt, the last message alone."""
    content = last_message(messages)
    asked = _QUESTION.search(content)
    text = restore(asked[1]) if asked else content
    question = Question(id="prompt", text=text, history=_history(messages))
    return Grounding(
        question=question,
        standing=standing_alone(question),
        passages=[
            Passage(
                chunk_id=number,
                document_id=number,
                title=html.unescape(title or ""),
                source="",
                text=restore(body),
                score=0.0,
                headings=tuple(html.unescape(section).split(HEADINGS_BETWEEN)) if section else (),
            )
            for number, title, section, body in _SOURCE.findall(content)
        ],
        tool_calls=[_tool_call(*found) for found in _RESULT.findall(content)],
        missing=_MISSING.findall(content),
    )


def read_follow_up(messages: Sequence[dict[str, Any]]) -> Question | None:
    """Return the question that is to stand alone, with its history; None: the prompt asks something else."""
    asked = _FOLLOW_UP.search(last_message(messages))
    if asked is None:
        return None
    return Question(id="prompt", text=restore(asked[1]), history=_history(messages))


def _history(messages: Sequence[dict[str, Any]]) -> tuple[Turn, ...]:
    """Return the turns before the question, without instructions.

    Turns of the asker that no answer follows stand in one message with the question.
    """
    turns = [
        Turn(role=message["role"], content=restore(last_message([message])))
        for message in messages[:-1]
        if message.get("role") in {"user", "assistant"}
    ]
    if said := _SAID_BEFORE.match(last_message(messages)):
        turns += [Turn("user", restore(each)) for each in said[1].split("\n\n")]
    return tuple(turns)


def last_message(messages: Sequence[dict[str, Any]]) -> str:
    """Return the text of the last message; a message in parts is joined."""
    content = messages[-1].get("content")
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _tool_call(name: str, identifier: str, status: str, body: str) -> ToolCall:
    written = restore(body)
    try:
        result = orjson.loads(written)
    except orjson.JSONDecodeError:
        result = written
    return ToolCall(
        id=html.unescape(identifier),
        name=html.unescape(name),
        arguments={},
        status="ok" if status == "ok" else "timeout" if status == "timeout" else "error",
        result=result,
    )
