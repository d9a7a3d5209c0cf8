"""The reading of a question: its telling terms, its names, the kind of answer that it wants."""

import pytest

from agents.language.keys import term_key, term_keys
from agents.models.asking import read_question


@pytest.mark.parametrize(
    "question",
    [
        "How long is the lease?",
        "What time does it open?",
        "Wie viele Tage sind das?",
        "Combien de jours ?",
        "¿Cuántos días son?",
        "保修期是多久？",
        "料金はいくらですか。",
    ],
)
def test_a_question_for_a_number_is_known(question: str) -> None:
    assert read_question(question).wanted == "number"


@pytest.mark.parametrize("question", ["How do I open it?", "How is it made?", "Wie geht das?", "谁负责？"])
def test_another_question_is_not_for_a_number(question: str) -> None:
    assert read_question(question).wanted != "number"


def test_words_that_only_connect_or_ask_weigh_little() -> None:
    weights = read_question("Which colours does the lamp have?").weights
    assert weights["lamp"] > 10 * weights["which"]


@pytest.mark.parametrize(
    ("question", "names", "codes"),
    [
        ("How heavy is the Heron Air 3?", {"heron", "air"}, {"3"}),
        ("Does version 3.11 run on NASA's servers?", {"nasa"}, set()),
        ("清岚K2的噪音是多少？", set(), {"k2"}),
        ("Wie schwer ist die Lampe im Haus?", set(), set()),
    ],
)
def test_names_and_codes_are_told_from_words(question: str, names: set[str], codes: set[str]) -> None:
    asked = read_question(question)
    assert names <= asked.names
    assert len(asked.codes) >= len(codes)
    assert not {"heav", "lampe", "haus"} & asked.names


@pytest.mark.parametrize(
    ("term", "other"),
    [
        ("baked", "bake"),
        ("prices", "price"),
        ("jahre", "jahr"),
        ("jours", "jour"),
        ("three", "3"),
        ("1970s", "1970"),
    ],
)
def test_forms_of_a_word_share_a_key(term: str, other: str) -> None:
    assert term_key(term) == term_key(other)


def test_characters_of_scripts_without_spaces_are_keys_too() -> None:
    assert {"保修", "修期", "保", "修", "期"} <= term_keys("保修期")
