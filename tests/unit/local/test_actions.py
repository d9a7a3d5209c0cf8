"""Tools that change something are called only where the question asks for it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.local.actions import asks_for, changes_of
from streams.local.planning import match_tools

ORDER = {"order": {"type": "string", "pattern": "^A-\\d+$", "description": "Order number. 订单号。"}}


def offer(name: str, description: str, properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


CANCEL = offer("cancel_order", "Cancels a customer's order. 取消订单。", ORDER)
TICKET = offer(
    "open_ticket",
    "Opens a support ticket for an order.",
    ORDER,
)
STATUS = offer("order_status", "Looks up a customer's order. 查询订单状态。", ORDER)
TOOLS = [CANCEL, TICKET, STATUS]


def called(question: str) -> set[str]:
    return {call.name for call in match_tools(question, TOOLS)}


@pytest.mark.parametrize(
    "question",
    [
        "How do I cancel order A-1042?",
        "Can I cancel my order A-1042?",
        "Was order A-1042 cancelled?",
        "What happens when I cancel order A-1042?",
        "If I cancel order A-1042, do I get a refund?",
        "Is it possible to cancel order A-1042?",
        "Where do I open a support ticket about order A-1042?",
        "Does cancel_order work for order A-1042?",
        "What is the status of my order A-1042?",
        "Please tell me whether order A-1042 is cancelled.",
        "Please send me the status of order A-1042.",
        "I tried to cancel order A-1042 yesterday.",
        "Please do not cancel order A-1042.",
        "Open tickets for order A-1042?",
        "Is there an open ticket for order A-1042?",
        "Why did you cancel my order A-1042?",
        "订单 A-1042 怎么取消？",
        "请问如何取消订单 A-1042？",
        "订单 A-1042 取消了吗？",
    ],
)
def test_a_question_about_a_change_changes_nothing(question: str) -> None:
    assert not called(question) & {"cancel_order", "open_ticket"}


@pytest.mark.parametrize(
    ("question", "tool"),
    [
        ("Cancel order A-1042.", "cancel_order"),
        ("Please cancel my order A-1042", "cancel_order"),
        ("Could you please cancel order A-1042?", "cancel_order"),
        ("I want to cancel order A-1042.", "cancel_order"),
        ("I'd like to cancel order A-1042.", "cancel_order"),
        ("My order A-1042 is late. Cancel it, please.", "cancel_order"),
        ("Open a support ticket for order A-1042", "open_ticket"),
        ("My parcel is broken, please create a ticket for order A-1042.", "open_ticket"),
        ("I need a support ticket for order A-1042.", "open_ticket"),
        ("请取消订单 A-1042。", "cancel_order"),
        ("帮我取消订单 A-1042", "cancel_order"),
        ("取消订单 A-1042", "cancel_order"),
    ],
)
def test_a_request_leads_to_the_tool_that_does_it(question: str, tool: str) -> None:
    assert called(question) & {"cancel_order", "open_ticket"} == {tool}


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("order_status", "Looks up a customer's order."),
        ("weather", "The current weather of a city."),
        ("stock", "How many units of a product are in stock."),
        ("get_bookings", "Bookings of a customer."),
        ("schedule_viewer", ""),
        ("convert", "Converts an amount of money."),
        ("kurs", "Returns the exchange rate."),
        ("change_history", "Lists changes."),
        ("calculator", "Calculates. 计算算式。"),
        ("search", "Use this tool to find orders that were cancelled."),
        ("orders", "查询订单是否取消。"),
    ],
)
def test_a_tool_that_reads_changes_nothing(name: str, description: str) -> None:
    assert not changes_of(name, description)


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("cancel_order", ""),
        ("cancelOrder", "Order cancellation."),
        ("ticket-create", "Support tickets."),
        ("helpdesk", "Opens a ticket."),
        ("helpdesk", "Use this tool to open a ticket."),
        ("pay", "Pays."),
        ("book_table", "Table reservations."),
        ("refunds", "Issues a refund."),
        ("return_order", "Starts a return."),
        ("mail", "This tool sends an e-mail."),
        ("stock", "Modifies the stock of a product."),
        ("ding", "取消订单。"),
    ],
)
def test_a_tool_with_a_verb_of_change_changes_something(name: str, description: str) -> None:
    assert changes_of(name, description)


@given(st.text(), st.text(), st.text())
def test_any_text_is_judged(question: str, name: str, description: str) -> None:
    asks_for(question, changes_of(name, description))
