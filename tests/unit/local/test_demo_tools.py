"""The demo's tools, as a question would call them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from agents.components import Call, PlannedCall
from agents.tools.executor import RegistryExecutor
from agents.tools.registry import ToolRegistry
from agents.tools.table import table_tools
from schemas.answer import ToolCall
from schemas.question import Question
from streams.local.demo_tools import demo_tools_table, tell_time
from streams.local.slow_tool import NAME, run_slow_tool
from streams.local.zones import UnknownPlace, find_zone
from tests.support.tool_server import unused_client

NOON = datetime(2026, 7, 1, 12, 0, 5, tzinfo=UTC)


async def run(registry: ToolRegistry, name: str, within: float = 5.0, **arguments: Any) -> ToolCall:
    call = Call("q", f"tools/{name}", asyncio.get_running_loop().time() + within)
    return await RegistryExecutor(registry).arun(
        PlannedCall(name, name, arguments), Question(id="q", text="?"), call
    )


@pytest.fixture
def registry() -> ToolRegistry:
    return ToolRegistry(
        table_tools(demo_tools_table(), environ={}, http=unused_client, default_timeout_s=8.0)
    )


async def test_the_calculator_gives_the_expression_with_its_value(registry: ToolRegistry) -> None:
    result = await run(registry, "calculator", expression="17.5% of  2,480 =?")
    assert (result.status, result.result) == ("ok", "17.5% of 2,480 = 434")
    wrong = await run(registry, "calculator", expression="1/0")
    assert (wrong.status, wrong.result) == ("error", "a division by zero")
    assert (await run(registry, "calculator", expression=5)).status == "rejected"


def test_the_clock_names_its_zone() -> None:
    assert tell_time("Tokyo", NOON) == "Tokyo: 2026-07-01 (Wednesday) 21:00:05, UTC+09:00 (Asia/Tokyo)"
    assert tell_time("纽约", NOON) == "纽约: 2026-07-01 (Wednesday) 08:00:05, UTC-04:00 (America/New_York)"


async def test_the_clock_suggests_places_that_it_knows(registry: ToolRegistry) -> None:
    unknown = await run(registry, "clock", place="Tokio")
    assert unknown.status == "error"
    assert "Asia/Tokyo" in unknown.result


async def test_the_clock_tells_the_current_time(registry: ToolRegistry) -> None:
    result = await run(registry, "clock")
    told = datetime.strptime(result.result, "UTC: %Y-%m-%d (%A) %H:%M:%S, UTC+00:00 (UTC)").replace(
        tzinfo=UTC
    )
    assert abs((datetime.now(UTC) - told).total_seconds()) < 60


@pytest.mark.parametrize(
    ("place", "zone"),
    [
        ("Tokyo", "Asia/Tokyo"),
        ("asia/tokyo", "Asia/Tokyo"),
        ("东京", "Asia/Tokyo"),
        ("杭州", "Asia/Shanghai"),
        ("北京市", "Asia/Shanghai"),
        (" New   York ", "America/New_York"),
        ("Buenos Aires", "America/Argentina/Buenos_Aires"),
        ("Rotterdam", "Europe/Amsterdam"),
        ("São Paulo", "America/Sao_Paulo"),
        ("utc", "UTC"),
    ],
)
def test_places_have_time_zones(place: str, zone: str) -> None:
    assert find_zone(place).utcoffset(NOON) == find_zone(zone).utcoffset(NOON)


@pytest.mark.parametrize("place", ["", "Atlantis", "../../etc/passwd", "x" * 10_000, "\0"])
def test_unknown_places_get_suggestions(place: str) -> None:
    with pytest.raises(UnknownPlace, match=r"names look like these: \S") as refused:
        find_zone(place)
    assert len(str(refused.value)) < 300


async def test_a_tool_that_hangs_times_out() -> None:
    async with run_slow_tool() as table:
        registry = ToolRegistry(table_tools(table, environ={}, http=unused_client, default_timeout_s=8.0))
        assert table[NAME]["timeout_s"] == 1.5
        result = await run(registry, NAME, within=0.2, product="Heron Flow")
        assert result.status == "timeout"
        await registry.aclose()


def test_tools_are_described_in_both_languages(registry: ToolRegistry) -> None:
    for spec in registry.offered(Question(id="q", text="?")):
        assert spec.description.isascii() is False
        assert spec.idempotent
