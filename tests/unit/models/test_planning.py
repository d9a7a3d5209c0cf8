"""Plans by matching, in English and Chinese, for tools that the planner does not know by name."""

from typing import Any

import pytest

from streams.local.planning import match_tools
from streams.local.spotting import plain_arithmetic


def offer(name: str, description: str, properties: dict[str, Any], *required: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(required)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


TOOLS = [
    offer(
        "reckon",
        "Works out sums. 计算算式。",
        {"sum": {"type": "string", "description": "An arithmetic expression. 算式。"}},
        "sum",
    ),
    offer(
        "local_time",
        "Tells the current time in a time zone. 查询某个时区现在的时间，几点了。",
        {"zone": {"type": "string", "description": "IANA time zone"}},
        "zone",
    ),
    offer(
        "weather", "Current weather. 天气。", {"city": {"type": "string", "description": "City name"}}, "city"
    ),
    offer(
        "order_status",
        "Looks up a customer's order. 查询订单状态。",
        {"order": {"type": "string", "pattern": "^A-\\d+$"}},
        "order",
    ),
    offer(
        "convert",
        "Converts an amount of money into another currency.",
        {"amount": {"type": "number"}, "currency": {"type": "string", "enum": ["EUR", "CNY"]}},
        "amount",
        "currency",
    ),
    offer(
        "stock",
        "How many units of a product are in stock. 库存数量。",
        {"product": {"type": "string"}},
        "product",
    ),
    offer("visitors", "Counts the visitors of the website today.", {}),
]


@pytest.mark.parametrize(
    ("question", "calls"),
    [
        ("What is 23 * 7?", [("reckon", {"sum": "23 * 7"})]),
        ("What is 17.5% of 2,480?", [("reckon", {"sum": "17.5/100 * 2480"})]),
        ("(3 + 4) × 2^10 = ?", [("reckon", {"sum": "(3 + 4) * 2**10"})]),
        ("23乘以7等于多少？", [("reckon", {"sum": "23*7"})]),
        ("What time is it in Tokyo?", [("local_time", {"zone": "Asia/Tokyo"})]),
        (
            "What time is it in New York and in Europe/Paris?",
            [("local_time", {"zone": "America/New_York"}), ("local_time", {"zone": "Europe/Paris"})],
        ),
        ("现在东京几点了？", [("local_time", {"zone": "Asia/Tokyo"})]),
        (
            "What is 12 times 12, and what time is it in Berlin?",
            [("reckon", {"sum": "12 * 12"}), ("local_time", {"zone": "Europe/Berlin"})],
        ),
        ("What's the weather like in Reykjavik?", [("weather", {"city": "Reykjavik"})]),
        ("杭州的天气怎么样？", [("weather", {"city": "杭州"})]),
        ("Where is my order A-1042?", [("order_status", {"order": "A-1042"})]),
        ("订单A-77的状态？", [("order_status", {"order": "A-77"})]),
        ("Convert 200 into EUR, please", [("convert", {"amount": 200, "currency": "EUR"})]),
        ("How many Heron Flow are in stock?", [("stock", {"product": "Heron Flow"})]),
        ("晨雾加湿器目前的库存数量？", [("stock", {"product": "晨雾加湿器"})]),
        ("How many visitors does the website have today?", [("visitors", {})]),
    ],
)
def test_calls_follow_from_the_question_and_the_schema(
    question: str, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    assert [(call.name, call.arguments) for call in match_tools(question, TOOLS)] == calls


@pytest.mark.parametrize(
    "question",
    [
        "How long is the warranty of the Heron Flow?",
        "Who won in the 2010-2011 season?",
        "公司的年假有多少天？",
        "What is the capital of France?",
        "Where is my order?",
        "Convert something into EUR",
        "Is support there 24/7?",
    ],
)
def test_a_tool_is_not_called_without_a_reason_or_a_required_argument(question: str) -> None:
    assert match_tools(question, TOOLS) == []


@pytest.mark.parametrize(
    "broken", [{}, {"function": {}}, {"function": {"name": "x", "parameters": {"properties": []}}}]
)
def test_malformed_offers_are_skipped(broken: dict[str, Any]) -> None:
    assert match_tools("What is 2 * 3?", [broken, TOOLS[0]]) == match_tools("What is 2 * 3?", [TOOLS[0]])


@pytest.mark.parametrize(
    ("written", "plain"),
    [("7 x 8", "7 * 8"), ("50% of 1,000", "50/100 * 1000"), ("100 减去 37", "100 - 37"), ("9 ÷ 3", "9 / 3")],
)
def test_arithmetic_is_written_plainly(written: str, plain: str) -> None:
    assert plain_arithmetic(written) == plain
