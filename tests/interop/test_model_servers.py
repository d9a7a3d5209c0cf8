"""Our model client against real servers of a model that writes nonsense: the protocol is what is tested."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import pytest

from agents.components import Call, Generation, Grounding, Passage, Plan, ToolSpec
from agents.errors import DependencyError, PermanentError, UnfitOutputError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.models.openai import OpenAIModel
from agents.models.thoughts import Habit
from schemas.errors import DegradeReason
from schemas.question import Question, Turn
from tests.interop.servers import ModelServer

PASSAGE = Passage("c1", "d1", "Ferry", "f.md", "The ferry leaves at nine.", 1.0)
GROUNDING = Grounding(
    Question(
        id="q", text="When does the ferry leave?", history=(Turn("user", "Hi"), Turn("assistant", "Hi"))
    ),
    [PASSAGE],
)
TOOLS = [
    ToolSpec(
        "tide",
        "The tide at a harbour.",
        {
            "type": "object",
            "properties": {"harbour": {"type": "string", "maxLength": 8}},
            "required": ["harbour"],
        },
        5.0,
        idempotent=True,
    )
]
WORDS = 24
LIMIT_S = 60.0
"""Of one call: the machine may be busy, and LiteLLM repeats by itself."""


def call() -> Call:
    return Call("q", "generate", asyncio.get_running_loop().time() + LIMIT_S)


@asynccontextmanager
async def client(server: ModelServer, name: str = "tiny", **more: Any) -> AsyncIterator[OpenAIModel]:
    pool = HttpPool("model", allowed={endpoint(server.base_url)})
    more.setdefault("max_tokens", WORDS)
    async with aclosing(pool), asyncio.timeout(LIMIT_S):
        model = OpenAIModel(pool, server.base_url, name, **more)
        # Nonsense is cut, so no reply would ever show that no reasoning comes before it.
        model._completions.habit = Habit.ANSWERS_FIRST
        yield model


async def generated(server: ModelServer, grounding: Grounding = GROUNDING, **more: Any) -> Generation:
    async with client(server, **more) as model:
        return await model.agenerate(grounding, call())


async def streamed(server: ModelServer, **more: Any) -> tuple[Generation, list[str]]:
    deltas: list[str] = []
    async with client(server, **more) as model:
        return await model.agenerate(GROUNDING, call(), deltas.append), deltas


# Nonsense ends by length: then it is told as cut.
CUT = (DegradeReason.ANSWER_TRUNCATED,)


async def test_an_answer_is_read_with_its_usage_and_its_end(server: ModelServer) -> None:
    generation = await generated(server)
    assert generation.text.strip()
    assert generation.degraded in ((), CUT)
    assert generation.usage.prompt_tokens > 20
    assert 0 < generation.usage.completion_tokens <= WORDS
    assert (generation.degraded == CUT) == (generation.usage.completion_tokens == WORDS)


async def test_a_stream_says_what_its_deltas_say(server: ModelServer) -> None:
    generation, deltas = await streamed(server)
    assert len(deltas) > 1
    assert "".join(deltas) == generation.text
    assert generation.degraded in ((), CUT)
    if server.counts_streams:
        assert 0 < generation.usage.completion_tokens <= WORDS


async def test_streamed_or_not_the_answer_is_the_same(server: ModelServer) -> None:
    greedy = {"temperature": 0.0, "parameters": {"seed": 3, "top_k": 1}}
    (generation, _), whole = await streamed(server, **greedy), await generated(server, **greedy)
    assert generation.text == whole.text
    assert generation.degraded == whole.degraded
    assert generation.model == whole.model


async def test_many_questions_at_once_do_not_mix(server: ModelServer) -> None:
    async with client(server, parameters={"seed": 3, "top_k": 1}) as model:
        told: list[list[str]] = [[] for _ in range(4)]
        generations = await asyncio.gather(
            *(model.agenerate(GROUNDING, call(), deltas.append) for deltas in told), return_exceptions=True
        )
    for deltas, generation in zip(told, generations, strict=True):
        if isinstance(generation, Generation):
            assert "".join(deltas) == generation.text
            assert generation.degraded in ((), CUT)
        else:  # broken off for another one, before its first word
            assert server.interrupts
            assert isinstance(generation, DependencyError)


async def planned(server: ModelServer, **parameters: Any) -> Plan:
    async with client(server, max_tokens=100, parameters=parameters) as model:
        return await model.aplan(GROUNDING.question, TOOLS, call())


async def test_a_call_that_the_request_names_is_planned(server: ModelServer) -> None:
    if not server.obeys_tool_choice:
        pytest.skip("the server lets the model write other text before a call")
    plan = await planned(server, tool_choice={"type": "function", "function": {"name": "tide"}})
    [planned_call] = plan.calls
    assert planned_call.name == "tide"
    assert planned_call.id
    assert plan.usage.completion_tokens > 0
    if not plan.degraded:
        assert planned_call.problem == ""
        assert isinstance(planned_call.arguments["harbour"], str)


async def test_a_plan_of_nonsense_is_a_plan_or_told(server: ModelServer) -> None:
    """It is cut before it has come to a call, most of the time."""
    with suppress(UnfitOutputError):
        plan = await planned(server)
        assert all(planned_call.name == "tide" or planned_call.problem for planned_call in plan.calls)


SAID = [
    ('"The ferry leaves at nine [1]."', False),
    ('"<think>Hm. [2]</think>The ferry leaves at nine [1]."', True),
    ('"<think>\\n\\n</think>\\n\\nThe ferry leaves at nine [1]."', True),
]


@pytest.mark.parametrize(("words", "thinks"), SAID)
async def test_reasoning_is_in_neither_text_nor_deltas(server: ModelServer, words: str, thinks: bool) -> None:
    if not server.follows_grammars:
        pytest.skip("the server takes no grammar, so its model cannot be told what to say")
    grammar = {"grammar": f"root ::= {words}"}
    generation, deltas = await streamed(server, max_tokens=100, parameters=grammar)
    assert generation.text == "".join(deltas) == "The ferry leaves at nine [1]."
    assert generation.degraded == ()
    assert (await generated(server, max_tokens=100, parameters=grammar)).text == generation.text


async def test_a_call_that_the_model_writes_as_text_is_planned(server: ModelServer) -> None:
    if not server.follows_grammars:
        pytest.skip("the server takes no grammar, so its model cannot be told what to say")
    call_as_text = (
        r'"<tool_call>\n{\"name\": \"tide\", \"arguments\": {\"harbour\": \"Kiel\"}}\n</tool_call>"'
    )
    plan = await planned(server, tools=None, tool_choice=None, grammar=f"root ::= {call_as_text}")
    assert [(one.name, one.arguments, one.problem) for one in plan.calls] == [
        ("tide", {"harbour": "Kiel"}, "")
    ]


async def test_parameters_reach_the_server(server: ModelServer) -> None:
    if not server.knows_max_completion_tokens:
        pytest.skip("the server knows no `max_completion_tokens`")
    generation = await generated(server, parameters={"max_tokens": None, "max_completion_tokens": 3})
    assert generation.usage.completion_tokens <= 3
    assert generation.degraded in ((), CUT)


@pytest.mark.parametrize("role", ["system", "developer", "user"])
async def test_instructions_are_taken_in_every_role(server: ModelServer, role: Any) -> None:
    if role == "developer" and not server.knows_developers:
        pytest.skip("the server's template knows no role `developer`")
    assert (await generated(server, system_role=role)).text.strip()


async def test_a_stop_word_ends_the_answer_properly(server: ModelServer) -> None:
    whole = await generated(server, parameters={"seed": 3, "top_k": 1})
    stop = whole.text.strip()[4:6]
    parameters = {"seed": 3, "top_k": 1, "stop": [stop]}
    generation, deltas = await streamed(server, parameters=parameters)
    again = await generated(server, parameters=parameters)
    assert generation.degraded == again.degraded == ()
    assert "".join(deltas) == generation.text == again.text
    assert whole.text.startswith(generation.text)


LONG = Grounding(Question(id="q", text="When? " * 6000), [PASSAGE])


@pytest.mark.parametrize("streams", [False, True])
async def test_a_question_that_is_too_long_is_refused(server: ModelServer, streams: bool) -> None:
    async with client(server) as model:
        # A stream that is refused may just be empty.
        refused = DependencyError if streams and not server.tells_why_no_stream else PermanentError
        with pytest.raises(refused) as raised:
            await model.agenerate(LONG, call(), [].append if streams else None)
    if refused is PermanentError:
        assert "context" in str(raised.value).lower()


async def test_a_wrong_model_name_is_refused_where_the_server_looks_at_it(server: ModelServer) -> None:
    async with client(server, "nobody") as model:
        if not server.knows_names:
            assert (await model.agenerate(GROUNDING, call())).text
            return
        with pytest.raises(DependencyError) as raised:
            await model.agenerate(GROUNDING, call())
    assert "nobody" in str(raised.value)


async def test_a_value_that_the_server_refuses_is_left_out_or_told(server: ModelServer) -> None:
    with suppress(DependencyError):
        assert (await generated(server, parameters={"temperature": "hot"})).text


async def test_an_abandoned_stream_leaves_the_server_to_others(server: ModelServer) -> None:
    first = asyncio.Event()

    def told(_: str) -> None:
        first.set()

    async with client(server, max_tokens=2000) as model:
        for _ in range(3):
            task = asyncio.create_task(model.agenerate(GROUNDING, call(), told))
            await first.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert (await generated(server)).text.strip()
