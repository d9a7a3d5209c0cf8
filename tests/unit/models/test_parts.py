"""The questions within a question: none of its names and numbers is lost, and one thing stays one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models.parts import PARTS_MAX, parts_of


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "How many berths has the Tern, and when was she built?",
            ["How many berths has the Tern?", "when was she built? (Tern)"],
        ),
        ("Who cleans the filter and how often is it changed?", ["Who cleans the filter?", None]),
        ("How much is the fine, and by when?", ["How much is the fine?", "by when is the fine?"]),
        ("When and where is the meeting?", ["When is the meeting?", "where is the meeting?"]),
        ("Who opens the gate? How long is it open?", ["Who opens the gate?", None]),
        (
            "What do plan A and plan B cost, respectively?",
            ["What do plan A cost?", "What do plan B cost?"],
        ),
        (
            "How heavy are the Lumo 4 and 5?",
            ["How heavy are the Lumo 4?", "How heavy are the Lumo 5?"],
        ),
        (
            "What was sold in May and June 2031?",
            ["What was sold in May 2031?", "What was sold in June 2031?"],
        ),
        (
            "Was kosten Zone A und Zone B im Jahr?",
            ["Was kosten Zone A im Jahr?", "Was kosten Zone B im Jahr?"],
        ),
        ("Wie breit ist das Rad R7 und wie lange dauert der Umbau?", ["Wie breit ist das Rad R7?", None]),
        (
            "Quel est le tarif de la zone Nord et de la zone Sud ?",
            ["Quel est le tarif de la zone Nord ?", "Quel est le tarif de la zone Sud ?"],
        ),
        ("¿Cuánto cuesta el pase Azul y cuándo caduca?", ["¿Cuánto cuesta el pase Azul?", None]),
        ("大号和小号的押金分别是多少？", ["大号的押金是多少？", "小号的押金是多少？"]),
        ("R7的轮宽是多少，改装要多久？", ["R7的轮宽是多少", "改装要多久？ (R7)"]),
        ("游泳班的学费是多少，什么时候开课？", ["游泳班的学费是多少", "游泳班的什么时候开课？"]),
        ("ゾーンAとゾーンBの料金はいくらですか？", ["ゾーンAの料金はいくらですか？", None]),
    ],
)
def test_a_question_has_these_parts(question: str, parts: list[str | None]) -> None:
    found = parts_of(question)
    assert [part if wanted else None for part, wanted in zip(found, parts, strict=True)] == parts


@pytest.mark.parametrize(
    "question",
    [
        "What are the rights and duties of a tenant?",
        "Who leads Research and Development?",
        "Where do I find the Terms and Conditions?",
        "How far is it between Oslo and Bergen?",
        "What must I do when it rains and when it snows?",
        "Who is the woman who came and who stayed?",
        "Wie hoch ist das Budget für Forschung und Entwicklung?",
        "Quelles sont les conditions de vente et de livraison ?",
        "研究和开发的预算是多少？",
        "",
        "and",
    ],
)
def test_one_thing_stays_one(question: str) -> None:
    assert parts_of(question) == [question]


_WORDS = st.sampled_from(
    re.split(
        " ",
        "What How many does Who when is und wie lange kostet et quand y cuánto the of in , ? and 和 的 多少 "
        "と いくら Tern Heron Plus Oslo B12 2031 40 7.5 plan A B weight Zone S",
    )
)


@given(st.lists(_WORDS, max_size=14).map(" ".join))
def test_no_name_and_no_number_is_lost(question: str) -> None:
    parts = parts_of(question)
    assert 1 <= len(parts) <= PARTS_MAX
    told = " ".join(parts)
    for name in re.findall(r"Tern|Heron|Plus|Oslo|B12|2031|40|7\.5", question):
        assert name in told


@given(st.text(max_size=80))
def test_any_text_has_parts(text: str) -> None:
    assert parts_of(text)
