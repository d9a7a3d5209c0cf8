"""Answers without a model, in English and Chinese: found if supported, else not claimed."""

import math
import re

import pytest

from agents.components import Call, Grounding, Passage
from agents.language.sentences import sentence_spans
from agents.models.extractive import ExtractiveGenerator, Extractor
from schemas.answer import ToolCall, ToolCallStatus
from schemas.question import Question
from tests.support.citing import check_citations
from tests.support.extracting import extract_answer

ENGLISH = [
    (
        "Leave",
        "Full-time employees have 24 days of paid vacation a year. Vacation is requested two weeks ahead. "
        "Unused days can be carried over until the end of March.",
    ),
    (
        "Stardust X2 manual",
        "The Stardust X2 is a vacuum robot. Its battery holds 5,200 mAh and is charged in four hours. "
        "It is no louder than 65 decibels. The warranty lasts two years.",
    ),
    (
        "Offices",
        "Headquarters are in Utrecht, at the harbour. The laboratory in Porto employs 120 engineers.",
    ),
]
CHINESE = [
    ("休假制度", "全职员工每年享有15天带薪年假。年假须提前两周申请。未用完的年假最多可结转5天至次年三月。"),
    (
        "星尘X2产品手册",
        "星尘X2是一款扫地机器人。电池容量为5200毫安时，充满电约需4小时。噪音不超过65分贝。保修期为两年。",
    ),
    ("公司概况", "公司总部位于杭州市西湖区。上海研发中心约有120名工程师。"),
]
ANSWERED = [
    (ENGLISH, "How many days of paid vacation do employees have?", "24 days"),
    (ENGLISH, "How far ahead must vacation be requested?", "two weeks"),
    (ENGLISH, "How long does the warranty of the Stardust X2 last?", "two years"),
    (ENGLISH, "How many engineers work in the laboratory in Porto?", "120"),
    (ENGLISH, "Where are the headquarters?", "Utrecht"),
    (CHINESE, "员工每年有多少天年假？", "15天"),
    (CHINESE, "年假要提前多久申请？", "两周"),
    (CHINESE, "星尘X2的电池容量是多少？", "5200毫安时"),
    (CHINESE, "星尘X2的保修期是多久？", "两年"),
    (CHINESE, "公司总部在哪里？", "杭州"),
    (CHINESE, "上海研发中心有多少工程师？", "120名"),
]
UNANSWERED = [
    (ENGLISH, "Who is the president of France?"),
    (ENGLISH, "Which languages does the Stardust X2 speak?"),
    (ENGLISH, "When was Johann Sebastian Bach born?"),
    (CHINESE, "谁是法国总统？"),
    (CHINESE, "珠穆朗玛峰有多高？"),
    (CHINESE, "星尘X2支持哪些语言？"),
    (CHINESE, "公司食堂几点开门？"),
]


def passages(texts: list[tuple[str, str]]) -> list[Passage]:
    return [Passage(f"c{n}", f"d{n}", title, "", text, 1.0) for n, (title, text) in enumerate(texts)]


def by_relevance(texts: list[tuple[str, str]], gold: str) -> list[Passage]:
    return sorted(passages(texts), key=lambda passage: gold not in passage.text)


@pytest.mark.parametrize(("texts", "question", "gold"), ANSWERED)
def test_the_answer_is_found_and_cited(texts: list[tuple[str, str]], question: str, gold: str) -> None:
    found = by_relevance(texts, gold)
    answer = extract_answer(question, found)
    checked, citations = check_citations(answer, found)
    assert gold in answer
    assert checked == answer
    assert len(sentence_spans(re.sub(r" ?\[\d+\]", "", answer))) <= 2
    assert all(citation.score == 1.0 for citation in citations)
    assert citations[0].quote in found[0].text


@pytest.mark.parametrize(("texts", "question"), UNANSWERED)
def test_an_unsupported_question_gets_no_answer(texts: list[tuple[str, str]], question: str) -> None:
    assert extract_answer(question, passages(texts)) == ""


@pytest.mark.parametrize("question", ["?", "的是什么？", "   ", "😀"])
def test_a_question_without_words_has_no_answer(question: str) -> None:
    assert extract_answer(question, passages(ENGLISH + CHINESE)) == ""


def test_without_passages_there_is_no_answer() -> None:
    assert extract_answer("Where are the headquarters?", []) == ""
    assert extract_answer("Where are the headquarters?", passages([("", " \n ")])) == ""


def test_headings_and_questions_point_to_the_answer_but_are_never_it() -> None:
    texts = [
        (
            "FAQ",
            "# How do I reset the hub?\n\nHow do I reset the hub? Hold the button for ten seconds.",
        )
    ]
    assert extract_answer("How do I reset the hub?", passages(texts)).startswith(
        "Hold the button for ten seconds. [1]"
    )


def call(status: ToolCallStatus, result: object) -> ToolCall:
    return ToolCall(id="1", name="clock", arguments={}, status=status, result=result)


def grounding(text: str, found: list[Passage], *calls: ToolCall, missing: tuple[str, ...] = ()) -> Grounding:
    return Grounding(Question(id="q", text=text), found, calls, missing)


async def generate(given: Grounding) -> tuple[str, list[str]]:
    deltas: list[str] = []
    generation = await ExtractiveGenerator(Extractor()).agenerate(
        given, Call("q", "generate", 1.0), deltas.append
    )
    assert generation.model == "extractive"
    return generation.text, deltas


async def test_an_answer_gives_tool_results_and_names_late_tools() -> None:
    text, deltas = await generate(
        grounding(
            "What time is it?", [], call("ok", {"time": "12:00", "zone": ["UTC"]}), call("timeout", None)
        )
    )
    assert text == "clock: time: 12:00, zone: UTC\nclock gave no result (timeout)."
    assert deltas == [text]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Who is it?", "I do not know"),
        ("是谁？", "我不知道"),
        ("だれですか？", "わかりません"),
        ("Wer ist das?", "Das weiß ich nicht"),
    ],
)
async def test_an_unknown_answer_is_said_in_the_questions_language(question: str, words: str) -> None:
    text, _ = await generate(grounding(question, []))
    assert text.startswith(words)


async def test_an_answer_names_the_parts_that_could_not_be_reached() -> None:
    text, _ = await generate(grounding("Where is it?", [], missing=("the knowledge base",)))
    assert "the knowledge base" in text


async def test_a_failed_tool_alone_gives_no_answer() -> None:
    given = grounding("What time is it?", [], call("error", "down"))
    assert await Extractor().aanswer(given, math.inf) == ""
