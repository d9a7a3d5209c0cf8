"""The text that is streamed is the answer's, from the model's server to whoever listens, or is replaced."""

import asyncio
from collections.abc import Callable

import pytest

from agents.components import Call, DeltaSink, Generation, Generator, Grounding
from agents.errors import TransientError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.models.fallback import FallbackGenerator
from agents.models.openai import OpenAIModel
from agents.pipeline import Asked, Budgets, Components, Pipeline, default_graph
from schemas.answer import Answer
from schemas.question import Question
from tests.support.components import (
    PASSAGE,
    SOURCE,
    FakeGenerator,
    FakePlanner,
    FakeRetriever,
    FakeToolExecutor,
    RecordingObserver,
)
from tests.support.model_server import EVENTS, ModelServer, Reply, chunk, stream

PLAIN = stream("It lasts ", "three years.")
"""A reply by which a model is known to answer first: the streams after it are not withheld."""


async def answered(generator: Generator) -> tuple[Answer, list[str]]:
    """Answer a question; return the answer, and the pieces that were streamed."""
    parts = Components(FakeRetriever(passages=[PASSAGE]), FakePlanner(), FakeToolExecutor(), generator)
    pipeline = Pipeline(default_graph(parts, Budgets()), RecordingObserver())
    pieces: list[str] = []
    deadline = asyncio.get_running_loop().time() + 10
    question = Question(id="q", text="How long is the warranty?")
    outcome = await pipeline.aanswer(Asked(question, SOURCE, deadline, on_delta=pieces.append))
    return outcome.answer, pieces


async def served(*replies: Reply) -> list[tuple[Answer, list[str]]]:
    """Answer a question for each reply of a model's server."""
    waiting = iter(replies)
    async with ModelServer(lambda _: next(waiting)) as server:
        pool = HttpPool("model", allowed={endpoint(server.base_url)})
        model = OpenAIModel(pool, server.base_url, "m")
        try:
            return [await answered(model) for _ in replies]
        finally:
            await pool.aclose()


@pytest.mark.parametrize(
    ("words", "pieces"),
    [
        (["Three years", " [1", "]", "."], ["Three years", " [1]."]),
        (["Three years", " [1", ", 9", "]", ". So", " it is"], ["Three years", " [1]. So", " it is"]),
        (["Three years", " [9]", "."], ["Three years", "."]),
        (["Three years【1†", "source】", "."], ["Three years", "[1]."]),
        (["Three years", " [nothing", " more]."], ["Three years", " [nothing", " more]."]),
    ],
)
async def test_marks_are_checked_as_they_pass(words: list[str], pieces: list[str]) -> None:
    _, (answer, streamed) = await served(PLAIN, stream(*words))
    assert streamed == pieces
    assert answer.status == "answered"
    assert answer.text.startswith("".join(streamed))


async def test_an_unfinished_mark_at_the_end_is_a_part_of_the_answer_only() -> None:
    _, (answer, streamed) = await served(PLAIN, stream("Three years", " [1"))
    assert (answer.text, streamed) == ("Three years [1", ["Three years"])


async def test_the_first_stream_of_a_model_is_withheld_and_still_the_answers() -> None:
    [(answer, streamed)] = await served(stream("Let me see [9].</think>Three ", "years [1, 9]."))
    assert (answer.text, "".join(streamed)) == ("Three years [1].", "Three years [1].")


async def test_a_late_end_of_reasoning_makes_another_text() -> None:
    _, (answer, streamed) = await served(PLAIN, stream("I must", " look.", "</think>", "Three years [1]."))
    assert answer.text == "Three years [1]."
    assert not answer.text.startswith("".join(streamed))


async def test_an_extractive_answer_after_half_a_stream_is_another_text() -> None:
    broken = Reply(pieces=[chunk({"content": "It was"}), b'error: {"message":"gone"}\n\n'], headers=EVENTS)
    _, (answer, streamed) = await served(PLAIN, broken)
    assert (answer.status, answer.degraded) == ("degraded", ("model_unavailable",))
    assert "".join(streamed) == "It was"
    assert not answer.text.startswith("It was")


class Twice:
    """A generator that says half of one text, then streams another one."""

    async def agenerate(
        self, grounding: Grounding, call: Call, on_delta: DeltaSink | None = None
    ) -> Generation:
        if on_delta is not None:
            for piece in ("It la", "Three", " years"):
                on_delta(piece)
        return Generation("Three years", "m")


@pytest.mark.parametrize(
    ("generator", "is_same"),
    [
        (Twice, False),
        (
            lambda: FallbackGenerator(FakeGenerator(error=TransientError("model", "503")), FakeGenerator()),
            True,
        ),
    ],
)
async def test_a_second_text_is_told_from_the_first(
    generator: Callable[[], Generator], is_same: bool
) -> None:
    answer, streamed = await answered(generator())
    assert answer.text.replace(" ", "").startswith("".join(streamed).replace(" ", "")) is is_same
