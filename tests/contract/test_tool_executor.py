"""The contract of every ToolExecutor.

To test a custom one, subclass `ToolExecutorContract` and give it a `subject` that knows
four tools: `echo` (answers; takes `text`, a required string, and nothing else), `broken` (fails),
`hang` (never answers) and `private` (tenant `acme` only).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
import pytest
from msgspec import Meta

from agents.components import Call, PlannedCall, ToolExecutor
from agents.tools.executor import RegistryExecutor
from agents.tools.python_tool import PythonTool, ToolError, tool
from agents.tools.registry import ToolRegistry
from agents.tools.table import table_tools
from schemas.answer import ToolCall
from schemas.question import Question
from tests.support.system import eventually
from tests.support.tool_server import run_tool_server, unused_client


@dataclass
class Subject:
    """An executor, and the numbers of its tools' calls that were started and cut off."""

    executor: ToolExecutor
    started: Callable[[], int]
    cut_off: Callable[[], int]

    async def run(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        within: float = 5.0,
        tenant: str = "default",
        tools: tuple[str, ...] | None = None,
        problem: str = "",
        call_id: str = "call-1",
    ) -> ToolCall:
        question = Question(id="q-1", text="?", tenant=tenant, tools=tools)
        call = Call("q-1", f"tools/{call_id}", asyncio.get_running_loop().time() + within)
        planned = PlannedCall(call_id, name, dict(arguments or {"text": "hello"}), problem)
        return await self.executor.arun(planned, question, call)


class ToolExecutorContract:
    """Subclass it and define the fixture `subject`."""

    async def test_a_call_that_succeeds_has_its_result(self, subject: Subject) -> None:
        result = await subject.run("echo", {"text": "你好"})
        assert result.status == "ok"
        assert result.result
        assert (result.id, result.name, result.arguments) == ("call-1", "echo", {"text": "你好"})
        assert 0 < result.duration_ms < 5000
        assert not result.reused

    async def test_a_failure_is_a_result(self, subject: Subject) -> None:
        result = await subject.run("broken")
        assert result.status == "error"
        assert isinstance(result.result, str)
        assert 0 < len(result.result) <= 300
        assert "Traceback" not in result.result

    async def test_a_late_call_is_cut_off_at_the_deadline(self, subject: Subject) -> None:
        loop = asyncio.get_running_loop()
        for within in (0.2, 2.0, 20.0):
            began = loop.time()
            result = await subject.run("hang", within=within)
            assert result.status == "timeout"
            # Far from the deadline on a busy machine, and far from the tool's own time all the same.
            assert 0.75 * within <= loop.time() - began <= within + 5.0
            assert 750 * within <= result.duration_ms <= 1000 * (within + 5.0)
            if subject.started():  # a busy machine may take all the time for the connection
                break
        await eventually(lambda: subject.cut_off() == subject.started() == 1, 30, "the call was cancelled")

    async def test_no_time_left_means_no_call(self, subject: Subject) -> None:
        result = await subject.run("echo", within=-1.0)
        assert result.status == "timeout"
        assert subject.started() == 0

    async def test_a_tool_that_hangs_does_not_delay_the_others(self, subject: Subject) -> None:
        hanging = asyncio.create_task(subject.run("hang", within=60, call_id="a"))
        await eventually(lambda: subject.started() == 1, 20, "the call did not start")
        async with asyncio.timeout(20):
            results = await asyncio.gather(*(subject.run("echo", call_id=f"b{n}") for n in range(9)))
        assert [result.status for result in results] == ["ok"] * 9
        assert not hanging.done()
        hanging.cancel()
        await asyncio.wait([hanging])

    async def test_cancelling_the_question_cancels_the_call(self, subject: Subject) -> None:
        task = asyncio.create_task(subject.run("hang", within=60))
        await eventually(lambda: subject.started() == 1, 5, "the call did not start")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: subject.cut_off() == 1, 5, "the call was not cancelled")

    @pytest.mark.parametrize(
        "arguments",
        [{"text": 5}, {"nothing": "useful"}, {"text": "hello", "extra": 1}, {"text": None}],
        ids=["wrong type", "missing", "unknown", "null"],
    )
    async def test_arguments_that_do_not_fit_are_rejected(
        self, subject: Subject, arguments: dict[str, Any]
    ) -> None:
        result = await subject.run("echo", arguments)
        assert result.status == "rejected"
        assert isinstance(result.result, str)
        assert 0 < len(result.result) <= 300
        assert subject.started() == 0

    async def test_a_call_with_a_problem_is_rejected(self, subject: Subject) -> None:
        result = await subject.run("echo", problem="the arguments are not a JSON object")
        assert (result.status, result.result) == ("rejected", "the arguments are not a JSON object")
        assert subject.started() == 0

    async def test_an_unknown_tool_is_rejected(self, subject: Subject) -> None:
        result = await subject.run("rm_rf")
        assert result.status == "rejected"

    async def test_a_tenant_sees_its_own_tools_only(self, subject: Subject) -> None:
        def names(tenant: str) -> set[str]:
            return {spec.name for spec in subject.executor.offered(Question(id="q", text="?", tenant=tenant))}

        assert names("acme") - names("default") == {"private"}
        assert (await subject.run("private", tenant="default")).status == "rejected"
        assert subject.started() == 0
        assert (await subject.run("private", tenant="acme")).status == "ok"

    async def test_a_question_may_allow_fewer_tools_but_not_more(self, subject: Subject) -> None:
        question = Question(id="q", text="?", tools=("echo", "private", "nonsense"))
        assert [spec.name for spec in subject.executor.offered(question)] == ["echo"]
        assert subject.executor.offered(Question(id="q", text="?", tools=())) == ()
        assert (await subject.run("broken", tools=("echo",))).status == "rejected"
        assert subject.started() == 0

    async def test_the_next_question_is_offered_the_same_tools(self, subject: Subject) -> None:
        question = Question(id="q", text="?", tools=("echo",))
        first = [spec.name for spec in subject.executor.offered(question)]
        for _ in range(3):
            assert (await subject.run("echo", tools=("echo",))).status == "ok"
        assert [spec.name for spec in subject.executor.offered(question)] == first == ["echo"]
        assert len(subject.executor.offered(Question(id="q", text="?"))) == 3

    async def test_results_can_be_written_as_json(self, subject: Subject) -> None:
        for name in ("echo", "broken", "nothing"):
            orjson.dumps((await subject.run(name)).result)


