"""The text of an answer that is made of a unit."""

import pytest

from agents.documents.units import units_of
from agents.models.asking import read_question
from agents.models.telling import shortened, tell

PLANS = "| Plan | Price per month | Seats |\n|---|---|---|\n| Solo | €9 | 1 |\n| Duo | €17 | 2 |"
FACTS = "| Fact | Value |\n|---|---|\n| Weight | 4 kg |\n| Ports | 3 |"


@pytest.mark.parametrize(
    ("text", "row", "question", "told"),
    [
        (PLANS, 1, "What is the price of the Duo plan?", "Duo, Price per month: €17"),
        (PLANS, 0, "How many seats does Solo have?", "Solo, Seats: 1"),
        (PLANS, 1, "Tell me about Duo", "Duo: Price per month €17, Seats 2"),
        (PLANS, 1, "How many seats has the plan with a price of €17 per month?", "Duo, €17, Seats: 2"),
        (PLANS, 1, "How much does Duo cost?", "Duo, Price per month: €17"),
        (FACTS, 0, "What is its weight?", "Weight: 4 kg"),
        (FACTS, 1, "How many ports are there?", "Ports, Value: 3"),
    ],
)
def test_a_row_answers_with_its_name_and_the_cells_that_are_asked_for(
    text: str, row: int, question: str, told: str
) -> None:
    assert tell(units_of(text)[row], read_question(question)) == told


def test_a_list_answers_with_the_sentence_before_it_and_all_its_items() -> None:
    unit = units_of("The bag holds:\n\n1. a **torch**;\n2. a map")[-1]
    assert tell(unit, read_question("What is in the bag?")) == "The bag holds: a torch; a map"


def test_code_answers_as_code() -> None:
    (line,) = units_of("```\nqueue restart\n```")
    (block,) = units_of("```\na\nb\n```")
    assert tell(line, read_question("How?")) == "`queue restart`"
    assert tell(block, read_question("How?")) == "```\na\nb\n```"


def test_a_sentence_is_told_without_reference_marks_of_its_source() -> None:
    (unit,) = units_of("The **airship** flew in 1900.[3]")
    assert tell(unit, read_question("When?")) == "The airship flew in 1900."


def test_a_long_text_is_cut_at_a_blank() -> None:
    assert shortened("aaaa bbbb cccc", 14) == "aaaa bbbb cccc"
    assert shortened("aaaa bbbb cccc", 13) == "aaaa bbbb …"
    assert shortened("甲" * 20, 10) == "甲" * 8 + " …"
