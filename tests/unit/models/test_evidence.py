"""Evidence for a question: found where the documents answer it, and for its own subject alone."""

import time

import pytest

from agents.citing.checking import Given, check_answer
from agents.components import Passage
from tests.support.extracting import extract_answer


def passages(*texts: tuple[str, str]) -> list[Passage]:
    return [Passage(f"c{n}", f"d{n}", title, "", text, 1.0) for n, (title, text) in enumerate(texts)]


THREE = (
    "Heron Air 3",
    "# Heron Air 3\nA fan heater.\n## Noise\nIt makes 41 dB.\n## Weight\nIt weighs 2.4 kg.",
)
TWO = ("Heron Air 2", "# Heron Air 2\nA fan heater.\n## Noise\nIt makes 47 dB.")
PLANS = (
    "Plans",
    "# Plans\n## Basic plan\nIt costs €29 a month.\nUp to three users may sign in.\n"
    "## Team plan\nIt costs €89 a month.",
)


@pytest.mark.parametrize("order", [(TWO, THREE), (THREE, TWO)])
def test_a_sibling_never_answers_for_another(order: tuple[tuple[str, str], ...]) -> None:
    found = passages(*order)
    assert "47 dB" in extract_answer("How much noise does the Heron Air 2 make?", found)
    assert "41 dB" in extract_answer("How much noise does the Heron Air 3 make?", found)
    assert extract_answer("What is the weight of the Heron Air 2?", found) == ""
    assert extract_answer("How much noise does the Heron Air 4 make?", found) == ""


@pytest.mark.parametrize(
    ("question", "title", "other"),
    [
        ("How many days of leave do employees get in Norway?", "Leave in Norway", "Leave in Sweden"),
        ("How many days of leave did employees get in 2024?", "Leave 2024", "Leave 2025"),
        ("How many days of leave do employees get under contract B12?", "Leave, B12", "Leave, B14"),
    ],
)
def test_another_region_year_or_code_is_not_meant(question: str, title: str, other: str) -> None:
    text = "Employees get {} days of leave."
    asked, sibling = (title, text.format(25)), (other, text.format(30))
    assert "25 days" in extract_answer(question, passages(sibling, asked))
    assert extract_answer(question, passages(sibling)) == ""


@pytest.mark.parametrize(
    ("question", "answered"),
    [
        ("How long is the guarantee of the Kettle Orla?", True),
        ("How long is the guarantee of the Kettle Brona?", False),
        ("How long is the guarantee of the Orla Toaster?", True),
    ],
)
def test_a_name_beside_the_same_name_is_another_one(question: str, answered: bool) -> None:
    kettle = ("Kettle Orla", "# Kettle Orla\nIt boils water.\n## Guarantee\nThe guarantee lasts 4 years.")
    assert ("4 years" in extract_answer(question, passages(kettle))) == answered


def test_one_section_never_answers_for_its_sibling() -> None:
    found = passages(PLANS)
    assert extract_answer("How much does the Team plan cost?", found).startswith("It costs €89 a month.")
    assert extract_answer("How much does the Basic plan cost?", found).startswith("It costs €29 a month.")
    assert "three users" not in extract_answer("How many users does the Team plan have?", found)


@pytest.mark.parametrize(
    "question",
    [
        "What colour is the Heron Air 3?",
        "Who invented the Heron Air 3?",
        "Which warranty does the Heron Air 3 have?",
        "Welche Farbe hat der Heron Air 3?",
    ],
)
def test_to_name_the_subject_is_not_to_answer(question: str) -> None:
    assert extract_answer(question, passages(THREE, TWO)) == ""


TABLE = "| Part | Price | Weight |\n|---|---|---|\n| bolt-1 | €2 | 10 g |\n| bolt-2 | €3 | 12 g |"


def test_a_row_answers_with_its_header() -> None:
    found = passages(("Parts", TABLE))
    assert extract_answer("What is the price of bolt-2?", found) == "bolt-2, Price: €3 [1]"
    assert extract_answer("What is the weight of bolt-1?", found) == "bolt-1, Weight: 10 g [1]"


def test_the_header_alone_chooses_no_row() -> None:
    assert extract_answer("What is the price of a part?", passages(("Parts", TABLE))) == ""


def test_a_table_with_its_header_in_the_first_column_answers_by_both() -> None:
    text = "| | Solo | Duo |\n|---|---|---|\n| Price | €9 | €17 |\n| Storage | 5 GB | 50 GB |"
    found = passages(("Tariffs", text))
    assert extract_answer("How much storage does Duo have?", found) == "Storage, Duo: 50 GB [1]"


def test_a_question_for_a_list_gets_all_its_items() -> None:
    text = "# Survival bag\nThe bag holds:\n\n- a torch\n- a map\n- a whistle\n\nIt weighs 2 kg."
    answer = extract_answer("What does the survival bag hold?", passages(("Survival bag", text)))
    assert answer == "The bag holds: a torch; a map; a whistle [1]"


def test_one_item_answers_for_itself() -> None:
    text = "Fees:\n\n- Parking costs €4 a day.\n- A locker costs €2 a day."
    answer = extract_answer("How much does parking cost?", passages(("Pool", text)))
    assert answer.startswith("Parking costs €4 a day. [1]")


def test_a_sentence_under_a_heading_answers_in_the_headings_words() -> None:
    text = "# Sensor\nThe sensor draws 3 amperes.\n## Colour\nThe housing is green."
    answer = extract_answer("Which colour does the sensor have?", passages(("Sensor", text)))
    assert answer.startswith("The housing is green. [1]")


def test_an_answer_has_at_most_two_sentences_and_400_characters() -> None:
    text = " ".join(f"The tower has {n} doors of oak{' and iron' * 20}." for n in range(9))
    answer = extract_answer("How many doors does the tower have?", passages(("Tower", text)))
    assert 0 < len(answer.replace("[1]", "").strip()) <= 401
    assert answer.count("[1]") <= 2


@pytest.mark.parametrize("piece", ["heron ", "| a | b |\n", "- heron 3\n", "# heron\n", "heron 3.\n\n", "天"])
def test_a_hostile_passage_costs_time_in_proportion_to_its_length(piece: str) -> None:
    started = time.thread_time()
    extract_answer("How loud is the Heron Air 3?", passages(("Heron Air 3", piece * 2_000)))
    assert time.thread_time() - started < 5.0


def test_rows_of_a_later_piece_of_a_table_answer_with_its_header() -> None:
    text = "| cam-4 | €31 | 9 days |\n| cam-5 | €47 | 12 days |"
    piece = Passage("c", "d", "Spare parts", "", text, 1.0, lead="| Part | Price | Delivery |\n|---|---|---|")
    answer = extract_answer("What is the price of cam-5?", [piece])
    assert answer == "cam-5, Price: €47 [1]"
    [citation] = check_answer(answer, Given([piece])).citations
    assert citation.quote == "| cam-5 | €47 | 12 days |"
    assert citation.support == 1.0
