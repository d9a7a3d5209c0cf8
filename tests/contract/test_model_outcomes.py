"""A reply that is no whole answer is never `answered`, never kept, and its reason is in the trace."""

import asyncio
from collections.abc import Callable

import orjson
import pytest

from agents.cache.answers import AnswerCache
from agents.cache.keys import AnswerKeys
from agents.cache.memory import MemoryStore
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.knowledge.version import KnowledgeVersions
from agents.models.openai import OpenAIModel
from agents.pipeline import Answered, Asked, Budgets, Components, Pipeline, default_graph
from agents.tools.executor import RegistryExecutor
from agents.tools.python_tool import PythonTool
from agents.tools.registry import ToolRegistry
from schemas.question import Question
from tests.support.components import (
    PASSAGE,
    SOURCE,
    FakePlanner,
    FakeRetriever,
    RecordingObserver,
)
from tests.support.model_server import EVENTS, ModelServer, Reply, chunk, completion, text


async def weather() -> str:
    """The weather."""
    return "fine"


BEGUN = chunk({"content": "The warranty lasts three"})
DONE = b"data: [DONE]\n\n"


def finished(reason: str) -> Reply:
    body = orjson.loads(text("The warranty lasts three").pieces[0])
    body["choices"][0]["finish_reason"] = reason
    return Reply(pieces=[orjson.dumps(body)])


INCOMPLETE = [
    (finished("length"), "answer_truncated", ""),
    (finished("content_filter"), "answer_filtered", ""),
    (
        Reply(pieces=[BEGUN, b'error: {"message":"no memory"}\n\n', DONE], headers=EVENTS),
        "model_unavailable",
        "no memory",
    ),
    (
        Reply(pieces=[b'{"error":{"message":"no quota","code":429}}']),
        "model_unavailable",
        "no quota",
    ),
    (
        Reply(pieces=[BEGUN, chunk({}, "null")], headers=EVENTS),
        "model_unavailable",
        "ended before the answer",
    ),
    (
        completion({"content": None, "refusal": "I will not."}),
        "model_unavailable",
        "refused to answer: I will",
    ),
]


async def ask_twice(server: ModelServer, plan: bool = False) -> list[Answered]:
    pool = HttpPool("model", allowed={endpoint(server.base_url)})
    model = OpenAIModel(pool, server.base_url, "m")
    tools = RegistryExecutor(ToolRegistry([PythonTool(weather)] if plan else []))
    versions = KnowledgeVersions()
    versions.begin()
    cache = AnswerCache(AnswerKeys("t", tools, versions), MemoryStore(1_000_000), ttl_s=600.0)
    parts = Components(FakeRetriever(passages=[PASSAGE]), model if plan else FakePlanner(), tools, model)
    pipeline = Pipeline(default_graph(parts, Budgets()), RecordingObserver(), cache)
    deltas: Callable[[str], None] = [].append
    question = Question(id="q", text="How long is the warranty?")
    try:
        return [
            await pipeline.aanswer(
                Asked(question, SOURCE, asyncio.get_running_loop().time() + 10, on_delta=deltas)
            )
            for _ in range(2)
        ]
    finally:
        await pool.aclose()


@pytest.mark.parametrize(("reply", "reason", "told"), INCOMPLETE)
async def test_a_reply_that_is_not_whole_is_degraded_told_and_not_kept(
    reply: Reply, reason: str, told: str
) -> None:
    async with ModelServer(reply) as server:
        outcomes = await ask_twice(server)
    assert len(server.requests) == 2
    for outcome in outcomes:
        assert (outcome.answer.status, outcome.answer.degraded) == ("degraded", (reason,))
        assert any(told in trace.detail for trace in outcome.stages)


async def test_reasoning_is_neither_cited_nor_kept() -> None:
    async with ModelServer(text("<think>Source [1] says two.</think>I do not know.")) as server:
        outcomes = await ask_twice(server)
    assert len(server.requests) == 1
    for outcome in outcomes:
        assert (outcome.answer.text, outcome.answer.citations) == ("I do not know.", ())


async def test_a_plan_that_cannot_be_read_is_in_the_answer() -> None:
    def reply(request: object) -> Reply:
        asked_for_plan = "tools" in request.body  # type: ignore[attr-defined] - a recorded request
        return text("<tool_call>weather?</tool_call>" if asked_for_plan else "Three years [1].")

    async with ModelServer(reply) as server:
        first, _ = await ask_twice(server, plan=True)
    assert first.answer.degraded == ("tools_rejected",)
    assert [(call.status, "cannot be read" in call.result) for call in first.answer.tool_calls] == [
        ("rejected", True)
    ]
