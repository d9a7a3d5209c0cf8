"""Answers without a model: the best sentences word for word, and the tools' results.

A worker answers so if no model is configured or if the model cannot be reached; so does the offline model.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from agents.components import Call, DeltaSink, Generation, Grounding, Passage, Plan, ToolSpec
from agents.embeddings.comparing import Comparer
from agents.language.detection import NOT_KNOWN, language_of
from agents.models.asking import Asked
from agents.models.composing import acompose
from agents.models.evidence import SUPPORTED, Evidence
from agents.models.finding import Finder
from agents.models.telling import shortened, tell
from schemas.answer import ToolCall
from schemas.question import Question

MODEL = "extractive"
SENTENCES_MAX = 2
"""Units of an answer from passages."""
PIECE_MIN = 60
"""Characters that are worth the beginning of a further unit."""
LENGTH_MAX = 400
"""Characters of an answer from passages, its citations not counted."""
SUPPORTED_BESIDE_TOOLS = 0.45
"""The support that a passage needs beside tool results, which make it more likely to be off the subject."""

_CHINESE = re.compile(r"[\u3400-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_CLOSES_UNSPACED = re.compile(r"[\u3000-\u9fff\uff00-\uff60]\Z")


async def aextract_answer(
    question: str, passages: Sequence[Passage], finder: Finder, supported: float = SUPPORTED
) -> str:
    """Return the units that answer best, each with its citation `[n]`; "" if none is supported.

    `supported` is the share of the question's weight, 0 to 1, that the best unit and its passage must have.
    Units of one passage keep their order. All together have `LENGTH_MAX` characters besides their citations.
    """

    async def afind(asked: Asked, within: Sequence[Passage], limit: int) -> list[Evidence]:
        return await finder.afind(asked, within, limit, supported)

    told: list[tuple[Evidence, str]] = []
    left = LENGTH_MAX
    for each in await acompose(question, passages, afind, SENTENCES_MAX):
        text = tell(each.evidence.unit, *each.asked, columns=each.columns)
        if left >= PIECE_MIN:
            told.append((each.evidence, shortened(text, left)))
            left -= len(text)
    first = told[0][0].passage if told else 0
    told.sort(key=lambda each: (each[0].passage != first, each[0].passage, each[0].unit.start))
    pieces = []
    for found, text in told:
        space = "" if _CLOSES_UNSPACED.search(text) else " "
        pieces.append(f"{text}{space}[{found.passage + 1}]")
    return " ".join(pieces)


class Extractor:
    """Answers from passages and tool results by themselves; by meaning too where there is a `comparer`."""

    def __init__(self, comparer: Comparer | None = None) -> None:
        self._comparer = comparer

    async def aanswer(self, grounding: Grounding, until: float) -> str:
        """Return the answer that passages and tool results give; "" if they give none.

        `until`: when it must be there, in seconds of the event loop's clock; words alone need no time.
        """
        question = grounding.question.text
        results = any(call.status == "ok" for call in grounding.tool_calls)
        extracted = await aextract_answer(
            grounding.standing or question,
            grounding.passages,
            Finder(self._comparer, until),
            SUPPORTED_BESIDE_TOOLS if results else SUPPORTED,
        )
        if not (results or extracted):
            return ""
        return _lines(
            *tell_tools(question, grounding.tool_calls), extracted, tell_missing(question, grounding.missing)
        )

    async def aanswer_plainly(self, grounding: Grounding, until: float) -> str:
        """Return the same answer, or else say in the question's language that none is known; never empty."""
        if answer := await self.aanswer(grounding, until):
            return answer
        question = grounding.question.text
        return _lines(
            *tell_tools(question, grounding.tool_calls),
            do_not_know(question),
            tell_missing(question, grounding.missing),
        )


def _lines(*told: str) -> str:
    return "\n".join(filter(None, told))


def tell_tools(question: str, calls: Sequence[ToolCall]) -> list[str]:
    """Return a line for each call: its result, or a note that it has none, in the question's language."""
    none = "{} 没有返回结果（{}）。" if is_chinese(question) else "{} gave no result ({})."
    return [
        f"{call.name}: {_plain(call.result)}" if call.status == "ok" else none.format(call.name, call.status)
        for call in calls
    ]


def tell_missing(question: str, missing: Sequence[str]) -> str:
    """Name the parts that could not be reached; "" if none is missing."""
    if not missing:
        return ""
    return (
        f"（无法访问：{'、'.join(missing)}）"
        if is_chinese(question)
        else f"(Out of reach: {', '.join(missing)}.)"
    )


def do_not_know(question: str) -> str:
    """Say in the question's language that the answer is not known."""
    return NOT_KNOWN[language_of(question)]


def is_chinese(text: str) -> bool:
    """Whether a text is written in Chinese characters without kana."""
    return bool(_CHINESE.search(text)) and not _KANA.search(text)


class NoPlanner:
    """The Planner where no model is configured: it calls no tools."""

    async def aplan(self, question: Question, tools: Sequence[ToolSpec], call: Call) -> Plan:  # noqa: ARG002 - as below
        """Return the empty plan."""
        return Plan()


class ExtractiveGenerator:
    """The Generator where no model is configured. It calls no server and never fails."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        """Return the whole answer at once; `on_delta` gets it as one piece."""
        text = await self._extractor.aanswer_plainly(grounding, call.deadline)
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
