"""The demo's documents, and its questions about them."""

import re

import pytest

from agents.tools.table import table_tools
from schemas.document import Document
from streams.local.demo_questions import DEMO_QUESTIONS, DemoQuestion
from streams.local.demo_tools import demo_tools_table
from streams.local.knowledge import read_documents
from streams.local.planning import match_tools
from streams.local.slow_tool import NAME, slow_tool_table
from tests.support.tool_server import unused_client

TOOLS = {**demo_tools_table(), NAME: slow_tool_table("http://127.0.0.1:9/stock")}
DOCUMENTS = {document.id: document for document in read_documents()}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def words(text: str) -> int:
    return len(CHINESE.findall(text)) or len(text.split())


def test_there_is_enough_to_ask_about_in_both_languages() -> None:
    chinese = [document for document in DOCUMENTS.values() if CHINESE.search(document.title)]
    assert len(DOCUMENTS) >= 18
    assert len(chinese) >= 9
    assert len(DOCUMENTS) - len(chinese) >= 9
    assert len({document.title for document in DOCUMENTS.values()}) == len(DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_each_document_has_a_title_and_some_substance(document: Document) -> None:
    assert 120 <= words(document.text) <= 500
    assert document.title
    assert not document.title.startswith("#")


def test_the_five_kinds_of_question_are_there() -> None:
    assert len(DEMO_QUESTIONS) == 5
    assert any(CHINESE.search(question.text) for question in DEMO_QUESTIONS)
    assert any(len(question.expected_tools) == 2 for question in DEMO_QUESTIONS)
    assert any("tools_timeout" in question.expected_degraded for question in DEMO_QUESTIONS)
    assert any(question.expected == ("I do not know",) for question in DEMO_QUESTIONS)


@pytest.mark.parametrize("question", DEMO_QUESTIONS, ids=lambda question: question.note)
def test_each_question_expects_known_tools_and_facts_of_one_document(question: DemoQuestion) -> None:
    assert set(question.expected_tools) <= set(TOOLS)
    assert (question.expected_status == "degraded") == bool(question.expected_degraded)
    if question.expected_document is None:
        return
    document = DOCUMENTS[question.expected_document]
    assert all(expected in document.text for expected in question.expected)
    others = [other for other in DOCUMENTS.values() if other is not document]
    assert not any(expected in other.text for expected in question.expected for other in others)


@pytest.mark.parametrize("question", DEMO_QUESTIONS, ids=lambda question: question.note)
def test_the_offline_model_plans_the_expected_tools_only(question: DemoQuestion) -> None:
    tools = table_tools(TOOLS, environ={}, http=unused_client, default_timeout_s=1.0)
    offers = [
        {
            "type": "function",
            "function": {
                "name": spec.name,
                "description": spec.description,
                "parameters": spec.parameters,
            },
        }
        for spec in (tool.spec for tool in tools)
    ]
    assert tuple(call.name for call in match_tools(question.text, offers)) == question.expected_tools
