"""Async functions as tools."""

import asyncio
import datetime
import logging
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal

import httpx
import msgspec
import pytest
from msgspec import Meta

from agents import loading
from agents.components import Call, PlannedCall
from agents.http.egress import endpoint
from agents.http.pool import HttpPool
from agents.tools.executor import RegistryExecutor
from agents.tools.python_tool import PythonTool, ToolError, python_tools, tool
from agents.tools.registry import ToolRegistry
from agents.tools.tool import ToolConfigError
from schemas.answer import ToolCall
from schemas.codec import encode
from schemas.question import Question
from tests.support.guards import GuardEvents, whole_guard
from tests.support.tool_server import ToolServer, run_tool_server, unused_client


async def run(python_tool: PythonTool, **arguments: Any) -> ToolCall:
    call = Call("q-1", "tools/c-1", asyncio.get_running_loop().time() + 5)
    return await RegistryExecutor(ToolRegistry([python_tool])).arun(
        PlannedCall("c-1", python_tool.spec.name, arguments), Question(id="q-1", text="?"), call
    )


class Place(msgspec.Struct):
    city: str
    country: str = "NL"


async def forecast(
    place: Place,
    day: datetime.date,
    unit: Annotated[Literal["C", "F"], Meta(description="Celsius or Fahrenheit.")] = "C",
    tags: list[str] = ["x"],  # noqa: B006 - the mistake that the tool has to survive
) -> dict[str, Any]:
    """Forecasts the weather
    of a place.  天气预报。

    A second paragraph.

    Args:
        place: where.
    """
    tags.append("seen")
    return {"city": place.city, "country": place.country, "day": day, "unit": unit, "tags": tags}


def test_the_schema_comes_from_the_hints() -> None:
    spec = PythonTool(forecast, default_timeout_s=3.0).spec
    assert spec.name == "forecast"
    assert spec.description == "Forecasts the weather of a place. 天气预报。 A second paragraph."
    assert spec.timeout_s == 3.0
    assert not spec.idempotent
    assert spec.parameters["type"] == "object"
    assert spec.parameters["required"] == ["place", "day"]
    assert spec.parameters["additionalProperties"] is False
    properties = spec.parameters["properties"]
    assert properties["place"] == {"$ref": "#/$defs/Place"}
    assert properties["day"] == {"type": "string", "format": "date"}
    assert properties["unit"]["description"] == "Celsius or Fahrenheit."
    assert sorted(properties["unit"]["enum"]) == ["C", "F"]
    assert "city" in spec.parameters["$defs"]["Place"]["properties"]


async def test_arguments_are_converted_and_defaults_filled_in() -> None:
    python_tool = PythonTool(forecast)
    for _ in range(2):
        result = await run(python_tool, place={"city": "Delft"}, day="2026-03-01")
        assert result.status == "ok", result
        assert result.result == {
            "city": "Delft", "country": "NL", "day": "2026-03-01", "unit": "C", "tags": ["x", "seen"],
        }  # fmt: skip


async def test_arguments_that_fit_the_schema_but_not_the_hint_are_rejected() -> None:
    result = await run(PythonTool(forecast), place={"city": "Delft"}, day="the day after tomorrow")
    assert result.status == "rejected"
    assert "$.day" in result.result


async def test_the_decorators_values_are_the_tools() -> None:
    @tool(idempotent=True, timeout_s=0.05, tenants=frozenset({"acme"}))
    async def wait() -> None:
        """Waits."""
        await asyncio.Event().wait()

    python_tool = PythonTool(wait)
    assert python_tool.tenants == frozenset({"acme"})
    assert python_tool.spec.idempotent
    assert python_tool.spec.timeout_s == 0.05
    with pytest.raises(ToolConfigError, match="more than 0"):
        tool(timeout_s=0)


async def test_results_become_json() -> None:
    @dataclass
    class Sum:
        total: Decimal
        when: datetime.date

    async def add() -> Sum:
        """Adds."""
        return Sum(Decimal("1.50"), datetime.date(2026, 1, 2))

    async def odd() -> object:
        """Gives a value that no JSON can hold."""
        return object()

    async def big() -> int:
        """Gives a number that no JSON reader takes."""
        return 2**80

    assert (await run(PythonTool(add))).result == {"total": "1.50", "when": "2026-01-02"}
    for function in (odd, big):
        assert (await run(PythonTool(function))).status == "error"


