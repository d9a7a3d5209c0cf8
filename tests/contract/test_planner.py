"""The contract of every Planner. To test a custom one, add a factory to PLANNERS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from agents.components import Call, Planner, ToolSpec
from agents.errors import BadOutputError, DependencyError, PermanentError, ThrottledError
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.models.openai import OpenAIModel
from schemas.question import Question, Turn
from streams.local.offline_model import serve_offline_model
from tests.support.model_server import ModelServer, Recorded, Reply, calls, completion, text

Factory = Callable[[], AbstractAsyncContextManager[Planner]]


@asynccontextmanager
async def model_at(base_url: str) -> AsyncIterator[OpenAIModel]:
    pool = HttpPool("model", allowed={endpoint(base_url)})
    try:
        yield OpenAIModel(pool, base_url, "default")
    finally:
        await pool.aclose()


@asynccontextmanager
async def offline_model() -> AsyncIterator[Planner]:
    async with serve_offline_model(port=0) as base_url, model_at(base_url) as model:
        yield model


@asynccontextmanager
async def scripted_model() -> AsyncIterator[Planner]:
    def plan(request: Recorded) -> Reply:
        offered = {tool["function"]["name"] for tool in request.body["tools"]}
        question = request.body["messages"][-1]["content"]
        wanted = [
            ("calculator", '{"expression": "23 * 7"}', "23 * 7"),
            ("clock", '{"zone": "Asia/Tokyo"}', "Tokyo"),
        ]
        made = [(name, arguments) for name, arguments, sign in wanted if name in offered and sign in question]
        return calls(*made) if made else text("NONE")

    async with ModelServer(plan) as server, model_at(server.base_url) as model:
        yield model


PLANNERS: list[Factory] = [offline_model, scripted_model]


def tool(name: str, description: str, parameter: str, about: str) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": {parameter: {"type": "string", "description": about}},
        "required": [parameter],
    }
    return ToolSpec(name, description, schema, 5.0, idempotent=True)


TOOLS = [
    tool("calculator", "Evaluates arithmetic.", "expression", "An arithmetic expression."),
    tool("clock", "Tells the current time in a time zone.", "zone", "IANA time zone."),
]


def call() -> Call:
    return Call("q-1", "plan", asyncio.get_running_loop().time() + 10)


def question(words: str) -> Question:
    return Question(id="q-1", text=words)


@pytest.fixture(params=PLANNERS, ids=lambda factory: factory.__name__)
async def planner(request: pytest.FixtureRequest) -> AsyncIterator[Planner]:
    async with request.param() as made:
        yield made


async def test_every_tool_that_is_needed_is_called_at_once(planner: Planner) -> None:
    plan = await planner.aplan(question("What is 23 * 7, and what time is it in Tokyo?"), TOOLS, call())
    assert {(planned.name, *planned.arguments.items()) for planned in plan.calls} == {
        ("calculator", ("expression", "23 * 7")),
        ("clock", ("zone", "Asia/Tokyo")),
    }
    assert len({planned.id for planned in plan.calls}) == 2
    assert not any(planned.problem for planned in plan.calls)


async def test_no_tool_is_called_if_none_is_needed(planner: Planner) -> None:
    assert (await planner.aplan(question("How long is the warranty?"), TOOLS, call())).calls == ()


async def test_only_offered_tools_are_called(planner: Planner) -> None:
    plan = await planner.aplan(question("What is 23 * 7, and what time is it in Tokyo?"), TOOLS[:1], call())
    assert [planned.name for planned in plan.calls] == ["calculator"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=401), PermanentError),
        (Reply(status=429, headers={"Retry-After": "7"}), ThrottledError),
        (Reply(pieces=[b"<html>"]), BadOutputError),
    ],
)
async def test_failures_are_sorted(reply: Reply, kind: type[DependencyError]) -> None:
    async with ModelServer(reply) as server, model_at(server.base_url) as model:
        with pytest.raises(kind) as failure:
            await model.aplan(question("?"), TOOLS, call())
    assert failure.value.retry_after_s == (7.0 if kind is ThrottledError else None)


async def test_a_call_with_broken_arguments_is_kept_with_its_problem() -> None:
    async with (
        ModelServer(calls(("clock", "{"), ("unknown", "{}"))) as server,
        model_at(server.base_url) as model,
    ):
        plan = await model.aplan(question("?"), TOOLS, call())
    assert [(planned.name, bool(planned.problem)) for planned in plan.calls] == [
        ("clock", True),
        ("unknown", False),
    ]


async def test_the_request_offers_the_tools_and_holds_nothing_untrusted() -> None:
    asked = Question(
        id="q-1", text="What time is it?", history=(Turn("user", "Hello"), Turn("assistant", "Hi"))
    )
    async with ModelServer(completion({"content": "NONE"})) as server, model_at(server.base_url) as model:
        await model.aplan(asked, TOOLS, call())
    (request,) = server.requests
    assert request.body["tool_choice"] == "auto"
    assert [offer["function"]["name"] for offer in request.body["tools"]] == ["calculator", "clock"]
    assert request.body["tools"][1]["function"]["parameters"] == TOOLS[1].parameters
    assert [message["content"] for message in request.body["messages"][1:]] == [
        "Hello",
        "Hi",
        "What time is it?",
    ]
    assert request.headers["X-Request-Id"] == "q-1/plan/1"
