"""Answers without a model: the sentences that fit best, word for word, and the tools' results.

Used where no model is configured, where the configured one cannot be had, and by the offline model.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from agents.components import Call, DeltaSink, Generation, Grounding, Passage, Plan, ToolSpec
from agents.models.evidence import SUPPORTED, find_evidence
from schemas.answer import ToolCall
from schemas.question import Question

MODEL = "extractive"
SUPPORTED_BESIDE_TOOLS = 0.45
"""Where tools answered, passages are more likely to be beside the point."""

_CHINESE = re.compile(r"[\u3400-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_CLOSES_UNSPACED = re.compile(r"[\u3000-\u9fff\uff00-\uff60]\Z")


def extract_answer(
    question: str, passages: Sequence[Passage], max_sentences: int = 2, supported: float = SUPPORTED
) -> str:
    """The sentences that answer best, each with its citation `[n]`; "" where nothing supports one.

    `supported` is the share of the question's weight, 0 to 1, that the best sentence and its passage
    must have. Sentences of one passage keep their order, and their text is that of the passage.
    """
    evidence = find_evidence(question, passages, max_sentences, supported)
    if evidence:
        first = evidence[0].passage
        evidence.sort(key=lambda found: (found.passage != first, found.passage, found.start))
    pieces = []
    for found in evidence:
        sentence = passages[found.passage].text[found.start : found.end]
        space = "" if _CLOSES_UNSPACED.search(sentence) else " "
        pieces.append(f"{sentence}{space}[{found.passage + 1}]")
    return " ".join(pieces)


def answer_without_model(grounding: Grounding) -> str:
    """What passages and tool results say by themselves; "" where they say nothing."""
    question = grounding.question.text
    results = any(call.status == "ok" for call in grounding.tool_calls)
    extracted = extract_answer(
        question, grounding.passages, supported=SUPPORTED_BESIDE_TOOLS if results else SUPPORTED
    )
    if not (results or extracted):
        return ""
    told = [*tell_tools(question, grounding.tool_calls), extracted, tell_missing(question, grounding.missing)]
    return "\n".join(filter(None, told))


def answer_plainly(grounding: Grounding) -> str:
    """The same, or that nothing is known, in the question's language; never empty."""
    question = grounding.question.text
    told = [
        *tell_tools(question, grounding.tool_calls),
        do_not_know(question),
        tell_missing(question, grounding.missing),
    ]
    return answer_without_model(grounding) or "\n".join(filter(None, told))


def tell_tools(question: str, calls: Sequence[ToolCall]) -> list[str]:
    """One line a call: its result, or that there is none, in the question's language."""
    none = "{} 没有返回结果（{}）。" if is_chinese(question) else "{} gave no result ({})."
    return [
        f"{call.name}: {_plain(call.result)}" if call.status == "ok" else none.format(call.name, call.status)
        for call in calls
    ]


def tell_missing(question: str, missing: Sequence[str]) -> str:
    """Says what could not be reached; "" where nothing is missing."""
    if not missing:
        return ""
    return (
        f"（无法访问：{'、'.join(missing)}）"
        if is_chinese(question)
        else f"(Out of reach: {', '.join(missing)}.)"
    )


def do_not_know(question: str) -> str:
    """Says so in the question's language."""
    if is_chinese(question):
        return "我不知道：现有资料中没有答案。"
    return "I do not know: nothing that I was given answers this."


def is_chinese(text: str) -> bool:
    """Whether a text is written in Chinese characters without kana."""
    return bool(_CHINESE.search(text)) and not _KANA.search(text)


class NoPlanner:
    """A Planner for where no model is configured: without one, nobody decides on tools."""

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:  # noqa: ARG002 - as below
        """Always the empty plan."""
        return Plan()


class ExtractiveGenerator:
    """A Generator for where no model is configured; asks nobody, and never fails."""

    async def agenerate(
        self,
        grounding: Grounding,
        call: Call,  # noqa: ARG002 - the protocol's; nothing is sent that it could label
        on_delta: DeltaSink | None = None,
    ) -> Generation:
        """The whole answer at once, also as one piece."""
        text = answer_plainly(grounding)
        if on_delta is not None:
            on_delta(text)
        return Generation(text, MODEL)


def _plain(result: Any) -> str:
    match result:
        case str():
            return result
        case dict():
            return ", ".join(f"{key}: {_plain(value)}" for key, value in result.items())
        case list():
            return ", ".join(map(_plain, result))
        case _:
            return orjson.dumps(result).decode()