async def test_the_asker_reads_a_tool_error_and_only_the_type_of_a_defect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def strict() -> str:
        """Refuses."""
        raise ToolError("no such city: Atlantis")

    async def defective() -> str:
        """Breaks."""
        raise KeyError("password=s3cret")

    async def late() -> str:
        """Waits for something slow."""
        raise TimeoutError

    assert (await run(PythonTool(strict))).result == "no such city: Atlantis"
    assert not caplog.records
    assert (await run(PythonTool(late))).status == "timeout"
    with caplog.at_level(logging.ERROR):
        result = await run(PythonTool(defective))
    assert (result.status, result.result) == ("error", "the tool failed (KeyError)")
    assert caplog.records[-1].exc_info


async def test_a_tool_that_would_end_the_process_fails_alone() -> None:
    async def leave() -> str:
        """Ends a script."""
        sys.exit(3)

    assert (await run(PythonTool(leave))).result == "the tool failed (RuntimeError)"


def plain(text: str) -> str:
    """Not async."""
    return text


async def undocumented(text: str) -> str:
    return text


async def unhinted(text) -> str:  # type: ignore[no-untyped-def]  # the mistake
    """Lacks a hint."""
    return str(text)


async def greedy(*texts: str) -> str:
    """Takes anything."""
    return "".join(texts)


class Opaque:
    """Nothing that JSON knows."""


async def opaque(thing: Opaque) -> str:
    """Wants the impossible."""
    return str(thing)


async def unresolved(thing: "Nowhere") -> str:  # type: ignore[name-defined]  # noqa: F821 - the mistake
    """Names what is not there."""
    return str(thing)


async def needs_client(client: httpx.AsyncClient) -> str:
    """Calls out."""
    return (await client.get("/")).text


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (plain, "must be an `async def`"),
        (undocumented, "needs a docstring"),
        (unhinted, "parameter text needs a type hint"),
        (greedy, "every parameter must be a named one"),
        (opaque, "a hint has no JSON Schema"),
        (unresolved, "type hints cannot be read"),
        (needs_client, "asks for an HTTP client"),
    ],
)
def test_unfit_functions_are_refused_in_one_line(function: Any, message: str) -> None:
    with pytest.raises(ToolConfigError, match=message) as refused:
        PythonTool(function)
    assert function.__name__ in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture
async def server() -> AsyncIterator[ToolServer]:
    async with run_tool_server() as running:
        yield running


async def test_a_client_is_injected_and_labels_its_requests(server: ToolServer) -> None:
    async def fetch(client: httpx.AsyncClient, path: str) -> Any:
        """Fetches."""
        response = await client.post(f"{server.url}{path}", json={"a": 1})
        response.raise_for_status()
        return response.json()

    pool = HttpPool("tools", allowed={endpoint(server.url), ("127.0.0.1", 9)})
    try:
        python_tool = PythonTool(fetch, http=pool.client)
        assert list(python_tool.spec.parameters["properties"]) == ["path"]
        result = await run(python_tool, path="/ok")
        assert (result.status, result.result) == ("ok", {"weather": "sunny", "degrees": 21.5})
        assert server.last.headers["idempotency-key"] == "default/q-1/q-1/c-1"
        assert server.last.headers["x-request-id"] == "q-1/tools%2Fc-1/1"
        failed = await run(python_tool, path="/status/418")
        assert (failed.status, failed.result) == ("error", "HTTP 418")
    finally:
        await pool.aclose()


async def test_errors_of_an_injected_client_become_errors_or_time_outs(server: ToolServer) -> None:
    async def fetch(client: httpx.AsyncClient, url: str, timeout_s: float = 5.0) -> str:
        """Fetches."""
        return (await client.get(url, timeout=timeout_s)).text

    pool = HttpPool("tools", allowed={endpoint(server.url), ("127.0.0.1", 9)})
    try:
        python_tool = PythonTool(fetch, http=pool.client)
        refused = await run(python_tool, url="http://127.0.0.1:9/?key=s3cret")
        assert (refused.status, refused.result) == ("error", "the connection to its server failed")
        late = await run(python_tool, url=f"{server.url}/hang", timeout_s=0.1)
        assert late.status == "timeout"
    finally:
        await pool.aclose()