PARAMETERS = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


class TestHttpTools(ToolExecutorContract):
    @pytest.fixture(params=["GET", "POST"])
    async def subject(self, request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
        async with run_tool_server() as server:
            paths = {"echo": "/ok", "broken": "/status/500", "hang": "/hang", "private": "/ok"}
            table = {
                name: {
                    "description": name,
                    "url": server.url + path,
                    "method": request.param,
                    "parameters": PARAMETERS,
                    **({"tenants": ["acme"]} if name == "private" else {}),
                }
                for name, path in paths.items()
            }
            registry = ToolRegistry(
                table_tools(table, environ={}, http=unused_client, default_timeout_s=10.0)
            )
            yield Subject(RegistryExecutor(registry), lambda: len(server.received), lambda: server.abandoned)
            await registry.aclose()


class TestHttpToolThatStartsToAnswer(TestHttpTools):
    @pytest.fixture
    async def subject(self) -> AsyncIterator[Subject]:
        async with run_tool_server() as server:
            paths = {"echo": "/ok", "broken": "/garbage", "hang": "/dribble", "private": "/text"}
            table: dict[str, dict[str, Any]] = {
                name: {"description": name, "url": server.url + path, "parameters": PARAMETERS}
                for name, path in paths.items()
            }
            table["private"]["tenants"] = ["acme"]
            registry = ToolRegistry(
                table_tools(table, environ={}, http=unused_client, default_timeout_s=10.0)
            )
            yield Subject(RegistryExecutor(registry), lambda: len(server.received), lambda: server.abandoned)
            await registry.aclose()


class TestPythonTools(ToolExecutorContract):
    @pytest.fixture
    def subject(self) -> Subject:
        started = 0
        cut_off = 0

        async def echo(text: Annotated[str, Meta(description="Anything.")]) -> dict[str, str]:
            """Says it again."""
            nonlocal started
            started += 1
            return {"text": text}

        async def broken(text: str) -> str:
            """Fails."""
            raise ToolError("out of order")

        @tool(tenants=frozenset({"acme"}))
        async def private(text: str) -> str:
            """Only for some."""
            return text

        async def hang(text: str) -> str:
            """Never answers."""
            nonlocal started, cut_off
            started += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cut_off += 1
                raise
            return text

        registry = ToolRegistry([PythonTool(function) for function in (echo, broken, private, hang)])
        return Subject(RegistryExecutor(registry), lambda: started, lambda: cut_off)

    async def test_a_tool_that_cancels_itself_has_failed_and_was_not_late(self, subject: Subject) -> None:
        async def confused(text: str) -> str:
            """Awaits a task that another one has cancelled."""
            raise asyncio.CancelledError

        executor = RegistryExecutor(ToolRegistry([PythonTool(confused)]))
        result = await Subject(executor, subject.started, subject.cut_off).run("confused")
        assert result.status == "error"
        assert result.result == "the tool failed (CancelledError)"
