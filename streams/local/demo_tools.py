"""Two real tools for the demo: a calculator and a clock.

The demo names them in its worker's settings: entry points would add them to every installation. Their
descriptions are in English and Chinese, because the offline model plans by matching words.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta

from agents.tools.python_tool import ToolError, tool
from streams.local.arithmetic import ArithmeticProblem, evaluate, show
from streams.local.zones import UnknownPlace, find_zone


def demo_tools_table() -> dict[str, dict[str, Any]]:
    """Return the tools' part of the `[tools]` table."""
    return {
        function.__name__: {"python": f"{__name__}:{function.__name__}"} for function in (calculator, clock)
    }


@tool(idempotent=True, timeout_s=2.0)
async def calculator(
    expression: Annotated[
        str,
        Meta(
            description="Arithmetic with numbers and operators. 由数字和运算符组成的算式。",
            examples=["17.5% of 2,480", "(3 + 4) * 2 ** 10", "128 ÷ 4"],
            min_length=1,
            max_length=200,
        ),
    ],
) -> str:
    """Calculates arithmetic: plus, minus, times, divided by, percent, power.

    计算算式：加减乘除、百分比、乘方。
    """
    try:
        value = show(evaluate(expression))
    except ArithmeticProblem as problem:
        raise ToolError(str(problem)) from problem
    return f"{' '.join(expression.split()).rstrip('=?？ ')} {value}"


@tool(idempotent=True, timeout_s=2.0)
async def clock(
    place: Annotated[
        str,
        Meta(
            description="A city or IANA time zone. 城市名或时区名。",
            examples=["Tokyo", "Europe/Amsterdam", "杭州"],
            min_length=1,
            max_length=100,
        ),
    ] = "UTC",
) -> str:
    """Tells the current time and date in a city or time zone.

    查询某个城市或时区现在的时间和日期，几点了。
    """
    try:
        return tell_time(place, datetime.now(UTC))
    except UnknownPlace as problem:
        raise ToolError(str(problem)) from problem


def tell_time(place: str, now: datetime) -> str:
    """Return date and time in the place at `now`, which has a zone. Raises UnknownPlace."""
    there = now.astimezone(find_zone(place))
    offset = there.strftime("%z")
    return f"{place}: {there:%Y-%m-%d (%A) %H:%M:%S}, UTC{offset[:3]}:{offset[3:]} ({there.tzinfo})"