@pytest.mark.looptime
async def test_a_tool_whose_server_is_busy_is_called_again_after_its_retry_after() -> None:
    at: list[float] = []

    async def serve(_: httpx.Request) -> httpx.Response:
        at.append(asyncio.get_running_loop().time())
        return httpx.Response(429, headers={"Retry-After": "3"}) if len(at) == 1 else httpx.Response(200)

    @tool(idempotent=True)
    async def fetch(client: httpx.AsyncClient) -> str:
        """Fetches."""
        response = await client.get("http://busy.example/")
        response.raise_for_status()
        return "fetched"

    client = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    guard = whole_guard(GuardEvents(), asyncio.get_running_loop().time(), jitter=0.0)
    executor = RegistryExecutor(
        ToolRegistry([PythonTool(fetch, http=lambda: client)]), guards={"fetch": guard}
    )
    call = Call("q-1", "tools/c-1", asyncio.get_running_loop().time() + 30)
    result = await executor.arun(PlannedCall("c-1", "fetch", {}), Question(id="q-1", text="?"), call)
    assert (result.status, result.result) == ("ok", "fetched")
    assert at[1] - at[0] == pytest.approx(3.0)


def offer(monkeypatch: pytest.MonkeyPatch, *entries: EntryPoint) -> None:
    monkeypatch.setattr(loading, "entry_points", lambda group: [e for e in entries if e.group == group])


def test_installed_packages_offer_tools_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, EntryPoint("weather", f"{__name__}:forecast", loading.TOOLS_GROUP))
    (python_tool,) = python_tools(http=unused_client, default_timeout_s=4.0)
    assert (python_tool.spec.name, python_tool.spec.timeout_s) == ("weather", 4.0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (f"{__name__}:missing", "weather.*AttributeError"),
        (f"{__name__}:plain", "weather.*must be an `async def`"),
    ],
)
def test_an_unfit_entry_point_is_named(monkeypatch: pytest.MonkeyPatch, value: str, message: str) -> None:
    offer(monkeypatch, EntryPoint("weather", value, loading.TOOLS_GROUP))
    with pytest.raises(ToolConfigError, match=message):
        python_tools(http=unused_client, default_timeout_s=4.0)


async def test_a_result_too_deep_to_be_read_in_an_answer_is_an_error() -> None:
    async def nest(levels: int) -> list[Any]:
        """Nests lists."""
        made: list[Any] = []
        for _ in range(levels - 1):
            made = [made]
        return made

    assert (await run(PythonTool(nest), levels=80)).status == "ok"
    failed = await run(PythonTool(nest), levels=120)
    assert (failed.status, failed.result) == ("error", "the result is nested too deeply")


async def test_an_error_text_outside_utf8_is_escaped_in_the_answer() -> None:
    async def lost() -> str:
        """Names the file that it missed, as the system gave it, and all that it tried."""
        raise ToolError(f"no file \udc80.txt: {'tried ' * 10_000}")

    failed = await run(PythonTool(lost))
    assert failed.status == "error"
    assert failed.result.startswith(r"no file \udc80.txt: tried")
    assert len(encode(failed)) < 5000


def test_a_tool_may_be_named_like_a_struct_in_its_hints() -> None:
    async def order(item: Place) -> str:
        """Orders something."""
        return item.city

    schema = PythonTool(order, name="Place").spec.parameters
    assert list(schema["properties"]) == ["item"]
    [place] = schema["$defs"].values()
    assert list(place["properties"]) == ["city", "country"]


async def test_a_long_result_is_cut_at_any_depth() -> None:
    async def nest() -> list[Any]:
        """Nests lists, and holds much."""
        made: list[Any] = ["x" * 20_000]
        for _ in range(120):
            made = [made]
        return made

    result = await run(PythonTool(nest))
    assert result.status == "ok"
    assert "[cut: the result has" in result.result
